/*
 * DCE/RPC in a named pipe (C706 12.6; MS-RPCE 2.2.2): is there a login in what a client writes?
 *
 * A PDU says in its header how long it is and how many bytes of it are an authentication token.
 * A login inside a pipe could have been relayed, whatever the session around it.
 */
#ifndef COUNTERSIGN_PROXY_RPC_H
#define COUNTERSIGN_PROXY_RPC_H

#include "crypto/cursor.h"

enum { RPC_HEAD_SIZE = 16 };

/* Where a client is in the PDUs that it writes; all zero at the start. */
struct rpc_stream {
    uint8_t head[RPC_HEAD_SIZE];
    uint8_t have;  /* bytes of a header that has not come whole */
    uint16_t left; /* bytes of a PDU that are still to come */
};

enum rpc_content {
    RPC_PLAIN,
    RPC_AUTHENTICATED, /* a PDU with an authentication token */
    RPC_MALFORMED,     /* not connection-oriented DCE/RPC */
};

/* Looks at what is written next and moves on, over parts of PDUs too. What is also whole PDUs by
 * itself is looked at as such, for the two ends may disagree about where one begins. After anything
 * but RPC_PLAIN the stream is as it was. */
MUST_USE enum rpc_content rpc_take(struct rpc_stream *stream, struct span bytes);

/* True where a PDU ends. */
bool rpc_is_between(const struct rpc_stream *stream);

#endif
