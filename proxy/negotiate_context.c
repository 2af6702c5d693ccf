#include "proxy/negotiate_context.h"

#include "crypto/text.h"

enum { CONTEXT_ALIGNMENT = 8, HASH_SHA_512 = 1 };

bool negotiate_contexts_open(struct span message, size_t fixed_end, uint32_t offset, uint16_t count,
                             struct negotiate_contexts *list)
{
    struct span rest = {0};
    if (count > NEGOTIATE_CONTEXTS_MAX)
        return false;
    if (count > 0) {
        if (offset < fixed_end || offset % CONTEXT_ALIGNMENT != 0 || offset > message.size ||
            !span_slice(message, offset, message.size - offset, &rest))
            return false;
    }
    *list = (struct negotiate_contexts){
        .at = reader_over_span(rest), .base = message.at, .left = count, .first = true};
    return true;
}

static bool read_context(struct negotiate_contexts *list, struct negotiate_context *context)
{
    uint16_t size;
    /* The last context need not be padded, so the padding belongs to the one that follows it. */
    if (!list->first && !read_align(&list->at, list->base, CONTEXT_ALIGNMENT))
        return false;
    list->first = false;
    return read_le16(&list->at, &context->type) && read_le16(&list->at, &size) &&
           read_skip(&list->at, sizeof(uint32_t)) && read_span(&list->at, size, &context->data);
}

/* False for the second context of a type that we know: which of the two would count? */
static bool remember_type(struct negotiate_contexts *list, uint16_t type)
{
    switch (type) {
    case CONTEXT_PREAUTH:
    case CONTEXT_ENCRYPTION:
    case CONTEXT_NETNAME:
    case CONTEXT_SIGNING: break;
    default: return true;
    }
    uint32_t bit = UINT32_C(1) << type;
    bool known = list->seen & bit;
    list->seen |= bit;
    return !known;
}

bool negotiate_context_next(struct negotiate_contexts *list, struct negotiate_context *context,
                            bool *broken)
{
    *broken = false;
    if (list->left == 0)
        return false;
    list->left--;
    *broken = !read_context(list, context) || !remember_type(list, context->type);
    return !*broken;
}

bool negotiate_algorithms_read(struct span data, struct negotiate_algorithms *algorithms)
{
    struct reader reader = reader_over_span(data);
    struct negotiate_algorithms read = {.count = 0};
    uint16_t total, id;
    if (!read_le16(&reader, &total) || total == 0)
        return false;
    for (unsigned i = 0; i < total; i++) {
        if (!read_le16(&reader, &id))
            return false;
        if (read.count < NEGOTIATE_ALGORITHMS_MAX)
            read.ids[read.count++] = id;
    }
    read.total = total;
    *algorithms = read;
    return true;
}

bool negotiate_preauth_read(struct span data, unsigned *total, bool *sha512)
{
    struct reader reader = reader_over_span(data);
    uint16_t count, salt_size, id;
    bool found = false;
    if (!read_le16(&reader, &count) || !read_le16(&reader, &salt_size) || count == 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!read_le16(&reader, &id))
            return false;
        found = found || id == HASH_SHA_512;
    }
    if (!read_skip(&reader, salt_size))
        return false;
    *total = count;
    *sha512 = found;
    return true;
}

/* Begins a context whose size is not yet known; where its data begins. */
static size_t begin_context(struct writer *writer, enum negotiate_context_type type)
{
    write_align(writer, CONTEXT_ALIGNMENT);
    write_le16(writer, (uint16_t)type);
    write_le16(writer, 0); /* DataLength */
    write_le32(writer, 0);
    return writer_size(writer);
}

static void end_context(struct writer *writer, size_t data)
{
    /* DataLength stands six bytes before the data. */
    if (writer_done(writer))
        write_le16_at(writer, data - 6, (uint16_t)(writer_size(writer) - data));
}

void negotiate_preauth_write(struct writer *writer, const uint8_t salt[PREAUTH_SALT_SIZE])
{
    size_t data = begin_context(writer, CONTEXT_PREAUTH);
    write_le16(writer, 1);
    write_le16(writer, PREAUTH_SALT_SIZE);
    write_le16(writer, HASH_SHA_512);
    write_bytes(writer, salt, PREAUTH_SALT_SIZE);
    end_context(writer, data);
}

void negotiate_algorithms_write(struct writer *writer, enum negotiate_context_type type,
                                const uint16_t *ids, unsigned count)
{
    size_t data = begin_context(writer, type);
    write_le16(writer, (uint16_t)count);
    for (unsigned i = 0; i < count; i++)
        write_le16(writer, ids[i]);
    end_context(writer, data);
}

void negotiate_netname_write(struct writer *writer, const char *netname)
{
    size_t data = begin_context(writer, CONTEXT_NETNAME);
    if (!text_write_utf16(writer, netname, false))
        writer->overflow = true;
    end_context(writer, data);
}
