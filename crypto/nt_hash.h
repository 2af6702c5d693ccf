/*
 * The NT hash of a password: MD4 over its UTF-16LE (NTOWFv1 of MS-NLMP 3.3.1). Whoever has it can
 * log in; it is as secret as the password.
 */
#ifndef COUNTERSIGN_CRYPTO_NT_HASH_H
#define COUNTERSIGN_CRYPTO_NT_HASH_H

#include "crypto/cursor.h"

/* Windows takes 256 characters; this is enough for them in any script. Without the NUL. */
enum { PASSWORD_MAX = 1024 };

/* False when the password is not UTF-8, too long, or OpenSSL has no MD4. */
MUST_USE bool nt_hash_of_password(const char *utf8, uint8_t hash[16]);

#endif
