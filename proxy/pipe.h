/*
 * Named pipes that a client has open: what of DCE/RPC may be said in each.
 */
#ifndef COUNTERSIGN_PROXY_PIPE_H
#define COUNTERSIGN_PROXY_PIPE_H

#include "policy/rule.h"
#include "proxy/rpc.h"

enum { PIPE_NAME_MAX = 128 };

/* What becomes of a login inside of it. */
enum pipe_logins {
    PIPE_LOGINS_REFUSED,
    PIPE_LOGINS_RECORDED, /* once, and allowed */
    PIPE_LOGINS_ALLOWED,
};

struct pipe {
    char name[PIPE_NAME_MAX];
    char *rule; /* whose verdict it is; NULL: none. Owned */
    enum pipe_logins logins;
    /* Somebody has logged in inside, or what was said has been recorded once: nothing that is
     * written is looked at. */
    bool left_alone;
    struct rpc_stream stream;
};

/* The bare name of a pipe from a CREATE request: "\\PIPE\\srvsvc" is "srvsvc". False when it is
 * no text, or too long for any pipe there is; then it is no pipe that a rule could name. */
MUST_USE bool pipe_name_read(struct span utf16, char name[PIPE_NAME_MAX]);

/* NULL when out of memory. */
struct pipe *pipe_new(const char *name, const struct rule_verdict *verdict);
/* The pipe lives by another verdict from now on, which opens it. False when it cannot: somebody has
 * logged in inside, or written PDUs in pieces so that it could not be told, and may not any more.
 */
MUST_USE bool pipe_bind_verdict(struct pipe *pipe, const struct rule_verdict *verdict);
void pipe_free(struct pipe *pipe); /* NULL is allowed */

#endif
