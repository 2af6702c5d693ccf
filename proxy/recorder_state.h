/*
 * What the recorder's parts share. See recorder.h for what the recorder is.
 */
#ifndef COUNTERSIGN_PROXY_RECORDER_STATE_H
#define COUNTERSIGN_PROXY_RECORDER_STATE_H

#include <sys/queue.h>

#include <event2/event.h>

#include "crypto/channel.h"
#include "crypto/keeper_message.h"
#include "policy/audit.h"
#include "policy/config.h"
#include "proxy/directory.h"
#include "proxy/fold.h"
#include "proxy/limiter.h"
#include "proxy/memory.h"

/* Another process that sends events. */
struct peer {
    LIST_ENTRY(peer) next;
    struct recorder *recorder;
    struct channel *channel;
    enum peer_role role;
    char index[12]; /* of a worker, as text */
};

struct recorder {
    const struct config *config;
    struct event_base *base;
    struct audit *log;
    struct fold *fold;
    struct siphash_key limiter_key;
    struct limiter *limiter;
    struct memory *memory;
    uint64_t memory_saved_ms;
    bool memory_unsaved; /* the last attempt failed, which has been told */
    bool memory_changed; /* since it was saved */
    struct directory *sessions;
    struct directory *durables;
    struct channel *control; /* NULL once the supervisor is gone */
    struct event *deadline;
    struct event *tick; /* each second */
    LIST_HEAD(, peer) peers;
    bool draining;
    bool losing; /* the last event could not be written */
    bool failed;
};

/* Answers a peer's question. One that has gone meanwhile needs no answer, and what it said behind
 * the question counts; false for one that does not read. */
MUST_USE bool recorder_answer(struct peer *peer, uint16_t type, const struct writer *answer);

/* ---- recorder_events.c ---- */

/* Writes or folds one event. */
void recorder_write(struct recorder *recorder, const struct audit_event *event);
/* What a process sent; `peer` is NULL for the supervisor. False when it is malformed, or not an
 * event that others may send. */
MUST_USE bool recorder_take_event(struct recorder *recorder, struct span body,
                                  const struct peer *peer);
/* What a worker had to drop. */
MUST_USE bool recorder_take_losses(struct peer *peer, struct span body);
/* For the fold: context is the recorder. */
fold_write recorder_write_repeats;

/* ---- recorder_limiter.c ---- */

/* Tells a new worker the key and what is in force. */
void recorder_greet_worker(struct peer *peer);
MUST_USE bool recorder_take_outcome(struct peer *peer, struct span body);
/* For the limiter: to all workers; context is the recorder. */
limiter_tell recorder_tell_limit;

/* ---- recorder_memory.c ---- */

/* Fills the memory from its file. */
void recorder_memory_load(struct recorder *recorder);
MUST_USE bool recorder_take_sighting(struct peer *peer, struct span body);
/* Forgets what is asked for, and saves what has changed, once in a while or, when `now`, at once.
 */
void recorder_memory_tick(struct recorder *recorder, bool now);

#endif
