/* VALIDATE_NEGOTIATE_INFO (MS-SMB2 2.2.31.4, 2.2.32.6). */
#include "proxy/negotiate.h"

bool validate_request_read(struct span input, struct validate_request *request)
{
    struct validate_request read = {0};
    struct reader reader = reader_over_span(input);
    uint16_t count;
    if (!read_le32(&reader, &read.capabilities) ||
        !read_copy(&reader, read.client_guid, GUID_SIZE) ||
        !read_le16(&reader, &read.security_mode) || !read_le16(&reader, &count) || count == 0 ||
        count > NEGOTIATE_DIALECTS_MAX)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!read_le16(&reader, &read.dialects[i]))
            return false;
    /* Some versions of the Linux client send a longer array than they say. */
    read.dialects_count = count;
    *request = read;
    return true;
}

void validate_request_write(struct writer *writer, const struct validate_request *request)
{
    write_le32(writer, request->capabilities);
    write_bytes(writer, request->client_guid, GUID_SIZE);
    write_le16(writer, request->security_mode);
    write_le16(writer, (uint16_t)request->dialects_count);
    for (unsigned i = 0; i < request->dialects_count; i++)
        write_le16(writer, request->dialects[i]);
}

bool validate_response_read(struct span output, struct validate_response *response)
{
    struct validate_response read = {0};
    struct reader reader = reader_over_span(output);
    if (output.size != VALIDATE_RESPONSE_SIZE || !read_le32(&reader, &read.capabilities) ||
        !read_copy(&reader, read.server_guid, GUID_SIZE) ||
        !read_le16(&reader, &read.security_mode) || !read_le16(&reader, &read.dialect))
        return false;
    *response = read;
    return true;
}

void validate_response_write(struct writer *writer, const struct validate_response *response)
{
    write_le32(writer, response->capabilities);
    write_bytes(writer, response->server_guid, GUID_SIZE);
    write_le16(writer, response->security_mode);
    write_le16(writer, response->dialect);
}
