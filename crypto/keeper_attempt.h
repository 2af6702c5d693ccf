/*
 * The open attempts of one worker, by the numbers that the worker gave them. Times are milliseconds
 * of the monotonic clock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_ATTEMPT_H
#define COUNTERSIGN_CRYPTO_KEEPER_ATTEMPT_H

#include <sys/queue.h>

#include "crypto/keeper_authentication.h"
#include "crypto/keeper_pool.h"
#include "crypto/keeper_secrets.h"

enum { ATTEMPT_LIFETIME_MS = 120 * 1000, ATTEMPT_BUCKETS = 1024 };

struct keeper_generation;
struct keeper_worker;

struct attempt {
    TAILQ_ENTRY(attempt) by_age;
    LIST_ENTRY(attempt) by_number;
    uint64_t number;
    uint64_t link;
    uint32_t index; /* of the listener, or of the upstream */
    uint64_t begun;
    bool trial;      /* a login with a credential that was refused before */
    bool proof_sent; /* a login: its token that proves the account went to the worker */
    struct keeper_worker *worker;
    struct keeper_generation *generation; /* of `index` */
    bool busy;                            /* a step is in a pool: only `forgotten` and
                                             `authentication.abandoned` may be touched */
    bool forgotten;          /* out of the table; to be freed when the step comes back */
    struct secrets *secrets; /* held while busy */
    struct pool_job job;
    struct authentication authentication;
};

struct attempt_table {
    TAILQ_HEAD(, attempt) by_age; /* oldest first */
    LIST_HEAD(, attempt) by_number[ATTEMPT_BUCKETS];
};

void attempts_init(struct attempt_table *table);

/* NULL when there is none of that number. */
struct attempt *attempts_find(const struct attempt_table *table, uint64_t number);

void attempts_add(struct attempt_table *table, struct attempt *attempt);
void attempts_remove(struct attempt_table *table, struct attempt *attempt);

/* Some attempt; NULL when there is none. */
struct attempt *attempts_any(const struct attempt_table *table);

/* The oldest attempt past its lifetime, with no step in the pool; NULL when there is none. */
struct attempt *attempts_expired(const struct attempt_table *table, uint64_t now);

#endif
