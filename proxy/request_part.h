/*
 * A request of a frame in hand, between request.c, which decides about it, and request_forward.c,
 * which sends it on.
 */
#ifndef COUNTERSIGN_PROXY_REQUEST_PART_H
#define COUNTERSIGN_PROXY_REQUEST_PART_H

#include "proxy/command.h"
#include "proxy/link.h"

struct request_part {
    struct smb2_message message;
    struct session *session;
    struct verdict verdict;
    struct tree *tree;  /* NULL: none, or not known */
    bool encrypt;       /* upstream */
    struct frame alone; /* where it lies, when it did not fit in its place; else without a buffer */
    bool placed;        /* queued where it lies in the frame */
    struct pending *before;  /* the request that this one is related to */
    struct pending *pending; /* once it has been forwarded */
};

/* Does what has been decided about the `count` parts of a frame: answers what is refused, sends on
 * what may go on. `frame` is where the parts lie. The link may have been ended. */
void request_carry_out(struct link *link, struct frame *frame, struct request_part *parts,
                       size_t count);

#endif
