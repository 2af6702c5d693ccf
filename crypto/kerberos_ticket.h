/*
 * A client's ticket, opened with our key: everything about it that is decided before GSSAPI sees
 * the token, because GSSAPI would not tell or not ask.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_TICKET_H
#define COUNTERSIGN_CRYPTO_KERBEROS_TICKET_H

#include "crypto/kerberos_authenticator.h"
#include "crypto/kerberos_keys.h"
#include "crypto/kerberos_token.h"

struct kerberos_ticket {
    struct kerberos_keys keys;
    krb5_ticket *ticket; /* with enc_part2 */
    struct kerberos_authenticator authenticator;
};

/*
 * Opens the ticket of `token` and checks, in this order: encryption types, service, key, kind of
 * client (not anonymous), what the authenticator says. Times, and whether the authenticator and the
 * ticket are of one client, are left to GSSAPI. REFUSAL_NONE, or why not. The caller calls
 * kerberos_ticket_free() in any case.
 */
MUST_USE enum refusal kerberos_ticket_open(krb5_context context, const struct accept_policy *policy,
                                           const struct kerberos_token *token,
                                           struct kerberos_ticket *ticket);
void kerberos_ticket_free(krb5_context context, struct kerberos_ticket *ticket);

/* AES, and RC4 when the policy allows it. */
bool kerberos_etype_taken(const struct accept_policy *policy, int32_t etype);

#endif
