#include "crypto/legacy.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>

/* Fetched once, kept for the life of the process. */
static struct {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *standard;
    OSSL_PROVIDER *legacy;
    EVP_MD *md4;
    EVP_MD *md5;
    EVP_MAC *hmac;
    EVP_CIPHER *rc4;
    bool ready;
} library;

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void load(void)
{
    library.context = OSSL_LIB_CTX_new();
    if (!library.context)
        return;
    library.standard = OSSL_PROVIDER_load(library.context, "default");
    library.legacy = OSSL_PROVIDER_load(library.context, "legacy");
    if (!library.standard || !library.legacy)
        return;
    library.md4 = EVP_MD_fetch(library.context, "MD4", NULL);
    library.md5 = EVP_MD_fetch(library.context, "MD5", NULL);
    library.hmac = EVP_MAC_fetch(library.context, "HMAC", NULL);
    library.rc4 = EVP_CIPHER_fetch(library.context, "RC4", NULL);
    library.ready = library.md4 && library.md5 && library.hmac && library.rc4;
}

bool legacy_ready(void)
{
    return pthread_once(&library_once, load) == 0 && library.ready;
}

/* `md` is looked at only after the library is known to be ready. */
static bool digest(EVP_MD *const *md, const struct span *parts, size_t count, uint8_t *out)
{
    if (!legacy_ready())
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex2(context, *md, NULL) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(context, parts[i].at, parts[i].size) == 1;
    good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

bool legacy_md4(struct span bytes, uint8_t out[MD4_SIZE])
{
    return digest(&library.md4, &bytes, 1, out);
}

bool legacy_md5(const struct span *parts, size_t count, uint8_t out[MD5_SIZE])
{
    return digest(&library.md5, parts, count, out);
}

bool legacy_hmac_md5(struct span key, const struct span *parts, size_t count, uint8_t out[MD5_SIZE])
{
    char name[] = "MD5";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    if (!legacy_ready())
        return false;
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(library.hmac);
    bool good = context && EVP_MAC_init(context, key.at, key.size, params) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_MAC_update(context, parts[i].at, parts[i].size) == 1;
    size_t size = 0;
    good = good && EVP_MAC_final(context, out, &size, MD5_SIZE) == 1 && size == MD5_SIZE;
    EVP_MAC_CTX_free(context);
    return good;
}

bool legacy_rc4(const uint8_t key[RC4_KEY_SIZE], struct span in, uint8_t *out)
{
    if (in.size > INT_MAX || !legacy_ready())
        return false;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int size = 0;
    bool good = context && EVP_EncryptInit_ex2(context, library.rc4, key, NULL, NULL) == 1 &&
                EVP_EncryptUpdate(context, out, &size, in.at, (int)in.size) == 1 &&
                (size_t)size == in.size;
    EVP_CIPHER_CTX_free(context);
    return good;
}
