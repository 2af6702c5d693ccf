#include "crypto/cursor.h"

#include <string.h>

struct reader reader_over(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (struct reader){.at = at, .end = size ? at + size : at};
}

struct reader reader_over_span(struct span span)
{
    return reader_over(span.at, span.size);
}

size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

struct span reader_rest(const struct reader *reader)
{
    return (struct span){reader->at, reader_left(reader)};
}

bool read_span(struct reader *reader, size_t size, struct span *span)
{
    if (size > reader_left(reader))
        return false;
    *span = (struct span){reader->at, size};
    if (size)
        reader->at += size;
    return true;
}

bool read_skip(struct reader *reader, size_t size)
{
    struct span skipped;
    return read_span(reader, size, &skipped);
}

bool read_copy(struct reader *reader, void *to, size_t size)
{
    struct span span;
    if (!read_span(reader, size, &span))
        return false;
    if (size)
        memcpy(to, span.at, size);
    return true;
}

bool read_u8(struct reader *reader, uint8_t *value)
{
    return read_copy(reader, value, 1);
}

bool read_le16(struct reader *reader, uint16_t *value)
{
    struct span span;
    if (!read_span(reader, sizeof *value, &span))
        return false;
    *value = get_le16(span.at);
    return true;
}

bool read_le32(struct reader *reader, uint32_t *value)
{
    struct span span;
    if (!read_span(reader, sizeof *value, &span))
        return false;
    *value = get_le32(span.at);
    return true;
}

bool read_le64(struct reader *reader, uint64_t *value)
{
    struct span span;
    if (!read_span(reader, sizeof *value, &span))
        return false;
    *value = get_le64(span.at);
    return true;
}

bool read_until(struct reader *reader, uint8_t mark, struct span *span)
{
    size_t left = reader_left(reader);
    const uint8_t *found = left ? memchr(reader->at, mark, left) : NULL;
    if (!found)
        return false;
    *span = (struct span){reader->at, (size_t)(found - reader->at)};
    reader->at = found + 1;
    return true;
}

bool read_literal(struct reader *reader, const char *text)
{
    struct reader ahead = *reader;
    struct span found;
    if (!read_span(&ahead, strlen(text), &found) || !span_is(found, text))
        return false;
    *reader = ahead;
    return true;
}

bool read_align(struct reader *reader, const uint8_t *base, size_t unit)
{
    size_t done = (size_t)(reader->at - base);
    return read_skip(reader, -done & (unit - 1));
}

bool span_slice(struct span whole, size_t offset, size_t size, struct span *slice)
{
    if (offset > whole.size || size > whole.size - offset)
        return false;
    *slice = (struct span){whole.at ? whole.at + offset : NULL, size};
    return true;
}

bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

struct span span_of_text(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

bool span_is(struct span span, const char *text)
{
    return span_equal(span, span_of_text(text));
}

struct writer writer_over(void *buffer, size_t size)
{
    uint8_t *start = buffer;
    return (struct writer){.start = start, .at = start, .end = size ? start + size : start};
}

size_t writer_size(const struct writer *writer)
{
    return (size_t)(writer->at - writer->start);
}

struct span writer_span(const struct writer *writer)
{
    return (struct span){writer->start, writer_size(writer)};
}

/* Room for `size` more bytes, or NULL with the overflow remembered. */
static uint8_t *writer_take(struct writer *writer, size_t size)
{
    if (writer->overflow || size > (size_t)(writer->end - writer->at)) {
        writer->overflow = true;
        return NULL;
    }
    uint8_t *at = writer->at;
    writer->at += size;
    return at;
}

void write_u8(struct writer *writer, uint8_t value)
{
    uint8_t *at = writer_take(writer, 1);
    if (at)
        *at = value;
}

void write_le16(struct writer *writer, uint16_t value)
{
    uint8_t *at = writer_take(writer, sizeof value);
    if (at)
        put_le16(at, value);
}

void write_le32(struct writer *writer, uint32_t value)
{
    uint8_t *at = writer_take(writer, sizeof value);
    if (at)
        put_le32(at, value);
}

void write_le64(struct writer *writer, uint64_t value)
{
    uint8_t *at = writer_take(writer, sizeof value);
    if (at)
        put_le64(at, value);
}

void write_bytes(struct writer *writer, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    uint8_t *at = writer_take(writer, size);
    if (at)
        memcpy(at, bytes, size);
}

void write_span(struct writer *writer, struct span span)
{
    write_bytes(writer, span.at, span.size);
}

void write_zeros(struct writer *writer, size_t size)
{
    if (size == 0)
        return;
    uint8_t *at = writer_take(writer, size);
    if (at)
        memset(at, 0, size);
}

void write_align(struct writer *writer, size_t unit)
{
    write_zeros(writer, -writer_size(writer) & (unit - 1));
}

void write_le16_at(struct writer *writer, size_t offset, uint16_t value)
{
    if (offset + sizeof value <= writer_size(writer))
        put_le16(writer->start + offset, value);
    else
        writer->overflow = true;
}

void write_le32_at(struct writer *writer, size_t offset, uint32_t value)
{
    if (offset + sizeof value <= writer_size(writer))
        put_le32(writer->start + offset, value);
    else
        writer->overflow = true;
}

bool writer_done(const struct writer *writer)
{
    return !writer->overflow;
}
