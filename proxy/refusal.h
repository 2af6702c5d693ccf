/*
 * What a refused authentication is called in the audit log, and what the client is told.
 */
#ifndef COUNTERSIGN_PROXY_REFUSAL_H
#define COUNTERSIGN_PROXY_REFUSAL_H

#include "crypto/keeper_message.h"
#include "policy/event.h"

struct refused {
    enum event_kind kind;
    uint32_t status;    /* for the client */
    const char *reason; /* a stable word */
};

/*
 * A client's own authentication. STATUS_LOGON_FAILURE only where its proof is wrong; what a domain
 * controller said about an account is passed on.
 */
struct refused refused_client(const struct keeper_refused *reply);

/* The login upstream of a client whose own proof was right: never STATUS_LOGON_FAILURE. */
struct refused refused_upstream(const struct keeper_refused *reply);

#endif
