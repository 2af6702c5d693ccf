/*
 * The NTLM challenges that we have given to clients lately. One that comes back to us from a file
 * server is a reflection: whoever stands there shows our own login to our own listener, or the
 * other way round. Safe to use from several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_CHALLENGES_H
#define COUNTERSIGN_CRYPTO_CHALLENGES_H

#include "crypto/cursor.h"

/* So many are remembered, the newest: many more than can be open at a time. */
enum { CHALLENGES_MAX = 65536, CHALLENGE_BYTES = 8 };

struct challenges;

/* NULL when memory is short. NULL is allowed in challenges_free(). */
struct challenges *challenges_new(void);
void challenges_free(struct challenges *challenges);

/* Remembers one; with `challenges` NULL, nothing. */
void challenges_given(struct challenges *challenges, const uint8_t challenge[CHALLENGE_BYTES]);

/* Whether it is one of ours; false with `challenges` NULL. */
bool challenges_ours(struct challenges *challenges, const uint8_t challenge[CHALLENGE_BYTES]);

#endif
