/*
 * Requests that went upstream and have not been answered yet.
 *
 * Each is found by the file server's MessageId, by the client's MessageId and, once an interim
 * response came, by its AsyncId. It is taken out before its final response is signed, so that no
 * MessageId is ever signed twice.
 */
#ifndef COUNTERSIGN_PROXY_PENDING_H
#define COUNTERSIGN_PROXY_PENDING_H

#include <sys/time.h>

#include "proxy/table.h"

struct session;
struct link;
struct lease;
struct pipe;

/* Whose request it is. */
enum pending_kind {
    PENDING_FORWARDED, /* the client's */
    PENDING_NEGOTIATE, /* our own, all below */
    PENDING_SESSION_SETUP,
    PENDING_VALIDATE,
    PENDING_CONFIRM, /* whether a file really ends where an unsigned answer says: proxy/quirk.c */
    PENDING_UNHEARD, /* whatever is answered, nobody waits for it any more */
};

enum interim_state {
    INTERIM_NONE,
    INTERIM_HELD, /* came from upstream, not yet passed on */
    INTERIM_SENT,
};

struct pending {
    struct table_entry by_upstream_id;
    struct table_entry by_client_id; /* FORWARDED only */
    struct table_entry by_async_id;  /* only when interim is not INTERIM_NONE */
    struct pending *session_next;    /* list of its session's, for when that ends */
    struct pending **session_link;
    struct pending *held_next; /* queue of held interim responses, oldest first */
    struct timeval held_until; /* monotonic */
    enum pending_kind kind;
    enum interim_state interim;
    uint16_t command;
    uint16_t upstream_charge;
    uint16_t client_charge;  /* CreditCharge as the client wrote it */
    uint16_t credits_wanted; /* what the client asked for and has not been granted */
    bool client_encrypts;    /* the client's answer is encrypted */
    bool upstream_encrypts;  /* it went upstream encrypted, so its response must come so */
    bool cancelled;          /* a CANCEL has gone upstream: never a second one */
    bool answered; /* we answered the client ourselves; the file server's answer is dropped */
    struct session *session; /* NULL for our NEGOTIATE */
    struct lease *lease;     /* CREATE: that it asks for; counted */
    struct pipe *pipe;       /* CREATE: that it opens; owned. NULL: a file */
    bool had_back;           /* CREATE: a handle that the recorder knows of */
    bool read_only;          /* CREATE: in a share where nothing may be changed */
    uint64_t related_next;   /* upstream id of the next request of its related chain; 0: none */
    uint8_t file_id[16];     /* CLOSE: what it closes; READ: what it reads, where quirks need it */
    uint8_t signature[16];   /* as it went upstream, where quirks need it */
    uint64_t read_offset;    /* READ: where, where quirks need it */
    uint64_t confirms;       /* PENDING_CONFIRM: upstream id of the READ */
    bool confirming;         /* READ: its answer has come and waits for that */
    uint32_t process_id;
    uint32_t tree_id;
    char *path;  /* TREE_CONNECT: as the client gave it, for the log; owned */
    char *share; /* … and its last part, for the rules; owned */
};

struct pending_table {
    struct table by_upstream_id;
    struct table by_client_id;
    struct table by_async_id;
    struct pending *held_first;
    struct pending **held_last;
    struct pending *spare; /* free list, linked by session_next */
    unsigned spare_count;
};

/* An empty table; freeing one frees the requests that are in it. */
void pending_table_init(struct pending_table *table);
void pending_table_free(struct pending_table *table);

/* A new entry with its ids; `session` may be NULL. NULL when out of memory. */
struct pending *pending_add(struct pending_table *table, enum pending_kind kind,
                            uint64_t upstream_id, struct session *session);
/* Makes a FORWARDED one findable by the client's id, which the credit window lets be used only
 * once. */
void pending_add_client_id(struct pending_table *table, struct pending *pending,
                           uint64_t client_id);
/* The file server has given it an AsyncId, which no other pending request has. */
void pending_set_async_id(struct pending_table *table, struct pending *pending, uint64_t async_id);
/* Takes it out and frees it, with what it owns. */
void pending_remove(struct pending_table *table, struct pending *pending);
/* We answered the client ourselves: the client's id is forgotten, the file server's is awaited. */
void pending_answered(struct pending_table *table, struct pending *pending);

/* The session of a request of our own has ended: what is answered is dropped. */
void pending_orphan(struct pending *pending);

/* The request of that id, or NULL. */
struct pending *pending_by_upstream_id(const struct pending_table *table, uint64_t id);
struct pending *pending_by_client_id(const struct pending_table *table, uint64_t id);
struct pending *pending_by_async_id(const struct pending_table *table, uint64_t id);

/* The queue of interim responses that are held back for a moment. */
void pending_hold(struct pending_table *table, struct pending *pending,
                  const struct timeval *until);
void pending_unhold(struct pending_table *table, struct pending *pending);

#endif
