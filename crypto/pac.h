/*
 * What a domain controller says of a user in a ticket's PAC: the KERB_VALIDATION_INFO of MS-PAC
 * 2.5, in the NDR of MS-RPCE 2.2.6. Only of a PAC whose signature has been verified.
 */
#ifndef COUNTERSIGN_CRYPTO_PAC_H
#define COUNTERSIGN_CRYPTO_PAC_H

#include "crypto/identity.h"
#include "crypto/sid.h"

struct pac {
    char account[IDENTITY_NAME_MAX]; /* EffectiveName: the account's one name; may be empty */
    char domain[IDENTITY_NAME_MAX];  /* LogonDomainName: the NetBIOS name; may be empty */
    struct sid domain_sid;           /* LogonDomainId */
    struct sid user;  /* the user's own, which need not be of that domain; may be none */
    struct sids sids; /* the user, the primary group, and every group that is enabled, of the
                         domain, of others and of the server's own domain */
};

enum pac_result {
    PAC_READ,
    PAC_BROKEN,   /* anything that is not one whole */
    PAC_TOO_MANY, /* it lists more than SIDS_MAX of the user's SIDs */
};

/* Reads the buffer of type 1; `pac` is empty unless it was read. The caller calls pac_free(). */
MUST_USE enum pac_result pac_read(struct span logon_info, struct pac *pac);
void pac_free(struct pac *pac);

#endif
