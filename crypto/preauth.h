/*
 * Preauthentication integrity of SMB 3.1.1 (MS-SMB2 3.2.5.2, 3.3.5.4): a running SHA-512 over the
 * messages of a connection's negotiation and of a session's setup, as they were on the wire.
 */
#ifndef COUNTERSIGN_CRYPTO_PREAUTH_H
#define COUNTERSIGN_CRYPTO_PREAUTH_H

#include "crypto/cursor.h"

enum { PREAUTH_HASH_SIZE = 64 };

struct preauth_hash {
    uint8_t value[PREAUTH_HASH_SIZE];
};

/* All zeros: the start of a connection's hash. */
void preauth_start(struct preauth_hash *hash);

/* hash = SHA-512(hash ‖ message), the message without its transport header. False when OpenSSL
 * fails. */
MUST_USE bool preauth_add(struct preauth_hash *hash, struct span message);

#endif
