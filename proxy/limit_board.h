/*
 * What a worker knows of the limiter's delays: those that are in force. Nobody has to be asked
 * before a client is let in or refused.
 */
#ifndef COUNTERSIGN_PROXY_LIMIT_BOARD_H
#define COUNTERSIGN_PROXY_LIMIT_BOARD_H

#include <sys/queue.h>

#include "proxy/limiter.h"
#include "proxy/table.h"

/* How many delays are held; further ones push out the oldest. */
enum { LIMIT_BOARD_MAX = 16384 };

struct limit_board {
    bool keyed;
    struct siphash_key key; /* the recorder's */
    struct table limits;
    TAILQ_HEAD(limits_by_age, posted_limit) by_age;
};

/* A board without delays and, until limit_board_key(), without a key. */
void limit_board_init(struct limit_board *board);
void limit_board_free(struct limit_board *board);
/* The recorder is another one: what the last one said is under keys that are no more. */
void limit_board_key(struct limit_board *board, const struct siphash_key *key);
/* Nothing happens when out of memory. */
void limit_board_post(struct limit_board *board, const struct limit *limit, uint64_t now_ms);

/* True when nobody from there is to be let in now: the source is delayed, and nobody has ever
 * logged in from it. */
bool limit_board_closes(const struct limit_board *board, const char *address, uint64_t now_ms);

/* Why the login of a user is refused now, as a stable word; NULL when it is not. */
const char *limit_board_refuses(const struct limit_board *board, const struct attempt_key *attempt,
                                uint64_t now_ms);

#endif
