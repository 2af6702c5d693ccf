/*
 * What a worker is told when a step of one of its attempts is back from a pool, and what the keeper
 * itself remembers of it: handles, and accounts that must rest.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_ANSWER_H
#define COUNTERSIGN_CRYPTO_KEEPER_ANSWER_H

#include "crypto/keeper_attempt.h"

/* Sends the answer to the attempt's last step, whose result may become a refusal. False when it
 * could not be sent. */
MUST_USE bool answer_step(struct attempt *attempt);

/* The file server has refused what the login showed it. */
void answer_credential_refused(struct attempt *attempt);

#endif
