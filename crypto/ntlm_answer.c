#include "crypto/ntlm_answer.h"

#include "crypto/ntlm_key.h"
#include "crypto/text.h"

enum {
    NTLMV1_RESPONSE_SIZE = 24,
    ANONYMOUS_LM_SIZE = 1, /* Windows' anonymous LM response is one zero byte */
    RESPONSE_TYPE = 1,
    TYPES_SIZE = 2,
    PAIRS_OFFSET = 28, /* in NTLMv2_CLIENT_CHALLENGE (MS-NLMP 2.2.2.7) */
};

static bool read_names(const struct ntlm_authenticate *message, struct identity *identity)
{
    /* OEM text of an unknown code page is no name for the log either. */
    if (!(message->flags & NTLM_UNICODE))
        return false;
    bool user = text_from_utf16_strict(message->user, identity->user, sizeof identity->user);
    bool domain =
        text_from_utf16_strict(message->domain, identity->domain, sizeof identity->domain);
    bool workstation = text_from_utf16_strict(message->workstation, identity->workstation,
                                              sizeof identity->workstation);
    return user && domain && workstation;
}

static enum refusal check_kind(const struct ntlm_authenticate *message)
{
    size_t nt = message->nt_response.size, lm = message->lm_response.size;
    if (message->flags & NTLM_ANONYMOUS || message->user.size == 0 ||
        (nt == 0 && lm <= ANONYMOUS_LM_SIZE))
        return REFUSAL_ANONYMOUS;
    /* Also when there is only an LM or LMv2 response: neither can carry what we must check. */
    if (nt <= NTLMV1_RESPONSE_SIZE)
        return REFUSAL_NTLMV1;
    return (message->flags & NTLM_NEEDED) == NTLM_NEEDED ? REFUSAL_NONE : REFUSAL_FLAGS;
}

/* NTProofStr, then the blob: two version bytes, a time, the client's challenge, AV pairs. What some
 * clients append to the pairs is under the proof and means nothing. */
static bool open_response(struct ntlm_answer *answer)
{
    struct reader reader = reader_over_span(answer->message.nt_response);
    uint8_t type, highest;
    if (!read_span(&reader, NTLM_PROOF_SIZE, &answer->proof))
        return false;
    answer->blob = reader_rest(&reader);
    return read_u8(&reader, &type) && read_u8(&reader, &highest) && type == RESPONSE_TYPE &&
           highest == RESPONSE_TYPE && read_skip(&reader, PAIRS_OFFSET - TYPES_SIZE) &&
           av_list_read(reader_rest(&reader), &answer->pairs);
}

/* MS-NLMP 2.2.2.1: with AV_FLAG_UNTRUSTED_SPN the client says that it had the name from a source it
 * does not trust. Such a name is as good as none. */
static bool read_target_name(struct ntlm_answer *answer, struct identity *identity)
{
    const struct av_pair *name = av_list_find(&answer->pairs, AV_TARGET_NAME);
    if (!av_list_le32(&answer->pairs, AV_FLAGS, &answer->av_flags))
        answer->av_flags = 0;
    bool untrusted = answer->av_flags & AV_FLAG_UNTRUSTED_SPN;
    answer->names_target = name && name->value.size && !untrusted;
    identity->target_absence = !name               ? TARGET_ABSENT
                               : !name->value.size ? TARGET_EMPTY
                               : untrusted         ? TARGET_UNTRUSTED
                                                   : TARGET_ABSENT;
    return !answer->names_target ||
           text_from_utf16_strict(name->value, identity->target_name, sizeof identity->target_name);
}

enum refusal ntlm_answer_read(struct span bytes, struct ntlm_answer *answer,
                              struct identity *identity)
{
    if (!ntlm_authenticate_read(bytes, &answer->message))
        return REFUSAL_MALFORMED;
    bool named = read_names(&answer->message, identity);
    enum refusal refusal = check_kind(&answer->message);
    if (refusal != REFUSAL_NONE)
        return refusal;
    if (!named || !open_response(answer) || !read_target_name(answer, identity))
        return REFUSAL_MALFORMED;
    return REFUSAL_NONE;
}
