/*
 * One row for each SMB2 command: the shape of its request, and what is decided about it.
 */
#ifndef COUNTERSIGN_PROXY_COMMAND_H
#define COUNTERSIGN_PROXY_COMMAND_H

#include "proxy/link.h"

/* What becomes of a request. */
struct verdict {
    enum {
        VERDICT_FORWARD,
        VERDICT_REFUSE,   /* answer with `status` */
        VERDICT_ANSWERED, /* done already, or needs no answer */
    } what;
    uint32_t status;
};

struct command_row {
    uint16_t structure_size;      /* of the request's body; 0: such a command is never forwarded */
    uint16_t structure_size_also; /* a second shape, or 0 */
    uint16_t least_body;          /* bytes that must be there */
    struct verdict (*decide)(struct link *link, struct session *session,
                             struct smb2_message *message);
};

/* The verdict on a request whose signature has been verified. The message is not changed, except by
 * dialect rules that belong to one command. The link may have been ended. */
struct verdict command_decide(struct link *link, struct session *session,
                              struct smb2_message *message);

/* Rewrites the header's dialect-dependent fields of a request on its way upstream. */
void command_translate(const struct link *link, struct smb2_message *message);

#endif
