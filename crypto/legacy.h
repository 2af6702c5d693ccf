/*
 * The old algorithms that NTLM is made of: MD4, MD5, HMAC-MD5 and RC4.
 *
 * They come from OpenSSL's legacy and default providers, loaded into a library context of our own:
 * the rest of the process never sees them, whatever the system's OpenSSL configuration says.
 * Everything here is safe to call from several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_LEGACY_H
#define COUNTERSIGN_CRYPTO_LEGACY_H

#include "crypto/cursor.h"

enum { MD4_SIZE = 16, MD5_SIZE = 16, RC4_KEY_SIZE = 16 };

/* Loads the providers, once; false when this OpenSSL lacks one. A process that gives up its view of
 * the file system calls it before, since a provider is a file. */
MUST_USE bool legacy_ready(void);

/* Each answers false when OpenSSL fails; `out` is then not to be used. */
MUST_USE bool legacy_md4(struct span bytes, uint8_t out[MD4_SIZE]);
/* Over the parts one after the other. */
MUST_USE bool legacy_md5(const struct span *parts, size_t count, uint8_t out[MD5_SIZE]);
MUST_USE bool legacy_hmac_md5(struct span key, const struct span *parts, size_t count,
                              uint8_t out[MD5_SIZE]);
/* RC4 from the start of the key's stream; `out` has room for as many bytes as `in` has. */
MUST_USE bool legacy_rc4(const uint8_t key[RC4_KEY_SIZE], struct span in, uint8_t *out);

#endif
