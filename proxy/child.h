/*
 * One child of the supervisor: keeper, recorder or a worker. Made by fork without exec, confined,
 * and held by a control channel.
 */
#ifndef COUNTERSIGN_PROXY_CHILD_H
#define COUNTERSIGN_PROXY_CHILD_H

#include <sys/types.h>

#include "crypto/channel.h"
#include "proxy/child_plan.h"

struct child {
    enum peer_role role;
    unsigned index;          /* of a worker; 0 otherwise */
    pid_t pid;               /* 0: not running */
    struct channel *control; /* NULL: not running, or it closed its end */
    bool ready;              /* has sent CONTROL_READY */
    unsigned preparing;      /* CONTROL_PREPAREs that it has not answered */
    uint64_t started_ms;     /* by clock_ms() */
    unsigned delay_ms;       /* before it is started again, should it end now */
    struct event *restart;   /* timer; the supervisor's */
    void *owner;             /* the supervisor */
    /* How it last ended, until the recorder has been told. */
    bool ended;
    pid_t ended_pid;
    int ended_status; /* of waitpid() */
};

/* Sizes in milliseconds: the first delay, the longest, and the life after which all is forgiven. */
enum { CHILD_DELAY_MS = 100, CHILD_DELAY_MAX_MS = 10000, CHILD_STEADY_MS = 30000 };

/*
 * Forks. The parent gets true with pid and control channel set, or false with errno set. The child
 * never returns: it leaves the event loop `base` and every descriptor that is not its own behind,
 * confines itself, runs its role and exits.
 */
MUST_USE bool child_start(struct child *child, const struct child_plan *plan,
                          struct event_base *base, const struct channel_handler *handler);

/* Makes a channel between two running children and sends each its end. What cannot be sent is not
 * retried: that child is about to end, and will be introduced again when it is back. */
void child_introduce(struct child *one, struct child *other);

/* Sends a control message without body; false when the child cannot be told. */
bool child_tell(struct child *child, enum keeper_message message);

/* Notes that waitpid() has reaped it with `status`, and works out `delay_ms`. */
void child_note_end(struct child *child, int status);

/* "keeper", "recorder", "worker 3". */
void child_describe(const struct child *child, char *to, size_t size);

#endif
