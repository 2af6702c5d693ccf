/*
 * The proofs of the keeper's own authentications, by the handles that workers hold.
 *
 * A handle is good once, for its owner (a worker's channel) and link, for HANDLE_LIFETIME_MS. Times
 * are milliseconds of the monotonic clock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_HANDLE_H
#define COUNTERSIGN_CRYPTO_KEEPER_HANDLE_H

#include <sys/queue.h>

#include "crypto/keeper.h"

enum { HANDLE_LIFETIME_MS = 60 * 1000, HANDLES_PER_OWNER = 1024 };

struct handle;
struct handle_table {
    TAILQ_HEAD(, handle) by_age; /* oldest first */
};

void handles_init(struct handle_table *table);
void handles_free(struct handle_table *table);

enum handle_made { HANDLE_MADE, HANDLE_TOO_MANY, HANDLE_FAILED };

/* Makes a handle for `identity`. Too many when the owner has HANDLES_PER_OWNER unused ones; failed
 * when memory or random bytes are short. */
MUST_USE enum handle_made handles_make(struct handle_table *table, const void *owner, uint64_t link,
                                       const struct identity *identity, uint64_t now,
                                       uint8_t bytes[KEEPER_HANDLE_SIZE]);

/* Takes the handle out of the table, whoever asks; true with `identity` filled when it is
 * `owner`'s, for `link`, and not expired. */
MUST_USE bool handles_take(struct handle_table *table, const void *owner, uint64_t link,
                           const uint8_t bytes[KEEPER_HANDLE_SIZE], uint64_t now,
                           struct identity *identity);

void handles_drop_owner(struct handle_table *table, const void *owner);
void handles_drop_expired(struct handle_table *table, uint64_t now);

#endif
