/*
 * Generations of the keeper's settings. A connection lives with the configuration it was made with,
 * so that a worker may ask in terms of an older one than the newest: listeners, upstreams and
 * groups are numbered in each anew. The secrets are the newest in all of them.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_GENERATION_H
#define COUNTERSIGN_CRYPTO_KEEPER_GENERATION_H

#include <sys/queue.h>

#include "crypto/keeper_secrets.h"

struct keeper;

struct keeper_generation {
    LIST_ENTRY(keeper_generation) next;
    const struct keeper_settings *settings;
    struct secrets *secrets; /* NULL while it is being prepared */
    struct secrets *fresh;   /* read, and not yet in use */
    size_t attempts;         /* that refer to it */
    bool dropped;            /* prepared and not wanted */
};

enum { KEEPER_PROBLEM_MAX = 1024 };

/* That of the keeper's settings, which is never freed before generations_free(), and the earlier
 * ones that they name; with secrets read. False with a sentence. */
MUST_USE bool generations_begin(struct keeper *keeper, char problem[KEEPER_PROBLEM_MAX]);
void generations_free(struct keeper *keeper);

/* Reads the credentials for all generations, that of `text` (when it is not empty) included; in use
 * after generations_use(). False with a sentence, and nothing prepared. */
MUST_USE bool generations_prepare(struct keeper *keeper, uint32_t number, struct span text,
                                  char problem[KEEPER_PROBLEM_MAX]);
void generations_use(struct keeper *keeper);
void generations_abort(struct keeper *keeper);

/* Frees those before `keeper->oldest` that no attempt refers to, and those that were dropped. */
void generations_sweep(struct keeper *keeper);

/* Of which a message's number of a listener or upstream is; NULL when it is not known (any more).
 * What is being prepared is known already: a worker may hear earlier that it is in use. */
struct keeper_generation *generation_of(const struct keeper *keeper, uint32_t number);

/* Its secrets, held; NULL when it was prepared and is not wanted, with logins begun under it. */
struct secrets *generation_secrets(const struct keeper_generation *generation);

#endif
