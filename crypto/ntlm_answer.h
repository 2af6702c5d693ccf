/*
 * An NTLM AUTHENTICATE taken apart: the form it must have before anybody looks for the account.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_ANSWER_H
#define COUNTERSIGN_CRYPTO_NTLM_ANSWER_H

#include "crypto/accept.h"
#include "crypto/ntlm_av.h"
#include "crypto/ntlm_message.h"

/* Flags without which there are no names to read and no 128-bit keys. NTLM_SIGN is not one of them:
 * libsmb2 never asks for it and signs every SMB message all the same. */
#define NTLM_NEEDED (NTLM_UNICODE | NTLM_EXTENDED | NTLM_128)

/* Borrows from the message. */
struct ntlm_answer {
    struct ntlm_authenticate message;
    struct span proof;    /* NTProofStr as sent */
    struct span blob;     /* what follows it: NTLMv2_CLIENT_CHALLENGE */
    struct av_list pairs; /* in the blob */
    uint32_t av_flags;    /* MsvAvFlags; 0 when there are none */
    bool names_target;    /* it has a target name that may be believed */
};

/*
 * REFUSAL_NONE, or why this cannot be an NTLMv2 answer of a named account: malformed, ntlmv1,
 * anonymous, flags. The names go into `identity` as far as they can be read, also when refused.
 */
enum refusal ntlm_answer_read(struct span bytes, struct ntlm_answer *answer,
                              struct identity *identity);

#endif
