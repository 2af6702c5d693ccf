/*
 * The proofs of the keeper's own authentications, by the handles that workers hold.
 *
 * A handle is good once, for its owner (a worker's channel) and link. One that a client's
 * authentication ended with lives for HANDLE_LIFETIME_MS and begins any login; one for the renewal
 * of a session begins only the same login to the same file server again, and lives as long as the
 * client's own proof. Of a handle the table knows only the SHA-256, so that how long a search takes
 * tells nothing about handles that are there. Times are milliseconds of the monotonic clock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_HANDLE_H
#define COUNTERSIGN_CRYPTO_KEEPER_HANDLE_H

#include <sys/queue.h>

#include "crypto/keeper.h"

enum {
    HANDLE_LIFETIME_MS = 60 * 1000,
    HANDLES_PER_OWNER = 1024,
    RENEWALS_PER_OWNER = 65536,
    HANDLE_BUCKETS = 4096,
};

struct evidence;

/* What a handle is good for. */
struct grant {
    struct identity identity;
    struct evidence *evidence; /* the client's ticket (crypto/evidence.h); NULL: there is none */
    bool renewal;              /* of a session; only then with: */
    uint32_t upstream;
    enum login_kind login;
};

struct handle;
struct handle_owner;
TAILQ_HEAD(handle_list, handle);
LIST_HEAD(handle_bucket, handle);
struct handle_table {
    struct handle_list proofs; /* oldest first */
    struct handle_list renewals;
    struct handle_bucket buckets[HANDLE_BUCKETS];
    LIST_HEAD(, handle_owner) owners;
    uint64_t next_sweep; /* of the renewals, which end in no order */
};

void handles_init(struct handle_table *table);
void handles_free(struct handle_table *table);

enum handle_made { HANDLE_MADE, HANDLE_TOO_MANY, HANDLE_FAILED };

/* Makes a handle for `grant`, whose evidence it holds for itself. It lives until `expires`. Too
 * many when the owner has HANDLES_PER_OWNER, or RENEWALS_PER_OWNER, unused ones; failed when memory
 * or random bytes are short. */
MUST_USE enum handle_made handles_make(struct handle_table *table, const void *owner, uint64_t link,
                                       const struct grant *grant, uint64_t expires, uint64_t now,
                                       uint8_t bytes[KEEPER_HANDLE_SIZE]);

/* Takes the handle out of the table, whoever asks; true with `grant` filled when it is `owner`'s,
 * for `link`, and not expired. The grant's evidence is then the caller's to release. */
MUST_USE bool handles_take(struct handle_table *table, const void *owner, uint64_t link,
                           const uint8_t bytes[KEEPER_HANDLE_SIZE], uint64_t now,
                           struct grant *grant);

/* The owner does not need the handle any more; nothing happens when there is none. False for a
 * handle of another owner, which stays. */
MUST_USE bool handles_release(struct handle_table *table, const void *owner,
                              const uint8_t bytes[KEEPER_HANDLE_SIZE]);

void handles_drop_owner(struct handle_table *table, const void *owner);
void handles_drop_expired(struct handle_table *table, uint64_t now);

#endif
