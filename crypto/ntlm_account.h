/*
 * Whose account an NTLM AUTHENTICATE speaks of, who is asked about it, and what they say.
 *
 * An account of the credentials file with exactly the domain that the client names comes first.
 * Without a domain to ask, or when the client names none or this host's, it is an account of the
 * file without a domain. All others are the domain's, and no account of the file hides them; only
 * when no domain of that name is known anywhere is it one of the file again, for clients outside of
 * any domain name their workgroup or themselves.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_ACCOUNT_H
#define COUNTERSIGN_CRYPTO_NTLM_ACCOUNT_H

#include "crypto/domain.h"
#include "crypto/ntlm_answer.h"
#include "crypto/ntlm_key.h"

struct ntlm_account {
    enum nt_hash_found found; /* in the credentials file */
    uint8_t hash[NT_HASH_SIZE];
    bool ask_domain; /* … before the file */
};

/* Looks the account up; asks no domain. The caller wipes it. */
void ntlm_account_find(const struct identity *identity, const struct accept_policy *policy,
                       const struct accept_backend *backend, struct ntlm_account *account);

/*
 * Proof by the credentials file. REFUSAL_NONE with `base_key`, UNKNOWN_USER, WRONG_PASSWORD or
 * INTERNAL; neither the answer to a client nor the time it takes tells whether there is an account.
 */
enum refusal ntlm_account_prove(const struct ntlm_account *account, const struct identity *identity,
                                const uint8_t challenge[NTLM_CHALLENGE_SIZE],
                                const struct ntlm_answer *answer, uint8_t base_key[NTLM_KEY_SIZE]);

/* Proof by the domain, as domain_validate(); the caller wipes `said`. */
enum refusal ntlm_account_ask(struct domain *domain, const struct identity *identity,
                              const uint8_t challenge[NTLM_CHALLENGE_SIZE],
                              const struct ntlm_answer *answer, struct domain_answer *said);

#endif
