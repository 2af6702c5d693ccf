/*
 * The recorder: the process that owns what must be one: the audit log and its counters, the
 * authentication limiter, the downgrade memory, and the session directory. It has no network and no
 * secret.
 */
#ifndef COUNTERSIGN_PROXY_RECORDER_H
#define COUNTERSIGN_PROXY_RECORDER_H

#include "policy/config.h"

/* Messages to the recorder, beside the control messages of crypto/keeper_message.h. Accepted on the
 * control channel and on every channel that came with CONTROL_PEER. */
enum recorder_message {
    RECORDER_EVENT = 64,        /* body: one event packed by event_pack() */
    RECORDER_COUNTERS = 65,     /* empty body, control channel only: write a `counters` event now */
    RECORDER_SESSION_ADD = 66,  /* workers only: a session pair is up; see directory.h */
    RECORDER_SESSION_FIND = 67, /* workers only: answered with … */
    RECORDER_SESSION_FOUND = 68, /* … from the recorder */
    RECORDER_DURABLE_ADD = 69,   /* the same for durable handles: whose they are */
    RECORDER_DURABLE_FIND = 70,
    RECORDER_LOST = 71,           /* workers only: le16 kind, le64 count of each event it dropped */
    RECORDER_LIMITER_KEY = 72,    /* to a worker, first of all; see limiter.h */
    RECORDER_LIMIT = 73,          /* to all workers: a delay */
    RECORDER_OUTCOME = 74,        /* workers only: how an authentication ended */
    RECORDER_SIGHTING = 75,       /* workers only: what an end can do; see memory.h */
    RECORDER_SEEN = 76,           /* the answer, when one is wanted: le64 query, u8 less */
    RECORDER_SESSION_REMOVE = 77, /* workers only: it was logged off */
    RECORDER_DURABLE_REMOVE = 78, /* workers only: it was closed */
};

/*
 * Runs until the control channel says CONTROL_STOP or closes; then drains what the other processes
 * have sent, writes the counters and returns the exit status. `log_ready` is an audit log that the
 * caller opened as the recorder's own user; the recorder closes it. CONTROL_RELOAD opens the
 * file again, and is answered by CONTROL_PREPARED. `config` is borrowed.
 */
struct audit;
int recorder_run(const struct config *config, struct audit *log_ready, int control_fd);

#endif
