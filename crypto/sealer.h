/*
 * Encrypting and decrypting SMB2 messages (MS-SMB2 2.2.41, 3.1.4.3): the SMB2 TRANSFORM_HEADER.
 *
 * A sealer is one key for one direction of one session. Like a signer it is prepared once and then
 * re-initialised for each message. Nonces are a counter that starts at a random place, so none is
 * ever used twice with one key.
 */
#ifndef COUNTERSIGN_CRYPTO_SEALER_H
#define COUNTERSIGN_CRYPTO_SEALER_H

#include "crypto/kdf.h"

/* Sizes in bytes. */
enum { TRANSFORM_HEADER_SIZE = 52 };

struct sealer;

/* A sealer for `key` (16 or 32 bytes, as the cipher needs), which is copied; messages are those of
 * `session_id`. `seals`: it encrypts, otherwise it decrypts. NULL when memory or the cipher cannot
 * be had. sealer_free() wipes the key; NULL is allowed. */
struct sealer *sealer_new(enum cipher cipher, const uint8_t *key, uint64_t session_id, bool seals);
void sealer_free(struct sealer *sealer);

/*
 * Encrypts the `size` bytes at `message` in place and writes the TRANSFORM_HEADER into the
 * TRANSFORM_HEADER_SIZE bytes before it. False when OpenSSL fails or the key has been used for as
 * many messages as it may (2^64 for the counter; never in practice): the message must not be sent
 * then.
 */
MUST_USE bool sealer_seal(struct sealer *sealer, uint8_t *message, size_t size);

/* The SessionId that a frame's TRANSFORM_HEADER names. False when the frame is not one: too short,
 * other ProtocolId, Flags not "encrypted", or an OriginalMessageSize other than what follows. */
MUST_USE bool transform_read(struct span frame, uint64_t *session_id);

/* Decrypts, in place, what follows the TRANSFORM_HEADER of a frame that transform_read() accepted;
 * false when it was not sealed with this key. What stood there is lost then. */
MUST_USE bool sealer_open(struct sealer *sealer, uint8_t *frame, size_t size);

#endif
