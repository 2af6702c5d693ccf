#include "crypto/signer.h"

#include "crypto/algorithms.h"
#include "crypto/cmac.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

/* What signing looks at in the header (MS-SMB2 2.2.1). */
enum {
    STATUS_OFFSET = 8,
    COMMAND_OFFSET = 12,
    FLAGS_OFFSET = 16,
    MESSAGE_ID_OFFSET = 24,
    COMMAND_CANCEL = 0x000c,
    FLAGS_SERVER_TO_REDIR = 0x00000001
};
#define STATUS_PENDING    0x00000103u
#define MESSAGE_ID_UNUSED UINT64_MAX

enum { GMAC_NONCE_SIZE = 12, HMAC_SIZE = 32 };

/* One of the three contexts is there, the algorithm's own. */
struct signer {
    enum signing_algorithm algorithm;
    EVP_MAC_CTX *hmac;
    EVP_CIPHER_CTX *gcm;
    struct cmac *cmac;
};

const char *signing_algorithm_name(enum signing_algorithm algorithm)
{
    switch (algorithm) {
    case SIGNING_HMAC_SHA256: return "HMAC-SHA256";
    case SIGNING_AES_CMAC: return "AES-128-CMAC";
    case SIGNING_AES_GMAC: return "AES-128-GMAC";
    }
    return "unknown";
}

static bool key_hmac(struct signer *signer, const uint8_t key[SIGNING_KEY_SIZE])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    signer->hmac = algorithm_hmac() ? EVP_MAC_CTX_new(algorithm_hmac()) : NULL;
    return signer->hmac && EVP_MAC_init(signer->hmac, key, SIGNING_KEY_SIZE, params) == 1;
}

static bool key_gmac(struct signer *signer, const uint8_t key[SIGNING_KEY_SIZE])
{
    EVP_CIPHER *cipher = algorithm_aes_128_gcm();
    signer->gcm = cipher ? EVP_CIPHER_CTX_new() : NULL;
    return signer->gcm && EVP_EncryptInit_ex2(signer->gcm, cipher, key, NULL, NULL) == 1 &&
           EVP_CIPHER_CTX_get_iv_length(signer->gcm) == GMAC_NONCE_SIZE;
}

static bool key_signer(struct signer *signer, const uint8_t key[SIGNING_KEY_SIZE])
{
    switch (signer->algorithm) {
    case SIGNING_HMAC_SHA256: return key_hmac(signer, key);
    case SIGNING_AES_GMAC: return key_gmac(signer, key);
    case SIGNING_AES_CMAC: signer->cmac = cmac_new(key); return signer->cmac != NULL;
    }
    return false;
}

struct signer *signer_new(enum signing_algorithm algorithm, const uint8_t key[SIGNING_KEY_SIZE])
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return NULL;
    signer->algorithm = algorithm;
    if (!key_signer(signer, key)) {
        signer_free(signer);
        return NULL;
    }
    return signer;
}

void signer_free(struct signer *signer)
{
    if (!signer)
        return;
    /* OpenSSL wipes the keys that its contexts hold. */
    EVP_MAC_CTX_free(signer->hmac);
    EVP_CIPHER_CTX_free(signer->gcm);
    cmac_free(signer->cmac);
    free(signer);
}

static bool is_response(const uint8_t *header)
{
    return (get_le32(header + FLAGS_OFFSET) & FLAGS_SERVER_TO_REDIR) != 0;
}

static bool is_cancel(const uint8_t *header)
{
    return get_le16(header + COMMAND_OFFSET) == COMMAND_CANCEL;
}

/* HMAC-SHA256 cut to its first half (MS-SMB2 3.1.4.1). */
static bool compute_hmac(struct signer *signer, struct span header, struct span body,
                         uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t mac[HMAC_SIZE];
    size_t size = 0;
    bool ok = EVP_MAC_init(signer->hmac, NULL, 0, NULL) == 1 &&
              EVP_MAC_update(signer->hmac, header.at, header.size) == 1 &&
              (body.size == 0 || EVP_MAC_update(signer->hmac, body.at, body.size) == 1) &&
              EVP_MAC_final(signer->hmac, mac, &size, sizeof mac) == 1 && size == HMAC_SIZE;
    if (ok)
        memcpy(signature, mac, SIGNATURE_SIZE);
    OPENSSL_cleanse(mac, sizeof mac);
    return ok;
}

/* The nonce is the MessageId and who speaks, since both directions use one key, and whether it is a
 * CANCEL, since that repeats the MessageId of its target (MS-SMB2 3.1.4.1). */
static bool write_nonce(struct span header, uint8_t nonce[GMAC_NONCE_SIZE])
{
    struct writer writer = writer_over(nonce, GMAC_NONCE_SIZE);
    write_le64(&writer, get_le64(header.at + MESSAGE_ID_OFFSET));
    write_le32(&writer, (is_response(header.at) ? 1u : 0) | (is_cancel(header.at) ? 2u : 0));
    return writer_done(&writer);
}

/* AES-GCM with nothing to encrypt: the message is all additional data, the tag is the signature. */
static bool compute_gmac(struct signer *signer, struct span header, struct span body,
                         uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t nonce[GMAC_NONCE_SIZE];
    uint8_t nothing[SIGNATURE_SIZE];
    int size = 0;
    EVP_CIPHER_CTX *gcm = signer->gcm;
    return write_nonce(header, nonce) && EVP_EncryptInit_ex2(gcm, NULL, NULL, nonce, NULL) == 1 &&
           EVP_EncryptUpdate(gcm, NULL, &size, header.at, (int)header.size) == 1 &&
           (body.size == 0 || EVP_EncryptUpdate(gcm, NULL, &size, body.at, (int)body.size) == 1) &&
           EVP_EncryptFinal_ex(gcm, nothing, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, SIGNATURE_SIZE, signature) == 1;
}

/* The signature that a message of at least a header should have: over itself with the Signature
 * field zero. Only a copy of the header is changed. */
static bool compute(struct signer *signer, struct span message, uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t bytes[SMB2_HEADER_SIZE];
    struct span header = {bytes, sizeof bytes};
    struct span body;
    if (message.size > INT_MAX ||
        !span_slice(message, SMB2_HEADER_SIZE, message.size - SMB2_HEADER_SIZE, &body))
        return false;
    memcpy(bytes, message.at, sizeof bytes);
    memset(bytes + SIGNATURE_OFFSET, 0, SIGNATURE_SIZE);
    switch (signer->algorithm) {
    case SIGNING_HMAC_SHA256: return compute_hmac(signer, header, body, signature);
    case SIGNING_AES_CMAC: return cmac_compute(signer->cmac, header, body, signature);
    case SIGNING_AES_GMAC: return compute_gmac(signer, header, body, signature);
    }
    return false;
}

/* What must never be signed: each of these could repeat a nonce of GMAC, whatever the algorithm is
 * now. An interim response shares its MessageId with the final one (MS-SMB2 3.3.4.2); a CANCEL has
 * no response; an asynchronous CANCEL may carry MessageId 0 where there is no nonce. */
static bool must_not_be_signed(const struct signer *signer, const uint8_t *header)
{
    uint64_t message_id = get_le64(header + MESSAGE_ID_OFFSET);
    bool nonce_free_cancel = is_cancel(header) && signer->algorithm != SIGNING_AES_GMAC;
    if (message_id == MESSAGE_ID_UNUSED || (message_id == 0 && !nonce_free_cancel))
        return true;
    return is_response(header) &&
           (is_cancel(header) || get_le32(header + STATUS_OFFSET) == STATUS_PENDING);
}

bool signer_sign(struct signer *signer, uint8_t *message, size_t size)
{
    uint8_t signature[SIGNATURE_SIZE];
    if (size < SMB2_HEADER_SIZE || must_not_be_signed(signer, message) ||
        !compute(signer, (struct span){message, size}, signature))
        return false;
    memcpy(message + SIGNATURE_OFFSET, signature, SIGNATURE_SIZE);
    return true;
}

bool signer_verify(struct signer *signer, const uint8_t *message, size_t size)
{
    uint8_t signature[SIGNATURE_SIZE];
    if (size < SMB2_HEADER_SIZE || !compute(signer, (struct span){message, size}, signature))
        return false;
    bool right = CRYPTO_memcmp(signature, message + SIGNATURE_OFFSET, SIGNATURE_SIZE) == 0;
    /* The signature of somebody else's bytes is a forgery ready for use. */
    OPENSSL_cleanse(signature, sizeof signature);
    return right;
}
