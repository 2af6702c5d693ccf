#include "crypto/ntlm_accept.h"

#include "crypto/ntlm_answer.h"
#include "crypto/target_name.h"
#include "crypto/text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum { LIFETIME_DEFAULT_S = 60, NAME_UTF16_MAX = 2048 };

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

/*
 * What a client is offered. SIGN is always there: some clients leave their MIC out when it is not.
 * KEY_EXCH only when asked for: impacket sends a key whenever it is there, but announces it only
 * when it had asked itself.
 */
static uint32_t challenge_flags(uint32_t offered)
{
    return NTLM_UNICODE | NTLM_REQUEST_TARGET | NTLM_NTLM | NTLM_EXTENDED | NTLM_SIGN |
           NTLM_ALWAYS_SIGN | NTLM_TARGET_INFO | NTLM_TARGET_SERVER |
           (offered & (NTLM_SEAL | NTLM_KEY_EXCH | NTLM_128 | NTLM_56 | NTLM_VERSION));
}

static bool present(const char *text)
{
    return text && *text;
}

/* No AV_FLAGS: an empty one makes some clients forget their MIC. The timestamp makes all that know
 * the MIC send it (MS-NLMP 3.1.5.1.2). */
static bool write_target_info(struct writer *writer, const struct accept_policy *policy)
{
    const char *domain =
        present(policy->netbios_domain) ? policy->netbios_domain : policy->netbios_name;
    if (!av_write_text(writer, AV_NB_DOMAIN, domain) ||
        !av_write_text(writer, AV_NB_COMPUTER, policy->netbios_name) ||
        (present(policy->dns_domain) &&
         !av_write_text(writer, AV_DNS_DOMAIN, policy->dns_domain)) ||
        (present(policy->dns_name) && !av_write_text(writer, AV_DNS_COMPUTER, policy->dns_name)))
        return false;
    av_write_le64(writer, AV_TIMESTAMP, ntlm_now());
    av_write_end(writer);
    return writer_done(writer);
}

static bool write_challenge(struct ntlm_accept *accept)
{
    uint8_t name[NAME_UTF16_MAX], info[NTLM_CHALLENGE_MAX];
    struct ntlm_challenge challenge = {.flags = challenge_flags(accept->offered)};
    struct writer name_writer = writer_over(name, sizeof name);
    struct writer info_writer = writer_over(info, sizeof info);
    struct writer writer = writer_over(accept->challenge, sizeof accept->challenge);
    if (!present(accept->policy->netbios_name) ||
        RAND_bytes(challenge.server_challenge, sizeof challenge.server_challenge) != 1 ||
        !text_write_utf16(&name_writer, accept->policy->netbios_name, false) ||
        !writer_done(&name_writer) || !write_target_info(&info_writer, accept->policy))
        return false;
    challenge.target_name = writer_span(&name_writer);
    challenge.target_info = writer_span(&info_writer);
    ntlm_challenge_write(&writer, &challenge);
    accept->challenge_size = writer_size(&writer);
    return writer_done(&writer);
}

enum refusal ntlm_accept_negotiate(struct ntlm_accept *accept, struct span negotiate)
{
    struct ntlm_negotiate message;
    struct writer copy = writer_over(accept->negotiate, sizeof accept->negotiate);
    if (!ntlm_negotiate_read(negotiate, &message))
        return REFUSAL_MALFORMED;
    write_span(&copy, negotiate);
    accept->negotiate_size = writer_size(&copy);
    accept->offered = message.flags;
    if (!writer_done(&copy) || !write_challenge(accept) ||
        clock_gettime(CLOCK_MONOTONIC, &accept->issued) != 0)
        return REFUSAL_INTERNAL;
    accept->open = true;
    return REFUSAL_NONE;
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

/* An unknown account takes the same way with a hash that nobody has, so that neither the answer nor
 * the time it takes tells whether there is one. */
static enum refusal check_proof(const struct ntlm_answer *answer, const struct identity *identity,
                                const struct ntlm_challenge *challenge,
                                const struct accept_backend *backend,
                                uint8_t base_key[NTLM_KEY_SIZE])
{
    uint8_t hash[NT_HASH_SIZE], found[NT_HASH_SIZE] = {0}, owf[NTLM_KEY_SIZE];
    uint8_t proof[NTLM_PROOF_SIZE] = {0};
    bool good = RAND_bytes(hash, sizeof hash) == 1;
    bool known = backend->lookup(backend->lookup_context, identity->user, identity->domain, found);
    if (known)
        memcpy(hash, found, sizeof hash);
    good = good && ntlm_owf_v2(hash, identity->user, answer->message.domain, owf) &&
           ntlm_proof(owf, challenge->server_challenge, answer->blob, proof) &&
           ntlm_base_key(owf, proof, base_key);
    bool right = CRYPTO_memcmp(proof, answer->proof.at, sizeof proof) == 0;
    OPENSSL_cleanse(hash, sizeof hash);
    OPENSSL_cleanse(found, sizeof found);
    OPENSSL_cleanse(owf, sizeof owf);
    OPENSSL_cleanse(proof, sizeof proof);
    if (!good)
        return REFUSAL_INTERNAL;
    if (!known)
        return REFUSAL_UNKNOWN_USER;
    return right ? REFUSAL_NONE : REFUSAL_WRONG_PASSWORD;
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

static enum refusal check_target(const struct accept_policy *policy,
                                 const struct ntlm_answer *answer, const struct identity *identity)
{
    if (policy->target_name == TARGET_NAME_OFF)
        return REFUSAL_NONE;
    if (!answer->names_target)
        return policy->target_name == TARGET_NAME_REQUIRED ? REFUSAL_TARGET_NAME_MISSING
                                                           : REFUSAL_NONE;
    return target_name_matches(identity->target_name, policy) ? REFUSAL_NONE
                                                              : REFUSAL_TARGET_NAME_WRONG;
}

/* MS-NLMP 3.1.5.1.2: with KEY_EXCH the client chose the key, else it is what the proof gives. */
static enum refusal take_session_key(struct ntlm_accept *accept, const struct ntlm_answer *answer,
                                     const uint8_t base_key[NTLM_KEY_SIZE])
{
    accept->agreed = answer->message.flags;
    if (!(accept->agreed & NTLM_KEY_EXCH)) {
        memcpy(accept->session_key, base_key, sizeof accept->session_key);
        return REFUSAL_NONE;
    }
    if (answer->message.session_key.size != NTLM_KEY_SIZE)
        return REFUSAL_MALFORMED;
    if (!ntlm_exchange_key(base_key, answer->message.session_key.at, accept->session_key))
        return REFUSAL_INTERNAL;
    return REFUSAL_NONE;
}

/*
 * MS-NLMP 3.2.5.1.2: the MIC is checked when MsvAvFlags announces it. The announcement is under
 * NTProofStr, so that nobody on the way can take it back. Without it whatever stands in the MIC's
 * place is not a MIC: clients that know none leave zeros or old memory there, so those bytes are
 * neither checked nor counted as a MIC where one is required.
 */
static enum refusal check_mic(const struct ntlm_accept *accept, const struct ntlm_answer *answer,
                              struct span bytes, struct identity *identity)
{
    uint8_t mic[NTLM_MIC_SIZE];
    if (!(answer->av_flags & AV_FLAG_MIC))
        return accept->policy->mic == MIC_REQUIRED ? REFUSAL_MIC_MISSING : REFUSAL_NONE;
    if (answer->message.mic.size != sizeof mic)
        return REFUSAL_MIC_MISSING;
    if (!ntlm_mic(accept->session_key, sent_negotiate(accept), sent_challenge(accept), bytes,
                  answer->message.mic_offset, mic))
        return REFUSAL_INTERNAL;
    identity->mic_present = CRYPTO_memcmp(mic, answer->message.mic.at, sizeof mic) == 0;
    OPENSSL_cleanse(mic, sizeof mic);
    return identity->mic_present ? REFUSAL_NONE : REFUSAL_MIC_WRONG;
}

static enum refusal check_proven(struct ntlm_accept *accept, const struct ntlm_challenge *challenge,
                                 const struct ntlm_answer *answer, struct span bytes,
                                 const uint8_t base_key[NTLM_KEY_SIZE], struct identity *identity)
{
    enum refusal refusal = check_pairs(challenge, answer);
    if (refusal == REFUSAL_NONE)
        refusal = check_bindings(answer);
    if (refusal == REFUSAL_NONE)
        refusal = check_target(accept->policy, answer, identity);
    if (refusal == REFUSAL_NONE)
        refusal = take_session_key(accept, answer, base_key);
    if (refusal == REFUSAL_NONE)
        refusal = check_mic(accept, answer, bytes, identity);
    return refusal;
}

enum refusal ntlm_accept_authenticate(struct ntlm_accept *accept, struct span message,
                                      const struct accept_backend *backend,
                                      struct identity *identity)
{
    struct ntlm_challenge challenge;
    struct ntlm_answer answer;
    uint8_t base_key[NTLM_KEY_SIZE];
    if (!accept->open)
        return REFUSAL_OUT_OF_ORDER;
    accept->open = false;
    if (!ntlm_challenge_read(sent_challenge(accept), &challenge))
        return REFUSAL_INTERNAL;
    enum refusal refusal = ntlm_answer_read(message, &answer, identity);
    if (refusal == REFUSAL_NONE)
        refusal = check_flags(accept, challenge.flags, answer.message.flags);
    if (refusal == REFUSAL_NONE && expired(accept))
        refusal = REFUSAL_STALE;
    if (refusal != REFUSAL_NONE)
        return refusal;
    refusal = check_proof(&answer, identity, &challenge, backend, base_key);
    if (refusal == REFUSAL_NONE)
        refusal = check_proven(accept, &challenge, &answer, message, base_key, identity);
    OPENSSL_cleanse(base_key, sizeof base_key);
    if (refusal == REFUSAL_NONE)
        identity->authority = AUTHORITY_LOCAL;
    else
        ntlm_accept_wipe(accept);
    return refusal;
}
