/*
 * The initiator of an upstream authentication: NTLMv2 inside SPNEGO with mechListMIC
 * (MS-NLMP 3.1.5, MS-SPNG).
 */
#ifndef COUNTERSIGN_CRYPTO_INITIATE_H
#define COUNTERSIGN_CRYPTO_INITIATE_H

#include "crypto/accept.h"

struct initiator;

/*
 * An initiator for `domain`\`user` (UTF-8; the domain may be empty: then the file server's own name
 * from its CHALLENGE is used, as for a local account there) with the account's NT hash. `target` is
 * the SPN put into MsvAvTargetName, "cifs/nas.example.com". All are copied. NULL when out of memory
 * or a name does not fit. initiator_free() wipes every key; NULL is allowed.
 */
struct initiator *initiator_new(const char *user, const char *domain,
                                const uint8_t nt_hash[NT_HASH_SIZE], const char *target);
void initiator_free(struct initiator *initiator);

/* A CHALLENGE that is one of `own` is refused as a reflection; they must outlive the initiator. */
void initiator_refuse_own(struct initiator *initiator, struct challenges *own);

/*
 * The first call takes an empty token; each writes the next token to `reply` and answers
 * STEP_CONTINUE until the file server's last token has been checked: STEP_DONE. A server that is
 * anonymous-minded, downgrades NTLM (no extended session security, no key exchange, no signing, no
 * 128-bit), picks another mechanism or sends a wrong mechListMIC is refused; initiator_refusal()
 * says why. The last token of some servers is empty: that is accepted when the mechanism needs no
 * MIC.
 */
enum step initiator_step(struct initiator *initiator, struct span token, struct writer *reply);

/* Why a step was refused; REFUSAL_NONE when none was. */
enum refusal initiator_refusal(const struct initiator *initiator);

/* After the AUTHENTICATE has been written (the key exists before the server's last token is seen,
 * since that token's signature is checked with it); false before. The caller wipes its copy. */
MUST_USE bool initiator_session_key(const struct initiator *initiator, struct session_key *key);

#endif
