#include "crypto/ntlm_key.h"

#include "crypto/identity.h"
#include "crypto/legacy.h"
#include "crypto/text.h"

#include <openssl/crypto.h>

enum { CHECKSUM_SIZE = 8, MAC_VERSION = 1, USER_UTF16_MAX = 2 * IDENTITY_NAME_MAX };

static struct span key_span(const uint8_t key[NTLM_KEY_SIZE])
{
    return (struct span){key, NTLM_KEY_SIZE};
}

bool ntlm_owf_v2(const uint8_t nt_hash[NTLM_KEY_SIZE], const char *user, struct span domain,
                 uint8_t owf[NTLM_KEY_SIZE])
{
    uint8_t name[USER_UTF16_MAX];
    struct writer writer = writer_over(name, sizeof name);
    if (!text_write_utf16(&writer, user, true) || !writer_done(&writer))
        return false;
    const struct span parts[] = {writer_span(&writer), domain};
    return legacy_hmac_md5(key_span(nt_hash), parts, 2, owf);
}

bool ntlm_proof(const uint8_t owf[NTLM_KEY_SIZE],
                const uint8_t server_challenge[NTLM_CHALLENGE_SIZE], struct span blob,
                uint8_t proof[NTLM_PROOF_SIZE])
{
    const struct span parts[] = {{server_challenge, NTLM_CHALLENGE_SIZE}, blob};
    return legacy_hmac_md5(key_span(owf), parts, 2, proof);
}

bool ntlm_base_key(const uint8_t owf[NTLM_KEY_SIZE], const uint8_t proof[NTLM_PROOF_SIZE],
                   uint8_t key[NTLM_KEY_SIZE])
{
    const struct span part = {proof, NTLM_PROOF_SIZE};
    return legacy_hmac_md5(key_span(owf), &part, 1, key);
}

bool ntlm_exchange_key(const uint8_t base_key[NTLM_KEY_SIZE], const uint8_t in[NTLM_KEY_SIZE],
                       uint8_t out[NTLM_KEY_SIZE])
{
    return legacy_rc4(base_key, key_span(in), out);
}

bool ntlm_mic(const uint8_t session_key[NTLM_KEY_SIZE], struct span negotiate,
              struct span challenge, struct span authenticate, size_t mic_offset,
              uint8_t mic[NTLM_MIC_SIZE])
{
    static const uint8_t zeros[NTLM_MIC_SIZE];
    struct reader reader = reader_over_span(authenticate);
    struct span before;
    if (!read_span(&reader, mic_offset, &before) || !read_skip(&reader, NTLM_MIC_SIZE))
        return false;
    const struct span parts[] = {
        negotiate, challenge, before, {zeros, sizeof zeros}, reader_rest(&reader),
    };
    return legacy_hmac_md5(key_span(session_key), parts, sizeof parts / sizeof *parts, mic);
}

/* The constants of MS-NLMP 3.4.5.2 and 3.4.5.3; each ends with its NUL. */
static const char client_signing[] = "session key to client-to-server signing key magic constant";
static const char server_signing[] = "session key to server-to-client signing key magic constant";
static const char client_sealing[] = "session key to client-to-server sealing key magic constant";
static const char server_sealing[] = "session key to server-to-client sealing key magic constant";

static bool derive(const uint8_t session_key[NTLM_KEY_SIZE], const char constant[],
                   uint8_t key[NTLM_KEY_SIZE])
{
    /* All four have the same length. */
    const struct span parts[] = {
        key_span(session_key),
        {(const uint8_t *)constant, sizeof client_signing},
    };
    return legacy_md5(parts, 2, key);
}

bool ntlm_sign_key(const uint8_t session_key[NTLM_KEY_SIZE], enum ntlm_sender sender,
                   uint8_t key[NTLM_KEY_SIZE])
{
    return derive(session_key, sender == NTLM_FROM_CLIENT ? client_signing : server_signing, key);
}

bool ntlm_seal_key(const uint8_t session_key[NTLM_KEY_SIZE], enum ntlm_sender sender,
                   uint8_t key[NTLM_KEY_SIZE])
{
    return derive(session_key, sender == NTLM_FROM_CLIENT ? client_sealing : server_sealing, key);
}

/* MS-NLMP 3.4.4.2: the first half of an HMAC over sequence number and message. */
static bool checksum(const uint8_t sign_key[NTLM_KEY_SIZE], struct span message,
                     uint8_t full[MD5_SIZE])
{
    static const uint8_t sequence_number[4];
    const struct span parts[] = {{sequence_number, sizeof sequence_number}, message};
    return legacy_hmac_md5(key_span(sign_key), parts, 2, full);
}

bool ntlm_mac(const uint8_t session_key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_sender sender,
              struct span message, uint8_t mac[NTLM_MAC_SIZE])
{
    uint8_t key[NTLM_KEY_SIZE], full[MD5_SIZE], sealed[CHECKSUM_SIZE];
    bool good = ntlm_sign_key(session_key, sender, key) && checksum(key, message, full);
    if (good && flags & NTLM_KEY_EXCH)
        good = ntlm_seal_key(session_key, sender, key) &&
               legacy_rc4(key, (struct span){full, CHECKSUM_SIZE}, sealed);
    struct writer writer = writer_over(mac, NTLM_MAC_SIZE);
    write_le32(&writer, MAC_VERSION);
    if (good)
        write_bytes(&writer, flags & NTLM_KEY_EXCH ? sealed : full, CHECKSUM_SIZE);
    write_le32(&writer, 0);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(full, sizeof full);
    return good && writer_done(&writer);
}

bool ntlm_mac_right(const uint8_t session_key[NTLM_KEY_SIZE], uint32_t flags,
                    enum ntlm_sender sender, struct span message, struct span mac)
{
    uint8_t right[NTLM_MAC_SIZE];
    bool good = mac.size == sizeof right && ntlm_mac(session_key, flags, sender, message, right) &&
                CRYPTO_memcmp(mac.at, right, sizeof right) == 0;
    OPENSSL_cleanse(right, sizeof right);
    return good;
}
