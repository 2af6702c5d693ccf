#include "crypto/ticket_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <openssl/crypto.h>

#include "crypto/kerberos.h"

enum { FRESH_SECONDS = 15 * 60, VALID_SECONDS = 60, FRESH_PART = 4, VALID_PART = 10 };

struct cached {
    TAILQ_ENTRY(cached) by_use;
    uint32_t upstream;
    enum login_kind login;
    char *client;
    krb5_creds *creds;
};

struct ticket_cache {
    pthread_mutex_t lock;                   /* of all of it */
    TAILQ_HEAD(cached_list, cached) by_use; /* longest unused first */
    size_t count;
    unsigned era;
};

struct ticket_cache *ticket_cache_new(void)
{
    struct ticket_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    TAILQ_INIT(&cache->by_use);
    return cache;
}

static void free_cached(struct cached *cached)
{
    krb5_free_creds(kerberos_context(), cached->creds);
    free(cached->client);
    free(cached);
}

static void drop(struct ticket_cache *cache, struct cached *cached)
{
    TAILQ_REMOVE(&cache->by_use, cached, by_use);
    cache->count--;
    free_cached(cached);
}

void ticket_cache_clear(struct ticket_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    while (!TAILQ_EMPTY(&cache->by_use))
        drop(cache, TAILQ_FIRST(&cache->by_use));
    cache->era++;
    pthread_mutex_unlock(&cache->lock);
}

void ticket_cache_free(struct ticket_cache *cache)
{
    if (!cache)
        return;
    ticket_cache_clear(cache);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

bool ticket_lives(const krb5_ticket_times *times, enum ticket_life life, int64_t now)
{
    int64_t start = kerberos_time(times->starttime ? times->starttime : times->authtime);
    int64_t end = kerberos_time(times->endtime);
    int64_t needed = (end - start) / (life == TICKET_FRESH ? FRESH_PART : VALID_PART);
    int64_t most = life == TICKET_FRESH ? FRESH_SECONDS : VALID_SECONDS;
    return end - now > (needed < most ? needed : most);
}

static struct cached *find(const struct ticket_cache *cache, const struct ticket_key *key)
{
    struct cached *cached;
    TAILQ_FOREACH(cached, &cache->by_use, by_use)
    {
        if (cached->upstream == key->upstream && cached->login == key->login &&
            strcmp(cached->client, key->client) == 0)
            return cached;
    }
    return NULL;
}

/* Copies; false when memory is short. */
MUST_USE static bool copy_creds(krb5_context context, const krb5_creds *from, krb5_creds *to)
{
    krb5_creds *copy;
    if (krb5_copy_creds(context, from, &copy) != 0)
        return false;
    *to = *copy;
    OPENSSL_cleanse(copy, sizeof *copy);
    free(copy);
    return true;
}

bool ticket_cache_find(struct ticket_cache *cache, krb5_context context,
                       const struct ticket_key *key, enum ticket_life life, krb5_creds *creds)
{
    bool found = false;
    pthread_mutex_lock(&cache->lock);
    struct cached *cached = find(cache, key);
    if (cached) {
        TAILQ_REMOVE(&cache->by_use, cached, by_use);
        TAILQ_INSERT_TAIL(&cache->by_use, cached, by_use);
        found = ticket_lives(&cached->creds->times, life, time(NULL)) &&
                copy_creds(context, cached->creds, creds);
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

unsigned ticket_cache_era(struct ticket_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    unsigned era = cache->era;
    pthread_mutex_unlock(&cache->lock);
    return era;
}

static struct cached *new_cached(krb5_context context, const struct ticket_key *key,
                                 const krb5_creds *creds)
{
    struct cached *cached = calloc(1, sizeof *cached);
    if (!cached)
        return NULL;
    cached->upstream = key->upstream;
    cached->login = key->login;
    cached->client = strdup(key->client);
    if (cached->client && krb5_copy_creds(context, creds, &cached->creds) == 0)
        return cached;
    free_cached(cached);
    return NULL;
}

void ticket_cache_keep(struct ticket_cache *cache, krb5_context context,
                       const struct ticket_key *key, const krb5_creds *creds, unsigned era)
{
    struct cached *cached = new_cached(context, key, creds);
    if (!cached)
        return;
    pthread_mutex_lock(&cache->lock);
    if (era == cache->era) {
        struct cached *old = find(cache, key);
        if (!old && cache->count == CACHED_TICKETS_MAX)
            old = TAILQ_FIRST(&cache->by_use);
        if (old)
            drop(cache, old);
        TAILQ_INSERT_TAIL(&cache->by_use, cached, by_use);
        cache->count++;
        cached = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    if (cached)
        free_cached(cached);
}

void ticket_cache_drop(struct ticket_cache *cache, const struct ticket_key *key)
{
    pthread_mutex_lock(&cache->lock);
    struct cached *cached = find(cache, key);
    if (cached)
        drop(cache, cached);
    pthread_mutex_unlock(&cache->lock);
}
