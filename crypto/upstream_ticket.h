/*
 * Service tickets for logins upstream that a KDC must give: of users that our own account may act
 * for, and of accounts that users are mapped to. Cached, so that a KDC is seldom asked.
 */
#ifndef COUNTERSIGN_CRYPTO_UPSTREAM_TICKET_H
#define COUNTERSIGN_CRYPTO_UPSTREAM_TICKET_H

#include "crypto/service_credential.h"
#include "crypto/ticket_cache.h"

struct evidence;

struct upstream_tickets;

/* NULL when memory is short. Safe to use from several threads, but for free(), which allows NULL.
 */
struct upstream_tickets *upstream_tickets_new(void);
void upstream_tickets_free(struct upstream_tickets *tickets);

/* One ticket: for `key.login` LOGIN_MAPPED of `account` itself; LOGIN_DELEGATE of the client of
 * `evidence`; LOGIN_TRANSITION of `key.client`, which with `enterprise` is "user@DOMAIN@REALM". */
struct ticket_request {
    struct ticket_key key;
    const char *target; /* "cifs/nas.example.com", of the account's realm, or with "@REALM" */
    struct service_account account;
    const struct evidence *evidence;
    bool enterprise;
    bool renewal; /* a session is to be renewed: only a ticket that lasts helps */
};

enum ticket_answer {
    TICKET_HERE,
    TICKET_ASK,     /* a KDC must be asked, and `may_block` is false */
    TICKET_RESTS,   /* the KDC refused the account's key lately */
    TICKET_REFUSED, /* see *refusal */
};

/* Finds the ticket, or fetches it if it may block. When no KDC answers, a cached one does that is
 * still valid. `creds` are the caller's to free with krb5_free_cred_contents(). */
MUST_USE enum ticket_answer upstream_ticket(struct upstream_tickets *tickets, krb5_context context,
                                            const struct ticket_request *request, bool may_block,
                                            krb5_creds *creds, enum refusal *refusal);

/* The file server did not take the ticket: it may have got another key. */
void upstream_ticket_drop(struct upstream_tickets *tickets, const struct ticket_key *key);

/* The credentials file was read again. */
void upstream_tickets_forget(struct upstream_tickets *tickets);

#endif
