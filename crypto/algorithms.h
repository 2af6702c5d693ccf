/*
 * OpenSSL's algorithms, fetched once for the whole process. A fetch takes locks and may read
 * OpenSSL's configuration: neither belongs on the path of a message or behind a system call filter.
 *
 * Each is NULL when this OpenSSL does not have the algorithm; none is to be freed.
 */
#ifndef COUNTERSIGN_CRYPTO_ALGORITHMS_H
#define COUNTERSIGN_CRYPTO_ALGORITHMS_H

#include "crypto/cursor.h"

#include <openssl/types.h>

EVP_MAC *algorithm_hmac(void);
EVP_CIPHER *algorithm_aes_128_cbc(void);
EVP_CIPHER *algorithm_aes_128_gcm(void);
EVP_MD *algorithm_sha512(void);
EVP_KDF *algorithm_kbkdf(void);

/* Fetches all of them now, before a process gives up its privileges. False when one is missing. */
MUST_USE bool algorithms_prepare(void);

#endif
