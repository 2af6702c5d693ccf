#include "crypto/preauth.h"

#include "crypto/algorithms.h"

#include <openssl/evp.h>
#include <string.h>

void preauth_start(struct preauth_hash *hash)
{
    memset(hash->value, 0, sizeof hash->value);
}

bool preauth_add(struct preauth_hash *hash, struct span message)
{
    struct preauth_hash next;
    unsigned size = 0;
    EVP_MD *sha512 = algorithm_sha512();
    EVP_MD_CTX *context = sha512 ? EVP_MD_CTX_new() : NULL;
    bool ok = context && EVP_DigestInit_ex2(context, sha512, NULL) == 1 &&
              EVP_DigestUpdate(context, hash->value, sizeof hash->value) == 1 &&
              EVP_DigestUpdate(context, message.at, message.size) == 1 &&
              EVP_DigestFinal_ex(context, next.value, &size) == 1 && size == PREAUTH_HASH_SIZE;
    EVP_MD_CTX_free(context);
    if (ok)
        *hash = next;
    return ok;
}
