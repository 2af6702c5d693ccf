#include "crypto/ntlm_account.h"

#include "crypto/text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

static bool same(const char *name, const char *own)
{
    return own && *own && text_same_name(name, own);
}

/* Our own workgroup is nobody else's, unless it is the domain's name. */
static bool is_workgroup(const char *domain, const struct accept_policy *policy,
                         const struct domain_names *names)
{
    return same(domain, policy->netbios_domain) && !same(domain, names->domain) &&
           !same(domain, names->dns_domain);
}

/* What clients write before the name of an account of the server itself. */
static bool is_this_host(const char *domain, const struct accept_policy *policy,
                         const struct domain_names *names)
{
    if (strcmp(domain, ".") == 0 || same(domain, policy->netbios_name) ||
        same(domain, policy->dns_name) || same(domain, names->computer))
        return true;
    for (size_t i = 0; i < policy->names_count; i++)
        if (same(domain, policy->names[i]))
            return true;
    return false;
}

static bool belongs_to_domain(const struct ntlm_account *account, const struct identity *identity,
                              const struct accept_policy *policy, struct domain *domain)
{
    struct domain_names names = {.computer = ""};
    bool named = domain_names(domain, &names);
    if (account->found == NT_HASH_OF_DOMAIN)
        return false;
    if (!*identity->domain)
        return account->found == NT_HASH_NONE;
    return !is_this_host(identity->domain, policy, &names) &&
           !(named && is_workgroup(identity->domain, policy, &names));
}

void ntlm_account_find(const struct identity *identity, const struct accept_policy *policy,
                       const struct accept_backend *backend, struct ntlm_account *account)
{
    *account = (struct ntlm_account){.found = NT_HASH_NONE};
    account->found =
        backend->lookup(backend->lookup_context, identity->user, identity->domain, account->hash);
    account->ask_domain =
        backend->domain && belongs_to_domain(account, identity, policy, backend->domain);
}

/* An unknown account takes the same way with a hash that nobody has. */
enum refusal ntlm_account_prove(const struct ntlm_account *account, const struct identity *identity,
                                const uint8_t challenge[NTLM_CHALLENGE_SIZE],
                                const struct ntlm_answer *answer, uint8_t base_key[NTLM_KEY_SIZE])
{
    uint8_t hash[NT_HASH_SIZE], owf[NTLM_KEY_SIZE], proof[NTLM_PROOF_SIZE] = {0};
    bool good = RAND_bytes(hash, sizeof hash) == 1;
    if (account->found != NT_HASH_NONE)
        memcpy(hash, account->hash, sizeof hash);
    good = good && ntlm_owf_v2(hash, identity->user, answer->message.domain, owf) &&
           ntlm_proof(owf, challenge, answer->blob, proof) && ntlm_base_key(owf, proof, base_key);
    bool right = CRYPTO_memcmp(proof, answer->proof.at, sizeof proof) == 0;
    OPENSSL_cleanse(hash, sizeof hash);
    OPENSSL_cleanse(owf, sizeof owf);
    OPENSSL_cleanse(proof, sizeof proof);
    if (!good)
        return REFUSAL_INTERNAL;
    if (account->found == NT_HASH_NONE)
        return REFUSAL_UNKNOWN_USER;
    return right ? REFUSAL_NONE : REFUSAL_WRONG_PASSWORD;
}

enum refusal ntlm_account_ask(struct domain *domain, const struct identity *identity,
                              const uint8_t challenge[NTLM_CHALLENGE_SIZE],
                              const struct ntlm_answer *answer, struct domain_answer *said)
{
    const struct domain_proof proof = {
        .user = identity->user,
        .domain = identity->domain,
        .workstation = identity->workstation,
        .challenge = challenge,
        .response = answer->message.nt_response,
    };
    return domain_validate(domain, &proof, said);
}
