#include "crypto/keeper_handle.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "crypto/evidence.h"

enum { SWEEP_MS = 60 * 1000 };

/* Whose handles, and how many of each kind. */
struct handle_owner {
    LIST_ENTRY(handle_owner) next;
    const void *owner;
    size_t proofs, renewals;
};

struct handle {
    TAILQ_ENTRY(handle) by_age;
    LIST_ENTRY(handle) by_digest;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct handle_owner *owner;
    uint64_t link;
    uint64_t expires;
    bool renewal;
    uint32_t upstream;
    enum login_kind login;
    struct evidence *evidence;
    struct packed_identity *identity;
};

void handles_init(struct handle_table *table)
{
    TAILQ_INIT(&table->proofs);
    TAILQ_INIT(&table->renewals);
    for (size_t i = 0; i < HANDLE_BUCKETS; i++)
        LIST_INIT(&table->buckets[i]);
    LIST_INIT(&table->owners);
    table->next_sweep = 0;
}

static struct handle_list *list_of(struct handle_table *table, bool renewal)
{
    return renewal ? &table->renewals : &table->proofs;
}

static size_t *count_of(struct handle_owner *owner, bool renewal)
{
    return renewal ? &owner->renewals : &owner->proofs;
}

/* An owner without handles is not remembered. */
static void drop_idle(struct handle_owner *owner)
{
    if (owner->proofs + owner->renewals)
        return;
    LIST_REMOVE(owner, next);
    free(owner);
}

static void free_handle(struct handle *handle)
{
    evidence_release(handle->evidence);
    free(handle->identity);
    OPENSSL_cleanse(handle, sizeof *handle);
    free(handle);
}

static void drop(struct handle_table *table, struct handle *handle)
{
    struct handle_owner *owner = handle->owner;
    TAILQ_REMOVE(list_of(table, handle->renewal), handle, by_age);
    LIST_REMOVE(handle, by_digest);
    (*count_of(owner, handle->renewal))--;
    free_handle(handle);
    drop_idle(owner);
}

/* Drops those of `owner`, or all when that is NULL, that have expired by `now`. */
static void drop_some(struct handle_table *table, struct handle_list *list, const void *owner,
                      uint64_t now)
{
    struct handle *handle = TAILQ_FIRST(list);
    while (handle) {
        struct handle *next = TAILQ_NEXT(handle, by_age);
        if ((!owner || handle->owner->owner == owner) && handle->expires <= now)
            drop(table, handle);
        handle = next;
    }
}

void handles_free(struct handle_table *table)
{
    drop_some(table, &table->proofs, NULL, UINT64_MAX);
    drop_some(table, &table->renewals, NULL, UINT64_MAX);
}

void handles_drop_owner(struct handle_table *table, const void *owner)
{
    drop_some(table, &table->proofs, owner, UINT64_MAX);
    drop_some(table, &table->renewals, owner, UINT64_MAX);
}

void handles_drop_expired(struct handle_table *table, uint64_t now)
{
    struct handle *oldest;
    while ((oldest = TAILQ_FIRST(&table->proofs)) && oldest->expires <= now)
        drop(table, oldest);
    if (now >= table->next_sweep) {
        drop_some(table, &table->renewals, NULL, now);
        table->next_sweep = now + SWEEP_MS;
    }
}

/* The owner's record, made when it has none; NULL when memory is short. */
static struct handle_owner *find_owner(struct handle_table *table, const void *owner)
{
    struct handle_owner *found;
    LIST_FOREACH(found, &table->owners, next)
    {
        if (found->owner == owner)
            return found;
    }
    found = calloc(1, sizeof *found);
    if (!found)
        return NULL;
    found->owner = owner;
    LIST_INSERT_HEAD(&table->owners, found, next);
    return found;
}

MUST_USE static bool digest_of(const uint8_t bytes[KEEPER_HANDLE_SIZE],
                               uint8_t digest[SHA256_DIGEST_LENGTH])
{
    return SHA256(bytes, KEEPER_HANDLE_SIZE, digest) != NULL;
}

static struct handle_bucket *bucket_of(struct handle_table *table,
                                       const uint8_t digest[SHA256_DIGEST_LENGTH])
{
    return &table->buckets[get_le32(digest) % HANDLE_BUCKETS];
}

static struct handle *find(struct handle_table *table, const uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct handle *handle = NULL;
    if (!digest_of(bytes, digest))
        return NULL;
    LIST_FOREACH(handle, bucket_of(table, digest), by_digest)
    {
        if (CRYPTO_memcmp(handle->digest, digest, sizeof digest) == 0)
            break;
    }
    return handle;
}

static struct handle *new_handle(const struct grant *grant, uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    handle->identity = identity_pack(&grant->identity);
    if (!handle->identity || RAND_bytes(bytes, KEEPER_HANDLE_SIZE) != 1 ||
        !digest_of(bytes, handle->digest)) {
        free_handle(handle);
        return NULL;
    }
    handle->evidence = evidence_hold(grant->evidence);
    handle->renewal = grant->renewal;
    handle->upstream = grant->upstream;
    handle->login = grant->login;
    return handle;
}

enum handle_made handles_make(struct handle_table *table, const void *owner, uint64_t link,
                              const struct grant *grant, uint64_t expires, uint64_t now,
                              uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    handles_drop_expired(table, now);
    struct handle_owner *record = find_owner(table, owner);
    if (!record)
        return HANDLE_FAILED;
    size_t most = grant->renewal ? RENEWALS_PER_OWNER : HANDLES_PER_OWNER;
    if (*count_of(record, grant->renewal) >= most)
        return HANDLE_TOO_MANY;
    struct handle *handle = new_handle(grant, bytes);
    if (!handle) {
        drop_idle(record);
        return HANDLE_FAILED;
    }
    handle->owner = record;
    handle->link = link;
    handle->expires = expires;
    (*count_of(record, grant->renewal))++;
    TAILQ_INSERT_TAIL(list_of(table, grant->renewal), handle, by_age);
    LIST_INSERT_HEAD(bucket_of(table, handle->digest), handle, by_digest);
    return HANDLE_MADE;
}

bool handles_take(struct handle_table *table, const void *owner, uint64_t link,
                  const uint8_t bytes[KEEPER_HANDLE_SIZE], uint64_t now, struct grant *grant)
{
    struct handle *handle = find(table, bytes);
    if (!handle)
        return false;
    bool good = handle->owner->owner == owner && handle->link == link && now < handle->expires;
    if (good) {
        grant->evidence = evidence_hold(handle->evidence);
        grant->renewal = handle->renewal;
        grant->upstream = handle->upstream;
        grant->login = handle->login;
        identity_unpack(handle->identity, &grant->identity);
    }
    drop(table, handle);
    return good;
}

bool handles_release(struct handle_table *table, const void *owner,
                     const uint8_t bytes[KEEPER_HANDLE_SIZE])
{
    struct handle *handle = find(table, bytes);
    if (!handle)
        return true;
    if (handle->owner->owner != owner)
        return false;
    drop(table, handle);
    return true;
}
