/*
 * AES-128-CMAC (RFC 4493), keyed once and used for many messages.
 */
#ifndef COUNTERSIGN_CRYPTO_CMAC_H
#define COUNTERSIGN_CRYPTO_CMAC_H

#include "crypto/cursor.h"

enum { CMAC_SIZE = 16 };

struct cmac;

/* NULL when memory or AES cannot be had. cmac_free() wipes the subkeys; NULL is allowed there. */
struct cmac *cmac_new(const uint8_t key[CMAC_SIZE]);
void cmac_free(struct cmac *cmac);

/* The MAC of head ‖ body. `head` is a whole number of 16-byte blocks or empty, `body` any size.
 * False when it is not, or when OpenSSL fails. */
MUST_USE bool cmac_compute(struct cmac *cmac, struct span head, struct span body,
                           uint8_t mac[CMAC_SIZE]);

#endif
