/*
 * The keeper's side of one worker: its channel, and what it may ask for.
 *
 * A worker is not trusted. What it began belongs to its channel; whatever it sends that an honest
 * worker would not send ends the channel, and with it every attempt and handle that came of it.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_WORKER_H
#define COUNTERSIGN_CRYPTO_KEEPER_WORKER_H

#include "crypto/channel.h"
#include "crypto/keeper_attempt.h"
#include "crypto/keeper_back_off.h"
#include "crypto/keeper_generation.h"
#include "crypto/siphash.h"

/* What all workers share; it belongs to the event loop's thread. */
struct keeper {
    const struct keeper_settings *settings; /* of the start: what cannot change is in them */
    struct event_base *base;
    struct pool *local;  /* for steps that nobody outside is asked about */
    struct pool *remote; /* for those that may wait for a KDC or a domain controller */
    LIST_HEAD(, keeper_generation) generations;
    struct keeper_generation *newest;
    struct keeper_generation *candidate; /* being prepared, or NULL */
    uint32_t oldest;                     /* generation that a worker may still use */
    struct upstream_tickets *tickets;
    struct replays *replays;
    struct challenges *challenges; /* that clients were given */
    void *replays_memory;          /* our own, when the settings have none */
    struct domain *domain;         /* NULL: winbind is not used */
    struct handle_table handles;
    struct back_off_table back_offs;
    struct siphash_key credential_key; /* of what the back-offs tell credentials apart by */
    LIST_HEAD(, keeper_worker) workers;
};

struct keeper_worker {
    LIST_ENTRY(keeper_worker) next;
    struct keeper *keeper;
    uint32_t index;          /* as the supervisor counts workers */
    struct channel *channel; /* NULL once it ended */
    struct attempt_table attempts;
    size_t open; /* attempts of this worker that exist, also the forgotten ones in a pool */
};

/* Takes over `fd`, also when it fails. */
MUST_USE bool keeper_worker_add(struct keeper *keeper, uint32_t index, int fd);

/* Drops attempts and handles past their lifetimes. */
void keeper_workers_tick(struct keeper *keeper, uint64_t now);

/* Closes every channel. What is still in a pool is freed when it comes back. */
void keeper_workers_end(struct keeper *keeper);

#endif
