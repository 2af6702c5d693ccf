/*
 * The server's side of NTLMv2 (MS-NLMP 3.2.5): the CHALLENGE, and every rule an AUTHENTICATE must
 * keep. The order of tokens is the caller's business, with one exception: a challenge answers once.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_ACCEPT_H
#define COUNTERSIGN_CRYPTO_NTLM_ACCEPT_H

#include "crypto/domain.h"
#include "crypto/ntlm_key.h"

#include <time.h>

struct ntlm_accept {
    const struct accept_policy *policy;
    struct timespec issued; /* when the challenge was made; CLOCK_MONOTONIC */
    bool open;              /* a challenge waits for its answer */
    uint32_t offered;       /* flags of the NEGOTIATE */
    uint32_t agreed;        /* flags of the AUTHENTICATE, once it is proven */
    bool of_domain;         /* the challenge bears the names that winbind gave: `joined` */
    struct domain_names joined;
    uint32_t status; /* a domain controller's, once one was asked */
    size_t negotiate_size;
    size_t challenge_size;
    uint8_t negotiate[NTLM_NEGOTIATE_MAX]; /* as on the wire: the MIC covers them */
    uint8_t challenge[NTLM_CHALLENGE_MAX];
    uint8_t session_key[NTLM_KEY_SIZE]; /* ExportedSessionKey, once it is proven */
};

/* `policy` must outlive it. */
void ntlm_accept_start(struct ntlm_accept *accept, const struct accept_policy *policy);
void ntlm_accept_wipe(struct ntlm_accept *accept);

/* Takes the NEGOTIATE; REFUSAL_NONE with the CHALLENGE ready in accept->challenge, or why not. */
enum refusal ntlm_accept_negotiate(struct ntlm_accept *accept, struct span negotiate,
                                   const struct accept_backend *backend);

/*
 * Takes the AUTHENTICATE. REFUSAL_NONE: proven, session key there. Otherwise the first rule broken,
 * in this order: form, what the flags say, age, the account and its proof, then what the proof
 * covers, then the MIC; for an account of the domain, what the proof covers before the proof.
 * `identity` gets user, domain, workstation and target name as claimed, also when refused; a user
 * of the domain who is proven, the names that the domain controller gives him.
 */
enum refusal ntlm_accept_authenticate(struct ntlm_accept *accept, struct span message,
                                      const struct accept_backend *backend,
                                      struct identity *identity);

/* As acceptor_asks_domain(). */
bool ntlm_accept_asks_domain(const struct ntlm_accept *accept, struct span message,
                             const struct accept_backend *backend);

#endif
