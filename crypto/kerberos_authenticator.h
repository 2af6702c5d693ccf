/*
 * What a client says of itself in the Authenticator of an AP-REQ (RFC 4120 5.5.1), as far as
 * GSSAPI does not hand it out.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_AUTHENTICATOR_H
#define COUNTERSIGN_CRYPTO_KERBEROS_AUTHENTICATOR_H

#include "crypto/identity.h"

#include "crypto/cursor.h"

struct kerberos_authenticator {
    int32_t subkey_etype;             /* of the key the client chose; 0: none */
    bool bound;                       /* to a TLS channel (RFC 4121 4.1.1.2) */
    char target[IDENTITY_TARGET_MAX]; /* the SPN the client means (MS-KILE, authorization data
                                         144); empty when it does not say */
};

/* Reads the decrypted Authenticator; false for anything else. */
MUST_USE bool kerberos_authenticator_read(struct span plain, struct kerberos_authenticator *read);

#endif
