#include "crypto/der.h"

enum { LONG_FORM = 0x80, LENGTH_BYTES_MAX = 4, LONG_TAG = 0x1f, NUMBER_BYTES_MAX = 5 };

static bool read_length(struct reader *reader, size_t *length)
{
    uint8_t first, byte;
    if (!read_u8(reader, &first))
        return false;
    *length = first;
    if (!(first & LONG_FORM))
        return true;
    unsigned count = first & (LONG_FORM - 1u);
    if (count == 0 || count > LENGTH_BYTES_MAX)
        return false;
    *length = 0;
    while (count-- > 0) {
        if (!read_u8(reader, &byte))
            return false;
        *length = *length << 8 | byte;
    }
    return true;
}

bool der_read(struct reader *reader, uint8_t *tag, struct span *content)
{
    struct reader ahead = *reader;
    size_t length;
    if (!read_u8(&ahead, tag) || (*tag & LONG_TAG) == LONG_TAG || !read_length(&ahead, &length) ||
        !read_span(&ahead, length, content))
        return false;
    *reader = ahead;
    return true;
}

bool der_expect(struct reader *reader, uint8_t tag, struct span *content)
{
    struct reader ahead = *reader;
    uint8_t found;
    if (!der_read(&ahead, &found, content) || found != tag)
        return false;
    *reader = ahead;
    return true;
}

bool der_inner(struct span field, uint8_t tag, struct span *content)
{
    struct reader reader = reader_over_span(field);
    return der_expect(&reader, tag, content) && reader_left(&reader) == 0;
}

bool der_field(struct reader *reader, uint8_t field, uint8_t tag, struct span *content)
{
    struct reader ahead = *reader;
    struct span inner;
    if (!der_expect(&ahead, field, &inner) || !der_inner(inner, tag, content))
        return false;
    *reader = ahead;
    return true;
}

bool der_number(struct span content, int64_t *number)
{
    struct reader reader = reader_over_span(content);
    uint8_t byte;
    if (content.size < 1 || content.size > NUMBER_BYTES_MAX)
        return false;
    *number = *content.at & 0x80 ? -1 : 0;
    while (read_u8(&reader, &byte))
        *number = *number * 256 + byte;
    return true;
}

size_t der_size(size_t content)
{
    return content + (content < LONG_FORM ? 2 : content <= UINT8_MAX ? 3 : 4);
}

void der_write_head(struct writer *writer, uint8_t tag, size_t content)
{
    write_u8(writer, tag);
    if (content >= LONG_FORM)
        write_u8(writer, content <= UINT8_MAX ? LONG_FORM | 1 : LONG_FORM | 2);
    if (content > UINT8_MAX)
        write_u8(writer, (uint8_t)(content >> 8));
    write_u8(writer, (uint8_t)content);
    if (content > UINT16_MAX)
        writer->overflow = true;
}

void der_write(struct writer *writer, uint8_t tag, struct span content)
{
    der_write_head(writer, tag, content.size);
    write_span(writer, content);
}
