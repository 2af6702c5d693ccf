/*
 * A link: one client connection, joined to its own upstream connection.
 *
 * Everything that belongs to it lives and dies with it. Any code may end a link, at any depth, with
 * link_end(): that only notes the first reason. What is left to do is done in link_settle(), which
 * every callback of the event loop calls last and which frees a link that has ended.
 */
#ifndef COUNTERSIGN_PROXY_LINK_H
#define COUNTERSIGN_PROXY_LINK_H

#include <sys/socket.h>

#include "policy/config.h"
#include "policy/event.h"
#include "proxy/credit.h"
#include "proxy/directory.h"
#include "proxy/durable_check.h"
#include "proxy/negotiate.h"
#include "proxy/pending.h"
#include "proxy/session.h"
#include "proxy/stream.h"

struct generation;
struct kept_logoff;
struct worker;

enum leg_role { LEG_CLIENT, LEG_UPSTREAM };

/* One side of a link. On the client leg we are the server, on the upstream leg the client. */
struct leg {
    enum leg_role role;
    struct link *link;
    struct stream stream;
    char address[64];
    uint16_t port;
    uint16_t dialect; /* 0 until negotiated */
    enum signing_algorithm signing;
    uint16_t cipher;
    struct preauth_hash preauth; /* of the connection; 3.1.1 */
    uint8_t client_guid[GUID_SIZE];
    uint8_t server_guid[GUID_SIZE];
    uint32_t client_capabilities; /* as they stood in NEGOTIATE */
    uint32_t server_capabilities;
    uint16_t client_security_mode;
    uint16_t server_security_mode;
    uint16_t dialects[NEGOTIATE_DIALECTS_MAX]; /* offered by the client side */
    unsigned dialects_count;
    uint32_t max_transact;
    uint32_t max_read;
    uint32_t max_write;
    struct recall recall; /* of what its other end can do */
};

enum link_state {
    LINK_NEW,      /* waits for the client's first message */
    LINK_WILDCARD, /* answered an SMB1 NEGOTIATE with 0x02FF; waits for the real one */
    LINK_HANDOVER, /* waits to be handed to the worker that owns the ClientGuid */
    LINK_ASKING,   /* waits for what is remembered of the client */
    LINK_DIALLING, /* waits for the upstream connection */
    LINK_UPSTREAM_NEGOTIATING,
    LINK_READY, /* both legs negotiated */
    LINK_ENDED,
};

/* Why a link ended. Each has a stable name for the log. */
enum link_end {
    END_NONE,
    END_CLIENT_CLOSED,
    END_UPSTREAM_CLOSED,
    END_CLIENT_FAILED, /* its socket failed */
    END_UPSTREAM_FAILED,
    END_CLIENT_PROTOCOL, /* malformed or not allowed */
    END_UPSTREAM_PROTOCOL,
    END_REFUSED, /* NEGOTIATE refused */
    END_UNSIGNED,
    END_BAD_SIGNATURE,
    END_UPSTREAM_SIGNATURE,
    END_VALIDATE_MISMATCH,
    END_UPSTREAM_UNREACHABLE,
    END_UPSTREAM_REFUSED,
    END_TIMEOUT, /* no session in time */
    END_LIMIT,
    END_MEMORY,
    END_HANDED_OVER, /* to another worker: not an end for the client */
    END_STOPPING,
    END_RELOADED, /* a new configuration does not have it */
};

/* What is left of a session that ended: enough to tell its client so, signed. */
enum { FAILED_LOGINS = 8 };
struct ended_session {
    uint64_t number; /* in the order of their ends; 0: the slot is free */
    bool logged_off; /* its client ended it */
    uint64_t client_id;
    uint64_t upstream_id;
    struct signer *signer;        /* of the client leg; NULL: there never was a session for it */
    struct sealer *upstream_open; /* late answers still come encrypted; NULL: they are not */
    struct sealer *client_open; /* and so do requests that were on their way, which are answered */
    struct sealer *client_seal; /* so; NULL: the leg has no cipher */
};

/* A break that came before the response to the CREATE that it is about. */
struct kept_break {
    struct kept_break *next;
    uint64_t opened; /* client SessionId of the TRANSFORM it came in; 0: none */
    size_t size;
    uint8_t message[];
};

struct link {
    struct link *next;
    struct link **previous;
    struct worker *worker;
    uint64_t number; /* unique in this worker's life */
    enum link_state state;
    enum link_end end;
    const struct config_listener *listener;
    const struct config_upstream *upstream;
    struct generation *generation; /* of the configuration: of both legs */
    struct generation *rules;      /* the same, or one that was applied later */
    unsigned listener_index;       /* in `rules` */
    unsigned upstream_index;       /* in `generation` */
    uint32_t upstream_number;      /* see generation_upstream() */
    struct leg client;
    struct leg server; /* the upstream leg */
    char called[64];   /* the address that a transparent listener's client connected to */
    unsigned strikes;  /* events about somebody who has proved nothing */
    bool announced;    /* a `link` event has been written */
    bool counted;      /* among the connections to its upstream */

    struct event timer; /* the deadline of the present state */
    struct event hold_timer;

    /* The client's NEGOTIATE, kept until the upstream leg has been negotiated. */
    struct negotiate_request *offer; /* NULL when it was an SMB1 one for 2.0.2, and afterwards */
    uint64_t offer_message_id;
    uint16_t offer_credits;
    struct preauth_hash offer_preauth;
    uint16_t client_choice; /* dialect of the client leg */
    char *netname;          /* by which the client looked us up; NULL: it did not say */

    struct table sessions;          /* by client SessionId */
    struct table upstream_sessions; /* by upstream SessionId */
    unsigned sessions_valid;
    struct ended_session *ended; /* the last ones; see ended_session.c */
    unsigned ended_room;
    uint64_t ended_last;
    uint64_t failed[FAILED_LOGINS]; /* ids of sessions that never came to be, a ring */
    unsigned failed_next;
    unsigned validations_waiting;  /* for an upstream credit */
    struct session *waiting_first; /* sessions with a token that waits for an upstream credit */
    struct pending_table pending;
    struct table opens; /* struct open by the volatile half of the FileId */
    unsigned trees;     /* of all its sessions */
    unsigned creates_pending;
    struct kept_logoff *kept_logoffs; /* that wait for an upstream credit; see take_back.c */
    struct kept_break *breaks;        /* that wait for a CREATE response, oldest first */
    unsigned breaks_count;
    struct credit_window window;
    struct credit_purse purse;

    struct durable_check durable; /* about the frame in hand */

    /* A frame of the client that has to wait, for upstream credits or for what the recorder says;
     * nothing is read meanwhile. */
    struct frame held_frame;
    bool frame_is_held;
    uint64_t held_session; /* whose TRANSFORM it came in; 0: none */
    uint32_t held_charge;  /* the file server's credits that it waits for */
    bool settling;
};

/* Takes over a client's socket. NULL (socket closed) when out of memory. */
struct link *link_new(struct worker *worker, struct generation *generation, unsigned listener_index,
                      int fd, const struct sockaddr *client, socklen_t client_size);

/* Notes that the link is to end, and why; the first reason stays. */
void link_end(struct link *link, enum link_end reason);

/* Ends with an event of `kind` about `leg`: `reason` is a stable word. */
void link_refuse(struct link *link, enum link_end end, enum event_kind kind, enum leg_role leg,
                 const char *reason);

/* Flushes both legs, applies back-pressure, frees the link when it has ended. The link may be gone
 * afterwards. */
void link_settle(struct link *link);

/* (Re)starts the deadline of the present state, in milliseconds; 0 stops it. */
void link_deadline(struct link *link, unsigned milliseconds);

/* Connects upstream; the link goes on in upstream_negotiate.c. */
void link_dial(struct link *link);

static inline bool link_ended(const struct link *link)
{
    return link->end != END_NONE;
}

/* ---- client_negotiate.c: the client leg's negotiation ---- */

/* The first message, or the one after a wildcard answer. */
void client_negotiate(struct link *link, struct frame *frame);
/* The upstream leg is negotiated: choose, answer, go on. */
void client_negotiate_answer(struct link *link);
/* The upstream leg cannot be had: tell the client with `status`; the caller ends the link. */
void client_negotiate_refuse(struct link *link, uint32_t status);

/* ---- upstream_negotiate.c ---- */
void upstream_negotiate_start(struct link *link);
void upstream_negotiate_response(struct link *link, struct smb2_message *message);

/* ---- client_login.c: SESSION_SETUP of the client ---- */
void client_session_setup(struct link *link, struct smb2_message *message);
void client_login_continue(struct session *session, const struct keeper_continue *reply);
void client_login_proven(struct session *session, const struct keeper_proven *reply);
/* The downgrade memory has been asked about the client that is proven: the rules are next. */
void client_login_remembered(struct session *session);
/* What the session directory said of the client's previous session. */
void client_login_previous(struct session *session, enum directory_answer answer,
                           uint64_t upstream_id);
void client_login_refused(struct session *session, const struct keeper_refused *reply);
/* The upstream session is up: the client's SUCCESS. */
void client_login_done(struct session *session);
/* A renewal is complete on both legs: the client's SUCCESS. */
void client_login_renewed(struct session *session);
/* Takes back a re-authentication that its client has left half-way for limits.login_timeout: the
 * session is as it was before. */
void client_login_take_back(struct session *session);
/* Answers the client's SESSION_SETUP that waits with an error; the session stays. */
void client_login_refuse(struct session *session, uint32_t status);
/* The login failed on the way upstream: answers with `status` and frees the session. */
void client_login_failed(struct session *session, uint32_t status);

/* ---- upstream_login.c ---- */
void upstream_login_start(struct session *session);
void upstream_login_continue(struct session *session, const struct keeper_continue *reply);
void upstream_login_done(struct session *session, const struct keeper_logged_in *reply);
void upstream_login_refused(struct session *session, const struct keeper_refused *reply);
void upstream_session_setup_response(struct link *link, struct pending *pending,
                                     struct smb2_message *message);
/* A credit came: sends what waited for one. */
void upstream_login_resume(struct link *link);
/* The login cannot go on: of a new session, or of one whose client renews it, the client is told
 * `client_status` and the session ends; for what is renewed without the client, see
 * renewal_failed(). The session may be gone afterwards. */
void upstream_login_failed(struct session *session, uint32_t client_status);
/* The same with an event. */
void upstream_login_refuse(struct session *session, enum event_kind kind, const char *reason,
                           uint32_t upstream_status, uint32_t client_status);

/* ---- upstream_final.c ---- */
struct session_setup_response;
/* The file server said SUCCESS. */
void upstream_final_check(struct session *session, const struct smb2_message *message,
                          const struct session_setup_response *body);
/* The key of a response that was kept has been made: false when the session has been refused. */
MUST_USE bool upstream_final_key(struct session *session, const struct session_key *key);

/* ---- client_limit.c: the authentication limiter ---- */

/* True when the limiter does not let this user try now; then the session has been refused, without
 * a word on whether the proof was right. */
MUST_USE bool client_limit_refuses(struct session *session, const struct identity *claimed);
/* Takes note of a refusal that may be a guess; true as above. */
MUST_USE bool client_limit_guess(struct session *session, const struct keeper_refused *reply);

/* ---- link_memory.c: what each end can do, against what it once could ---- */

/* Tells the downgrade memory what the client offers, then dials; where less is not allowed, only
 * after the answer. */
void link_see_client(struct link *link);
/* The same of the file server's NEGOTIATE response, with the mechanisms that it lists (MS-SPNG
 * 2.2.1); then the client is answered. */
void link_see_upstream(struct link *link, const struct negotiate_response *response);
/* Tells of a client that has authenticated, then goes on with client_login_remembered(); where less
 * may not be allowed, only after the answer. */
void link_see_login(struct session *session);
/* True unless the memory has said that neither end of the session's link gives less than it once
 * could: in what was negotiated, and in how the client authenticated. */
bool link_gives_less(const struct session *session);
/* Tells what a file server calls itself. */
void link_see_server_name(struct link *link, const char *name);
/* The recorder's answer; false when malformed. */
bool worker_sighting_answer(struct worker *worker, struct span body);
/* The recorder is gone: what was asked will not be answered. */
void worker_sightings_gone(struct worker *worker);
/* Nobody waits for the answer any more. */
void link_drop_recall(struct recall *recall);

/* ---- request.c, response.c ---- */
void request_frame(struct link *link, struct frame *frame);
/* Carries out the held frame when it need not wait any more. */
void request_retry(struct link *link);
void response_frame(struct link *link, struct frame *frame);

/* ---- interim.c ---- */
/* Holds back the interim response to a request for a moment. */
void interim_take(struct link *link, struct pending *pending, uint64_t async_id);
/* Passes on those whose time has come; arms the timer for the next. */
void interim_release(struct link *link);
/* ---- seal.c: opening and closing messages ---- */

/* Decrypts a frame in place when it is a TRANSFORM of one of the link's sessions, which is then
 * told in `session`; NULL for a frame that is not encrypted. False with the link ended. */
MUST_USE bool seal_open(struct leg *leg, struct frame *frame, struct session **session);
/* True when a part of an encrypted frame is of the frame's own session; false with the link ended.
 */
MUST_USE bool seal_same_session(struct leg *leg, const struct session *session,
                                const struct smb2_header *header);
/* Signs a message for a leg or, when it is going to be encrypted, makes it unsigned. False with the
 * link ended. */
MUST_USE bool seal_close(struct leg *leg, struct session *session, uint8_t *message, size_t size,
                         bool encrypt);
/* Queues closed messages that lie in a frame: encrypted, with the session's key, or as they are.
 * `taken`: what stands before them in the frame has been queued in its place, so their headers have
 * no room there and they are copied. True when they were queued in their own place. */
bool seal_send(struct leg *leg, struct session *session, const struct frame *frame, uint8_t *at,
               size_t size, bool encrypt, bool taken);
/* The session of a frame's TRANSFORM, by the id that the frame names; 0: it is none. */
uint64_t seal_session_of(const struct frame *frame);
/* The same as seal_send() for a message of our own, in room that came from stream_own(). */
void seal_send_own(struct leg *leg, struct session *session, uint8_t *message, size_t size,
                   bool encrypt);
/* The same with a key that is no session's any more; NULL: as it is. */
void seal_send_with(struct leg *leg, struct sealer *sealer, uint8_t *message, size_t size);

/* ---- answer.c: responses of our own to the client ---- */

/* How many credits a response to the client carries; `wanted` is what the request asked for.
 * `last`: no other response to the client is on its way that could carry any. */
uint16_t answer_credits(struct link *link, uint32_t wanted, bool last);
/* An error response, closed with the session's key if it has one. */
void answer_error(struct link *link, struct session *session, const struct smb2_header *request,
                  uint32_t status);
/* An error for a request whose session is not here. One that ended here has its answer signed;
 * otherwise there is no key, and the answer bears the request's own signature, if it had one, as
 * servers do it: clients that know a session take no unsigned answer for it. */
void answer_no_session(struct link *link, const struct smb2_message *request, uint32_t status);
/* USER_SESSION_DELETED for a request that came in a TRANSFORM of the session `id`, which has ended:
 * under the key that it had. */
void answer_ended(struct link *link, const struct smb2_header *request, uint64_t id);

/* A response in the making. */
struct answer {
    struct link *link;
    struct session *session; /* NULL: none, so the answer is neither signed nor encrypted */
    uint8_t *message;
    struct writer writer; /* the header has been written; the body is to follow */
    bool close;           /* sign or encrypt it; whoever answers a login decides it anew */
    bool encrypt;
};
/* Starts a response with room for `body` more bytes; false when out of memory (the link has been
 * ended). answer_send() closes and sends it. */
MUST_USE bool answer_start(struct answer *answer, struct link *link, struct session *session,
                           const struct smb2_header *request, uint32_t status, size_t body);
void answer_send(struct answer *answer);

/* ---- take_back.c ---- */
/* Tells the file server that nobody has the session any more, now or when it takes a request again:
 * then the session's upstream keys go over. Nothing happens when the file server has none. */
void take_back_session(struct session *session);
/* The same of one of its shares; not while the file server takes no request. */
void take_back_tree(struct session *session, uint32_t tree_id, bool encrypt);
/* A credit came: sends what waited for one. */
void take_back_resume(struct link *link);
/* Forgets what waits. */
void take_back_drop(struct link *link);

/* ---- validate.c ---- */
void validate_answer(struct link *link, struct session *session, struct smb2_message *message);
/* True when the upstream leg still has to be validated before a session may be used. */
bool validate_needed(const struct link *link);
void validate_start(struct session *session, uint32_t tree_id);
/* A credit came: sends what waited for one. */
void validate_resume(struct link *link);

/* The file server's side has closed: a validation that waits for its answer has failed, for that is
 * how a file server says that it saw another NEGOTIATE (MS-SMB2 3.3.5.15.12). */
void validate_hung_up(struct link *link);
void validate_response(struct link *link, struct pending *pending, struct smb2_message *message);

/* ---- cancel.c ---- */
/* Cancels the client's request that a CANCEL names, if it still waits upstream. */
void cancel_forward(struct link *link, struct session *session, const struct smb2_header *cancel);

/* ---- tree_name.c: TREE_CONNECT requests ---- */
/* The size of a TREE_CONNECT request, with its padding, that has room for the path by the file
 * server's own name; its own when it has. */
size_t tree_name_room(const struct link *link, const struct smb2_message *message);
/* Writes that path in a request that has the room. */
void tree_name_server(const struct link *link, struct smb2_message *message);

/* ---- break.c ---- */
/* Passes on a break that names something of this link; `opened`: whose TRANSFORM it came in, or
 * NULL. */
void break_take(struct link *link, const struct smb2_message *message,
                const struct session *opened);
/* A CREATE has been answered: looks at the kept breaks again. */
void break_release(struct link *link);
void break_drop_all(struct link *link);

/* ---- tree.c: TREE_CONNECT responses ---- */
/* Splits a UNC path, UTF-16LE, into server and share: false unless it is \\\\server\\share, both of
 * them there and nothing else. */
MUST_USE bool tree_path_split(struct span path, struct span *server, struct span *share);
/* Asks the rules about the share of a UNC path: SUCCESS, or what a client is told. A name that is
 * no text, or has a NUL in it, is none: it could be another one to the file server. */
MUST_USE uint32_t tree_judge(struct session *session, struct span path);
/* Notes path and share of a TREE_CONNECT request; false when out of memory or not text. */
MUST_USE bool tree_note(struct pending *pending, struct span message, uint16_t dialect);
enum tree_verdict {
    TREE_PASS,
    TREE_HELD,    /* it was kept, and goes out by tree_release() */
    TREE_REFUSED, /* the client gets ACCESS_DENIED instead */
};
/* Looks at and rewrites a TREE_CONNECT response whose header is the client's already. */
enum tree_verdict tree_response(struct link *link, struct pending *pending,
                                struct smb2_message *message);
struct rule_verdict;
/* What the rules say of a share holds as long as it is connected, or until they change. */
void tree_bind_verdict(struct session *session, struct tree *tree,
                       const struct rule_verdict *ruled);
/* The tree of a session, or NULL. */
struct tree *session_tree(const struct session *session, uint32_t tree_id);
/* It has been disconnected. */
void tree_forget(struct session *session, uint32_t tree_id);
/* Signs and sends the responses that waited for the validation. */
void tree_release(struct session *session);

/* ---- session life on a link (session_life.c) ---- */
struct session *link_session(const struct link *link, uint64_t client_id);
/* Was the id given on this link, not long ago, to a login that came to nothing? */
bool link_login_failed(const struct link *link, uint64_t client_id);
/* Ends one session pair: answers what still waits with USER_SESSION_DELETED, tells the keeper and,
 * when `log_off`, the file server. Frees it. */
void session_end(struct session *session, bool log_off);

/* ---- ended_session.c ---- */
/* A session that ended on this link, by the client's id; NULL when it is not known (any more). */
struct ended_session *link_find_ended(const struct link *link, uint64_t client_id);
/* Its client leg's key, or NULL. */
struct signer *link_ended_signer(const struct link *link, uint64_t client_id);
/* What decrypts late messages of a leg in a session that has ended, or NULL. */
struct sealer *link_ended_opener(const struct leg *leg, uint64_t id);
/* Takes over the keys that may be needed still. When there is no room the oldest is forgotten. */
void link_remember_ended(struct link *link, struct session *session);
void link_free_ended(struct link *link);

/* ---- link_report.c: events ---- */

/* An event with everything the link and session (may be NULL) know; `extra` may override. */
struct report {
    struct audit_event event;
    char client_port[8], upstream_port[8], session[24], link[24], worker[12], status[16], guid[40];
    char claimed[SESSION_NAME_MAX];
};
void report_start(struct report *report, enum event_kind kind, const struct link *link,
                  const struct session *session, enum leg_role leg, const char *reason);
void report_status(struct report *report, uint32_t status);
/* Who somebody claims to be who has proved nothing. */
void report_claim(struct report *report, const struct identity *claimed);
/* Whom a session claims to be that is somebody already, who stays in the event. */
void report_claimed(struct report *report, const struct identity *claimed);
void report_send(struct worker *worker, const struct report *report);
/* Whoever has proved nothing, and a file server that invents breaks, may fill the log only so far:
 * then the link ends. Called once for each such event. */
void report_strike(struct link *link, enum event_kind kind);
/* Start, verdict and send in one, with a strike where it is due. */
void report_event(enum event_kind kind, struct link *link, const struct session *session,
                  enum leg_role leg, const char *reason, const char *verdict);

#endif
