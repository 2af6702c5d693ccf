/*
 * Credits (MS-SMB2 3.2.4.1.2, 3.3.1.1, 3.3.1.2): which MessageIds a client may use, and how many
 * requests the file server still takes.
 */
#ifndef COUNTERSIGN_PROXY_CREDIT_H
#define COUNTERSIGN_PROXY_CREDIT_H

#include "crypto/cursor.h"

enum { CREDIT_WINDOW = 8192 };

/* The client leg: we are the server. Ids from `low` to `high` - 1 have been granted; those in use
 * are marked. */
struct credit_window {
    uint64_t low;
    uint64_t high;
    uint32_t available; /* granted and not used yet */
    uint64_t used[CREDIT_WINDOW / 64];
};

/* One id is granted: the client's first, 0. */
void credit_window_init(struct credit_window *window);

/* Uses up `charge` (at least 1) consecutive ids from `message_id` on. False, with nothing changed,
 * when one of them was not granted or has been used: a violation of the protocol. */
MUST_USE bool credit_window_take(struct credit_window *window, uint64_t message_id,
                                 uint32_t charge);

/* True when the id has been used already: what comes under it is a repetition. */
bool credit_window_used(const struct credit_window *window, uint64_t message_id);

/* Grants up to `wanted` more and says how many: fewer when the window is as wide as it gets. */
uint16_t credit_window_grant(struct credit_window *window, uint32_t wanted);

/* The upstream leg: we are the client, and use ids in order. */
struct credit_purse {
    uint64_t next_id;
    uint32_t available;
    uint32_t outstanding; /* spent on requests not answered yet */
};

/* As a connection begins: one credit, for MessageId 0. */
void credit_purse_init(struct credit_purse *purse);
/* Takes `charge` ids; the first of them. The caller has seen to it that they are available. */
uint64_t credit_purse_spend(struct credit_purse *purse, uint32_t charge);
/* A response: what its request had spent is no longer outstanding, and `granted` more are
 * available. */
void credit_purse_settle(struct credit_purse *purse, uint32_t charge, uint32_t granted);

#endif
