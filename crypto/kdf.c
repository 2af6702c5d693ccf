#include "crypto/kdf.h"

#include "crypto/algorithms.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

enum { KDF_OUT_MAX = 32 };
enum {
    SMB_2_0_2 = 0x0202,
    SMB_2_1 = 0x0210,
    SMB_3_0 = 0x0300,
    SMB_3_0_2 = 0x0302,
    SMB_3_1_1 = 0x0311
};

bool kdf_sp800_108(struct span key, struct span label, struct span context, uint8_t *out,
                   size_t out_size)
{
    char mode[] = "counter", mac[] = "HMAC", digest[] = "SHA256";
    /* OpenSSL's parameters point to what may be changed, though these are only read. */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key.at, key.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)label.at, label.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)context.at, context.size),
        OSSL_PARAM_construct_end(),
    };
    if (key.size == 0 || out_size == 0 || out_size > KDF_OUT_MAX)
        return false;
    EVP_KDF_CTX *kdf = algorithm_kbkdf() ? EVP_KDF_CTX_new(algorithm_kbkdf()) : NULL;
    bool ok = kdf && EVP_KDF_derive(kdf, out, out_size, params) == 1;
    EVP_KDF_CTX_free(kdf);
    return ok;
}

/* The constants of MS-SMB2 3.1.4.2, each with the NUL that belongs to it. At 3.1.1 the context is
 * the preauth hash and stands empty here. */
struct derivation {
    struct span label;
    struct span context;
};
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal)                                                \
    }

static const struct key_table {
    struct derivation signing, client_to_server, server_to_client, application;
} keys_3_0 =
    {
        .signing = {TEXT("SMB2AESCMAC"), TEXT("SmbSign")},
        .client_to_server = {TEXT("SMB2AESCCM"), TEXT("ServerIn ")},
        .server_to_client = {TEXT("SMB2AESCCM"), TEXT("ServerOut")},
        .application = {TEXT("SMB2APP"), TEXT("SmbRpc")},
},
  keys_3_1_1 = {
      .signing = {TEXT("SMBSigningKey"), {NULL, 0}},
      .client_to_server = {TEXT("SMBC2SCipherKey"), {NULL, 0}},
      .server_to_client = {TEXT("SMBS2CCipherKey"), {NULL, 0}},
      .application = {TEXT("SMBAppKey"), {NULL, 0}},
};

static bool derive(struct span key, const struct derivation *derivation,
                   const struct preauth_hash *preauth, uint8_t *out, size_t out_size)
{
    struct span context = derivation->context;
    if (context.size == 0)
        context = (struct span){preauth->value, sizeof preauth->value};
    return kdf_sp800_108(key, derivation->label, context, out, out_size);
}

/*
 * Signing and application keys are 128 bits from Session.SessionKey even beside an AES-256 cipher:
 * MS-SMB2 3.1.4.2 can be read otherwise, but every implementation in the field does it so. Only the
 * cipher keys follow the cipher, and then come from Session.FullSessionKey.
 */
static bool derive_all(const struct key_table *table, struct span short_key, struct span cipher_key,
                       const struct preauth_hash *preauth, struct session_keys *keys)
{
    return derive(short_key, &table->signing, preauth, keys->signing, sizeof keys->signing) &&
           derive(short_key, &table->application, preauth, keys->application,
                  sizeof keys->application) &&
           derive(cipher_key, &table->client_to_server, preauth, keys->client_to_server,
                  keys->cipher_key_size) &&
           derive(cipher_key, &table->server_to_client, preauth, keys->server_to_client,
                  keys->cipher_key_size);
}

static bool is_aes_256(enum cipher cipher)
{
    return cipher == CIPHER_AES_256_CCM || cipher == CIPHER_AES_256_GCM;
}

/* The dialect's table, or NULL when the dialect is not a 3.x one, or lacks what goes with it: 3.0
 * and 3.0.2 know only AES-128-CCM (MS-SMB2 3.3.5.4), 3.1.1 is nothing without its preauth hash. */
static const struct key_table *table_for(uint16_t dialect, enum cipher cipher,
                                         const struct preauth_hash *preauth)
{
    if (dialect == SMB_3_1_1)
        return preauth ? &keys_3_1_1 : NULL;
    bool older = dialect == SMB_3_0 || dialect == SMB_3_0_2;
    return older && (cipher == CIPHER_NONE || cipher == CIPHER_AES_128_CCM) ? &keys_3_0 : NULL;
}

bool session_keys_derive(uint16_t dialect, enum cipher cipher, const struct session_key *key,
                         const struct preauth_hash *preauth, struct session_keys *keys)
{
    uint8_t first[SIGNING_KEY_SIZE] = {0};
    struct span short_key = {first, sizeof first};
    struct span full_key = {key->bytes, key->size};
    const struct key_table *table = table_for(dialect, cipher, preauth);
    bool ok = false;
    memset(keys, 0, sizeof *keys);
    if (key->size == 0 || key->size > SESSION_KEY_MAX)
        return false;
    memcpy(first, key->bytes, key->size < sizeof first ? key->size : sizeof first);
    if (table) {
        keys->cipher_key_size = is_aes_256(cipher) ? 32 : 16;
        ok = derive_all(table, short_key, is_aes_256(cipher) ? full_key : short_key, preauth, keys);
    } else if (dialect == SMB_2_0_2 || dialect == SMB_2_1) {
        memcpy(keys->signing, first, sizeof keys->signing);
        ok = true;
    }
    OPENSSL_cleanse(first, sizeof first);
    if (!ok)
        session_keys_wipe(keys);
    return ok;
}

void session_keys_wipe(struct session_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof *keys);
}

const char *cipher_name(enum cipher cipher)
{
    switch (cipher) {
    case CIPHER_AES_128_CCM: return "AES-128-CCM";
    case CIPHER_AES_128_GCM: return "AES-128-GCM";
    case CIPHER_AES_256_CCM: return "AES-256-CCM";
    case CIPHER_AES_256_GCM: return "AES-256-GCM";
    case CIPHER_NONE: break;
    }
    return "none";
}
