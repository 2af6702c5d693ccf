#include "proxy/body.h"

#include "proxy/body_layout.h"

/* TREE_CONNECT (MS-SMB2 2.2.9, 2.2.10). At 3.1.1 an extension of EXTENSION_SIZE bytes and its
 * contexts may stand before the path (2.2.9.1); PathOffset points behind it, from the header as
 * always. */
enum {
    REQUEST_BODY = 9,
    REQUEST_FIXED_END = SMB2_HEADER_SIZE + 8,
    EXTENSION_SIZE = 16,
    RESPONSE_BODY = 16,
    AT_SHARE_FLAGS = SMB2_HEADER_SIZE + 4,
    AT_CAPABILITIES = SMB2_HEADER_SIZE + 8,
    AT_MAXIMAL_ACCESS = SMB2_HEADER_SIZE + 12,
};

bool tree_connect_request_read(struct span message, uint16_t dialect,
                               struct tree_connect_request *body)
{
    struct tree_connect_request read = {0};
    struct reader reader;
    uint16_t offset, size;
    size_t fixed_end = REQUEST_FIXED_END;
    if (!body_open(message, REQUEST_BODY, &reader) || !read_le16(&reader, &read.flags) ||
        !read_le16(&reader, &offset) || !read_le16(&reader, &size))
        return false;
    if (dialect == SMB_3_1_1 && (read.flags & SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT)) {
        if (!read_skip(&reader, EXTENSION_SIZE))
            return false;
        fixed_end += EXTENSION_SIZE;
    }
    if (!body_range(message, fixed_end, offset, size, &read.path))
        return false;
    *body = read;
    return true;
}

void tree_connect_request_write(struct writer *writer, const struct tree_connect_request *body)
{
    if (body->path.size > UINT16_MAX)
        writer->overflow = true;
    write_le16(writer, REQUEST_BODY);
    write_le16(writer, body->flags);
    write_le16(writer, REQUEST_FIXED_END);
    write_le16(writer, (uint16_t)body->path.size);
    body_write_variable(writer, body->path);
}

bool tree_connect_response_read(struct span message, struct tree_connect_response *body)
{
    struct tree_connect_response read = {0};
    struct reader reader;
    if (!body_open(message, RESPONSE_BODY, &reader) || !read_u8(&reader, &read.share_type) ||
        !read_skip(&reader, 1) || !read_le32(&reader, &read.share_flags) ||
        !read_le32(&reader, &read.capabilities) || !read_le32(&reader, &read.maximal_access))
        return false;
    *body = read;
    return true;
}

void tree_connect_response_patch(uint8_t *message, uint32_t share_flags, uint32_t capabilities)
{
    put_le32(&message[AT_SHARE_FLAGS], share_flags);
    put_le32(&message[AT_CAPABILITIES], capabilities);
}

void tree_connect_response_limit(uint8_t *message, uint32_t access)
{
    put_le32(&message[AT_MAXIMAL_ACCESS], get_le32(&message[AT_MAXIMAL_ACCESS]) & access);
}
