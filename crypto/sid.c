#include "crypto/sid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REVISION = 1,
    AUTHORITY_SIZE = 6,
    HEAD_SIZE = 2 + AUTHORITY_SIZE,
    SUB_SIZE = 4,
    SUBS_MAX = (SID_SIZE_MAX - HEAD_SIZE) / SUB_SIZE,
    AUTHORITY_HEX_DIGITS = 2 * AUTHORITY_SIZE,
    FIRST_ROOM = 16, /* of a list that grows */
};

static size_t size_with(size_t subs)
{
    return HEAD_SIZE + subs * SUB_SIZE;
}

static bool peek(const struct reader *reader, uint8_t *byte)
{
    struct reader ahead = *reader;
    return read_u8(&ahead, byte);
}

static bool take_decimal(struct reader *reader, uint32_t *value)
{
    uint64_t sum = 0;
    size_t digits = 0;
    uint8_t byte;
    for (; peek(reader, &byte) && byte >= '0' && byte <= '9'; digits++) {
        sum = sum * 10 + (uint64_t)(byte - '0');
        if (sum > UINT32_MAX || (digits == 1 && sum < 10) || !read_u8(reader, &byte))
            return false;
    }
    *value = (uint32_t)sum;
    return digits > 0;
}

static bool take_hex_digit(struct reader *reader, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t byte;
    if (!read_u8(reader, &byte) || byte == 0)
        return false;
    const char *digit = strchr(digits, byte >= 'A' && byte <= 'F' ? byte - 'A' + 'a' : byte);
    if (digit)
        *value = *value << 4 | (uint64_t)(digit - digits);
    return digit != NULL;
}

/* Decimal below 2^32, else exactly twelve hexadecimal digits (MS-DTYP 2.4.2.1). */
static bool take_authority(struct reader *reader, uint64_t *authority)
{
    uint32_t number;
    *authority = 0;
    if (read_literal(reader, "0x") || read_literal(reader, "0X")) {
        for (unsigned i = 0; i < AUTHORITY_HEX_DIGITS; i++)
            if (!take_hex_digit(reader, authority))
                return false;
        return *authority > UINT32_MAX;
    }
    if (!take_decimal(reader, &number))
        return false;
    *authority = number;
    return true;
}

bool sid_parse(const char *text, struct sid *sid)
{
    struct sid parsed = {0};
    struct reader reader = reader_over(text, strlen(text));
    uint64_t authority;
    uint32_t sub;
    uint8_t subs = 0;
    *sid = (struct sid){0};
    if (!(read_literal(&reader, "S-1-") || read_literal(&reader, "s-1-")) ||
        !take_authority(&reader, &authority))
        return false;
    struct writer writer = writer_over(parsed.bytes, sizeof parsed.bytes);
    write_u8(&writer, REVISION);
    write_u8(&writer, 0);
    for (unsigned shift = 8 * AUTHORITY_SIZE; shift > 0; shift -= 8)
        write_u8(&writer, (uint8_t)(authority >> (shift - 8)));
    for (; reader_left(&reader); subs++) {
        if (!read_literal(&reader, "-") || !take_decimal(&reader, &sub))
            return false;
        write_le32(&writer, sub);
        if (!writer_done(&writer))
            return false;
    }
    if (subs == 0)
        return false;
    parsed.bytes[1] = subs;
    parsed.size = (uint8_t)writer_size(&writer);
    *sid = parsed;
    return true;
}

bool sid_read(struct span binary, struct sid *sid)
{
    struct reader reader = reader_over_span(binary);
    uint8_t revision, subs;
    *sid = (struct sid){0};
    if (!read_u8(&reader, &revision) || !read_u8(&reader, &subs) || revision != REVISION ||
        subs == 0 || subs > SUBS_MAX || binary.size != size_with(subs))
        return false;
    memcpy(sid->bytes, binary.at, binary.size);
    sid->size = (uint8_t)binary.size;
    return true;
}

bool sid_append(const struct sid *domain, uint32_t rid, struct sid *sid)
{
    struct sid longer = *domain;
    *sid = (struct sid){0};
    if (longer.size < size_with(1) || longer.size + SUB_SIZE > SID_SIZE_MAX)
        return false;
    put_le32(&longer.bytes[longer.size], rid);
    longer.bytes[1]++;
    longer.size += SUB_SIZE;
    *sid = longer;
    return true;
}

static uint64_t authority_of(const struct sid *sid)
{
    uint64_t authority = 0;
    for (size_t i = 0; i < AUTHORITY_SIZE; i++)
        authority = authority << 8 | sid->bytes[2 + i];
    return authority;
}

static void print(struct writer *writer, const char *format, uint64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof text, format, value);
    write_bytes(writer, text, size > 0 ? (size_t)size : 0);
}

bool sid_text(const struct sid *sid, char *to, size_t size)
{
    struct writer writer = writer_over(to, size);
    if (size == 0)
        return false;
    to[0] = '\0';
    if (sid->size < size_with(1))
        return false;
    uint64_t authority = authority_of(sid);
    write_bytes(&writer, "S-1-", 4);
    print(&writer, authority > UINT32_MAX ? "0x%012" PRIx64 : "%" PRIu64, authority);
    for (size_t at = HEAD_SIZE; at < sid->size; at += SUB_SIZE)
        print(&writer, "-%" PRIu64, get_le32(&sid->bytes[at]));
    write_u8(&writer, '\0');
    if (writer_done(&writer))
        return true;
    to[0] = '\0';
    return false;
}

bool sid_equal(const struct sid *a, const struct sid *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Room doubles at every power of two, so that it need not be remembered. */
bool sids_add(struct sids *sids, const struct sid *sid)
{
    size_t count = sids->count;
    if (count >= SIDS_MAX || sid->size == 0)
        return false;
    if (count == 0 || (count >= FIRST_ROOM && (count & (count - 1)) == 0)) {
        struct sid *more = realloc(sids->at, (count ? 2 * count : FIRST_ROOM) * sizeof *more);
        if (!more)
            return false;
        sids->at = more;
    }
    sids->at[sids->count++] = *sid;
    return true;
}

bool sids_contain(const struct sids *sids, const struct sid *sid)
{
    for (size_t i = 0; i < sids->count; i++)
        if (sid_equal(&sids->at[i], sid))
            return true;
    return false;
}

void sids_free(struct sids *sids)
{
    free(sids->at);
    *sids = (struct sids){0};
}
