#include "proxy/body.h"

#include "proxy/body_layout.h"

enum { EMPTY_BODY = 4, ERROR_BODY = 9 };

bool body_open(struct span message, uint16_t structure_size, struct reader *reader)
{
    struct reader open = reader_over_span(message);
    uint16_t size;
    if (!read_skip(&open, SMB2_HEADER_SIZE) || !read_le16(&open, &size) || size != structure_size)
        return false;
    *reader = open;
    return true;
}

bool body_range(struct span message, size_t fixed_end, size_t offset, size_t size,
                struct span *range)
{
    if (size == 0) {
        *range = (struct span){0};
        return true;
    }
    return offset >= fixed_end && span_slice(message, offset, size, range);
}

void body_write_variable(struct writer *writer, struct span bytes)
{
    if (bytes.size)
        write_span(writer, bytes);
    else
        write_u8(writer, 0);
}

void empty_body_write(struct writer *writer)
{
    write_le16(writer, EMPTY_BODY);
    write_le16(writer, 0);
}

void error_body_write(struct writer *writer)
{
    write_le16(writer, ERROR_BODY);
    write_u8(writer, 0); /* ErrorContextCount */
    write_u8(writer, 0);
    write_le32(writer, 0); /* ByteCount */
    write_u8(writer, 0);   /* ErrorData, one byte even when there is none (2.2.2) */
}

bool error_body_read(struct span message, uint8_t *context_count, struct span *data)
{
    struct reader reader;
    uint8_t contexts;
    uint32_t size;
    if (!body_open(message, ERROR_BODY, &reader) || !read_u8(&reader, &contexts) ||
        !read_skip(&reader, 1) || !read_le32(&reader, &size) || !read_span(&reader, size, data))
        return false;
    *context_count = contexts;
    return true;
}
