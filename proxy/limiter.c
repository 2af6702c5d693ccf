#include "proxy/limiter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/table.h"

enum {
    /* One login from a source outweighs so many failures of it: a NAT with many users has some that
     * mistype. */
    SUCCESS_WEIGHT = 5,
    /* A failure is forgotten in so many times the longest delay, so that at full delay an attempt
     * weighs more than what is forgotten meanwhile. */
    FORGET_DELAYS = 2,
    DOUBLINGS_MAX = 30,
};

struct item {
    struct table_entry by_key;
    TAILQ_ENTRY(item) age; /* the longest unused first */
    enum limit_scope scope;
    uint32_t failures;
    uint64_t counted_ms; /* what has been forgotten up to then is no more in `failures` */
    uint64_t until_ms;
    uint64_t proven[LIMIT_EXEMPT_MAX]; /* a ring */
    unsigned proven_count, proven_next;
};

struct limiter {
    const struct config_authentication *config;
    struct table items;
    TAILQ_HEAD(items_by_age, item) by_age;
    size_t most;
    limiter_tell *tell;
    void *context;
};

struct limiter *limiter_new(const struct config_authentication *config, size_t most,
                            limiter_tell *tell, void *context)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter)
        return NULL;
    limiter->config = config;
    limiter->most = most;
    limiter->tell = tell;
    limiter->context = context;
    table_init(&limiter->items);
    TAILQ_INIT(&limiter->by_age);
    return limiter;
}

static void drop(struct limiter *limiter, struct item *item)
{
    TAILQ_REMOVE(&limiter->by_age, item, age);
    table_remove(&limiter->items, &item->by_key);
    free(item);
}

void limiter_free(struct limiter *limiter)
{
    if (!limiter)
        return;
    while (!TAILQ_EMPTY(&limiter->by_age))
        drop(limiter, TAILQ_FIRST(&limiter->by_age));
    table_free(&limiter->items);
    free(limiter);
}

size_t limiter_count(const struct limiter *limiter)
{
    return limiter->items.count;
}

/* Found or made, and now the last to be forgotten; NULL when out of memory. */
static struct item *item_of(struct limiter *limiter, enum limit_scope scope, uint64_t key,
                            uint64_t now_ms)
{
    struct table_entry *entry = table_find(&limiter->items, key);
    struct item *item = entry ? CONTAINER_OF(entry, struct item, by_key) : NULL;
    if (item) {
        TAILQ_REMOVE(&limiter->by_age, item, age);
        TAILQ_INSERT_TAIL(&limiter->by_age, item, age);
        return item;
    }
    if (limiter->items.count >= limiter->most)
        drop(limiter, TAILQ_FIRST(&limiter->by_age));
    item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    item->scope = scope;
    item->counted_ms = now_ms;
    table_add(&limiter->items, &item->by_key, key);
    TAILQ_INSERT_TAIL(&limiter->by_age, item, age);
    return item;
}

static void describe(const struct item *item, struct limit *limit)
{
    *limit = (struct limit){.scope = item->scope,
                            .key = item->by_key.key,
                            .until_ms = item->until_ms,
                            .exempt_count = item->proven_count};
    memcpy(limit->exempt, item->proven, sizeof limit->exempt);
}

static void tell(struct limiter *limiter, const struct item *item)
{
    struct limit limit;
    describe(item, &limit);
    limiter->tell(limiter->context, &limit);
}

static void forget_old(const struct limiter *limiter, struct item *item, uint64_t now_ms)
{
    uint64_t each = (uint64_t)limiter->config->delay_max * FORGET_DELAYS;
    uint64_t gone = (now_ms - item->counted_ms) / each;
    item->counted_ms += gone * each;
    item->failures -= gone < item->failures ? (uint32_t)gone : item->failures;
    if (item->failures == 0)
        item->counted_ms = now_ms;
}

static uint32_t allowed(const struct limiter *limiter, enum limit_scope scope)
{
    switch (scope) {
    case LIMIT_PAIR: return limiter->config->failures;
    case LIMIT_SOURCE: return limiter->config->failures_per_source;
    case LIMIT_USER: break;
    }
    return limiter->config->failures_per_user;
}

/* `beyond`: how many failures more than are free, from 1 on. */
static uint64_t delay(const struct limiter *limiter, uint32_t beyond)
{
    uint32_t doublings = beyond - 1 < DOUBLINGS_MAX ? beyond - 1 : DOUBLINGS_MAX;
    uint64_t wait = (uint64_t)LIMIT_DELAY_FIRST_MS << doublings;
    return wait < limiter->config->delay_max ? wait : limiter->config->delay_max;
}

static void add_failure(struct limiter *limiter, struct item *item, uint64_t now_ms)
{
    uint32_t free_ones = allowed(limiter, item->scope);
    /* More would only have to be forgotten again. */
    if (item->failures < free_ones + DOUBLINGS_MAX)
        item->failures++;
    if (item->failures < free_ones)
        return;
    item->until_ms = now_ms + delay(limiter, item->failures - free_ones + 1);
    tell(limiter, item);
}

static bool has_proven(const struct item *item, uint64_t other)
{
    for (unsigned i = 0; i < item->proven_count; i++)
        if (item->proven[i] == other)
            return true;
    return false;
}

/* `other`: the user of a source, the source of a user; 0 for a pair. */
static void add_success(struct limiter *limiter, struct item *item, uint64_t other, uint64_t now_ms)
{
    bool limited = item->until_ms > now_ms;
    bool known = has_proven(item, other);
    if (item->scope == LIMIT_PAIR) {
        item->failures = 0;
        item->until_ms = 0;
    } else {
        item->failures -= SUCCESS_WEIGHT < item->failures ? SUCCESS_WEIGHT : item->failures;
    }
    if (other && !known) {
        item->proven[item->proven_next] = other;
        item->proven_next = (item->proven_next + 1) % LIMIT_EXEMPT_MAX;
        if (item->proven_count < LIMIT_EXEMPT_MAX)
            item->proven_count++;
    }
    if (limited && !(other && known))
        tell(limiter, item);
}

void limiter_note(struct limiter *limiter, const struct attempt_key *attempt, bool proven,
                  uint64_t now_ms)
{
    const uint64_t others[LIMIT_SCOPES] = {
        [LIMIT_SOURCE] = attempt->of[LIMIT_USER],
        [LIMIT_USER] = attempt->of[LIMIT_SOURCE],
    };
    if (!limiter->config->delay_max)
        return;
    for (unsigned scope = 0; scope < LIMIT_SCOPES; scope++) {
        struct item *item = item_of(limiter, (enum limit_scope)scope, attempt->of[scope], now_ms);
        if (!item)
            continue;
        forget_old(limiter, item, now_ms);
        if (proven)
            add_success(limiter, item, others[scope], now_ms);
        else
            add_failure(limiter, item, now_ms);
    }
}

void limiter_tell_all(struct limiter *limiter, uint64_t now_ms, limiter_tell *to, void *context)
{
    struct item *item;
    TAILQ_FOREACH(item, &limiter->by_age, age)
    {
        struct limit limit;
        if (item->until_ms <= now_ms)
            continue;
        describe(item, &limit);
        to(context, &limit);
    }
}
