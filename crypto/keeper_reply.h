/*
 * The keeper's answers to a worker. Each answers false when it could not be sent: the worker does
 * not read, or is gone.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_REPLY_H
#define COUNTERSIGN_CRYPTO_KEEPER_REPLY_H

#include "crypto/channel.h"
#include "crypto/keeper_authentication.h"

/* What the last step of an authentication made: a token, and whatever else is known by now. */
MUST_USE bool reply_continue(struct channel *channel, uint64_t attempt,
                             const struct authentication *authentication);
MUST_USE bool reply_proven(struct channel *channel, uint64_t attempt,
                           const struct authentication *authentication,
                           const uint8_t handle[KEEPER_HANDLE_SIZE]);
MUST_USE bool reply_logged_in(struct channel *channel, uint64_t attempt,
                              const struct authentication *authentication,
                              const uint8_t renewal[KEEPER_HANDLE_SIZE]);

/* `status`: of a domain controller, or 0. `identity` may be NULL when nothing is known of it. */
MUST_USE bool reply_refused(struct channel *channel, uint64_t attempt, enum keeper_reason reason,
                            enum refusal refusal, uint32_t status, const struct identity *identity);

#endif
