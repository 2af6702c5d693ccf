#include "proxy/dialect.h"

#include "proxy/body.h"

enum { H = SMB2_HEADER_SIZE, STATUS_FIELD = 8, FLAGS_FIELD = 16 };

#define ALL 0xffffffffu

static const struct dialect_field fields[] = {
    /* requests */
    {"ChannelSequence", TO_UPSTREAM, ANY_COMMAND, SMB_3_0, STATUS_FIELD, 2, 0xffff},
    {"Reserved beside ChannelSequence", TO_UPSTREAM, ANY_COMMAND, NEVER_CARRIED, STATUS_FIELD + 2,
     2, 0xffff},
    {"SMB2_FLAGS_REPLAY_OPERATION", TO_UPSTREAM, ANY_COMMAND, SMB_3_0, FLAGS_FIELD, 4,
     SMB2_FLAGS_REPLAY_OPERATION},
    {"SMB2_FLAGS_PRIORITY_MASK", TO_UPSTREAM, ANY_COMMAND, SMB_3_1_1, FLAGS_FIELD, 4,
     SMB2_FLAGS_PRIORITY_MASK},
    {"TREE_CONNECT Flags", TO_UPSTREAM, SMB2_TREE_CONNECT, SMB_3_1_1, H + 2, 2, 0xffff},
    {"READ_UNBUFFERED", TO_UPSTREAM, SMB2_READ, SMB_3_0_2, H + 3, 1, 0x01},
    {"REQUEST_COMPRESSED", TO_UPSTREAM, SMB2_READ, NEVER_CARRIED, H + 3, 1, 0x02},
    {"READ Channel", TO_UPSTREAM, SMB2_READ, SMB_3_0, H + 36, 4, ALL},
    {"WRITE Channel", TO_UPSTREAM, SMB2_WRITE, SMB_3_0, H + 32, 4, ALL},
    {"WRITE_THROUGH", TO_UPSTREAM, SMB2_WRITE, SMB_2_1, H + 44, 4, 0x01},
    {"WRITE_UNBUFFERED", TO_UPSTREAM, SMB2_WRITE, SMB_3_0_2, H + 44, 4, 0x02},
    {"LockSequence", TO_UPSTREAM, SMB2_LOCK, SMB_2_1, H + 4, 4, ALL},
    /* responses */
    {"ENABLE_HASH_V1", TO_CLIENT, SMB2_TREE_CONNECT, SMB_2_1, H + 4, 4, 0x2000},
    {"ENABLE_HASH_V2", TO_CLIENT, SMB2_TREE_CONNECT, SMB_3_0, H + 4, 4, 0x4000},
    {"IDENTITY_REMOTING", TO_CLIENT, SMB2_TREE_CONNECT, NEVER_CARRIED, H + 4, 4, 0x40000},
    {"COMPRESS_DATA", TO_CLIENT, SMB2_TREE_CONNECT, NEVER_CARRIED, H + 4, 4, 0x100000},
    {"ISOLATED_TRANSPORT", TO_CLIENT, SMB2_TREE_CONNECT, NEVER_CARRIED, H + 4, 4, 0x200000},
    {"Share Capabilities", TO_CLIENT, SMB2_TREE_CONNECT, SMB_3_0, H + 8, 4, ALL},
    {"CREATE Flags", TO_CLIENT, SMB2_CREATE, SMB_3_0, H + 3, 1, 0xff},
    {"NewEpoch", TO_CLIENT, SMB2_OPLOCK_BREAK, SMB_3_0, H + 2, 2, 0xffff},
};

const struct dialect_field *dialect_fields(size_t *count)
{
    *count = sizeof fields / sizeof fields[0];
    return fields;
}

static void clear(uint8_t *at, const struct dialect_field *field)
{
    for (unsigned i = 0; i < field->size; i++)
        at[i] &= (uint8_t) ~(field->mask >> 8 * i);
}

static bool applies(const struct dialect_field *field, const struct smb2_message *message,
                    enum dialect_direction direction, bool success)
{
    if (field->direction != direction || (size_t)field->offset + field->size > message->size)
        return false;
    if (field->command == ANY_COMMAND)
        return true;
    if (field->command != message->header.command || !success)
        return false;
    /* The same bytes of an oplock break, which has another StructureSize, are its OplockLevel. */
    return field->command != SMB2_OPLOCK_BREAK || get_le16(message->at + H) != 24;
}

void dialect_clear(struct smb2_message *message, enum dialect_direction direction, uint16_t client,
                   uint16_t upstream, bool success)
{
    uint16_t lower = client < upstream ? client : upstream;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (lower < fields[i].since && applies(&fields[i], message, direction, success))
            clear(message->at + fields[i].offset, &fields[i]);
}

enum { ERROR_ID_DEFAULT = 0, ERROR_ID_SHARE_REDIRECT = 0x72645253, CONTEXT_HEAD = 8 };

/* The first context that is not a redirection; none leaves `data` empty. */
static bool choose_context(struct span list, uint8_t count, struct span *data, bool *redirects)
{
    struct reader reader = reader_over_span(list);
    bool chosen = false;
    *data = (struct span){NULL, 0};
    for (unsigned i = 0; i < count; i++) {
        uint32_t size, id;
        struct span one;
        if ((i && !read_align(&reader, list.at, 8)) || !read_le32(&reader, &size) ||
            !read_le32(&reader, &id) || !read_span(&reader, size, &one))
            return false;
        if (id == ERROR_ID_SHARE_REDIRECT)
            *redirects = true;
        else if (!chosen)
            *data = one;
        chosen = chosen || id != ERROR_ID_SHARE_REDIRECT;
    }
    return true;
}

bool dialect_error_body(struct span message, uint16_t client, uint16_t upstream,
                        struct writer *writer, bool *redirects)
{
    uint8_t count;
    struct span data;
    *redirects = false;
    if (!error_body_read(message, &count, &data))
        return false;
    if (upstream == SMB_3_1_1 && count && !choose_context(data, count, &data, redirects))
        return false;
    bool wraps = client == SMB_3_1_1 && data.size;
    write_le16(writer, 9);
    write_u8(writer, wraps);
    write_u8(writer, 0);
    write_le32(writer, (uint32_t)(data.size + (wraps ? CONTEXT_HEAD : 0)));
    if (wraps) {
        write_le32(writer, (uint32_t)data.size);
        write_le32(writer, ERROR_ID_DEFAULT);
    }
    write_span(writer, data);
    if (data.size == 0)
        write_u8(writer, 0); /* the body is 9 bytes at least */
    return true;
}
