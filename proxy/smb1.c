/* The SMB1 NEGOTIATE as a way into SMB2 (MS-SMB2 3.3.5.3; its layout: MS-CIFS 2.2.3.1, 2.2.4.52).
 */
#include <string.h>

#include "proxy/negotiate.h"

enum {
    SMB1_COM_NEGOTIATE = 0x72,
    SMB1_FLAGS_REPLY = 0x80,
    SMB1_DIALECT_FORMAT = 0x02,
};

/* Flags2, PIDHigh, SecurityFeatures, Reserved, TID, PIDLow, UID and MID. */
enum { SMB1_HEADER_REST = 2 + 2 + 8 + 2 + 2 + 2 + 2 + 2 };

/* The dialect strings of a NEGOTIATE request. */
static bool open_dialects(struct span frame, struct reader *dialects)
{
    struct reader reader = reader_over_span(frame);
    uint32_t protocol_id;
    uint8_t command, flags, words;
    uint16_t size;
    struct span bytes;
    if (!read_le32(&reader, &protocol_id) || protocol_id != SMB1_PROTOCOL_ID ||
        !read_u8(&reader, &command) || command != SMB1_COM_NEGOTIATE ||
        !read_skip(&reader, sizeof(uint32_t)) || !read_u8(&reader, &flags) ||
        (flags & SMB1_FLAGS_REPLY) || !read_skip(&reader, SMB1_HEADER_REST) ||
        !read_u8(&reader, &words) || words != 0 || !read_le16(&reader, &size) ||
        !read_span(&reader, size, &bytes))
        return false;
    *dialects = reader_over_span(bytes);
    return true;
}

/* One dialect: a format byte and a string that ends with NUL. */
static bool read_dialect(struct reader *reader, struct span *name)
{
    struct reader ahead = *reader;
    uint8_t byte;
    size_t length = 0;
    if (!read_u8(&ahead, &byte) || byte != SMB1_DIALECT_FORMAT)
        return false;
    *reader = ahead;
    do {
        if (!read_u8(&ahead, &byte))
            return false;
        length++;
    } while (byte != 0);
    return read_span(reader, length - 1, name) && read_skip(reader, 1);
}

/* Adds the name to the list for the log, as far as there is room. */
static void list_dialect(struct span name, char *offered, size_t size)
{
    struct reader reader = reader_over_span(name);
    uint8_t byte;
    if (size == 0)
        return;
    size_t used = strlen(offered);
    if (used > 0 && used + 1 < size)
        offered[used++] = ',';
    while (read_u8(&reader, &byte) && used + 1 < size)
        offered[used++] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    offered[used] = '\0';
}

enum smb1_offer smb1_negotiate_read(struct span frame, char *offered, size_t offered_size)
{
    struct reader dialects;
    struct span name;
    bool exact = false, wildcard = false;
    if (offered_size > 0)
        offered[0] = '\0';
    if (!open_dialects(frame, &dialects))
        return SMB1_OFFER_NONE;
    while (reader_left(&dialects)) {
        if (!read_dialect(&dialects, &name))
            return SMB1_OFFER_NONE;
        list_dialect(name, offered, offered_size);
        exact = exact || span_is(name, "SMB 2.002");
        wildcard = wildcard || span_is(name, "SMB 2.???");
    }
    if (wildcard)
        return SMB1_OFFER_WILDCARD;
    return exact ? SMB1_OFFER_2_002 : SMB1_OFFER_NONE;
}
