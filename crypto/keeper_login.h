/*
 * One login upstream: which of the file server's logins is used for an identity, and its tokens.
 *
 * The logins are tried in their order. The next is used when the one before cannot be used for this
 * identity: no ticket or credential for it, or a KDC that refuses or does not answer. Once the file
 * server has been shown something, nothing else is tried.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_LOGIN_H
#define COUNTERSIGN_CRYPTO_KEEPER_LOGIN_H

#include "crypto/initiate.h"
#include "crypto/keeper_account.h"
#include "crypto/keeper_handle.h"
#include "crypto/keeper_message.h"
#include "crypto/kerberos_initiate.h"
#include "crypto/upstream_ticket.h"

/* Why a login cannot be used: a refusal, or a reason of the keeper's own. */
struct login_trouble {
    enum keeper_reason reason;
    enum refusal refusal;
};

struct login {
    const struct keeper_upstream *upstream;
    uint32_t index;               /* of the upstream */
    struct grant grant;           /* whom it is for; the login's own to release */
    size_t next;                  /* in the upstream's list: what is tried next */
    struct login_trouble trouble; /* the most telling of the logins that could not be used */

    enum login_kind kind; /* the one in use, once there is an initiator */
    bool fell_back;
    char account[ACCOUNT_NAME_MAX]; /* DOMAIN\user, user, or user@REALM */
    char client[ACCOUNT_NAME_MAX];  /* whom a ticket was asked for; empty when none was */
    uint64_t credential;            /* a keyed hash of the NT hash; 0 with Kerberos */
    int64_t expires;                /* when what was shown runs out, Unix seconds; 0: never */
    struct initiator *ntlm;
    struct kerberos_initiator *kerberos;
};

struct siphash_key;

/* What a login may use, lent for one step. */
struct login_means {
    const struct credentials *credentials;
    struct upstream_tickets *tickets;
    /* The domain that this host has joined, by both its names; empty when that is not known. */
    const char *own_domain, *own_dns_domain;
    struct challenges *challenges; /* that we gave to clients */
    const struct siphash_key *credential_key;
    bool remote; /* the thread may wait for a KDC */
};

enum login_step {
    LOGIN_CONTINUE, /* the token is written */
    LOGIN_DONE,
    LOGIN_REFUSED,   /* login->trouble tells why */
    LOGIN_ELSEWHERE, /* nothing is done: the same step again where a KDC may be waited for */
};

/* Begins the login; takes over the grant's evidence. */
void login_begin(struct login *login, const struct keeper_upstream *upstream, uint32_t index,
                 const struct grant *grant);

/* The first step takes an empty token. */
enum login_step login_step(struct login *login, const struct login_means *means, struct span token,
                           struct writer *reply);

/* The file server did not take what it was shown: a ticket from the cache is not shown again. */
void login_ticket_refused(struct login *login, struct upstream_tickets *tickets);

/* True once the session key is there. The caller wipes its copy. */
MUST_USE bool login_session_key(const struct login *login, struct session_key *key);

/* Why an earlier login of the list was not used, a word for the log; empty when none was tried. */
const char *login_fallback(const struct login *login);

/* Wipes and frees everything in it, not the struct itself. */
void login_wipe(struct login *login);

#endif
