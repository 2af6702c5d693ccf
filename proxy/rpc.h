/*
 * DCE/RPC in a named pipe (C706 12.6; MS-RPCE 2.2.2): is there a login in what a client writes, or
 * a call that cannot work through here?
 *
 * A PDU says in its header how long it is and how many bytes of it are an authentication token.
 * A login inside a pipe could have been relayed, whatever the session around it. Calls: see
 * proxy/rpc_call.h.
 */
#ifndef COUNTERSIGN_PROXY_RPC_H
#define COUNTERSIGN_PROXY_RPC_H

#include "proxy/rpc_context.h"

enum { RPC_HEAD_SIZE = 16 };

/* Where a client is in the PDUs that it writes; all zero at the start, but for contexts.unseen
 * where the pipe is not known, and `whole`. */
struct rpc_stream {
    struct rpc_contexts contexts;
    bool whole;  /* what ends within a PDU is RPC_MALFORMED */
    bool pieces; /* something has ended within a PDU */
    uint8_t head[RPC_HEAD_SIZE];
    uint8_t have;  /* bytes of a header that has not come whole */
    uint16_t left; /* bytes of a PDU that are still to come */
};

enum rpc_content {
    RPC_PLAIN,
    RPC_AUTHENTICATED, /* a PDU with an authentication token */
    RPC_MALFORMED,     /* not connection-oriented DCE/RPC */
    RPC_NEEDS_KEY,     /* a call that needs the session's key */
    RPC_UNCLEAR,       /* it might be one: what would tell comes in pieces, or is too much */
};

/* Looks at what is written next and moves on, over parts of PDUs too. What is also whole PDUs by
 * itself is looked at as such, for the two ends may disagree about where one begins. After anything
 * but RPC_PLAIN the stream is as it was. With RPC_NEEDS_KEY `*what` is a stable word for what the
 * key is needed for. */
MUST_USE enum rpc_content rpc_take(struct rpc_stream *stream, struct span bytes, const char **what);

/* True where a PDU ends. */
bool rpc_is_between(const struct rpc_stream *stream);

#endif
