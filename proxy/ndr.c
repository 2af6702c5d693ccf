#include "proxy/ndr.h"

/* No fragment holds more (C706 12.6.3.1: its length is 16 bits). */
enum { COUNT_MAX = UINT16_MAX };

struct ndr ndr_over(struct span stub, bool big_endian, bool wide)
{
    return (struct ndr){reader_over_span(stub), stub.at, big_endian, wide};
}

/* An integer of `size` bytes at a multiple of them. */
static bool take(struct ndr *ndr, size_t size, uint64_t *value)
{
    struct span bytes;
    *value = 0;
    if (!read_align(&ndr->reader, ndr->start, size) || !read_span(&ndr->reader, size, &bytes))
        return false;
    for (size_t i = 0; i < size; i++)
        *value = *value << 8 | bytes.at[ndr->big_endian ? i : size - 1 - i];
    return true;
}

bool ndr_u16(struct ndr *ndr, uint16_t *value)
{
    uint64_t taken;
    bool there = take(ndr, sizeof *value, &taken);
    *value = (uint16_t)taken;
    return there;
}

bool ndr_u32(struct ndr *ndr, uint32_t *value)
{
    uint64_t taken;
    bool there = take(ndr, sizeof *value, &taken);
    *value = (uint32_t)taken;
    return there;
}

bool ndr_enum(struct ndr *ndr, uint32_t *value)
{
    uint64_t taken;
    bool there = take(ndr, ndr->wide ? 4 : 2, &taken);
    *value = (uint32_t)taken;
    return there;
}

bool ndr_pointer(struct ndr *ndr, bool *given)
{
    uint64_t referent;
    bool there = take(ndr, ndr->wide ? 8 : 4, &referent);
    *given = referent != 0;
    return there;
}

bool ndr_skip(struct ndr *ndr, size_t unit, size_t size)
{
    return read_align(&ndr->reader, ndr->start, unit) && read_skip(&ndr->reader, size);
}

/* The number of an array's elements. */
static bool take_count(struct ndr *ndr, size_t *count)
{
    uint64_t taken;
    bool there = take(ndr, ndr->wide ? 8 : 4, &taken);
    *count = (size_t)taken;
    return there && taken <= COUNT_MAX;
}

bool ndr_string(struct ndr *ndr, size_t unit)
{
    uint64_t room, before;
    size_t count, size = ndr->wide ? 8 : 4;
    return take(ndr, size, &room) && take(ndr, size, &before) && take_count(ndr, &count) &&
           read_skip(&ndr->reader, count * unit);
}

bool ndr_unique_string(struct ndr *ndr, size_t unit)
{
    bool given;
    return ndr_pointer(ndr, &given) && (!given || ndr_string(ndr, unit));
}

bool ndr_unique_u32(struct ndr *ndr)
{
    bool given;
    uint32_t value;
    return ndr_pointer(ndr, &given) && (!given || ndr_u32(ndr, &value));
}

bool ndr_unique_bytes(struct ndr *ndr)
{
    bool given;
    size_t count;
    return ndr_pointer(ndr, &given) &&
           (!given || (take_count(ndr, &count) && read_skip(&ndr->reader, count)));
}

bool ndr_sid(struct ndr *ndr)
{
    enum { HEAD = 8, SUBAUTHORITY = 4 };
    size_t count;
    return take_count(ndr, &count) && ndr_skip(ndr, 4, HEAD + count * SUBAUTHORITY);
}

bool ndr_counted_string(struct ndr *ndr)
{
    uint16_t length, room;
    bool given;
    return ndr_skip(ndr, ndr->wide ? 8 : 4, 0) && ndr_u16(ndr, &length) && ndr_u16(ndr, &room) &&
           ndr_pointer(ndr, &given) && (!given || ndr_string(ndr, 2));
}
