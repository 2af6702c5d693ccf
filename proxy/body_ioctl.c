#include "proxy/body.h"

#include "proxy/body_layout.h"

/* IOCTL (MS-SMB2 2.2.31, 2.2.32). */
enum { REQUEST_BODY = 57, REQUEST_FIXED_END = SMB2_HEADER_SIZE + 56 };
enum { RESPONSE_BODY = 49, RESPONSE_FIXED_END = SMB2_HEADER_SIZE + 48 };

bool ioctl_request_read(struct span message, struct ioctl_request *body)
{
    struct ioctl_request read = {0};
    struct reader reader;
    uint32_t offset, size;
    /* MaxInputResponse, OutputOffset and OutputCount say nothing in a request. */
    if (!body_open(message, REQUEST_BODY, &reader) || !read_skip(&reader, sizeof(uint16_t)) ||
        !read_le32(&reader, &read.code) || !read_copy(&reader, read.file_id, FILE_ID_SIZE) ||
        !read_le32(&reader, &offset) || !read_le32(&reader, &size) ||
        !read_skip(&reader, 3 * sizeof(uint32_t)) || !read_le32(&reader, &read.max_output) ||
        !read_le32(&reader, &read.flags) || !read_skip(&reader, sizeof(uint32_t)) ||
        !body_range(message, REQUEST_FIXED_END, offset, size, &read.input))
        return false;
    *body = read;
    return true;
}

void ioctl_request_write(struct writer *writer, const struct ioctl_request *body)
{
    write_le16(writer, REQUEST_BODY);
    write_le16(writer, 0);
    write_le32(writer, body->code);
    write_bytes(writer, body->file_id, FILE_ID_SIZE);
    write_le32(writer, body->input.size ? REQUEST_FIXED_END : 0);
    write_le32(writer, (uint32_t)body->input.size);
    write_le32(writer, 0); /* MaxInputResponse */
    write_le32(writer, 0); /* OutputOffset */
    write_le32(writer, 0); /* OutputCount */
    write_le32(writer, body->max_output);
    write_le32(writer, body->flags);
    write_le32(writer, 0);
    body_write_variable(writer, body->input);
}

bool ioctl_response_read(struct span message, struct ioctl_response *body)
{
    struct ioctl_response read = {0};
    struct reader reader;
    uint32_t offset, size;
    if (!body_open(message, RESPONSE_BODY, &reader) || !read_skip(&reader, sizeof(uint16_t)) ||
        !read_le32(&reader, &read.code) || !read_copy(&reader, read.file_id, FILE_ID_SIZE) ||
        !read_skip(&reader, 2 * sizeof(uint32_t)) || !read_le32(&reader, &offset) ||
        !read_le32(&reader, &size) || !read_skip(&reader, 2 * sizeof(uint32_t)) ||
        !body_range(message, RESPONSE_FIXED_END, offset, size, &read.output))
        return false;
    *body = read;
    return true;
}

void ioctl_response_write(struct writer *writer, const struct ioctl_response *body)
{
    write_le16(writer, RESPONSE_BODY);
    write_le16(writer, 0);
    write_le32(writer, body->code);
    write_bytes(writer, body->file_id, FILE_ID_SIZE);
    write_le32(writer, RESPONSE_FIXED_END); /* InputOffset; InputCount is zero */
    write_le32(writer, 0);
    write_le32(writer, RESPONSE_FIXED_END);
    write_le32(writer, (uint32_t)body->output.size);
    write_le32(writer, 0); /* Flags */
    write_le32(writer, 0);
    body_write_variable(writer, body->output);
}
