#include "proxy/negotiate.h"

#include <stdio.h>

#include "crypto/text.h"
#include "proxy/body_layout.h"
#include "proxy/negotiate_context.h"

/* StructureSize of each body, and where what follows its fixed part may begin (2.2.3, 2.2.4). */
enum { REQUEST_BODY = 36, REQUEST_FIXED_END = SMB2_HEADER_SIZE + 36 };
enum { RESPONSE_BODY = 65, RESPONSE_FIXED_END = SMB2_HEADER_SIZE + 64 };

/* What the last eight bytes of the request's fixed part are at 3.1.1; ClientStartTime below. */
struct contexts_place {
    uint32_t offset;
    uint16_t count;
};

bool negotiate_offers(const struct negotiate_request *request, uint16_t dialect)
{
    for (unsigned i = 0; i < request->dialects_count; i++)
        if (request->dialects[i] == dialect)
            return true;
    return false;
}

bool negotiate_offers_signing(const struct negotiate_request *offer, uint16_t algorithm)
{
    for (unsigned i = 0; offer->has_signing && i < offer->signing_count; i++)
        if (offer->signing[i] == algorithm)
            return true;
    return false;
}

void negotiate_list_dialects(const struct negotiate_request *offer, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < offer->dialects_count && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i ? "," : "",
                            smb2_dialect_name(offer->dialects[i]));
        used += more > 0 ? (size_t)more : 0;
    }
}

static bool read_request_body(struct span message, struct negotiate_request *request,
                              struct contexts_place *place, size_t *end)
{
    struct reader reader;
    uint16_t count;
    if (!body_open(message, REQUEST_BODY, &reader) || !read_le16(&reader, &count) ||
        !read_le16(&reader, &request->security_mode) || !read_skip(&reader, sizeof(uint16_t)) ||
        !read_le32(&reader, &request->capabilities) ||
        !read_copy(&reader, request->client_guid, GUID_SIZE) ||
        !read_le32(&reader, &place->offset) || !read_le16(&reader, &place->count) ||
        !read_skip(&reader, sizeof(uint16_t)) || count == 0 || count > NEGOTIATE_DIALECTS_MAX)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!read_le16(&reader, &request->dialects[i]))
            return false;
    request->dialects_count = count;
    *end = message.size - reader_left(&reader);
    return true;
}

static bool take_ids(struct span data, uint16_t ids[NEGOTIATE_ALGORITHMS_MAX], unsigned *count)
{
    struct negotiate_algorithms algorithms;
    if (!negotiate_algorithms_read(data, &algorithms))
        return false;
    for (unsigned i = 0; i < algorithms.count; i++)
        ids[i] = algorithms.ids[i];
    *count = algorithms.count;
    return true;
}

static bool read_request_context(const struct negotiate_context *context,
                                 struct negotiate_request *request)
{
    unsigned total;
    switch (context->type) {
    case CONTEXT_PREAUTH:
        request->has_preauth = true;
        return negotiate_preauth_read(context->data, &total, &request->preauth_sha512);
    case CONTEXT_ENCRYPTION:
        request->has_encryption = true;
        return take_ids(context->data, request->ciphers, &request->ciphers_count);
    case CONTEXT_SIGNING:
        request->has_signing = true;
        return take_ids(context->data, request->signing, &request->signing_count);
    case CONTEXT_NETNAME:
        text_from_utf16(context->data, request->netname, sizeof request->netname);
        return true;
    default: return true;
    }
}

uint32_t negotiate_request_read(struct span message, struct negotiate_request *request)
{
    struct negotiate_request read = {0};
    struct negotiate_contexts list;
    struct negotiate_context context;
    struct contexts_place place;
    size_t dialects_end;
    bool broken;
    if (!read_request_body(message, &read, &place, &dialects_end))
        return STATUS_INVALID_PARAMETER;
    if (negotiate_offers(&read, SMB_3_1_1)) {
        if (!negotiate_contexts_open(message, dialects_end, place.offset, place.count, &list))
            return STATUS_INVALID_PARAMETER;
        while (negotiate_context_next(&list, &context, &broken))
            if (!read_request_context(&context, &read))
                return STATUS_INVALID_PARAMETER;
        if (broken || !read.has_preauth)
            return STATUS_INVALID_PARAMETER;
        if (!read.preauth_sha512)
            return STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP;
    }
    *request = read;
    return STATUS_SUCCESS;
}

/* The contexts of a request; how many. */
static unsigned write_request_contexts(struct writer *writer,
                                       const struct negotiate_request *request,
                                       const uint8_t salt[PREAUTH_SALT_SIZE])
{
    unsigned count = 1;
    negotiate_preauth_write(writer, salt);
    if (request->ciphers_count > 0) {
        negotiate_algorithms_write(writer, CONTEXT_ENCRYPTION, request->ciphers,
                                   request->ciphers_count);
        count++;
    }
    if (request->netname[0]) {
        negotiate_netname_write(writer, request->netname);
        count++;
    }
    if (request->signing_count > 0) {
        negotiate_algorithms_write(writer, CONTEXT_SIGNING, request->signing,
                                   request->signing_count);
        count++;
    }
    return count;
}

void negotiate_request_write(struct writer *writer, const struct negotiate_request *request,
                             const uint8_t salt[PREAUTH_SALT_SIZE])
{
    write_le16(writer, REQUEST_BODY);
    write_le16(writer, (uint16_t)request->dialects_count);
    write_le16(writer, request->security_mode);
    write_le16(writer, 0);
    write_le32(writer, request->capabilities);
    write_bytes(writer, request->client_guid, GUID_SIZE);
    size_t place = writer_size(writer);
    write_zeros(writer,
                sizeof(uint64_t)); /* NegotiateContextOffset and Count, or ClientStartTime */
    for (unsigned i = 0; i < request->dialects_count; i++)
        write_le16(writer, request->dialects[i]);
    if (!negotiate_offers(request, SMB_3_1_1))
        return;
    write_align(writer, sizeof(uint64_t));
    write_le32_at(writer, place, (uint32_t)writer_size(writer));
    unsigned count = write_request_contexts(writer, request, salt);
    write_le16_at(writer, place + sizeof(uint32_t), (uint16_t)count);
}

/* True when the context selects exactly one algorithm, as a response must. */
static bool take_selected(struct span data, bool *has, uint16_t *id)
{
    struct negotiate_algorithms algorithms;
    if (!negotiate_algorithms_read(data, &algorithms) || algorithms.total != 1)
        return false;
    *has = true;
    *id = algorithms.ids[0];
    return true;
}

static bool read_response_context(const struct negotiate_context *context,
                                  struct negotiate_response *response)
{
    unsigned total;
    switch (context->type) {
    case CONTEXT_PREAUTH:
        response->has_preauth = true;
        return negotiate_preauth_read(context->data, &total, &response->preauth_sha512) &&
               total == 1;
    case CONTEXT_ENCRYPTION:
        return take_selected(context->data, &response->has_cipher, &response->cipher);
    case CONTEXT_SIGNING:
        return take_selected(context->data, &response->has_signing, &response->signing);
    default: return true;
    }
}

static bool read_response_contexts(struct span message, const struct contexts_place *place,
                                   size_t fixed_end, struct negotiate_response *response)
{
    struct negotiate_contexts list;
    struct negotiate_context context;
    bool broken;
    if (!negotiate_contexts_open(message, fixed_end, place->offset, place->count, &list))
        return false;
    while (negotiate_context_next(&list, &context, &broken))
        if (!read_response_context(&context, response))
            return false;
    return !broken;
}

bool negotiate_response_read(struct span message, struct negotiate_response *response)
{
    struct negotiate_response read = {0};
    struct contexts_place place;
    struct reader reader;
    uint16_t offset, size;
    if (!body_open(message, RESPONSE_BODY, &reader) || !read_le16(&reader, &read.security_mode) ||
        !read_le16(&reader, &read.dialect) || !read_le16(&reader, &place.count) ||
        !read_copy(&reader, read.server_guid, GUID_SIZE) ||
        !read_le32(&reader, &read.capabilities) || !read_le32(&reader, &read.max_transact_size) ||
        !read_le32(&reader, &read.max_read_size) || !read_le32(&reader, &read.max_write_size) ||
        !read_le64(&reader, &read.system_time) || !read_le64(&reader, &read.start_time) ||
        !read_le16(&reader, &offset) || !read_le16(&reader, &size) ||
        !read_le32(&reader, &place.offset) ||
        !body_range(message, RESPONSE_FIXED_END, offset, size, &read.token))
        return false;
    size_t token_end = size ? (size_t)offset + size : RESPONSE_FIXED_END;
    if (read.dialect == SMB_3_1_1 && !read_response_contexts(message, &place, token_end, &read))
        return false;
    *response = read;
    return true;
}

/* The contexts of a response; how many. */
static unsigned write_response_contexts(struct writer *writer,
                                        const struct negotiate_response *response,
                                        const uint8_t salt[PREAUTH_SALT_SIZE])
{
    unsigned count = 0;
    if (response->has_preauth) {
        negotiate_preauth_write(writer, salt);
        count++;
    }
    if (response->has_cipher) {
        negotiate_algorithms_write(writer, CONTEXT_ENCRYPTION, &response->cipher, 1);
        count++;
    }
    if (response->has_signing) {
        negotiate_algorithms_write(writer, CONTEXT_SIGNING, &response->signing, 1);
        count++;
    }
    return count;
}

void negotiate_response_write(struct writer *writer, const struct negotiate_response *response,
                              const uint8_t salt[PREAUTH_SALT_SIZE])
{
    if (response->token.size > UINT16_MAX)
        writer->overflow = true;
    size_t body = writer_size(writer);
    write_le16(writer, RESPONSE_BODY);
    write_le16(writer, response->security_mode);
    write_le16(writer, response->dialect);
    write_le16(writer, 0); /* NegotiateContextCount */
    write_bytes(writer, response->server_guid, GUID_SIZE);
    write_le32(writer, response->capabilities);
    write_le32(writer, response->max_transact_size);
    write_le32(writer, response->max_read_size);
    write_le32(writer, response->max_write_size);
    write_le64(writer, response->system_time);
    write_le64(writer, response->start_time);
    write_le16(writer, RESPONSE_FIXED_END);
    write_le16(writer, (uint16_t)response->token.size);
    size_t place = writer_size(writer);
    write_le32(writer, 0); /* NegotiateContextOffset */
    write_span(writer, response->token);
    if (response->dialect != SMB_3_1_1)
        return;
    write_align(writer, sizeof(uint64_t));
    size_t contexts = writer_size(writer);
    unsigned count = write_response_contexts(writer, response, salt);
    if (count > 0) {
        write_le32_at(writer, place, (uint32_t)contexts);
        write_le16_at(writer, body + 6, (uint16_t)count);
    }
}
