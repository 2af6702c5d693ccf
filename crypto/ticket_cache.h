/*
 * Service tickets that logins upstream have been done with, for the next login of the same user or
 * account: so that not every login asks a KDC, and that those who were here go on when none
 * answers.
 *
 * In memory alone, bounded: the one that was not used for longest is forgotten. Safe to use from
 * several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_TICKET_CACHE_H
#define COUNTERSIGN_CRYPTO_TICKET_CACHE_H

#include "crypto/keeper.h"

#include <krb5.h>

enum { CACHED_TICKETS_MAX = 4096 };

/* Whose ticket, and for what. */
struct ticket_key {
    uint32_t upstream;
    enum login_kind login;
    const char *client; /* the principal that was asked for; compared exactly */
};

struct ticket_cache;

/* NULL when memory is short. ticket_cache_free() wipes every key; NULL is allowed. */
struct ticket_cache *ticket_cache_new(void);
void ticket_cache_free(struct ticket_cache *cache);

/* How much of its life a ticket must have before it: a quarter, but no more than 15 minutes are
 * asked, so that a fresh one is fetched in time; or a tenth, but no more than a minute, where only
 * the alternative is none. */
enum ticket_life { TICKET_FRESH, TICKET_VALID };

/* True while that much of the life that `times` tell is left at `now`, Unix seconds. */
bool ticket_lives(const krb5_ticket_times *times, enum ticket_life life, int64_t now);

/* True with `creds` a copy, for the caller to free with krb5_free_cred_contents(). */
MUST_USE bool ticket_cache_find(struct ticket_cache *cache, krb5_context context,
                                const struct ticket_key *key, enum ticket_life life,
                                krb5_creds *creds);

/* What has been cleared so far: a ticket that was fetched before the last time is not kept. */
unsigned ticket_cache_era(struct ticket_cache *cache);

/* Keeps a copy in the place of the key's old one; no matter if memory is short. */
void ticket_cache_keep(struct ticket_cache *cache, krb5_context context,
                       const struct ticket_key *key, const krb5_creds *creds, unsigned era);

/* A file server did not take the key's ticket. */
void ticket_cache_drop(struct ticket_cache *cache, const struct ticket_key *key);

/* Drops all, and begins a new era. */
void ticket_cache_clear(struct ticket_cache *cache);

#endif
