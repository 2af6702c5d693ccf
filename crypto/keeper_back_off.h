/*
 * Accounts whose credential a file server refused.
 *
 * Trying such a credential again only counts against the account there, until it is locked. So the
 * account rests: 30 seconds at first, twice as long after each further refusal, 15 minutes at most.
 * Then one login may try, while others go on resting until it is known how that one ended. A reload
 * ends no rest: another credential for the account is another matter, and so is another file
 * server. Times are milliseconds of the monotonic clock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_BACK_OFF_H
#define COUNTERSIGN_CRYPTO_KEEPER_BACK_OFF_H

#include <sys/queue.h>

#include "crypto/keeper.h"

enum { BACK_OFF_FIRST_MS = 30 * 1000, BACK_OFF_MOST_MS = 15 * 60 * 1000, BACK_OFFS_MAX = 4096 };

/* What a login would use, and where. */
struct back_off_account {
    const char *address; /* of the file server, whatever the configuration calls it */
    enum login_kind login;
    const char *name;    /* DOMAIN\user, or user; compared without regard to case */
    uint64_t credential; /* a keyed hash, which tells one from another and no more */
};

struct back_off;
struct back_off_table {
    TAILQ_HEAD(back_off_list, back_off) by_use; /* longest unused first */
    size_t count;
};

void back_offs_init(struct back_off_table *table);

/* Forgets every account. */
void back_offs_clear(struct back_off_table *table);

enum back_off_answer {
    BACK_OFF_NONE,  /* nothing is known against the account */
    BACK_OFF_TRIAL, /* its rest is over: whoever asked is the one that may try */
    BACK_OFF_RESTS,
};

/* Whether a login may use the account now. */
MUST_USE enum back_off_answer back_offs_ask(struct back_off_table *table,
                                            const struct back_off_account *account, uint64_t now);

/* The file server refused the credential in a login that was, or was not, a trial. One that was
 * none and finds the account resting was under way beside the one that is counted. When the table
 * is full, the account that was not asked for longest is forgotten. False when memory is short. */
MUST_USE bool back_offs_refused(struct back_off_table *table,
                                const struct back_off_account *account, bool trial, uint64_t now);

/* The file server accepted the credential. */
void back_offs_accepted(struct back_off_table *table, const struct back_off_account *account);

#endif
