/*
 * The tokens of SPNEGO (RFC 4178 4.2, MS-SPNG 2.2): reading what real peers send, building our own.
 * NTLMSSP is the one mechanism. What is read borrows from the token.
 */
#ifndef COUNTERSIGN_CRYPTO_SPNEGO_H
#define COUNTERSIGN_CRYPTO_SPNEGO_H

#include "crypto/cursor.h"

enum { SPNEGO_MECHANISMS_MAX = 32 };

enum spnego_state {
    SPNEGO_COMPLETED = 0,
    SPNEGO_INCOMPLETE = 1,
    SPNEGO_REJECT = 2,
    SPNEGO_REQUEST_MIC = 3,
    SPNEGO_NO_STATE, /* the optional field is not there */
};

/* A NegTokenInit. An empty `token` is one that is not there. */
struct spnego_init {
    struct span mech_list; /* the DER of MechTypeList just as it was sent: mechListMIC is over it */
    bool ntlm;             /* NTLMSSP is in the list */
    bool ntlm_first;       /* … as the preferred mechanism: `token` is for it */
    struct span token;
};

/* A NegTokenResp. An empty span is a field that is not there. */
struct spnego_response {
    enum spnego_state state;
    struct span mechanism; /* the content of an OID */
    struct span token;
    struct span mic;
};

/* The OID of NTLMSSP, 1.3.6.1.4.1.311.2.2.10, without tag and length. */
struct span spnego_ntlm(void);

/* The MechTypeList that spnego_init_write() sends. */
struct span spnego_own_list(void);

/* False for anything that is not such a token; unknown fields are skipped, repeated ones are not.
 */
MUST_USE bool spnego_init_read(struct span token, struct spnego_init *init);
MUST_USE bool spnego_response_read(struct span token, struct spnego_response *response);

/* A NegTokenInit that offers NTLMSSP alone, with its first token. */
void spnego_init_write(struct writer *writer, struct span token);
void spnego_response_write(struct writer *writer, const struct spnego_response *response);

/* The NegTokenInit2 of a server (MS-SPNG 2.2.1): our mechanisms and the hint that says nothing. */
void spnego_hint_write(struct writer *writer);

#endif
