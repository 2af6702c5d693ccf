#include "crypto/sealer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFORM_PROTOCOL_ID 0x424d53fdu

enum {
    TAG_OFFSET = 4,
    TAG_SIZE = 16,
    AAD_OFFSET = 20, /* the nonce and all that follows it are authenticated */
    AAD_SIZE = TRANSFORM_HEADER_SIZE - AAD_OFFSET,
    NONCE_FIELD = 16,
    CCM_NONCE = 11,
    GCM_NONCE = 12,
    FLAG_ENCRYPTED = 1,
};

struct sealer {
    EVP_CIPHER_CTX *context;
    bool ccm;
    bool seals;
    uint64_t session_id;
    uint64_t counter;
    uint64_t first; /* where the counter started */
    uint8_t salt[4];
    bool used;
};

static const EVP_CIPHER *evp_cipher(enum cipher cipher)
{
    switch (cipher) {
    case CIPHER_AES_128_CCM: return EVP_aes_128_ccm();
    case CIPHER_AES_128_GCM: return EVP_aes_128_gcm();
    case CIPHER_AES_256_CCM: return EVP_aes_256_ccm();
    case CIPHER_AES_256_GCM: return EVP_aes_256_gcm();
    default: return NULL;
    }
}

static bool prepare(struct sealer *sealer, const EVP_CIPHER *evp, const uint8_t *key)
{
    int nonce_size = sealer->ccm ? CCM_NONCE : GCM_NONCE;
    EVP_CIPHER_CTX *context = sealer->context;
    return EVP_CipherInit_ex(context, evp, NULL, NULL, NULL, sealer->seals) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, nonce_size, NULL) == 1 &&
           (!sealer->ccm ||
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, NULL) == 1) &&
           EVP_CipherInit_ex(context, NULL, NULL, key, NULL, sealer->seals) == 1;
}

struct sealer *sealer_new(enum cipher cipher, const uint8_t *key, uint64_t session_id, bool seals)
{
    const EVP_CIPHER *evp = evp_cipher(cipher);
    struct sealer *sealer = evp ? calloc(1, sizeof *sealer) : NULL;
    if (!sealer)
        return NULL;
    sealer->ccm = cipher == CIPHER_AES_128_CCM || cipher == CIPHER_AES_256_CCM;
    sealer->seals = seals;
    sealer->session_id = session_id;
    sealer->context = EVP_CIPHER_CTX_new();
    if (!sealer->context || !prepare(sealer, evp, key) ||
        RAND_bytes((uint8_t *)&sealer->first, sizeof sealer->first) != 1 ||
        RAND_bytes(sealer->salt, sizeof sealer->salt) != 1) {
        sealer_free(sealer);
        return NULL;
    }
    sealer->counter = sealer->first;
    return sealer;
}

void sealer_free(struct sealer *sealer)
{
    if (!sealer)
        return;
    EVP_CIPHER_CTX_free(sealer->context); /* wipes the key schedule */
    OPENSSL_cleanse(sealer, sizeof *sealer);
    free(sealer);
}

/* The counter, then random bytes that stay: CCM has room for three of them, GCM for four. */
static bool next_nonce(struct sealer *sealer, uint8_t nonce[NONCE_FIELD])
{
    if (sealer->used && sealer->counter == sealer->first)
        return false;
    sealer->used = true;
    memset(nonce, 0, NONCE_FIELD);
    put_le64(nonce, sealer->counter++);
    memcpy(nonce + 8, sealer->salt, sealer->ccm ? CCM_NONCE - 8 : GCM_NONCE - 8);
    return true;
}

bool sealer_seal(struct sealer *sealer, uint8_t *message, size_t size)
{
    uint8_t *header = message - TRANSFORM_HEADER_SIZE;
    EVP_CIPHER_CTX *context = sealer->context;
    int done;
    put_le32(header, TRANSFORM_PROTOCOL_ID);
    if (!next_nonce(sealer, header + AAD_OFFSET))
        return false;
    put_le32(header + 36, (uint32_t)size);
    put_le16(header + 40, 0);
    put_le16(header + 42, FLAG_ENCRYPTED);
    put_le64(header + 44, sealer->session_id);
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, header + AAD_OFFSET) == 1 &&
           (!sealer->ccm || EVP_EncryptUpdate(context, NULL, &done, NULL, (int)size) == 1) &&
           EVP_EncryptUpdate(context, NULL, &done, header + AAD_OFFSET, AAD_SIZE) == 1 &&
           EVP_EncryptUpdate(context, message, &done, message, (int)size) == 1 &&
           EVP_EncryptFinal_ex(context, message + done, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, header + TAG_OFFSET) == 1;
}

bool transform_read(struct span frame, uint64_t *session_id)
{
    struct reader reader = reader_over_span(frame);
    uint32_t protocol, size;
    uint16_t reserved, flags;
    return read_le32(&reader, &protocol) && protocol == TRANSFORM_PROTOCOL_ID &&
           read_skip(&reader, TAG_SIZE + NONCE_FIELD) && read_le32(&reader, &size) &&
           read_le16(&reader, &reserved) && read_le16(&reader, &flags) && flags == FLAG_ENCRYPTED &&
           read_le64(&reader, session_id) && size && size == reader_left(&reader);
}

bool sealer_open(struct sealer *sealer, uint8_t *frame, size_t size)
{
    EVP_CIPHER_CTX *context = sealer->context;
    uint8_t *message = frame + TRANSFORM_HEADER_SIZE;
    int done, length = (int)(size - TRANSFORM_HEADER_SIZE);
    if (EVP_DecryptInit_ex(context, NULL, NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, frame + TAG_OFFSET) != 1 ||
        EVP_DecryptInit_ex(context, NULL, NULL, NULL, frame + AAD_OFFSET) != 1)
        return false;
    if (sealer->ccm && EVP_DecryptUpdate(context, NULL, &done, NULL, length) != 1)
        return false;
    if (EVP_DecryptUpdate(context, NULL, &done, frame + AAD_OFFSET, AAD_SIZE) != 1 ||
        EVP_DecryptUpdate(context, message, &done, message, length) != 1)
        return false;
    /* CCM has checked the tag by now. */
    return sealer->ccm || EVP_DecryptFinal_ex(context, message + done, &done) == 1;
}
