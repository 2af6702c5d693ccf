#include "proxy/samr_call.h"

#include "proxy/rpc.h"

/* A request PDU (C706 12.6.4.9). */
enum { PTYPE_REQUEST = 0, FLAG_FIRST = 0x01, FLAG_OBJECT = 0x80, OBJECT_SIZE = 16 };
enum { AT_TYPE = 2, AT_FLAGS = 3, AT_LENGTH = 8, AT_OPNUM = 22, AT_STUB = 24 };

enum { SET_INFORMATION_USER = 37, SET_INFORMATION_USER_2 = 58 };

/* In the stub: behind the handle, the level (MS-SAMR 3.1.5.6.4); and for UserAllInformation, whose
 * fixed part has come whole in NDR, which of its fields are given. */
enum { AT_LEVEL = 20, AT_WHICH_FIELDS = 196 };
#define PASSWORDS_PRESENT 0x03000000u /* NT and LM */

static bool read_u16_at(struct span whole, size_t offset, uint16_t *value)
{
    struct span part;
    bool there = span_slice(whole, offset, sizeof *value, &part);
    *value = there ? get_le16(part.at) : 0;
    return there;
}

static bool level_needs_key(uint16_t level, struct span stub)
{
    enum { ALL = 21, INTERNAL_1 = 18, INTERNAL_4 = 23, INTERNAL_5_NEW = 26, INTERNAL_7 = 31 };
    struct span which;
    if (level == ALL)
        return span_slice(stub, AT_WHICH_FIELDS, sizeof(uint32_t), &which) &&
               get_le32(which.at) & PASSWORDS_PRESENT;
    return level == INTERNAL_1 || (level >= INTERNAL_4 && level <= INTERNAL_5_NEW) ||
           level == INTERNAL_7 || level == INTERNAL_7 + 1;
}

static bool pdu_needs_key(struct span pdu)
{
    uint16_t opnum, level;
    struct span stub;
    if (pdu.size < AT_STUB || pdu.at[AT_TYPE] != PTYPE_REQUEST || !(pdu.at[AT_FLAGS] & FLAG_FIRST))
        return false;
    size_t at = AT_STUB + (pdu.at[AT_FLAGS] & FLAG_OBJECT ? OBJECT_SIZE : 0);
    return read_u16_at(pdu, AT_OPNUM, &opnum) &&
           (opnum == SET_INFORMATION_USER || opnum == SET_INFORMATION_USER_2) && pdu.size >= at &&
           span_slice(pdu, at, pdu.size - at, &stub) && read_u16_at(stub, AT_LEVEL, &level) &&
           level_needs_key(level, stub);
}

bool samr_call_needs_session_key(struct span bytes)
{
    uint16_t length;
    struct span pdu;
    while (read_u16_at(bytes, AT_LENGTH, &length) && length >= RPC_HEAD_SIZE &&
           span_slice(bytes, 0, length, &pdu)) {
        if (pdu_needs_key(pdu))
            return true;
        if (!span_slice(bytes, length, bytes.size - length, &bytes))
            return false;
    }
    return false;
}
