/*
 * Ticket-granting tickets of accounts whose key or password we hold: our own service account, and
 * accounts that users are mapped to.
 *
 * One is fetched when it is first needed, again before it runs out, and with the keytab as it is
 * then. Of several threads that need the same one only one asks the KDC; the others wait for its
 * answer, or go on with the old one. A key that the KDC refused rests like a password that a file
 * server refused, so that no account is locked by us: 30 seconds at first, twice as long after each
 * further refusal, 15 minutes at most, or until the keytab is another file. In memory alone,
 * bounded, safe to use from several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_SERVICE_CREDENTIAL_H
#define COUNTERSIGN_CRYPTO_SERVICE_CREDENTIAL_H

#include "crypto/credentials.h"
#include "crypto/kdc_outage.h"

#include <krb5.h>

enum { SERVICE_CREDENTIALS_MAX = 4096 };

/* An account, and what it proves itself with: the path of a keytab, or a password. */
struct service_account {
    const char *principal; /* full: "cifs/files.example.com@EXAMPLE.COM" */
    enum account_key key;
    const char *secret;
};

struct service_credentials;

/* NULL when memory is short. `outages` must outlive it. service_credentials_free() wipes every key;
 * nobody may wait in it any more; NULL is allowed. */
struct service_credentials *service_credentials_new(struct kdc_outages *outages);
void service_credentials_free(struct service_credentials *credentials);

enum service_credential {
    SERVICE_CREDENTIAL_READY,
    SERVICE_CREDENTIAL_RESTS,   /* the KDC refused its key lately */
    SERVICE_CREDENTIAL_REFUSED, /* see *refusal */
};

/* The account's ticket-granting ticket: `tgt` is the caller's to free with
 * krb5_free_cred_contents(). Blocks. */
MUST_USE enum service_credential service_credential_get(struct service_credentials *credentials,
                                                        krb5_context context,
                                                        const struct service_account *account,
                                                        krb5_creds *tgt, enum refusal *refusal);

/* A KDC did not take that ticket-granting ticket: the next one asks for another. */
void service_credential_drop(struct service_credentials *credentials,
                             const struct service_account *account);

/* The credentials file was read again: nothing that was fetched before counts. What the KDC has
 * refused goes on resting; another password, or another file, is another credential. */
void service_credentials_forget(struct service_credentials *credentials);

#endif
