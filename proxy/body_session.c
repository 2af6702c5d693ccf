#include "proxy/body.h"

#include "proxy/body_layout.h"

/* SESSION_SETUP (MS-SMB2 2.2.5, 2.2.6): StructureSize, and where the token may begin. */
enum { REQUEST_BODY = 25, REQUEST_FIXED_END = SMB2_HEADER_SIZE + 24 };
enum { RESPONSE_BODY = 9, RESPONSE_FIXED_END = SMB2_HEADER_SIZE + 8 };

bool session_setup_request_read(struct span message, struct session_setup_request *body)
{
    struct session_setup_request read = {0};
    struct reader reader;
    uint16_t offset, size;
    if (!body_open(message, REQUEST_BODY, &reader) || !read_u8(&reader, &read.flags) ||
        !read_u8(&reader, &read.security_mode) || !read_le32(&reader, &read.capabilities) ||
        !read_le32(&reader, &read.channel) || !read_le16(&reader, &offset) ||
        !read_le16(&reader, &size) || !read_le64(&reader, &read.previous_session_id) ||
        !body_range(message, REQUEST_FIXED_END, offset, size, &read.token))
        return false;
    *body = read;
    return true;
}

/* A token's length is 16 bits; a longer one cannot be sent. */
static uint16_t token_size(struct writer *writer, struct span token)
{
    if (token.size > UINT16_MAX)
        writer->overflow = true;
    return (uint16_t)token.size;
}

void session_setup_request_write(struct writer *writer, const struct session_setup_request *body)
{
    write_le16(writer, REQUEST_BODY);
    write_u8(writer, body->flags);
    write_u8(writer, body->security_mode);
    write_le32(writer, body->capabilities);
    write_le32(writer, body->channel);
    write_le16(writer, REQUEST_FIXED_END);
    write_le16(writer, token_size(writer, body->token));
    write_le64(writer, body->previous_session_id);
    body_write_variable(writer, body->token);
}

bool session_setup_response_read(struct span message, struct session_setup_response *body)
{
    struct session_setup_response read = {0};
    struct reader reader;
    uint16_t offset, size;
    if (!body_open(message, RESPONSE_BODY, &reader) || !read_le16(&reader, &read.session_flags) ||
        !read_le16(&reader, &offset) || !read_le16(&reader, &size) ||
        !body_range(message, RESPONSE_FIXED_END, offset, size, &read.token))
        return false;
    *body = read;
    return true;
}

void session_setup_response_write(struct writer *writer, const struct session_setup_response *body)
{
    write_le16(writer, RESPONSE_BODY);
    write_le16(writer, body->session_flags);
    write_le16(writer, RESPONSE_FIXED_END);
    write_le16(writer, token_size(writer, body->token));
    write_span(writer, body->token);
}
