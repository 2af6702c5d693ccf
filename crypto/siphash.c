#include "crypto/siphash.h"

#include <openssl/rand.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t turn(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void mix(struct state *state, unsigned rounds)
{
    while (rounds--) {
        state->v0 += state->v1;
        state->v1 = turn(state->v1, 13) ^ state->v0;
        state->v0 = turn(state->v0, 32);
        state->v2 += state->v3;
        state->v3 = turn(state->v3, 16) ^ state->v2;
        state->v0 += state->v3;
        state->v3 = turn(state->v3, 21) ^ state->v0;
        state->v2 += state->v1;
        state->v1 = turn(state->v1, 17) ^ state->v2;
        state->v2 = turn(state->v2, 32);
    }
}

static void take(struct state *state, uint64_t word)
{
    state->v3 ^= word;
    mix(state, 2);
    state->v0 ^= word;
}

bool siphash_key_make(struct siphash_key *key)
{
    return RAND_bytes((unsigned char *)key, sizeof *key) == 1;
}

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t size)
{
    struct state state = {
        .v0 = key->low ^ 0x736f6d6570736575u,
        .v1 = key->high ^ 0x646f72616e646f6du,
        .v2 = key->low ^ 0x6c7967656e657261u,
        .v3 = key->high ^ 0x7465646279746573u,
    };
    struct reader reader = reader_over(bytes, size);
    uint64_t word, last = (uint64_t)size << 56;
    uint8_t byte;
    while (read_le64(&reader, &word))
        take(&state, word);
    for (unsigned shift = 0; read_u8(&reader, &byte); shift += 8)
        last |= (uint64_t)byte << shift;
    take(&state, last);
    state.v2 ^= 0xff;
    mix(&state, 4);
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}
