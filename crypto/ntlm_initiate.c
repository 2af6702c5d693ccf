#include "crypto/ntlm_initiate.h"

#include "crypto/challenges.h"
#include "crypto/ntlm_av.h"
#include "crypto/text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

enum {
    CLIENT_CHALLENGE_SIZE = 8,
    LM_RESPONSE_SIZE = NTLM_PROOF_SIZE + CLIENT_CHALLENGE_SIZE,
    BLOB_MAX = NTLM_CHALLENGE_MAX + 2 * IDENTITY_TARGET_MAX + 128,
    NAME_UTF16_MAX = 2 * IDENTITY_NAME_MAX,
};

/* Without any of these there is no key, or one that is too weak, or one that an attacker chose. */
#define NEEDED                                                                                     \
    (NTLM_UNICODE | NTLM_SIGN | NTLM_EXTENDED | NTLM_TARGET_INFO | NTLM_128 | NTLM_KEY_EXCH)

#define OFFERED                                                                                    \
    (NTLM_UNICODE | NTLM_REQUEST_TARGET | NTLM_SIGN | NTLM_NTLM | NTLM_ALWAYS_SIGN |               \
     NTLM_EXTENDED | NTLM_TARGET_INFO | NTLM_VERSION | NTLM_128 | NTLM_KEY_EXCH)

/* What the AUTHENTICATE is made of while it is made; wiped as a whole. */
struct draft {
    struct ntlm_challenge challenge;
    struct av_list pairs;
    uint64_t time;
    bool timestamp; /* the server gave one: then it knows the MIC */
    uint8_t client_challenge[CLIENT_CHALLENGE_SIZE];
    uint8_t user[NAME_UTF16_MAX];
    uint8_t domain[NAME_UTF16_MAX];
    uint8_t owf[NTLM_KEY_SIZE];
    uint8_t base_key[NTLM_KEY_SIZE];
    uint8_t encrypted_key[NTLM_KEY_SIZE];
    uint8_t lm_response[LM_RESPONSE_SIZE];
    uint8_t mic[NTLM_MIC_SIZE];
    uint8_t blob[BLOB_MAX];
    uint8_t nt_response[NTLM_PROOF_SIZE + BLOB_MAX];
    uint8_t message[NTLM_AUTHENTICATE_MAX];
    struct span blob_span;
    struct ntlm_authenticate authenticate;
};

enum refusal ntlm_initiate_negotiate(struct ntlm_initiate *initiate, struct writer *writer)
{
    const struct ntlm_negotiate negotiate = {.flags = OFFERED};
    struct writer copy = writer_over(initiate->negotiate, sizeof initiate->negotiate);
    ntlm_negotiate_write(&copy, &negotiate);
    initiate->negotiate_size = writer_size(&copy);
    write_span(writer, writer_span(&copy));
    return writer_done(&copy) ? REFUSAL_NONE : REFUSAL_INTERNAL;
}

static enum refusal open_challenge(struct draft *draft, struct challenges *own, struct span message)
{
    if (!ntlm_challenge_read(message, &draft->challenge))
        return REFUSAL_MALFORMED;
    if (challenges_ours(own, draft->challenge.server_challenge))
        return REFUSAL_REFLECTION;
    if (draft->challenge.flags & NTLM_ANONYMOUS)
        return REFUSAL_ANONYMOUS;
    if ((draft->challenge.flags & NEEDED) != NEEDED)
        return REFUSAL_FLAGS;
    if (!av_list_read(draft->challenge.target_info, &draft->pairs) ||
        av_list_repeats(&draft->pairs))
        return REFUSAL_MALFORMED;
    draft->timestamp = av_list_le64(&draft->pairs, AV_TIMESTAMP, &draft->time);
    if (!draft->timestamp)
        draft->time = ntlm_now();
    return REFUSAL_NONE;
}

/* The server's pairs as they are, but for those that are the client's to say (MS-NLMP 3.1.5.1.2).
 */
static bool write_pairs(const struct draft *draft, const char *target, struct writer *writer)
{
    static const uint8_t no_bindings[AV_CHANNEL_BINDINGS_SIZE];
    for (size_t i = 0; i < draft->pairs.count; i++) {
        const struct av_pair *pair = &draft->pairs.pairs[i];
        if (pair->id != AV_FLAGS && pair->id != AV_TARGET_NAME && pair->id != AV_CHANNEL_BINDINGS)
            av_write(writer, (enum av_id)pair->id, pair->value);
    }
    if (draft->timestamp)
        av_write_le32(writer, AV_FLAGS, AV_FLAG_MIC);
    av_write(writer, AV_CHANNEL_BINDINGS, (struct span){no_bindings, sizeof no_bindings});
    if (!av_write_text(writer, AV_TARGET_NAME, target))
        return false;
    av_write_end(writer);
    return writer_done(writer);
}

/* NTLMv2_CLIENT_CHALLENGE (MS-NLMP 2.2.2.7), and the four zero bytes of 3.3.2 behind it. */
static bool write_blob(struct draft *draft, const char *target)
{
    struct writer writer = writer_over(draft->blob, sizeof draft->blob);
    write_u8(&writer, 1);
    write_u8(&writer, 1);
    write_zeros(&writer, 6);
    write_le64(&writer, draft->time);
    write_bytes(&writer, draft->client_challenge, sizeof draft->client_challenge);
    write_zeros(&writer, 4);
    if (!write_pairs(draft, target, &writer))
        return false;
    write_zeros(&writer, 4);
    draft->blob_span = writer_span(&writer);
    return writer_done(&writer);
}

static bool name_span(const char *name, uint8_t *utf16, struct span *span)
{
    struct writer writer = writer_over(utf16, NAME_UTF16_MAX);
    bool good = text_write_utf16(&writer, name, false) && writer_done(&writer);
    *span = writer_span(&writer);
    return good;
}

static bool fill_names(const struct ntlm_initiate *initiate, struct draft *draft)
{
    const struct av_pair *computer = av_list_find(&draft->pairs, AV_NB_COMPUTER);
    struct ntlm_authenticate *authenticate = &draft->authenticate;
    if (!name_span(initiate->user, draft->user, &authenticate->user) ||
        !name_span(initiate->domain, draft->domain, &authenticate->domain))
        return false;
    if (authenticate->domain.size == 0 && computer)
        authenticate->domain = computer->value;
    return true;
}

/* A server that gave a timestamp has no use for the LMv2 response (MS-NLMP 3.1.5.1.2). */
static bool fill_lm_response(struct draft *draft)
{
    const struct span challenge = {draft->client_challenge, sizeof draft->client_challenge};
    struct writer writer = writer_over(draft->lm_response, sizeof draft->lm_response);
    uint8_t proof[NTLM_PROOF_SIZE] = {0};
    if (draft->timestamp) {
        write_zeros(&writer, LM_RESPONSE_SIZE);
    } else {
        if (!ntlm_proof(draft->owf, draft->challenge.server_challenge, challenge, proof))
            return false;
        write_bytes(&writer, proof, sizeof proof);
        write_span(&writer, challenge);
    }
    draft->authenticate.lm_response = writer_span(&writer);
    return writer_done(&writer);
}

static bool fill_nt_response(const struct ntlm_initiate *initiate, struct draft *draft)
{
    uint8_t proof[NTLM_PROOF_SIZE];
    struct writer writer = writer_over(draft->nt_response, sizeof draft->nt_response);
    if (!ntlm_owf_v2(initiate->nt_hash, initiate->user, draft->authenticate.domain, draft->owf) ||
        !write_blob(draft, initiate->target) ||
        !ntlm_proof(draft->owf, draft->challenge.server_challenge, draft->blob_span, proof) ||
        !ntlm_base_key(draft->owf, proof, draft->base_key))
        return false;
    write_bytes(&writer, proof, sizeof proof);
    write_span(&writer, draft->blob_span);
    draft->authenticate.nt_response = writer_span(&writer);
    return writer_done(&writer);
}

static bool fill_keys(struct ntlm_initiate *initiate, struct draft *draft)
{
    initiate->agreed = draft->challenge.flags & OFFERED;
    draft->authenticate.flags = initiate->agreed;
    draft->authenticate.session_key =
        (struct span){draft->encrypted_key, sizeof draft->encrypted_key};
    return RAND_bytes(initiate->session_key, sizeof initiate->session_key) == 1 &&
           ntlm_exchange_key(draft->base_key, initiate->session_key, draft->encrypted_key);
}

static bool write_message(struct draft *draft, struct span *message)
{
    struct writer writer = writer_over(draft->message, sizeof draft->message);
    ntlm_authenticate_write(&writer, &draft->authenticate);
    *message = writer_span(&writer);
    return writer_done(&writer);
}

/* The MIC is over the message with zeros in the MIC's place: written once without, once with it. */
static bool finish(const struct ntlm_initiate *initiate, struct draft *draft, struct span challenge,
                   struct span *message)
{
    const struct span negotiate = {initiate->negotiate, initiate->negotiate_size};
    struct ntlm_authenticate placed;
    if (!write_message(draft, message))
        return false;
    if (!draft->timestamp)
        return true;
    if (!ntlm_authenticate_read(*message, &placed) ||
        !ntlm_mic(initiate->session_key, negotiate, challenge, *message, placed.mic_offset,
                  draft->mic))
        return false;
    draft->authenticate.mic = (struct span){draft->mic, sizeof draft->mic};
    return write_message(draft, message);
}

static enum refusal authenticate(struct ntlm_initiate *initiate, struct draft *draft,
                                 struct span challenge, struct span *message)
{
    enum refusal refusal = open_challenge(draft, initiate->own, challenge);
    if (refusal != REFUSAL_NONE)
        return refusal;
    if (RAND_bytes(draft->client_challenge, sizeof draft->client_challenge) != 1 ||
        !fill_names(initiate, draft) || !fill_nt_response(initiate, draft) ||
        !fill_lm_response(draft) || !fill_keys(initiate, draft) ||
        !finish(initiate, draft, challenge, message))
        return REFUSAL_INTERNAL;
    return REFUSAL_NONE;
}

enum refusal ntlm_initiate_authenticate(struct ntlm_initiate *initiate, struct span challenge,
                                        struct writer *writer)
{
    struct draft *draft = OPENSSL_zalloc(sizeof *draft);
    struct span message;
    if (!draft)
        return REFUSAL_INTERNAL;
    enum refusal refusal = authenticate(initiate, draft, challenge, &message);
    if (refusal == REFUSAL_NONE) {
        write_span(writer, message);
        if (!writer_done(writer))
            refusal = REFUSAL_INTERNAL;
    }
    if (refusal != REFUSAL_NONE)
        OPENSSL_cleanse(initiate->session_key, sizeof initiate->session_key);
    OPENSSL_clear_free(draft, sizeof *draft);
    return refusal;
}
