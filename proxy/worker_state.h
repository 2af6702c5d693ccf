/*
 * What a worker's parts share. See worker.h for what a worker is.
 */
#ifndef COUNTERSIGN_PROXY_WORKER_STATE_H
#define COUNTERSIGN_PROXY_WORKER_STATE_H

#include "crypto/channel.h"
#include "crypto/keeper_message.h"
#include "proxy/generation.h"
#include "proxy/limit_board.h"
#include "proxy/link.h"
#include "proxy/open.h"
#include "proxy/worker.h"

struct worker_listener {
    struct worker *worker;
    unsigned index;
    struct event accept_event;
    struct event rest_event;
};

/* A channel to another worker. */
struct worker_peer {
    struct worker *worker;
    unsigned index;
    struct channel *channel;
};

struct worker {
    const struct worker_settings *settings;
    const struct config *config;    /* the newest generation's */
    struct generation *generations; /* all that are in use, or about to be */
    struct generation *generation;  /* the newest */
    struct generation *previous;    /* the one before; NULL: none */
    struct generation *candidate;   /* being prepared; NULL: none */
    struct event_base *base;
    struct channel *control;
    struct channel *keeper;
    struct channel *recorder;
    struct worker_peer *peers; /* settings->count of them; one's own is not used */
    struct worker_listener *listeners;
    struct buffer_pool buffers;
    struct link *links; /* all of them */
    unsigned links_count;
    uint64_t next_link;
    uint64_t next_attempt;
    struct table attempts;                         /* struct attempt by number */
    struct table leases;                           /* struct lease, of all links */
    struct ended_lease ended_leases[ENDED_LEASES]; /* in a ring */
    unsigned ended_lease_next;
    struct table queries; /* sessions that wait for the session directory */
    struct table recalls; /* what the downgrade memory has been asked */
    uint64_t next_query;
    struct table sources; /* connections by client address */
    uint64_t events_lost;
    uint64_t lost[EVENT_KIND_COUNT]; /* of those, what the recorder has not been told */
    struct event *losses_timer;
    struct limit_board limits; /* the delays of the authentication limiter */
    bool stopping;
};

/* One authentication at the keeper, and the session that waits for it. */
struct attempt {
    struct table_entry by_number;
    struct session *session;
    struct generation *rules; /* that it began under; held */
    bool upstream;            /* a login, not an acceptance */
};

/* ---- worker_keeper.c ---- */

/* Each sends one request to the keeper; false when there is no keeper now (it is being restarted).
 * The session's attempt number is set. */
MUST_USE bool worker_accept(struct session *session, struct span token);
MUST_USE bool worker_login(struct session *session);
MUST_USE bool worker_step(struct session *session, struct span token);
/* The session's attempt, if there is one, is given up. */
void worker_forget(struct session *session);
/* The same, of a login whose credential the file server refused: its account has to rest. */
void worker_credential_refused(struct session *session);
/* The session's renewal handle is given back. */
void worker_release(const struct session *session);
void worker_keeper_channel(struct worker *worker, int fd);

/* ---- worker_directory.c ---- */

/* Tells the session directory of a session pair that is up. */
void worker_enter_session(struct session *session);
/* … and of one that its client has logged off. */
void worker_leave_session(struct session *session);
/* Asks what a client's previous session was upstream; the answer goes to client_login_previous().
 * False when it cannot be asked. */
MUST_USE bool worker_find_previous(struct session *session, uint64_t previous);
/* The same for a durable handle: whose it is; the answer goes to durable_answer(). */
void worker_enter_durable(struct session *session, uint64_t persistent_id);
void worker_leave_durable(struct session *session, uint64_t persistent_id);
MUST_USE bool worker_find_durable(struct session *session, uint64_t persistent_id);
void worker_drop_query(struct session *session);
bool worker_directory_answer(struct worker *worker, struct span body);
/* The recorder is being restarted: what was asked is not known. */
void worker_directory_gone(struct worker *worker);

/* ---- worker_recorder.c ---- */

/* Takes over a channel to the recorder, in place of the one before. */
void worker_recorder_channel(struct worker *worker, int fd);
/* Counts an event that could not be sent; the recorder is told as soon as it can be. */
void worker_lose_event(struct worker *worker, enum event_kind kind);
/* Tells it now; for the end. */
void worker_tell_losses(struct worker *worker);

/* True when nobody from there is to be let in now. */
bool worker_source_closed(const struct worker *worker, const char *address);
/* Why the login of `user` from this link is refused now, as a stable word, or NULL. */
const char *worker_login_limited(const struct link *link, const char *user);
/* How an authentication ended. */
void worker_tell_outcome(const struct link *link, const char *user, bool proven);

/* ---- handover.c ---- */

/* The worker that owns the links of this ClientGuid to this upstream. */
unsigned handover_owner(const struct worker *worker, const uint8_t guid[GUID_SIZE],
                        uint32_t upstream_number);
/* Hands the link's socket with its NEGOTIATE to another worker; false when that cannot be reached.
 */
MUST_USE bool handover_send(struct link *link, unsigned owner, struct span negotiate);
/* A message from another worker; false when malformed. */
bool handover_receive(struct worker *worker, struct span body, int fd);
enum { WORKER_HANDOVER = 80 };

/* ---- worker_accept.c ---- */
bool worker_listen(struct worker *worker);
void worker_stop_listening(struct worker *worker);
/* A link for a new connection, or NULL when a limit refuses it (with an event). */
struct link *worker_admit(struct worker *worker, struct generation *generation, unsigned listener,
                          int fd, const struct sockaddr *address, socklen_t size);
/* Counts a connection from a client's address: false when there are too many. */
bool worker_source_enter(struct worker *worker, const char *address);
void worker_source_leave(struct worker *worker, const char *address);
/* Counts a link's connection to its upstream, before it is dialled: false when there are too many.
 */
bool worker_upstream_enter(struct link *link);
void worker_upstream_leave(struct link *link);

#endif
