/*
 * A session pair: a client session and the upstream session opened for it. Two SessionIds, two sets
 * of keys, one identity, bound for life.
 */
#ifndef COUNTERSIGN_PROXY_SESSION_H
#define COUNTERSIGN_PROXY_SESSION_H

#include "crypto/keeper_message.h"
#include "crypto/sealer.h"
#include "proxy/pending.h"
#include "proxy/recall.h"
#include "proxy/smb2.h"

enum session_state {
    SESSION_AUTHENTICATING, /* the client's tokens go to the keeper */
    SESSION_LOGGING_IN,     /* the client is proven; the upstream session is being opened */
    SESSION_VALID,          /* both sides are up */
    SESSION_RENEWING,       /* valid, while the client authenticates again */
    SESSION_LOGGING_OFF,    /* a LOGOFF is on its way upstream */
    SESSION_ENDED,          /* not found any more; waits for its last pending requests */
};

/* Which party must move next in an authentication; at most one step is in flight. */
enum login_step {
    STEP_IDLE,
    STEP_KEEPER_ACCEPT,   /* waits for the keeper about the client's token */
    STEP_CLIENT,          /* waits for the client's next SESSION_SETUP */
    STEP_MEMORY,          /* waits for what is remembered of how the client authenticates */
    STEP_DIRECTORY,       /* waits for what the client's previous session was upstream */
    STEP_KEEPER_LOGIN,    /* waits for the keeper's next token for the file server */
    STEP_UPSTREAM_CREDIT, /* has a token for the file server and waits for a credit */
    STEP_UPSTREAM,        /* waits for the file server's SESSION_SETUP response */
    STEP_KEEPER_CONFIRM, /* the file server said SUCCESS; waits for the keeper to check its token */
    STEP_KEEPER_KEY,     /* the same, in a response that is kept until the keeper has its key */
};

enum { TREES_MAX = 16384 }; /* of all sessions of one link */

/* A share that a session is connected to. TreeIds are the file server's on both legs. */
struct tree {
    struct table_entry by_id;
    bool client_encrypts; /* requests on it must be encrypted */
    bool upstream_encrypts;
    bool pipes;           /* what is opened in it are named pipes */
    bool read_only;       /* by a rule: nothing in it may be changed */
    bool read_only_audit; /* … but changes are only recorded */
    bool leaving;         /* its TREE_DISCONNECT is on its way: its id may be another's already */
    uint32_t told;        /* bits of commands of which it has been recorded */
    char *rule;           /* whose verdict it is; NULL: none. Owned, as the next */
    char *path;           /* as the client gave it, for the log, which may cut it */
    char *share;          /* its name, whole: rules are asked about it again */
};

/* A response that waits until the upstream leg has been validated (MS-SMB2 3.2.5.5). */
struct held_response {
    struct held_response *next;
    size_t size;
    bool encrypt;
    uint8_t message[];
};

enum { SESSION_NAME_MAX = 2 * IDENTITY_NAME_MAX + 2 };

/* A token that a session owns. */
struct kept_token {
    uint8_t *at;
    size_t size;
};

struct session {
    struct table_entry by_client_id;
    struct table_entry by_query;       /* in a table only while query is not 0 */
    struct table_entry by_upstream_id; /* in a table only while upstream_id is not 0 */
    struct link *link;
    uint64_t client_id;
    uint64_t upstream_id;
    enum session_state state;
    enum login_step step;
    uint64_t attempt;              /* at the keeper; 0: none */
    uint32_t keeper_listener;      /* as the attempt's first message named it to the keeper */
    uint32_t keeper_upstream;      /* as the login named it, and each renewal has to */
    uint64_t query;                /* at the session directory; 0: none */
    uint64_t previous_id;          /* PreviousSessionId as the client gave it */
    uint64_t upstream_previous_id; /* the file server's id of that session; 0: none */

    struct preauth_hash client_preauth;
    struct preauth_hash upstream_preauth;
    struct session_key upstream_key; /* wiped once the keys are derived */
    struct signer *client_signer;
    struct signer *upstream_signer;
    /* Where the leg has a cipher; NULL otherwise. */
    struct sealer *client_seal;
    struct sealer *client_open;
    struct sealer *upstream_seal;
    struct sealer *upstream_open;
    bool client_encrypts; /* every message of the session on that leg */
    bool upstream_encrypts;
    bool expiry_told;      /* that the client's proof has run out is in the log */
    bool upstream_expired; /* the file server wants it authenticated again; the client has been told
                            */
    /* Renewal upstream without the client: proxy/renewal.h. */
    bool renewable; /* `renewal` is a handle */
    uint8_t renewal[KEEPER_HANDLE_SIZE];
    int64_t upstream_expires;     /* Unix seconds: when what the file server was shown runs out */
    struct event *renewal_timer;  /* NULL: never needed */
    bool renews_alone;            /* under way */
    bool renewal_shown;           /* and the file server has seen something of it */
    struct kept_token kept_setup; /* the client's SESSION_SETUP message that came meanwhile */
    bool kept_setup_encrypted;
    struct table trees; /* struct tree by TreeId */

    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct identity *identity; /* NULL until proven */
    bool rule_encrypts;        /* a rule demands it of the client leg */
    unsigned rule_recorded;    /* at login, by rule number + 1; 0: none */
    struct recall recall;      /* of how it authenticated */
    bool names_differ;         /* the client called us by different names */
    bool names_told;
    bool guarded; /* one of its trees has pipes, or may not be changed */
    char login[16];
    char account[SESSION_NAME_MAX];
    bool fell_back;

    /* The client's SESSION_SETUP that waits for its answer. */
    uint64_t setup_message_id;
    uint16_t setup_credits;
    bool setup_waiting;
    bool setup_encrypted;
    uint64_t challenged_ms;          /* by clock_ms(): when STEP_CLIENT began */
    struct kept_token final_token;   /* the client's, for when the upstream session is up */
    struct kept_token waiting_token; /* the file server's, while there is no credit */
    struct kept_token last_response; /* the file server's SUCCESS, until there is its key */

    bool client_proved_key; /* a validly signed request came after SUCCESS */
    bool validated;         /* the upstream leg's NEGOTIATE has been confirmed */
    bool validating;        /* its first TREE_CONNECT has been answered upstream */
    bool validate_sent;
    uint32_t validate_tree_id;
    struct held_response *held_first;
    struct held_response **held_last;

    struct pending *pending_first;
    struct session *next_waiting; /* for an upstream credit, to log in */
};

/* A session with a random client SessionId that is in neither table yet. NULL when out of memory or
 * randomness. */
struct session *session_new(struct link *link);

/* Wipes the keys and frees all. It must be in no table and have no pending requests. */
void session_free(struct session *session);

/* Takes a tree out of its session, and frees it. */
void session_free_tree(struct session *session, struct tree *tree);

/* Keeps a copy of a token, in place of the one kept before. False when out of memory. */
MUST_USE bool token_keep(struct kept_token *kept, struct span token);
void token_drop(struct kept_token *kept);

#endif
