/*
 * What rules keep from a share's requests: changes where nothing may be changed, pipes that nobody
 * opened, and logins inside of pipes.
 */
#ifndef COUNTERSIGN_PROXY_GUARD_H
#define COUNTERSIGN_PROXY_GUARD_H

#include "proxy/command.h"
#include "proxy/open.h"

/* The verdict on a request that would be forwarded otherwise. `tree` is the one it is sent in, or
 * NULL. A CREATE may be changed so that it can only read. `*named` is the open that the request
 * before it in a related chain named, else NULL, and becomes the one that this one names. */
struct verdict guard_request(struct link *link, struct session *session, struct tree *tree,
                             struct smb2_message *message, struct open **named);

/* Notes with a CREATE that is forwarded what will have to be known of its open; false when out of
 * memory. */
MUST_USE bool guard_note(struct session *session, const struct tree *tree, struct span message,
                         struct pending *pending);

#endif
