/*
 * What the two legs' dialects disagree on: one table of fields, and what is done with each.
 *
 * A field that one of the two dialects does not have is cleared on its way through: the one end
 * leaves anything there, the other would read something into it. What is not a field is translated
 * or its capability withheld; where, is told in docs/design.md.
 */
#ifndef COUNTERSIGN_PROXY_DIALECT_H
#define COUNTERSIGN_PROXY_DIALECT_H

#include "proxy/smb2.h"

enum dialect_direction { TO_UPSTREAM, TO_CLIENT };

enum { ANY_COMMAND = SMB2_COMMAND_COUNT, NEVER_CARRIED = 0xffff };

struct dialect_field {
    const char *name;
    enum dialect_direction direction;
    uint16_t command; /* or ANY_COMMAND */
    uint16_t since;   /* the first dialect that has it; NEVER_CARRIED: cleared for all */
    uint8_t offset;   /* from the start of the message */
    uint8_t size;     /* 1, 2 or 4 bytes */
    uint32_t mask;    /* its bits there */
};

/* The table, for tests and for those who want to read it; `*count` rows. */
const struct dialect_field *dialect_fields(size_t *count);

/* Clears what the dialects do not share in a message whose shape has been checked: rows that lie
 * outside of it are passed over. `success`: a response with the body of its command, not an
 * error's. */
void dialect_clear(struct smb2_message *message, enum dialect_direction direction, uint16_t client,
                   uint16_t upstream, bool success);

/*
 * An error response's data (MS-SMB2 2.2.2): at 3.1.1 it is a list of contexts, below it is bare.
 * Writes the body as the client's dialect has it. A redirection to another share or server, which
 * would lead around the proxy, is left out, and told in `*redirects`. `message` is a whole error
 * response; false when its body is malformed.
 */
MUST_USE bool dialect_error_body(struct span message, uint16_t client, uint16_t upstream,
                                 struct writer *writer, bool *redirects);

#endif
