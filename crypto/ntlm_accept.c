#include "crypto/ntlm_accept.h"

#include "crypto/groups.h"
#include "crypto/ntlm_account.h"
#include "crypto/target_name.h"
#include "crypto/text.h"

#include <openssl/crypto.h>
#include <string.h>

enum { LIFETIME_DEFAULT_S = 60 };

static const int64_t second = 1000000000; /* in nanoseconds */

void ntlm_accept_start(struct ntlm_accept *accept, const struct accept_policy *policy)
{
    memset(accept, 0, sizeof *accept);
    accept->policy = policy;
}

void ntlm_accept_wipe(struct ntlm_accept *accept)
{
    accept->open = false;
    OPENSSL_cleanse(accept->session_key, sizeof accept->session_key);
}

static struct span sent_negotiate(const struct ntlm_accept *accept)
{
    return (struct span){accept->negotiate, accept->negotiate_size};
}

static struct span sent_challenge(const struct ntlm_accept *accept)
{
    return (struct span){accept->challenge, accept->challenge_size};
}

static bool expired(const struct ntlm_accept *accept)
{
    struct timespec now;
    unsigned lifetime = accept->policy->challenge_lifetime_s;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return true;
    int64_t age = ((int64_t)now.tv_sec - accept->issued.tv_sec) * second +
                  (now.tv_nsec - accept->issued.tv_nsec);
    return age > (int64_t)(lifetime ? lifetime : LIFETIME_DEFAULT_S) * second;
}

/*
 * A client takes out of the flags what it can do; what it offered and we granted must come back. A
 * client that takes a key exchange which was not granted saw another CHALLENGE than ours.
 */
static enum refusal check_flags(const struct ntlm_accept *accept, uint32_t granted, uint32_t flags)
{
    uint32_t kept = accept->offered & granted & (NTLM_NEEDED | NTLM_SIGN | NTLM_KEY_EXCH);
    if ((flags & kept) != kept || flags & ~granted & NTLM_KEY_EXCH)
        return REFUSAL_FLAGS;
    return REFUSAL_NONE;
}

/*
 * All that we said of ourselves must come back as we said it: a relay that showed its victim other
 * names, or no timestamp, so as to get no MIC, is found out here. The client adds pairs of its own
 * (6, 8, 9, 10), but none twice: we might believe the one that the relay put into the CHALLENGE.
 */
static enum refusal check_pairs(const struct ntlm_challenge *challenge,
                                const struct ntlm_answer *answer)
{
    struct av_list sent;
    uint32_t flags;
    if (!av_list_read(challenge->target_info, &sent))
        return REFUSAL_INTERNAL;
    if (av_list_repeats(&answer->pairs) ||
        (av_list_find(&answer->pairs, AV_FLAGS) && !av_list_le32(&answer->pairs, AV_FLAGS, &flags)))
        return REFUSAL_AV_PAIRS;
    for (size_t i = 0; i < sent.count; i++) {
        const struct av_pair *pair = av_list_find(&answer->pairs, (enum av_id)sent.pairs[i].id);
        if (pair && span_equal(pair->value, sent.pairs[i].value))
            continue;
        return pair && pair->id == AV_TIMESTAMP ? REFUSAL_STALE : REFUSAL_AV_PAIRS;
    }
    return REFUSAL_NONE;
}

/* SMB runs over no TLS channel, so a client that is bound to one spoke to somebody else. Sixteen
 * zero bytes say "none" (MS-NLMP 2.2.2.1). */
static enum refusal check_bindings(const struct ntlm_answer *answer)
{
    static const uint8_t none[AV_CHANNEL_BINDINGS_SIZE];
    const struct av_pair *pair = av_list_find(&answer->pairs, AV_CHANNEL_BINDINGS);
    if (!pair || span_equal(pair->value, (struct span){none, sizeof none}))
        return REFUSAL_NONE;
    return REFUSAL_CHANNEL_BINDINGS;
}

/* The name that this host has in its domain is one of ours, too. */
static bool names_us(const struct ntlm_accept *accept, const char *target)
{
    struct accept_policy joined = {.netbios_name = accept->joined.computer};
    return target_name_matches(target, accept->policy) ||
           (accept->of_domain && target_name_matches(target, &joined));
}

static enum refusal check_target(const struct ntlm_accept *accept, const struct ntlm_answer *answer,
                                 const struct identity *identity)
{
    const struct accept_policy *policy = accept->policy;
    if (policy->target_name == TARGET_NAME_OFF)
        return REFUSAL_NONE;
    if (!answer->names_target)
        return policy->target_name == TARGET_NAME_REQUIRED ? REFUSAL_TARGET_NAME_MISSING
                                                           : REFUSAL_NONE;
    return names_us(accept, identity->target_name) ? REFUSAL_NONE : REFUSAL_TARGET_NAME_WRONG;
}

/*
 * MS-NLMP 3.2.5.1.2: the MIC is checked when MsvAvFlags announces it. The announcement is under
 * NTProofStr, so that nobody on the way can take it back. Without it whatever stands in the MIC's
 * place is not a MIC: clients that know none leave zeros or old memory there, so those bytes are
 * neither checked nor counted as a MIC where one is required.
 */
static enum refusal check_mic_is_there(const struct accept_policy *policy,
                                       const struct ntlm_answer *answer)
{
    if (!(answer->av_flags & AV_FLAG_MIC))
        return policy->mic == MIC_REQUIRED ? REFUSAL_MIC_MISSING : REFUSAL_NONE;
    return answer->message.mic.size == NTLM_MIC_SIZE ? REFUSAL_NONE : REFUSAL_MIC_MISSING;
}

/* All that can be told without a key. */
static enum refusal check_claim(const struct ntlm_accept *accept,
                                const struct ntlm_challenge *challenge,
                                const struct ntlm_answer *answer, const struct identity *identity)
{
    enum refusal refusal = check_pairs(challenge, answer);
    if (refusal == REFUSAL_NONE)
        refusal = check_bindings(answer);
    if (refusal == REFUSAL_NONE)
        refusal = check_target(accept, answer, identity);
    if (refusal == REFUSAL_NONE && answer->message.flags & NTLM_KEY_EXCH &&
        answer->message.session_key.size != NTLM_KEY_SIZE)
        refusal = REFUSAL_MALFORMED;
    if (refusal == REFUSAL_NONE)
        refusal = check_mic_is_there(accept->policy, answer);
    return refusal;
}

/* MS-NLMP 3.1.5.1.2: with KEY_EXCH the client chose the key, else it is what the proof gives. */
static bool take_session_key(struct ntlm_accept *accept, const struct ntlm_answer *answer,
                             const uint8_t base_key[NTLM_KEY_SIZE])
{
    accept->agreed = answer->message.flags;
    if (accept->agreed & NTLM_KEY_EXCH)
        return ntlm_exchange_key(base_key, answer->message.session_key.at, accept->session_key);
    memcpy(accept->session_key, base_key, sizeof accept->session_key);
    return true;
}

static enum refusal check_mic(const struct ntlm_accept *accept, const struct ntlm_answer *answer,
                              struct span bytes, struct identity *identity)
{
    uint8_t mic[NTLM_MIC_SIZE];
    if (!(answer->av_flags & AV_FLAG_MIC))
        return REFUSAL_NONE;
    if (!ntlm_mic(accept->session_key, sent_negotiate(accept), sent_challenge(accept), bytes,
                  answer->message.mic_offset, mic))
        return REFUSAL_INTERNAL;
    identity->mic_present = CRYPTO_memcmp(mic, answer->message.mic.at, sizeof mic) == 0;
    OPENSSL_cleanse(mic, sizeof mic);
    return identity->mic_present ? REFUSAL_NONE : REFUSAL_MIC_WRONG;
}

/* What the steps of one AUTHENTICATE share. */
struct attempt {
    struct ntlm_challenge challenge;
    struct ntlm_answer answer;
    struct span message;
    struct ntlm_account account;
    struct domain_answer said;
    uint8_t base_key[NTLM_KEY_SIZE];
};

static enum refusal finish(struct ntlm_accept *accept, const struct attempt *attempt,
                           const uint8_t base_key[NTLM_KEY_SIZE], struct identity *identity)
{
    if (!take_session_key(accept, &attempt->answer, base_key))
        return REFUSAL_INTERNAL;
    return check_mic(accept, &attempt->answer, attempt->message, identity);
}

/* Of two things wrong the log should tell the proof: the rest of it may be anybody's. */
static enum refusal accept_local(struct ntlm_accept *accept, struct attempt *attempt,
                                 struct identity *identity)
{
    enum refusal refusal =
        ntlm_account_prove(&attempt->account, identity, attempt->challenge.server_challenge,
                           &attempt->answer, attempt->base_key);
    if (refusal == REFUSAL_NONE)
        refusal = check_claim(accept, &attempt->challenge, &attempt->answer, identity);
    if (refusal == REFUSAL_NONE)
        refusal = finish(accept, attempt, attempt->base_key, identity);
    if (refusal == REFUSAL_NONE)
        identity->authority = AUTHORITY_LOCAL;
    return refusal;
}

/* A wrong answer costs the user one of the tries that the domain grants. So nobody else is to spend
 * them: with a response that was made for another server, or for another challenge of ours. */
static enum refusal accept_of_domain(struct ntlm_accept *accept, struct attempt *attempt,
                                     struct domain *domain, struct identity *identity)
{
    struct domain_answer *said = &attempt->said;
    enum refusal refusal = check_claim(accept, &attempt->challenge, &attempt->answer, identity);
    if (refusal == REFUSAL_NONE && !accept->of_domain)
        refusal = REFUSAL_DOMAIN_UNAVAILABLE;
    if (refusal == REFUSAL_NONE)
        refusal = ntlm_account_ask(domain, identity, attempt->challenge.server_challenge,
                                   &attempt->answer, said);
    accept->status = said->status;
    if (said->foreign && attempt->account.found == NT_HASH_PLAIN) {
        accept->status = 0;
        return accept_local(accept, attempt, identity);
    }
    if (refusal == REFUSAL_NONE)
        refusal = finish(accept, attempt, said->base_key, identity);
    if (refusal != REFUSAL_NONE)
        return refusal;
    identity->authority = AUTHORITY_DOMAIN;
    identity->expires = said->expires;
    memcpy(identity->user, said->user, sizeof identity->user);
    memcpy(identity->domain, said->domain, sizeof identity->domain);
    return REFUSAL_NONE;
}

/* What an AUTHENTICATE must be before anybody looks for its account. */
static enum refusal open_attempt(const struct ntlm_accept *accept, struct span message,
                                 struct attempt *attempt, struct identity *identity)
{
    attempt->message = message;
    if (!ntlm_challenge_read(sent_challenge(accept), &attempt->challenge))
        return REFUSAL_INTERNAL;
    enum refusal refusal = ntlm_answer_read(message, &attempt->answer, identity);
    if (refusal == REFUSAL_NONE)
        refusal = check_flags(accept, attempt->challenge.flags, attempt->answer.message.flags);
    if (refusal == REFUSAL_NONE && expired(accept))
        refusal = REFUSAL_STALE;
    return refusal;
}

/* Whoever tries to be guest is told apart from whoever mistypes a name. The domain's guest cannot
 * get in with any password; a local account of that name is a user like others. */
static enum refusal name_guest(enum refusal refusal, const struct attempt *attempt,
                               const struct identity *identity)
{
    bool nobody = refusal == REFUSAL_UNKNOWN_USER || refusal == REFUSAL_DOMAIN ||
                  (refusal == REFUSAL_WRONG_PASSWORD && attempt->account.ask_domain);
    bool guest = attempt->said.guest || text_same_name(identity->user, "guest");
    return nobody && guest ? REFUSAL_GUEST : refusal;
}

enum refusal ntlm_accept_authenticate(struct ntlm_accept *accept, struct span message,
                                      const struct accept_backend *backend,
                                      struct identity *identity)
{
    struct attempt attempt = {.said = {.status = 0}};
    if (!accept->open)
        return REFUSAL_OUT_OF_ORDER;
    accept->open = false;
    enum refusal refusal = open_attempt(accept, message, &attempt, identity);
    if (refusal == REFUSAL_NONE) {
        ntlm_account_find(identity, accept->policy, backend, &attempt.account);
        refusal = attempt.account.ask_domain
                      ? accept_of_domain(accept, &attempt, backend->domain, identity)
                      : accept_local(accept, &attempt, identity);
        refusal = name_guest(refusal, &attempt, identity);
    }
    if (refusal == REFUSAL_NONE && backend->groups)
        refusal = groups_refusal(groups_mark(backend->groups, &attempt.said.sids, identity));
    domain_answer_wipe(&attempt.said);
    OPENSSL_cleanse(&attempt, sizeof attempt);
    if (refusal != REFUSAL_NONE)
        ntlm_accept_wipe(accept);
    return refusal;
}

bool ntlm_accept_asks_domain(const struct ntlm_accept *accept, struct span message,
                             const struct accept_backend *backend)
{
    struct attempt attempt;
    struct identity identity = {.user = ""};
    struct domain_names names;
    uint32_t type;
    if (!backend->domain || !ntlm_message_type(message, &type))
        return false;
    if (type == NTLM_NEGOTIATE)
        return !domain_names(backend->domain, &names);
    if (!accept->open || open_attempt(accept, message, &attempt, &identity) != REFUSAL_NONE)
        return false;
    ntlm_account_find(&identity, accept->policy, backend, &attempt.account);
    bool asks = attempt.account.ask_domain;
    OPENSSL_cleanse(&attempt, sizeof attempt);
    return asks;
}
