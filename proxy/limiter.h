/*
 * The authentication limiter: after failed logins, a delay that grows with each further one.
 *
 * Failures are counted for each user from each source, for each source, and for each user; and
 * forgotten one by one with time. A pair of source and user is delayed first, which is nobody
 * else's business. A source as a whole, or a user wherever he comes from, only far beyond that, and
 * then not those who have logged in before: a source remembers its last users that did, and a user
 * his sources.
 *
 * It belongs to the recorder and is one for all workers. They tell it how each authentication
 * ended, and are told of each delay: what they hold is a limit_board. An attempt that is refused
 * for a delay is no failure, so a client that retries does not lengthen it.
 */
#ifndef COUNTERSIGN_PROXY_LIMITER_H
#define COUNTERSIGN_PROXY_LIMITER_H

#include "crypto/siphash.h"
#include "policy/config.h"

/* How many sources, users and pairs are remembered (the longest unused are forgotten), and how many
 * who logged in, of each. */
enum { LIMITER_MAX = 65536, LIMIT_EXEMPT_MAX = 16, LIMIT_DELAY_FIRST_MS = 1000 };

enum limit_scope { LIMIT_PAIR, LIMIT_SOURCE, LIMIT_USER };
enum { LIMIT_SCOPES = 3 };

/* Who attempts, as hashes: the keyed hash keeps strangers from choosing names that meet others'. */
struct attempt_key {
    uint64_t of[LIMIT_SCOPES];
};
/* `address` is the client's, `user` as the client spelled it: compared without case. */
void attempt_key_make(const struct siphash_key *key, const char *address, const char *user,
                      struct attempt_key *attempt);
/* The source alone, before a user is known. */
uint64_t limit_source_key(const struct siphash_key *key, const char *address);

/* Until when whoever has this key is delayed, and who is not: keys of the other scope (users of a
 * source, sources of a user). Times are milliseconds of CLOCK_MONOTONIC, which all processes share.
 */
struct limit {
    enum limit_scope scope;
    uint64_t key;
    uint64_t until_ms;
    uint64_t exempt[LIMIT_EXEMPT_MAX];
    unsigned exempt_count;
};

/* Is told of each limit that begins, grows, ends early or exempts one more. */
typedef void limiter_tell(void *context, const struct limit *limit);

struct limiter;

/* `config` is borrowed. NULL when out of memory. `most`: LIMITER_MAX but for tests. */
struct limiter *limiter_new(const struct config_authentication *config, size_t most,
                            limiter_tell *tell, void *context);
void limiter_free(struct limiter *limiter); /* NULL is allowed */

/* How an authentication ended. */
void limiter_note(struct limiter *limiter, const struct attempt_key *attempt, bool proven,
                  uint64_t now_ms);

/* Tells of all that are in force: for a worker that is new. */
void limiter_tell_all(struct limiter *limiter, uint64_t now_ms, limiter_tell *tell, void *context);

/* How many sources, users and pairs it remembers. */
size_t limiter_count(const struct limiter *limiter);

/*
 * Messages between a worker and the recorder (types in recorder.h), all little-endian. KEY: the two
 * halves of the hashes' key. OUTCOME: u8 proven, le64 for each scope. LIMIT: u8 scope, le64 key,
 * le64 until, u8 how many are exempt, le64 each.
 */
enum { LIMIT_MESSAGE_MAX = 1 + 8 + 8 + 1 + 8 * LIMIT_EXEMPT_MAX };
void limit_write(struct writer *writer, const struct limit *limit);
MUST_USE bool limit_read(struct span body, struct limit *limit);
void outcome_write(struct writer *writer, const struct attempt_key *attempt, bool proven);
MUST_USE bool outcome_read(struct span body, struct attempt_key *attempt, bool *proven);

#endif
