/*
 * Who the client of a ticket is.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_IDENTITY_H
#define COUNTERSIGN_CRYPTO_KERBEROS_IDENTITY_H

#include "crypto/accept.h"

#include <gssapi/gssapi.h>
#include <krb5.h>

/* Fills in user, domain (the realm), principal and expiry from a ticket that our key opened. False
 * when a name is too long, not UTF-8, or has control characters. */
MUST_USE bool kerberos_identity_claim(krb5_context context, const krb5_enc_tkt_part *part,
                                      struct identity *identity);

/* A ticket of which GSSAPI has accepted the client, and what its claims are measured by. */
struct kerberos_proof {
    const krb5_ticket *ticket; /* with enc_part2 */
    gss_name_t client;
    const struct accept_policy *policy;
    struct domain *domain; /* NULL: there is none to ask */
};

/*
 * The rest: authority, and from the PAC the domain, the user's SID and who is meant by it. `sids`
 * is empty when the ticket has no PAC, or one without that part, as MIT's own KDCs make them; the
 * caller calls sids_free(). A PAC that is there must be verified and whole: else REFUSAL_KERBEROS.
 * REFUSAL_TOO_MANY_GROUPS, or REFUSAL_DOMAIN_CLAIMED (crypto/domain_claim.h).
 */
MUST_USE enum refusal kerberos_identity_prove(krb5_context context,
                                              const struct kerberos_proof *proof,
                                              struct identity *identity, struct sids *sids);

#endif
