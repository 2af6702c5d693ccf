/*
 * The credentials as they were at one moment, and the groups that they and the settings make, for
 * as long as somebody uses them.
 *
 * Threads only read the credentials; groups look after themselves. Holding and releasing is for the
 * event loop's thread alone, so that the count needs no lock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_SECRETS_H
#define COUNTERSIGN_CRYPTO_KEEPER_SECRETS_H

#include "crypto/groups.h"
#include "crypto/keeper.h"

struct secrets {
    struct credentials *credentials; /* empty when the settings name no file */
    struct groups *groups;           /* NULL when the settings name none */
    unsigned long holders;
};

/* Reads the file `path` (NULL: none) as the current user, for the groups of the settings; NULL with
 * a sentence in `problem`. Held once. `domain`, which may be NULL, and the settings outlive it. */
struct secrets *secrets_read(const struct keeper_settings *settings, const char *path,
                             struct domain *domain, char *problem, size_t size);

struct secrets *secrets_hold(struct secrets *secrets);

/* The last one to release wipes and frees. NULL is allowed. */
void secrets_release(struct secrets *secrets);

#endif
