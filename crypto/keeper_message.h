/*
 * The messages between a worker and the keeper, and the supervisor's control messages to the
 * keeper. Bodies are packed little-endian; texts and blobs are le32 length and bytes; a body must
 * be consumed to its end. Every decoder checks every length and answers false for anything else.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_MESSAGE_H
#define COUNTERSIGN_CRYPTO_KEEPER_MESSAGE_H

#include "crypto/keeper.h"

enum keeper_message {
    /* supervisor → any child (shared by all control channels) */
    CONTROL_STOP = 1,     /* end cleanly */
    CONTROL_RELOAD = 2,   /* use what was prepared, if anything; the keeper reads the credentials
                             again unless it just did, the recorder opens its log again. Body: empty,
                             or struct control_reload */
    CONTROL_PEER = 3,     /* with a descriptor: a new channel; body: struct control_peer */
    CONTROL_READY = 4,    /* child → supervisor: start-up done */
    CONTROL_PREPARE = 5,  /* keeper, workers: with a descriptor of the new configuration's text;
                             body: le32 number of its generation, to workers followed by addresses
                             (proxy/generation.h) */
    CONTROL_LISTENER = 6, /* workers: with the next listening socket of what is being prepared */
    CONTROL_PREPARED = 7, /* child → supervisor, struct control_prepared. One for each PREPARE, of
                             the recorder for each RELOAD, of workers for each RELOAD and ABORT */
    CONTROL_ABORT = 8,    /* what was prepared is not wanted */

    /* worker → keeper */
    KEEPER_ACCEPT = 16,  /* struct keeper_accept: a client's token for an attempt */
    KEEPER_LOGIN = 17,   /* struct keeper_login: start the upstream login of a proven identity */
    KEEPER_STEP = 18,    /* struct keeper_step: the file server's token */
    KEEPER_FORGET = 19,  /* struct keeper_forget: the attempt or login is abandoned */
    KEEPER_RELEASE = 20, /* struct keeper_release: a renewal handle is not needed any more */

    /* keeper → worker; one for each ACCEPT, LOGIN or STEP */
    KEEPER_CONTINUE = 32, /* struct keeper_continue: send this token to the client or file server */
    KEEPER_PROVEN = 33,   /* struct keeper_proven: the client is who it says */
    KEEPER_LOGGED_IN =
        34,              /* struct keeper_logged_in: upstream authentication complete on our side */
    KEEPER_REFUSED = 35, /* struct keeper_refused */
};

/* Which process is at the other end of a descriptor that arrives with CONTROL_PEER. */
enum peer_role { PEER_KEEPER = 1, PEER_RECORDER = 2, PEER_WORKER = 3 };
struct control_peer {
    enum peer_role role;
    uint32_t index; /* of a worker; 0 otherwise */
};

/* Generations of the configuration before `oldest` are not used by any worker. `apply`: sessions
 * that are up are judged anew. */
struct control_reload {
    uint32_t oldest;
    bool apply;
};

/* `oldest`: the oldest generation that the process still uses. `problem` is a sentence for the
 * administrator, empty when it is ready. */
struct control_prepared {
    uint32_t oldest;
    struct span problem;
};

/* Listeners and upstreams are numbered within their generation of the configuration. */
enum { KEEPER_INDEX_BITS = 8 };

/* `attempt` is the worker's own number for one authentication, unique on its channel until it ended
 * by PROVEN, REFUSED or FORGET; `link` is the worker's number for the link. The first ACCEPT with
 * an unknown attempt begins it. `client` is the client's address as text, for the log; `called` the
 * address that it connected to, at a transparent listener, else empty. */
struct keeper_accept {
    uint64_t attempt;
    uint64_t link;
    uint32_t listener;
    struct span client;
    struct span called;
    struct span token;
};

/* Starts the upstream login `attempt` (a number of its own in the same number space) for a handle.
 */
struct keeper_login {
    uint64_t attempt;
    uint64_t link;
    uint32_t upstream;
    uint8_t handle[KEEPER_HANDLE_SIZE];
};

struct keeper_step {
    uint64_t attempt;
    struct span token;
};

/* `refused`: of a login only; the file server was shown its proof and refused the credential, so
 * that the account must rest before another login tries it. */
struct keeper_forget {
    uint64_t attempt;
    bool refused;
};

/* `key` is set (size > 0) once the login's session key exists, so that the worker can verify the
 * file server's final response; always empty for the client's side. */
struct keeper_continue {
    uint64_t attempt;
    struct span token;
    struct session_key key;
    struct span login;   /* upstream only: "same", "mapped" */
    struct span account; /* upstream only: DOMAIN\user it logs in as */
    bool fell_back;      /* upstream only: an earlier login of the list could not be used */
    struct span
        fallback; /* why, a stable word ("no_credential", or a refusal's name); else empty */
};

struct keeper_proven {
    uint64_t attempt;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct session_key key;
    struct span token; /* for the client's final response; may be empty */
    struct identity identity;
};

/* `renewal`: a handle for one later login of the same identity to the same file server, to renew
 * this session before `expires`; all zeros when only the client itself can renew it (`ticket`). It
 * lives until it is used, released, or the identity's own proof has run out. */
struct keeper_logged_in {
    uint64_t attempt;
    struct session_key key;
    uint8_t renewal[KEEPER_HANDLE_SIZE];
    int64_t expires; /* seconds since 1970 UTC: when what was shown upstream runs out; 0: never */
};

struct keeper_release {
    uint8_t handle[KEEPER_HANDLE_SIZE];
};

/* Why a request was refused: a refusal of the authentication itself, or one of the keeper's own. */
enum keeper_reason {
    KEEPER_REASON_REFUSAL,       /* see `refusal` */
    KEEPER_REASON_BAD_HANDLE,    /* unknown, used, expired, or of another link or worker */
    KEEPER_REASON_NO_CREDENTIAL, /* no login of the upstream's list has a credential for the
                                    identity */
    KEEPER_REASON_BUSY,          /* too many attempts open */
    KEEPER_REASON_BACK_OFF,      /* the file server refused the account's credential: it rests */
    KEEPER_REASON_INTERNAL,
};
const char *keeper_reason_name(enum keeper_reason reason); /* stable, for logs */

struct keeper_refused {
    uint64_t attempt;
    enum keeper_reason reason;
    enum refusal refusal;
    uint32_t status;          /* the NT status that winbind gave; 0 when it was not asked */
    struct identity identity; /* as claimed; may be empty */
};

/* Encoders write a body; writer_done() tells whether it fitted. Decoders borrow from `body`. */
void control_reload_write(struct writer *writer, const struct control_reload *message);
MUST_USE bool control_reload_read(struct span body, struct control_reload *message);
void control_prepared_write(struct writer *writer, const struct control_prepared *message);
MUST_USE bool control_prepared_read(struct span body, struct control_prepared *message);
void control_peer_write(struct writer *writer, const struct control_peer *message);
MUST_USE bool control_peer_read(struct span body, struct control_peer *message);
void keeper_accept_write(struct writer *writer, const struct keeper_accept *message);
MUST_USE bool keeper_accept_read(struct span body, struct keeper_accept *message);
void keeper_login_write(struct writer *writer, const struct keeper_login *message);
MUST_USE bool keeper_login_read(struct span body, struct keeper_login *message);
void keeper_step_write(struct writer *writer, const struct keeper_step *message);
MUST_USE bool keeper_step_read(struct span body, struct keeper_step *message);
void keeper_forget_write(struct writer *writer, const struct keeper_forget *message);
MUST_USE bool keeper_forget_read(struct span body, struct keeper_forget *message);
void keeper_release_write(struct writer *writer, const struct keeper_release *message);
MUST_USE bool keeper_release_read(struct span body, struct keeper_release *message);
void keeper_continue_write(struct writer *writer, const struct keeper_continue *message);
MUST_USE bool keeper_continue_read(struct span body, struct keeper_continue *message);
void keeper_proven_write(struct writer *writer, const struct keeper_proven *message);
MUST_USE bool keeper_proven_read(struct span body, struct keeper_proven *message);
void keeper_logged_in_write(struct writer *writer, const struct keeper_logged_in *message);
MUST_USE bool keeper_logged_in_read(struct span body, struct keeper_logged_in *message);
void keeper_refused_write(struct writer *writer, const struct keeper_refused *message);
MUST_USE bool keeper_refused_read(struct span body, struct keeper_refused *message);

#endif
