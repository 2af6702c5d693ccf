/*
 * Key derivation for SMB 2.x and 3.x (MS-SMB2 3.1.4.2; SP 800-108 counter mode).
 */
#ifndef COUNTERSIGN_CRYPTO_KDF_H
#define COUNTERSIGN_CRYPTO_KDF_H

#include "crypto/cursor.h"
#include "crypto/preauth.h"
#include "crypto/signer.h"

enum { SESSION_KEY_MAX = 64, CIPHER_KEY_MAX = 32 };

/* The ids of SMB2_ENCRYPTION_CAPABILITIES (MS-SMB2 2.2.3.1.2). */
enum cipher {
    CIPHER_NONE = 0,
    CIPHER_AES_128_CCM = 1,
    CIPHER_AES_128_GCM = 2,
    CIPHER_AES_256_CCM = 3,
    CIPHER_AES_256_GCM = 4,
};

/* What a session's authentication ended with: Session.FullSessionKey; its first 16 bytes, padded
 * with zeros when there are fewer, are Session.SessionKey. */
struct session_key {
    uint8_t bytes[SESSION_KEY_MAX];
    size_t size;
};

/* The keys of one session on one leg. */
struct session_keys {
    uint8_t signing[SIGNING_KEY_SIZE];
    uint8_t application[SIGNING_KEY_SIZE];
    uint8_t client_to_server[CIPHER_KEY_MAX];
    uint8_t server_to_client[CIPHER_KEY_MAX];
    size_t cipher_key_size; /* 16, or 32 for the AES-256 ciphers; 0 below 3.0 */
};

/*
 * SP 800-108 in counter mode with HMAC-SHA256, r = 32: fills `out_size` bytes (at most 32). `label`
 * and `context` are used as they are given, so a terminating NUL that belongs to them must be in
 * them. False when OpenSSL fails.
 */
MUST_USE bool kdf_sp800_108(struct span key, struct span label, struct span context, uint8_t *out,
                            size_t out_size);

/*
 * Derives all keys of a session for `dialect` (0x0202 … 0x0311). `preauth` is the session's preauth
 * hash, used at 3.1.1 only (NULL below). Signing and application keys are always 128 bits from the
 * first 16 bytes; the cipher keys are 256 bits from the full key when `cipher` is an AES-256 one.
 * At 2.x the signing key is the session key and there are no others. False, with `keys` wiped, when
 * OpenSSL fails, the session key is empty, the dialect is none of these, 3.1.1 comes without
 * `preauth`, or 3.0 or 3.0.2 with a cipher other than AES-128-CCM. The caller wipes `keys` with
 * session_keys_wipe().
 */
MUST_USE bool session_keys_derive(uint16_t dialect, enum cipher cipher,
                                  const struct session_key *key, const struct preauth_hash *preauth,
                                  struct session_keys *keys);
void session_keys_wipe(struct session_keys *keys);

/* "AES-128-CCM" and so on; "none". */
const char *cipher_name(enum cipher cipher);

#endif
