/*
 * SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for tables whose keys are the peers' choice.
 * Without the key nobody can choose two texts that meet.
 */
#ifndef COUNTERSIGN_CRYPTO_SIPHASH_H
#define COUNTERSIGN_CRYPTO_SIPHASH_H

#include "crypto/cursor.h"

struct siphash_key {
    uint64_t low, high;
};

/* A random key; false when there is no randomness. */
MUST_USE bool siphash_key_make(struct siphash_key *key);

/* The hash of `size` bytes under that key. */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t size);

#endif
