/*
 * The tokens of SPNEGO (RFC 4178 4.2, MS-SPNG 2.2): reading what real peers send, building our own.
 * What is read borrows from the token.
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

enum spnego_mechanism {
    SPNEGO_OTHER,
    SPNEGO_KERBEROS,    /* 1.2.840.113554.1.2.2 */
    SPNEGO_MS_KERBEROS, /* 1.2.840.48018.1.2.2: the same under the number that Windows 2000 gave it
                         */
    SPNEGO_NTLM,        /* 1.3.6.1.4.1.311.2.2.10 */
};

/* A NegTokenInit. An empty `token` is one that is not there. */
struct spnego_init {
    struct span mech_list; /* the DER of MechTypeList just as it was sent: mechListMIC is over it */
    enum spnego_mechanism offers[SPNEGO_MECHANISMS_MAX]; /* the list, the preferred one first */
    size_t offers_count;                                 /* at least 1 */
    struct span token;                                   /* for the preferred mechanism */
};

/* A NegTokenResp. An empty span is a field that is not there. */
struct spnego_response {
    enum spnego_state state;
    struct span mechanism; /* the content of an OID */
    struct span token;
    struct span mic;
};

/* The OID of a mechanism, without tag and length; empty for SPNEGO_OTHER. */
struct span spnego_oid(enum spnego_mechanism mechanism);

/* Which mechanism an OID without tag and length names. */
enum spnego_mechanism spnego_mechanism(struct span oid);

/* The mechanism is in the list. */
bool spnego_offers(const struct spnego_init *init, enum spnego_mechanism mechanism);

/* Writes a MechTypeList, the preferred mechanism first. */
void spnego_list_write(struct writer *writer, const enum spnego_mechanism *mechanisms,
                       size_t count);

/* The MechTypeList with NTLMSSP alone. */
struct span spnego_ntlm_list(void);

/* False for anything that is not such a token; unknown fields are skipped, repeated ones are not.
 */
MUST_USE bool spnego_init_read(struct span token, struct spnego_init *init);
MUST_USE bool spnego_response_read(struct span token, struct spnego_response *response);

/* A NegTokenInit with a MechTypeList and the first token of its first mechanism, which may be
 * empty.
 */
void spnego_init_write(struct writer *writer, struct span list, struct span token);
void spnego_response_write(struct writer *writer, const struct spnego_response *response);

/* The NegTokenInit2 of a server (MS-SPNG 2.2.1): its mechanisms and the hint that says nothing. */
void spnego_hint_write(struct writer *writer, struct span list);

#endif
