#include "crypto/algorithms.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
    EVP_MAC *hmac;
    EVP_CIPHER *aes_128_cbc;
    EVP_CIPHER *aes_128_gcm;
    EVP_MD *sha512;
    EVP_KDF *kbkdf;
} fetched;

static void fetch(void)
{
    fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    fetched.aes_128_cbc = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    fetched.aes_128_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    fetched.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    fetched.kbkdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
}

EVP_MAC *algorithm_hmac(void)
{
    pthread_once(&once, fetch);
    return fetched.hmac;
}

EVP_CIPHER *algorithm_aes_128_cbc(void)
{
    pthread_once(&once, fetch);
    return fetched.aes_128_cbc;
}

EVP_CIPHER *algorithm_aes_128_gcm(void)
{
    pthread_once(&once, fetch);
    return fetched.aes_128_gcm;
}

EVP_MD *algorithm_sha512(void)
{
    pthread_once(&once, fetch);
    return fetched.sha512;
}

EVP_KDF *algorithm_kbkdf(void)
{
    pthread_once(&once, fetch);
    return fetched.kbkdf;
}

bool algorithms_prepare(void)
{
    pthread_once(&once, fetch);
    return fetched.hmac && fetched.aes_128_cbc && fetched.aes_128_gcm && fetched.sha512 &&
           fetched.kbkdf;
}
