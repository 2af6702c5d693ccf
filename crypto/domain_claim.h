/*
 * Whether a KDC may vouch for the domain that its ticket tells.
 *
 * A ticket of our own realm is our own KDC's word. That of a user of another realm tells what the
 * KDC over there wrote into the PAC: a domain controller of ours filters it (MS-PAC 4.1.2.2), an
 * MIT KDC passes it on. So what is known to be of one realm is not believed of a user of another:
 * the NetBIOS name of its domain, the SID of its domain as the user's own, and that the user is in
 * groups that only its own users can be in.
 */
#ifndef COUNTERSIGN_CRYPTO_DOMAIN_CLAIM_H
#define COUNTERSIGN_CRYPTO_DOMAIN_CLAIM_H

#include "crypto/domain.h"
#include "crypto/pac.h"

/* Of a ticket that has been accepted. */
struct domain_claim {
    const char *own_realm;    /* of the service that it is for */
    const char *client_realm; /* of the user */
    const char *domain;       /* that the user would be of: of the PAC, or the realm */
    const struct pac *pac;    /* empty when there is none */
};

/*
 * False when another realm than the user's is known to be the domain's. Known are, the first one of
 * a name: those of the policy; the domain that this host has joined, as winbind tells (`joined` may
 * be NULL); and the policy's own NetBIOS domain, as that of our own realm.
 */
MUST_USE bool domain_claim_holds(const struct domain_claim *claim,
                                 const struct accept_policy *policy, struct domain *joined);

#endif
