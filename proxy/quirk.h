/*
 * File servers that sign badly: each of their faults has a name, which the configuration of an
 * upstream may list, and is tolerated exactly as far as it goes (MS-SMB2 3.2.5.1.3 would have the
 * connection ended). Each use is an event. What is believed is a status alone: of such a message
 * no other byte reaches the client, which gets an answer of our own, signed.
 */
#ifndef COUNTERSIGN_PROXY_QUIRK_H
#define COUNTERSIGN_PROXY_QUIRK_H

#include "proxy/response_part.h"

enum quirk_answer {
    QUIRK_NONE,    /* not tolerated: the response does not verify */
    QUIRK_BELIEVE, /* its status may be passed on */
    QUIRK_CONFIRM, /* only once the file server has said the same under signature */
};

/* About a final response to a forwarded request whose signature is missing or wrong. The event has
 * been written when the answer is not QUIRK_NONE. */
MUST_USE enum quirk_answer quirk_judge(struct link *link, struct response_part *part);

/* QUIRK_CONFIRM: asks, in a signed request of our own, how long the file of this READ is. */
void quirk_ask(struct link *link, struct pending *pending);

/* The verified answer to that: the client gets its end of file, or the link ends. */
void quirk_confirmed(struct link *link, struct pending *pending,
                     const struct smb2_message *message);

#endif
