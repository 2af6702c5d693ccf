#include "crypto/initiate.h"

#include "crypto/ntlm_initiate.h"
#include "crypto/spnego.h"
#include "crypto/text.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum initiate_state {
    INITIATE_START,         /* nothing sent */
    INITIATE_NEGOTIATED,    /* NEGOTIATE sent, CHALLENGE awaited */
    INITIATE_AUTHENTICATED, /* AUTHENTICATE sent: the session key is there */
    INITIATE_DONE,
    INITIATE_REFUSED,
};

struct initiator {
    enum initiate_state state;
    enum refusal refusal;
    bool mic_needed; /* the server asked for mechListMIC, so it owes us one */
    struct ntlm_initiate ntlm;
};

/* Copies a name that fits and is UTF-8. */
static bool copy_name(const char *from, char *to, size_t size)
{
    uint8_t utf16[2 * IDENTITY_TARGET_MAX];
    struct writer check = writer_over(utf16, sizeof utf16);
    struct writer copy = writer_over(to, size);
    write_bytes(&copy, from, strnlen(from, size) + 1);
    return writer_done(&copy) && text_write_utf16(&check, to, false) && writer_done(&check);
}

struct initiator *initiator_new(const char *user, const char *domain,
                                const uint8_t nt_hash[NT_HASH_SIZE], const char *target)
{
    struct initiator *initiator = calloc(1, sizeof *initiator);
    if (!initiator)
        return NULL;
    struct ntlm_initiate *ntlm = &initiator->ntlm;
    memcpy(ntlm->nt_hash, nt_hash, sizeof ntlm->nt_hash);
    if (copy_name(user, ntlm->user, sizeof ntlm->user) &&
        copy_name(domain, ntlm->domain, sizeof ntlm->domain) &&
        copy_name(target, ntlm->target, sizeof ntlm->target))
        return initiator;
    initiator_free(initiator);
    return NULL;
}

void initiator_free(struct initiator *initiator)
{
    if (!initiator)
        return;
    OPENSSL_cleanse(initiator, sizeof *initiator);
    free(initiator);
}

void initiator_refuse_own(struct initiator *initiator, struct challenges *own)
{
    initiator->ntlm.own = own;
}

static enum step refuse(struct initiator *initiator, enum refusal refusal)
{
    initiator->state = INITIATE_REFUSED;
    initiator->refusal = refusal;
    OPENSSL_cleanse(initiator->ntlm.session_key, sizeof initiator->ntlm.session_key);
    return STEP_REFUSED;
}

static enum step proceed(struct initiator *initiator, enum initiate_state next,
                         const struct writer *reply)
{
    if (!writer_done(reply))
        return refuse(initiator, REFUSAL_INTERNAL);
    initiator->state = next;
    return next == INITIATE_DONE ? STEP_DONE : STEP_CONTINUE;
}

static enum step send_negotiate(struct initiator *initiator, struct span token,
                                struct writer *reply)
{
    uint8_t message[sizeof initiator->ntlm.negotiate];
    struct writer writer = writer_over(message, sizeof message);
    if (token.size != 0)
        return refuse(initiator, REFUSAL_OUT_OF_ORDER);
    enum refusal refusal = ntlm_initiate_negotiate(&initiator->ntlm, &writer);
    if (refusal != REFUSAL_NONE)
        return refuse(initiator, refusal);
    spnego_init_write(reply, spnego_ntlm_list(), writer_span(&writer));
    return proceed(initiator, INITIATE_NEGOTIATED, reply);
}

/* The server's mechanism must be ours; its first reply names it, but ksmbd and others may not. */
static enum refusal check_choice(const struct spnego_response *response)
{
    if (response->state == SPNEGO_REJECT)
        return REFUSAL_NO_MECHANISM;
    if (response->mechanism.size && !span_equal(response->mechanism, spnego_oid(SPNEGO_NTLM)))
        return REFUSAL_OTHER_MECHANISM;
    /* Completed before it has seen a proof: a server that lets anybody in. */
    return response->state == SPNEGO_COMPLETED ? REFUSAL_ANONYMOUS : REFUSAL_NONE;
}

/* mechListMIC goes along always: it is right whenever NTLM has agreed on signing, and a server that
 * has no use for it passes it over. */
static enum refusal answer_challenge(struct initiator *initiator, struct span challenge,
                                     struct writer *message, uint8_t mic[NTLM_MAC_SIZE])
{
    enum refusal refusal = ntlm_initiate_authenticate(&initiator->ntlm, challenge, message);
    if (refusal != REFUSAL_NONE)
        return refusal;
    return ntlm_mac(initiator->ntlm.session_key, initiator->ntlm.agreed, NTLM_FROM_CLIENT,
                    spnego_ntlm_list(), mic)
               ? REFUSAL_NONE
               : REFUSAL_INTERNAL;
}

static enum step send_authenticate(struct initiator *initiator, struct span token,
                                   struct writer *reply)
{
    uint8_t message[NTLM_AUTHENTICATE_MAX], mic[NTLM_MAC_SIZE];
    struct writer writer = writer_over(message, sizeof message);
    struct spnego_response response;
    if (!spnego_response_read(token, &response))
        return refuse(initiator, REFUSAL_MALFORMED);
    enum refusal refusal = check_choice(&response);
    if (refusal == REFUSAL_NONE)
        refusal = answer_challenge(initiator, response.token, &writer, mic);
    if (refusal != REFUSAL_NONE)
        return refuse(initiator, refusal);
    initiator->mic_needed = response.state == SPNEGO_REQUEST_MIC;
    const struct spnego_response answer = {
        .state = SPNEGO_NO_STATE,
        .token = writer_span(&writer),
        .mic = {mic, sizeof mic},
    };
    spnego_response_write(reply, &answer);
    return proceed(initiator, INITIATE_AUTHENTICATED, reply);
}

/*
 * RFC 4178 5: our list has one mechanism and the server took it, so that a mechListMIC is not
 * needed unless the server asked for it; ksmbd sends none, other servers no last token at all. One
 * that is there must be right. The server's knowledge of the key is proven by the signature of the
 * SMB response that carries this token, which the caller verifies.
 */
static enum refusal check_last(const struct initiator *initiator, struct span token)
{
    struct spnego_response response = {.state = SPNEGO_NO_STATE};
    const struct ntlm_initiate *ntlm = &initiator->ntlm;
    if (token.size && !spnego_response_read(token, &response))
        return REFUSAL_MALFORMED;
    if (response.state == SPNEGO_REJECT)
        return REFUSAL_WRONG_PASSWORD;
    if (response.state == SPNEGO_INCOMPLETE || response.state == SPNEGO_REQUEST_MIC ||
        response.token.size)
        return REFUSAL_OUT_OF_ORDER;
    if (response.mechanism.size && !span_equal(response.mechanism, spnego_oid(SPNEGO_NTLM)))
        return REFUSAL_OTHER_MECHANISM;
    if (response.mic.size == 0)
        return initiator->mic_needed ? REFUSAL_MECH_LIST_MIC_MISSING : REFUSAL_NONE;
    return ntlm_mac_right(ntlm->session_key, ntlm->agreed, NTLM_FROM_SERVER, spnego_ntlm_list(),
                          response.mic)
               ? REFUSAL_NONE
               : REFUSAL_MECH_LIST_MIC_WRONG;
}

enum step initiator_step(struct initiator *initiator, struct span token, struct writer *reply)
{
    enum refusal refusal;
    switch (initiator->state) {
    case INITIATE_START: return send_negotiate(initiator, token, reply);
    case INITIATE_NEGOTIATED: return send_authenticate(initiator, token, reply);
    case INITIATE_AUTHENTICATED:
        refusal = check_last(initiator, token);
        if (refusal != REFUSAL_NONE)
            return refuse(initiator, refusal);
        return proceed(initiator, INITIATE_DONE, reply);
    case INITIATE_DONE:
    case INITIATE_REFUSED: break;
    }
    return refuse(initiator, REFUSAL_OUT_OF_ORDER);
}

enum refusal initiator_refusal(const struct initiator *initiator)
{
    return initiator->refusal;
}

bool initiator_session_key(const struct initiator *initiator, struct session_key *key)
{
    memset(key, 0, sizeof *key);
    if (initiator->state != INITIATE_AUTHENTICATED && initiator->state != INITIATE_DONE)
        return false;
    key->size = NTLM_KEY_SIZE;
    memcpy(key->bytes, initiator->ntlm.session_key, NTLM_KEY_SIZE);
    return true;
}
