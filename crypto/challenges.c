#include "crypto/challenges.h"

#include <pthread.h>
#include <stdlib.h>

struct challenges {
    pthread_mutex_t lock;
    size_t next;
    size_t count;
    uint64_t given[CHALLENGES_MAX]; /* a ring */
};

struct challenges *challenges_new(void)
{
    struct challenges *challenges = calloc(1, sizeof *challenges);
    if (challenges && pthread_mutex_init(&challenges->lock, NULL) != 0) {
        free(challenges);
        return NULL;
    }
    return challenges;
}

void challenges_free(struct challenges *challenges)
{
    if (!challenges)
        return;
    (void)pthread_mutex_destroy(&challenges->lock);
    free(challenges);
}

void challenges_given(struct challenges *challenges, const uint8_t challenge[CHALLENGE_BYTES])
{
    if (!challenges)
        return;
    (void)pthread_mutex_lock(&challenges->lock);
    challenges->given[challenges->next] = get_le64(challenge);
    challenges->next = (challenges->next + 1) % CHALLENGES_MAX;
    if (challenges->count < CHALLENGES_MAX)
        challenges->count++;
    (void)pthread_mutex_unlock(&challenges->lock);
}

bool challenges_ours(struct challenges *challenges, const uint8_t challenge[CHALLENGE_BYTES])
{
    uint64_t wanted = get_le64(challenge);
    bool found = false;
    if (!challenges)
        return false;
    (void)pthread_mutex_lock(&challenges->lock);
    for (size_t i = 0; i < challenges->count && !found; i++)
        found = challenges->given[i] == wanted;
    (void)pthread_mutex_unlock(&challenges->lock);
    return found;
}
