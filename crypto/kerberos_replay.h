/*
 * Which AP-REQs have been accepted lately, so that each is accepted once (RFC 4120 3.2.3).
 *
 * libkrb5's own replay cache is a file, and the keeper may write none. The table lives in memory
 * that the caller gives, so that it can be shared and outlive a keeper that crashed.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_REPLAY_H
#define COUNTERSIGN_CRYPTO_KERBEROS_REPLAY_H

#include "crypto/cursor.h"

/* Of one client no more than REPLAYS_PER_CLIENT, so that nobody fills the table for the others. */
enum { REPLAY_DIGEST_SIZE = 32, REPLAYS_MAX = 131072, REPLAYS_PER_CLIENT = 8192 };

struct replays;

enum replay {
    REPLAY_FIRST, /* not seen before; it is now */
    REPLAY_AGAIN, /* seen before */
    REPLAY_FULL,  /* no room to remember it: it must not be accepted */
};

/* Bytes of memory that a table needs; untouched pages of it cost nothing. */
size_t replays_size(void);

/*
 * Begins to use a table in `memory` (replays_size() bytes, aligned as by malloc() or mmap()): an
 * empty one when the memory is zeros, else what a process that has ended left there. No other
 * process uses it at the same time. NULL when a lock cannot be made.
 */
MUST_USE struct replays *replays_init(void *memory);

/* Looks for `digest` and remembers it for `lifetime` seconds. `client` is a number that tells the
 * client from most others, of which the last 12 bits count. `now` is the time of day, in seconds
 * since 1970. Any thread may call it. */
MUST_USE enum replay replays_add(struct replays *replays, const uint8_t digest[REPLAY_DIGEST_SIZE],
                                 uint32_t client, int64_t now, int64_t lifetime);

#endif
