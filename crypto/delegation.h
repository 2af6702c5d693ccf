/*
 * Tickets in the name of somebody else (MS-SFU): S4U2Self and S4U2Proxy, for an account of our own
 * that the domain lets do it. What is asked for goes to a KDC: these block.
 *
 * Every ticket is made for the caller to free with krb5_free_cred_contents().
 */
#ifndef COUNTERSIGN_CRYPTO_DELEGATION_H
#define COUNTERSIGN_CRYPTO_DELEGATION_H

#include "crypto/cursor.h"

#include <krb5.h>

/* A ticket for `service` for the account of `tgt` itself. */
MUST_USE krb5_error_code service_ticket(krb5_context context, const krb5_creds *tgt,
                                        krb5_principal service, krb5_creds *creds);

/* A ticket for our own account in the name of `user`, a full principal name or, if `enterprise`,
 * "user@DOMAIN@REALM" for a KDC of REALM to find (MS-SFU 3.2.5.1, S4U2Self). */
MUST_USE krb5_error_code delegation_self(krb5_context context, const krb5_creds *tgt,
                                         const char *user, bool enterprise, krb5_creds *evidence);

/* A ticket for `service` in the name of the client of `evidence`, a ticket for our own account
 * (MS-SFU 3.2.5.2, S4U2Proxy). */
MUST_USE krb5_error_code delegation_proxy(krb5_context context, const krb5_creds *tgt,
                                          const krb5_creds *evidence, krb5_principal service,
                                          krb5_creds *creds);

#endif
