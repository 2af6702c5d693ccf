#include "proxy/body.h"

#include "proxy/body_layout.h"

/* CREATE (MS-SMB2 2.2.13, 2.2.14) and its contexts (2.2.13.2). */
enum { REQUEST_BODY = 57, REQUEST_FIXED_END = SMB2_HEADER_SIZE + 56 };
enum { RESPONSE_BODY = 89, RESPONSE_FIXED_END = SMB2_HEADER_SIZE + 88 };
enum { CONTEXT_HEAD_SIZE = 16, CONTEXT_ALIGNMENT = 8 };

/* The list of contexts: a range that begins at a multiple of 8 unless it is empty. */
static bool contexts_range(struct span message, size_t fixed_end, size_t offset, size_t size,
                           struct span *contexts)
{
    return (size == 0 || offset % CONTEXT_ALIGNMENT == 0) &&
           body_range(message, fixed_end, offset, size, contexts);
}

bool create_request_read(struct span message, struct create_request *body)
{
    struct create_request read = {0};
    struct reader reader;
    uint16_t name_offset, name_size;
    uint32_t offset, size;
    /* Skipped: ImpersonationLevel, SmbCreateFlags and Reserved; FileAttributes and ShareAccess. */
    if (!body_open(message, REQUEST_BODY, &reader) || !read_skip(&reader, 1) ||
        !read_u8(&reader, &read.oplock_level) || !read_skip(&reader, 4 + 8 + 8) ||
        !read_le32(&reader, &read.desired_access) || !read_skip(&reader, 4 + 4) ||
        !read_le32(&reader, &read.disposition) || !read_le32(&reader, &read.options) ||
        !read_le16(&reader, &name_offset) || !read_le16(&reader, &name_size) ||
        !read_le32(&reader, &offset) || !read_le32(&reader, &size) ||
        !body_range(message, REQUEST_FIXED_END, name_offset, name_size, &read.name) ||
        !contexts_range(message, REQUEST_FIXED_END, offset, size, &read.contexts))
        return false;
    *body = read;
    return true;
}

bool create_response_read(struct span message, struct create_response *body)
{
    struct create_response read = {0};
    struct reader reader;
    uint32_t offset, size;
    /* Skipped: Flags and CreateAction; four times, AllocationSize and EndofFile; FileAttributes and
     * Reserved2. */
    if (!body_open(message, RESPONSE_BODY, &reader) || !read_u8(&reader, &read.oplock_level) ||
        !read_skip(&reader, 1 + 4) || !read_skip(&reader, 6 * sizeof(uint64_t)) ||
        !read_skip(&reader, 4 + 4) || !read_copy(&reader, read.file_id, FILE_ID_SIZE) ||
        !read_le32(&reader, &offset) || !read_le32(&reader, &size) ||
        !contexts_range(message, RESPONSE_FIXED_END, offset, size, &read.contexts))
        return false;
    *body = read;
    return true;
}

/* One element of the list, which is all of `element`: its name and data lie behind its head. */
static bool context_read(struct span element, struct create_context *context)
{
    struct reader reader = reader_over_span(element);
    uint16_t name_offset, name_size, data_offset;
    uint32_t data_size;
    return read_skip(&reader, sizeof(uint32_t)) && read_le16(&reader, &name_offset) &&
           read_le16(&reader, &name_size) && read_skip(&reader, sizeof(uint16_t)) &&
           read_le16(&reader, &data_offset) && read_le32(&reader, &data_size) &&
           (data_size == 0 || data_offset % CONTEXT_ALIGNMENT == 0) &&
           body_range(element, CONTEXT_HEAD_SIZE, name_offset, name_size, &context->name) &&
           body_range(element, CONTEXT_HEAD_SIZE, data_offset, data_size, &context->data);
}

/* Cuts the list at Next: the element may reach up to the next one, or to the end. */
static bool context_cut(struct span list, struct span *element, struct span *rest)
{
    struct reader reader = reader_over_span(list);
    uint32_t next;
    if (!read_le32(&reader, &next))
        return false;
    if (next == 0) {
        *element = list;
        *rest = (struct span){0};
        return true;
    }
    return next % CONTEXT_ALIGNMENT == 0 && next < list.size &&
           span_slice(list, 0, next, element) && span_slice(list, next, list.size - next, rest);
}

bool create_context_next(struct span *rest, struct create_context *context, bool *broken)
{
    struct create_context read;
    struct span element, left;
    *broken = false;
    if (rest->size == 0)
        return false;
    if (!context_cut(*rest, &element, &left) || !context_read(element, &read)) {
        *broken = true;
        return false;
    }
    *context = read;
    *rest = left;
    return true;
}

/* The list is walked by offsets, since it is changed. */
void create_response_limit(struct smb2_message *message, uint32_t access)
{
    enum { AT_CONTEXTS = SMB2_HEADER_SIZE + 80, ACCESS_SIZE = 8, AT_ACCESS = 4 };
    static const uint8_t name[] = {'M', 'x', 'A', 'c'};
    struct create_response body;
    struct create_context context;
    bool broken;
    if (!create_response_read((struct span){message->at, message->size}, &body))
        return;
    size_t at = get_le32(message->at + AT_CONTEXTS);
    struct span rest = body.contexts;
    while (create_context_next(&rest, &context, &broken)) {
        struct span head;
        if (!span_slice((struct span){message->at, message->size}, at, CONTEXT_HEAD_SIZE, &head))
            return;
        if (span_equal(context.name, (struct span){name, sizeof name}) &&
            context.data.size == ACCESS_SIZE) {
            uint8_t *mask = message->at + at + get_le16(head.at + 10) + AT_ACCESS;
            put_le32(mask, get_le32(mask) & access);
        }
        at += get_le32(head.at);
    }
}
