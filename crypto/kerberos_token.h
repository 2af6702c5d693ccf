/*
 * The first token of Kerberos in GSSAPI, read as far as it can be without a key: the framing of
 * RFC 2743 3.1 and RFC 4121 4.1, the AP-REQ and its Ticket (RFC 4120 5.3, 5.5.1).
 *
 * Stricter than the grammar: nothing that is not in RFC 4120, fields in their order, nothing behind
 * them. So libkrb5, which reads the same bytes later, cannot read them differently.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_TOKEN_H
#define COUNTERSIGN_CRYPTO_KERBEROS_TOKEN_H

#include "crypto/identity.h"
#include "crypto/spnego.h"

/* Spans borrow from the token. */
struct kerberos_token {
    char service[IDENTITY_TARGET_MAX];   /* of the ticket, "cifs/files.example.com" */
    char principal[IDENTITY_TARGET_MAX]; /* the same with "@" and its realm */
    struct span ticket;                  /* the Ticket's own DER */
    int32_t etype;                       /* what it is encrypted with (RFC 3961 8) */
    int32_t authenticator_etype;
    struct span authenticator; /* its ciphertext */
};

/* Framed as a token of Kerberos: what a client without SPNEGO begins with. */
bool kerberos_token_is(struct span token);

/* False for anything else, for names with characters that have to be quoted in a principal, and for
 * names that are too long. */
MUST_USE bool kerberos_token_read(struct span token, struct kerberos_token *read);

#endif
