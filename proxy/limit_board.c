#include "proxy/limit_board.h"

#include <stdlib.h>

struct posted_limit {
    struct table_entry by_key;
    TAILQ_ENTRY(posted_limit) age;
    struct limit limit;
};

void limit_board_init(struct limit_board *board)
{
    board->keyed = false;
    table_init(&board->limits);
    TAILQ_INIT(&board->by_age);
}

static void drop(struct limit_board *board, struct posted_limit *posted)
{
    TAILQ_REMOVE(&board->by_age, posted, age);
    table_remove(&board->limits, &posted->by_key);
    free(posted);
}

void limit_board_free(struct limit_board *board)
{
    while (!TAILQ_EMPTY(&board->by_age))
        drop(board, TAILQ_FIRST(&board->by_age));
    table_free(&board->limits);
}

void limit_board_key(struct limit_board *board, const struct siphash_key *key)
{
    limit_board_free(board);
    limit_board_init(board);
    board->key = *key;
    board->keyed = true;
}

static struct posted_limit *find(const struct limit_board *board, uint64_t key)
{
    struct table_entry *entry = table_find(&board->limits, key);
    return entry ? CONTAINER_OF(entry, struct posted_limit, by_key) : NULL;
}

void limit_board_post(struct limit_board *board, const struct limit *limit, uint64_t now_ms)
{
    struct posted_limit *posted = find(board, limit->key), *oldest;
    if (posted)
        drop(board, posted);
    while ((oldest = TAILQ_FIRST(&board->by_age)) &&
           (oldest->limit.until_ms <= now_ms || board->limits.count >= LIMIT_BOARD_MAX))
        drop(board, oldest);
    if (limit->until_ms <= now_ms || !(posted = malloc(sizeof *posted)))
        return;
    posted->limit = *limit;
    table_add(&board->limits, &posted->by_key, limit->key);
    TAILQ_INSERT_TAIL(&board->by_age, posted, age);
}

/* The limit that is in force, or NULL. */
static const struct limit *in_force(const struct limit_board *board, uint64_t key, uint64_t now_ms)
{
    const struct posted_limit *posted = find(board, key);
    return posted && posted->limit.until_ms > now_ms ? &posted->limit : NULL;
}

static bool exempts(const struct limit *limit, uint64_t other)
{
    for (unsigned i = 0; i < limit->exempt_count; i++)
        if (limit->exempt[i] == other)
            return true;
    return false;
}

bool limit_board_closes(const struct limit_board *board, const char *address, uint64_t now_ms)
{
    if (!board->keyed || !board->limits.count)
        return false;
    const struct limit *limit = in_force(board, limit_source_key(&board->key, address), now_ms);
    return limit && limit->exempt_count == 0;
}

const char *limit_board_refuses(const struct limit_board *board, const struct attempt_key *attempt,
                                uint64_t now_ms)
{
    const struct limit *source = in_force(board, attempt->of[LIMIT_SOURCE], now_ms);
    const struct limit *user = in_force(board, attempt->of[LIMIT_USER], now_ms);
    if (in_force(board, attempt->of[LIMIT_PAIR], now_ms))
        return "user_from_source";
    if (source && !exempts(source, attempt->of[LIMIT_USER]))
        return "source";
    if (user && !exempts(user, attempt->of[LIMIT_SOURCE]))
        return "user";
    return NULL;
}
