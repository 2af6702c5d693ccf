/*
 * The keys of a keytab that may open a ticket.
 *
 * The service name in a Ticket is outside of what is encrypted: anybody on the way can write
 * another there. So a key opens only tickets that name its own entry. Only for names without an
 * entry, which domain accounts have many of, the keys of the account itself (an entry without a
 * slash, "FILES$@EXAMPLE.COM") and of the listener's own services are tried.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_KEYS_H
#define COUNTERSIGN_CRYPTO_KERBEROS_KEYS_H

#include "crypto/accept.h"

#include <krb5.h>

enum { KERBEROS_KEYS_NAME_MAX = 64 };

struct kerberos_keys {
    char name[KERBEROS_KEYS_NAME_MAX]; /* for GSSAPI's credential store: "MEMORY:…" */
    krb5_keytab keytab;                /* in memory, this attempt's own */
};

/*
 * Reads the policy's keytab and keeps the keys for a ticket of `service` (a principal, parsed).
 * REFUSAL_NONE, or REFUSAL_KEYTAB when it cannot be read or there is none, or REFUSAL_INTERNAL. The
 * caller calls kerberos_keys_free() in any case, which wipes them.
 */
MUST_USE enum refusal kerberos_keys_read(krb5_context context, const struct accept_policy *policy,
                                         krb5_const_principal service, struct kerberos_keys *keys);
void kerberos_keys_free(krb5_context context, struct kerberos_keys *keys);

#endif
