/*
 * The credentials as they were at one moment, for as long as somebody uses them.
 *
 * Threads only read them. Holding and releasing is for the event loop's thread alone, so that the
 * count needs no lock.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_SECRETS_H
#define COUNTERSIGN_CRYPTO_KEEPER_SECRETS_H

#include "crypto/credentials.h"

struct secrets {
    struct credentials *credentials;
    unsigned long holders;
};

/* Reads the file as the current user; NULL with a line on standard error. Held once. */
struct secrets *secrets_read(const char *path);

struct secrets *secrets_hold(struct secrets *secrets);

/* The last one to release wipes and frees. NULL is allowed. */
void secrets_release(struct secrets *secrets);

#endif
