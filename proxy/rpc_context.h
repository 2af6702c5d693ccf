/*
 * Presentation contexts (C706 12.6.3.1, p_context_elem_t): which interface a call is of. A client
 * names them by numbers of its own, in the bind and in any alter_context later.
 *
 * Only those are remembered whose interface has calls that need the session's key. What the file
 * server accepts of them is not looked at: a number that was ever offered for such an interface
 * stays it, so giving the number to something else hides nothing.
 */
#ifndef COUNTERSIGN_PROXY_RPC_CONTEXT_H
#define COUNTERSIGN_PROXY_RPC_CONTEXT_H

#include "crypto/cursor.h"

/* Interfaces with such calls. */
enum rpc_interface {
    RPC_SAMR = 1,   /* MS-SAMR 1.9 */
    RPC_LSARPC = 2, /* MS-LSAD 1.9 */
    RPC_WKSSVC = 4, /* MS-WKST 1.9 */
    RPC_SVCCTL = 8, /* MS-SCMR 1.9 */
};

/* How parameters are laid out. */
enum rpc_syntax { RPC_NDR = 1, RPC_NDR64 = 2 };

struct rpc_context {
    uint16_t id;
    uint8_t interfaces; /* all that were offered under this number; 0: none */
    uint8_t syntaxes;
};

enum { RPC_CONTEXTS_MAX = 16 };

struct rpc_contexts {
    struct rpc_context known[RPC_CONTEXTS_MAX];
    uint8_t count;
    bool unseen; /* nothing can be remembered here: the pipe is not known yet */
};

/* Takes the contexts that a bind or alter_context offers; `body` is the PDU behind its header.
 * False when they cannot all be followed: it is not whole or malformed, they are too many, or
 * nothing can be remembered. What was taken until then stays. */
MUST_USE bool rpc_contexts_note(struct rpc_contexts *contexts, struct span body, bool big_endian);

/* What a call under that number may be of; where nothing can be remembered, anything. */
struct rpc_context rpc_contexts_find(const struct rpc_contexts *contexts, uint16_t id);

#endif
