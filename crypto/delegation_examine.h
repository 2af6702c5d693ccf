/*
 * Whether an account of ours may act for a user at a file server, found out by doing it. Blocking,
 * for the command line only.
 */
#ifndef COUNTERSIGN_CRYPTO_DELEGATION_EXAMINE_H
#define COUNTERSIGN_CRYPTO_DELEGATION_EXAMINE_H

#include "crypto/kerberos_examine.h"

/* How far it went. */
enum delegation_step {
    DELEGATION_ACCOUNT, /* a ticket-granting ticket for our own account */
    DELEGATION_TARGET,  /* a ticket for the file server, in our own name */
    DELEGATION_SELF,    /* S4U2Self: a ticket to ourselves in the user's name */
    DELEGATION_PROXY,   /* S4U2Proxy: one for the file server in the user's name */
    DELEGATION_DONE,
};

struct delegation_facts {
    enum delegation_step failed; /* DELEGATION_DONE: nothing did */
    enum examine_outcome outcome;
    bool forwardable;            /* what S4U2Self gave is good for S4U2Proxy */
    char text[EXAMINE_TEXT_MAX]; /* what libkrb5 says of the failure */
};

/* `account` is a full principal with its key in the keytab at `path`; `target` the file server's
 * service without realm; `user` a name without realm, or NULL: then only the first two steps. */
void delegation_examine(const char *path, const char *account, const char *target, const char *user,
                        struct delegation_facts *facts);

#endif
