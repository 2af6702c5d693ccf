/*
 * Calls whose parameters are encrypted with the key of the SMB session that carries them. The two
 * legs have different keys, so the file server would decrypt something else, or the client what it
 * is given. Most of these calls have a checksum or a length by which that is noticed; some have
 * not, and an account would be left with a password that nobody knows. None of them is let through.
 */
#ifndef COUNTERSIGN_PROXY_RPC_CALL_H
#define COUNTERSIGN_PROXY_RPC_CALL_H

#include "proxy/rpc_context.h"

enum rpc_need {
    RPC_NEED_NOTHING,
    RPC_NEED_KEY,
    RPC_NEED_UNCLEAR, /* it might: what would tell is not there */
};

/* What the first fragment of a call needs (C706 12.6.4.9). `body` is what is there of the PDU
 * behind its header, `has_object` the header's flag for an object UUID. With RPC_NEED_KEY `*what`
 * is a stable word for what the key is needed for. */
MUST_USE enum rpc_need rpc_call_needs(const struct rpc_contexts *contexts, struct span body,
                                      bool big_endian, bool has_object, const char **what);

#endif
