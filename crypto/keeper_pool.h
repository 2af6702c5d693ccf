/*
 * A pool of threads that do jobs for an event loop.
 *
 * The loop submits a job, a thread works on it, and the loop hears of it: a job is touched by one
 * side at a time, so what it works on needs no lock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_POOL_H
#define COUNTERSIGN_CRYPTO_KEEPER_POOL_H

#include <sys/queue.h>

#include "crypto/cursor.h"

struct event_base;
struct pool;

/* Part of something else, which `context` points to. */
struct pool_job {
    STAILQ_ENTRY(pool_job) next; /* the pool's */
    void (*work)(void *context); /* in a thread of the pool */
    void (*done)(void *context); /* in the event loop; the job is the submitter's again */
    void *context;
};

/* NULL when memory, descriptors or threads are short. */
struct pool *pool_new(struct event_base *base, unsigned threads);

void pool_submit(struct pool *pool, struct pool_job *job);

/* Lets no further job begin, and waits for those that threads are at, but not longer than that;
 * false when some are still at it, and then the pool cannot be freed. */
MUST_USE bool pool_stop(struct pool *pool, unsigned milliseconds);

/* Waits for the jobs that threads are at and calls `done` of every job, also of those whose work
 * was never begun. No job may be submitted any more. NULL is allowed. */
void pool_free(struct pool *pool);

#endif
