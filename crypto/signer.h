/*
 * Signing and verifying SMB2 messages (MS-SMB2 3.1.4.1, 3.1.5.1).
 *
 * A signer is one 16-byte key, one algorithm and one prepared context: it is
 * made once per session and re-initialised, never fetched, for each message.
 */
#ifndef COUNTERSIGN_CRYPTO_SIGNER_H
#define COUNTERSIGN_CRYPTO_SIGNER_H

#include "crypto/cursor.h"

enum { SIGNING_KEY_SIZE = 16, SIGNATURE_SIZE = 16, SIGNATURE_OFFSET = 48, SMB2_HEADER_SIZE = 64 };

/* The ids of SMB2_SIGNING_CAPABILITIES (MS-SMB2 2.2.3.1.7). */
enum signing_algorithm {
    SIGNING_HMAC_SHA256 = 0,
    SIGNING_AES_CMAC = 1,
    SIGNING_AES_GMAC = 2,
};

struct signer;

/* "HMAC-SHA256", "AES-128-CMAC", "AES-128-GMAC", or "unknown". */
const char *signing_algorithm_name(enum signing_algorithm algorithm);

/* A signer for `key`, which is copied. NULL when memory or the algorithm cannot be had. Free it
 * with signer_free(), which wipes the key; NULL is allowed there. */
struct signer *signer_new(enum signing_algorithm algorithm, const uint8_t key[SIGNING_KEY_SIZE]);
void signer_free(struct signer *signer);

/*
 * Writes the signature of the message of `size` bytes at `message` (its header, body and the
 * padding up to its NextCommand) into its Signature field. The SMB2_FLAGS_SIGNED bit must be set
 * already.
 *
 * Refuses (false, message unchanged) what must never be signed, since GMAC's nonce is made of these
 * fields: a message shorter than a header, MessageId 0 (but for CANCEL with HMAC or CMAC),
 * MessageId 0xFFFFFFFFFFFFFFFF, a response with STATUS_PENDING, a CANCEL response.
 */
MUST_USE bool signer_sign(struct signer *signer, uint8_t *message, size_t size);

/* True when the Signature field of the message is right. Compares in constant time; the message is
 * not changed. Never true for a message shorter than a header. */
MUST_USE bool signer_verify(struct signer *signer, const uint8_t *message, size_t size);

#endif
