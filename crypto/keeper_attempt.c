#include "crypto/keeper_attempt.h"

void attempts_init(struct attempt_table *table)
{
    TAILQ_INIT(&table->by_age);
    for (size_t i = 0; i < ATTEMPT_BUCKETS; i++)
        LIST_INIT(&table->by_number[i]);
}

struct attempt *attempts_find(const struct attempt_table *table, uint64_t number)
{
    struct attempt *attempt;
    LIST_FOREACH(attempt, &table->by_number[number % ATTEMPT_BUCKETS], by_number)
    {
        if (attempt->number == number)
            return attempt;
    }
    return NULL;
}

void attempts_add(struct attempt_table *table, struct attempt *attempt)
{
    TAILQ_INSERT_TAIL(&table->by_age, attempt, by_age);
    LIST_INSERT_HEAD(&table->by_number[attempt->number % ATTEMPT_BUCKETS], attempt, by_number);
}

void attempts_remove(struct attempt_table *table, struct attempt *attempt)
{
    TAILQ_REMOVE(&table->by_age, attempt, by_age);
    LIST_REMOVE(attempt, by_number);
}

struct attempt *attempts_any(const struct attempt_table *table)
{
    return TAILQ_FIRST(&table->by_age);
}

struct attempt *attempts_expired(const struct attempt_table *table, uint64_t now)
{
    struct attempt *attempt;
    TAILQ_FOREACH(attempt, &table->by_age, by_age)
    {
        if (now - attempt->begun < ATTEMPT_LIFETIME_MS)
            return NULL;
        if (!attempt->busy)
            return attempt;
    }
    return NULL;
}
