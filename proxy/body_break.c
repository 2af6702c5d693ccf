#include "proxy/body.h"

#include "proxy/body_layout.h"

/* StructureSize tells which of the bodies it is (MS-SMB2 2.2.23). */
enum { OPLOCK_BODY = 24, LEASE_BODY = 44 };

/* StructureSize, OplockLevel and two reserved fields; then FileId ends the body. */
static bool oplock_read(struct span message, struct break_body *body)
{
    struct break_body read = {.lease = false};
    struct reader reader;
    if (!body_open(message, OPLOCK_BODY, &reader) || !read_skip(&reader, 1 + 1 + 4) ||
        !read_copy(&reader, read.file_id, FILE_ID_SIZE))
        return false;
    *body = read;
    return true;
}

/* StructureSize, NewEpoch, Flags, LeaseKey, and more. */
static bool lease_read(struct span message, struct break_body *body)
{
    struct break_body read = {.lease = true};
    struct span whole;
    struct reader reader;
    if (!span_slice(message, SMB2_HEADER_SIZE, LEASE_BODY, &whole) ||
        !body_open(message, LEASE_BODY, &reader) || !read_skip(&reader, 2 + 4) ||
        !read_copy(&reader, read.lease_key, LEASE_KEY_SIZE))
        return false;
    *body = read;
    return true;
}

bool break_notification_read(struct span message, struct break_body *body)
{
    return oplock_read(message, body) || lease_read(message, body);
}
