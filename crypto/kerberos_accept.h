/*
 * The server's side of Kerberos (RFC 4120 3.2, RFC 4121): one AP-REQ, through MIT's GSSAPI, with
 * what GSSAPI does not decide decided here.
 *
 * GSSAPI may be given nothing but krb5: whatever other mechanism is installed is not asked. libkrb5
 * blocks only on the keytab's lock; no KDC is asked.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_ACCEPT_H
#define COUNTERSIGN_CRYPTO_KERBEROS_ACCEPT_H

#include "crypto/accept.h"
#include "crypto/evidence.h"
#include "crypto/sid.h"

#include <gssapi/gssapi.h>

/* RFC 4121 4.2.6.1 has 28 bytes at most, RFC 4757 7.2 37. */
enum { KERBEROS_MIC_MAX = 128 };

/* All zeros: nothing yet. */
struct kerberos_accept {
    gss_ctx_id_t context;      /* once it is proven */
    gss_buffer_desc reply;     /* the AP-REP; empty when the client asked for none */
    struct session_key key;    /* once it is proven */
    struct evidence *evidence; /* once it is proven */
    struct sids sids;          /* of the ticket's PAC */
};

/*
 * Takes the client's token. REFUSAL_NONE: proven, everything in `accept` is there and `identity` is
 * whole. Otherwise the first rule broken: form, encryption types, service, key, kind of client,
 * what the authenticator says, then what GSSAPI finds (times, integrity), the session key's
 * encryption type, the PAC, and last whether it has been here before. When refused `identity` has
 * what was claimed as far as it was read.
 */
MUST_USE enum refusal kerberos_accept_token(struct kerberos_accept *accept,
                                            const struct accept_policy *policy, struct span token,
                                            const struct accept_backend *backend,
                                            struct identity *identity);

/* Frees and wipes everything in it. */
void kerberos_accept_wipe(struct kerberos_accept *accept);

/* GSS_VerifyMIC and GSS_GetMIC, for mechListMIC. */
MUST_USE bool kerberos_mic_right(const struct kerberos_accept *accept, struct span message,
                                 struct span mic);
MUST_USE bool kerberos_mic_write(const struct kerberos_accept *accept, struct span message,
                                 struct writer *mic);

#endif
