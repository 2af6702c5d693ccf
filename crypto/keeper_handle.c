#include "crypto/keeper_handle.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

struct handle {
    TAILQ_ENTRY(handle) next;
    uint8_t bytes[KEEPER_HANDLE_SIZE];
    const void *owner;
    uint64_t link;
    uint64_t expires;
    struct identity identity;
};

void handles_init(struct handle_table *table)
{
    TAILQ_INIT(&table->by_age);
}

static void drop(struct handle_table *table, struct handle *handle)
{
    TAILQ_REMOVE(&table->by_age, handle, next);
    OPENSSL_cleanse(handle, sizeof *handle);
    free(handle);
}

void handles_free(struct handle_table *table)
{
    while (!TAILQ_EMPTY(&table->by_age))
        drop(table, TAILQ_FIRST(&table->by_age));
}

void handles_drop_owner(struct handle_table *table, const void *owner)
{
    struct handle *handle = TAILQ_FIRST(&table->by_age);
    while (handle) {
        struct handle *next = TAILQ_NEXT(handle, next);
        if (handle->owner == owner)
            drop(table, handle);
        handle = next;
    }
}

void handles_drop_expired(struct handle_table *table, uint64_t now)
{
    struct handle *oldest;
    while ((oldest = TAILQ_FIRST(&table->by_age)) && oldest->expires <= now)
        drop(table, oldest);
}

static size_t count_of(const struct handle_table *table, const void *owner)
{
    const struct handle *handle;
    size_t count = 0;
    TAILQ_FOREACH(handle, &table->by_age, next)
    {
        if (handle->owner == owner)
            count++;
    }
    return count;
}

enum handle_made handles_make(struct handle_table *table, const void *owner, uint64_t link,
                              const struct identity *identity, uint64_t now,
                              uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    handles_drop_expired(table, now);
    if (count_of(table, owner) >= HANDLES_PER_OWNER)
        return HANDLE_TOO_MANY;
    struct handle *handle = malloc(sizeof *handle);
    if (!handle)
        return HANDLE_FAILED;
    if (RAND_bytes(handle->bytes, sizeof handle->bytes) != 1) {
        free(handle);
        return HANDLE_FAILED;
    }
    handle->owner = owner;
    handle->link = link;
    handle->expires = now + HANDLE_LIFETIME_MS;
    handle->identity = *identity;
    TAILQ_INSERT_TAIL(&table->by_age, handle, next);
    struct writer writer = writer_over(bytes, KEEPER_HANDLE_SIZE);
    write_bytes(&writer, handle->bytes, sizeof handle->bytes);
    return HANDLE_MADE;
}

/* Looks at every handle whole, so that the time taken tells nothing about how near a guess was. */
static struct handle *find(const struct handle_table *table,
                           const uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    struct handle *found = NULL;
    struct handle *handle;
    TAILQ_FOREACH(handle, &table->by_age, next)
    {
        if (CRYPTO_memcmp(handle->bytes, bytes, sizeof handle->bytes) == 0)
            found = handle;
    }
    return found;
}

bool handles_take(struct handle_table *table, const void *owner, uint64_t link,
                  const uint8_t bytes[KEEPER_HANDLE_SIZE], uint64_t now, struct identity *identity)
{
    struct handle *handle = find(table, bytes);
    if (!handle)
        return false;
    bool good = handle->owner == owner && handle->link == link && now < handle->expires;
    if (good)
        *identity = handle->identity;
    drop(table, handle);
    return good;
}
