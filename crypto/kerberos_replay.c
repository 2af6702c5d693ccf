#include "crypto/kerberos_replay.h"

#include <pthread.h>
#include <string.h>

/* Entries stand in a ring in the order they came in, which is the order they run out in. Each is in
 * one chain by its digest; links are numbers plus one, 0 ends a chain. */
enum { CHAINS = 65536, CLIENTS = 4096 };
static const uint64_t known_layout = UINT64_C(0x32305941504c4552);

struct entry {
    uint8_t digest[REPLAY_DIGEST_SIZE];
    int64_t expires;
    uint32_t client;
};

struct replays {
    uint64_t layout; /* known_layout: first, count and entries are good */
    pthread_mutex_t lock;
    uint32_t first; /* the oldest entry */
    uint32_t count;
    uint32_t of_client[CLIENTS];
    uint32_t chains[CHAINS];
    uint32_t next[REPLAYS_MAX];
    struct entry entries[REPLAYS_MAX];
};

size_t replays_size(void)
{
    return sizeof(struct replays);
}

static uint32_t *count_of(struct replays *replays, uint32_t client)
{
    return &replays->of_client[client % CLIENTS];
}

/* Digests are as good as random. */
static uint32_t *chain_of(struct replays *replays, const uint8_t *digest)
{
    return &replays->chains[get_le16(digest)];
}

static void link_entry(struct replays *replays, uint32_t number)
{
    uint32_t *chain = chain_of(replays, replays->entries[number].digest);
    replays->next[number] = *chain;
    *chain = number + 1;
    ++*count_of(replays, replays->entries[number].client);
}

static void unlink_entry(struct replays *replays, uint32_t number)
{
    uint32_t *at = chain_of(replays, replays->entries[number].digest);
    while (*at != number + 1)
        at = &replays->next[*at - 1];
    *at = replays->next[number];
    --*count_of(replays, replays->entries[number].client);
}

struct replays *replays_init(void *memory)
{
    struct replays *replays = memory;
    if (pthread_mutex_init(&replays->lock, NULL) != 0)
        return NULL;
    if (replays->layout != known_layout || replays->first >= REPLAYS_MAX ||
        replays->count > REPLAYS_MAX)
        replays->first = replays->count = 0;
    /* whoever used it before may have ended in the middle of a chain */
    memset(replays->chains, 0, sizeof replays->chains);
    memset(replays->of_client, 0, sizeof replays->of_client);
    for (uint32_t i = 0; i < replays->count; i++)
        link_entry(replays, (replays->first + i) % REPLAYS_MAX);
    replays->layout = known_layout;
    return replays;
}

static void forget_old(struct replays *replays, int64_t now)
{
    while (replays->count > 0 && replays->entries[replays->first].expires <= now) {
        unlink_entry(replays, replays->first);
        replays->first = (replays->first + 1) % REPLAYS_MAX;
        replays->count--;
    }
}

static bool seen(struct replays *replays, const uint8_t *digest)
{
    for (uint32_t at = *chain_of(replays, digest); at != 0; at = replays->next[at - 1])
        if (memcmp(replays->entries[at - 1].digest, digest, REPLAY_DIGEST_SIZE) == 0)
            return true;
    return false;
}

/* The entry is whole before it counts. */
static void remember(struct replays *replays, const uint8_t *digest, uint32_t client,
                     int64_t expires)
{
    uint32_t number = (replays->first + replays->count) % REPLAYS_MAX;
    memcpy(replays->entries[number].digest, digest, REPLAY_DIGEST_SIZE);
    replays->entries[number].expires = expires;
    replays->entries[number].client = client;
    replays->count++;
    link_entry(replays, number);
}

enum replay replays_add(struct replays *replays, const uint8_t digest[REPLAY_DIGEST_SIZE],
                        uint32_t client, int64_t now, int64_t lifetime)
{
    enum replay answer = REPLAY_FIRST;
    if (pthread_mutex_lock(&replays->lock) != 0)
        return REPLAY_FULL;
    forget_old(replays, now);
    if (seen(replays, digest))
        answer = REPLAY_AGAIN;
    else if (replays->count == REPLAYS_MAX || *count_of(replays, client) >= REPLAYS_PER_CLIENT)
        answer = REPLAY_FULL;
    else
        remember(replays, digest, client, now + lifetime);
    (void)pthread_mutex_unlock(&replays->lock);
    return answer;
}
