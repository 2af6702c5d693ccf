/*
 * The client's side of NTLMv2 (MS-NLMP 3.1.5): NEGOTIATE, and the AUTHENTICATE that answers a
 * CHALLENGE. Nothing weaker than NTLMv2 with 128-bit keys, key exchange and signing is answered.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_INITIATE_H
#define COUNTERSIGN_CRYPTO_NTLM_INITIATE_H

#include "crypto/accept.h"
#include "crypto/ntlm_key.h"

/* Names are UTF-8 and fit. */
struct ntlm_initiate {
    char user[IDENTITY_NAME_MAX];
    char domain[IDENTITY_NAME_MAX]; /* empty: the server's own name */
    char target[IDENTITY_TARGET_MAX];
    uint8_t nt_hash[NT_HASH_SIZE];
    struct challenges *own; /* that we gave to clients; NULL: not asked */
    size_t negotiate_size;
    uint8_t negotiate[64]; /* as sent: the MIC covers it */
    uint32_t agreed;       /* flags of the AUTHENTICATE */
    uint8_t session_key[NTLM_KEY_SIZE];
};

/* Appends the NEGOTIATE to `writer`. */
enum refusal ntlm_initiate_negotiate(struct ntlm_initiate *initiate, struct writer *writer);

/* Takes the CHALLENGE and appends the AUTHENTICATE; then the session key is there. Otherwise why
 * the server's offer is not taken. */
enum refusal ntlm_initiate_authenticate(struct ntlm_initiate *initiate, struct span challenge,
                                        struct writer *writer);

#endif
