/* NTLM messages. What a reader took is written and must be read again as the same. An AUTHENTICATE
 * also goes through every rule of the acceptor, with its proof put right first; a CHALLENGE is
 * answered. */
#include "crypto/initiate.h"
#include "crypto/ntlm_accept.h"
#include "crypto/ntlm_answer.h"
#include "crypto/spnego.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t hash[NT_HASH_SIZE] = {1, 2, 3};
static uint8_t buffer[TOKEN_MAX], token[TOKEN_MAX], copy[NTLM_AUTHENTICATE_MAX];

static void must(bool truth)
{
    if (!truth)
        abort();
}

static enum nt_hash_found find(void *context, const char *user, const char *domain,
                               uint8_t found[NT_HASH_SIZE])
{
    (void)context;
    memcpy(found, hash, NT_HASH_SIZE);
    must(strlen(user) < IDENTITY_NAME_MAX && strlen(domain) < IDENTITY_NAME_MAX);
    return NT_HASH_PLAIN;
}

static void same(struct span a, struct span b)
{
    must(span_equal(a, b));
}

static void negotiate(struct span input)
{
    struct ntlm_negotiate first, second;
    if (!ntlm_negotiate_read(input, &first))
        return;
    struct writer writer = writer_over(buffer, sizeof buffer);
    ntlm_negotiate_write(&writer, &first);
    must(writer_done(&writer) && ntlm_negotiate_read(writer_span(&writer), &second));
    must(first.flags == second.flags);
}

static void pairs(struct span input)
{
    struct av_list first, second;
    if (!av_list_read(input, &first))
        return;
    must(first.count <= AV_PAIRS_MAX);
    struct writer writer = writer_over(buffer, sizeof buffer);
    for (size_t i = 0; i < first.count; i++)
        av_write(&writer, (enum av_id)first.pairs[i].id, first.pairs[i].value);
    av_write_end(&writer);
    must(!writer_done(&writer) || av_list_read(writer_span(&writer), &second));
    must(!writer_done(&writer) || first.count == second.count);
    must(av_list_repeats(&first) || first.count <= UINT16_MAX);
}

/* Sends it to an initiator, in SPNEGO: what it answers must be a whole AUTHENTICATE. */
static void answer_challenge(struct span input)
{
    struct initiator *initiator = initiator_new("user", "", hash, "cifs/nas");
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct spnego_response response = {.state = SPNEGO_INCOMPLETE, .token = input};
    struct ntlm_authenticate answer;
    struct session_key key;
    must(initiator != NULL);
    must(initiator_step(initiator, (struct span){NULL, 0}, &writer) == STEP_CONTINUE);
    struct writer out = writer_over(token, sizeof token);
    spnego_response_write(&out, &response);
    writer = writer_over(buffer, sizeof buffer);
    enum step step = initiator_step(initiator, writer_span(&out), &writer);
    must((step == STEP_CONTINUE) == initiator_session_key(initiator, &key));
    must((step == STEP_REFUSED) == (initiator_refusal(initiator) != REFUSAL_NONE));
    if (step == STEP_CONTINUE) {
        must(spnego_response_read(writer_span(&writer), &response));
        must(ntlm_authenticate_read(response.token, &answer));
        must(answer.mic_offset == 72 && response.mic.size == NTLM_MAC_SIZE);
    }
    initiator_free(initiator);
}

static void challenge(struct span input)
{
    struct ntlm_challenge first, second;
    if (!ntlm_challenge_read(input, &first))
        return;
    struct writer writer = writer_over(buffer, sizeof buffer);
    ntlm_challenge_write(&writer, &first);
    must(writer_done(&writer));
    if (ntlm_challenge_read(writer_span(&writer), &second)) {
        must(first.flags == second.flags);
        must(memcmp(first.server_challenge, second.server_challenge, NTLM_CHALLENGE_SIZE) == 0);
        same(first.target_name, second.target_name);
        same(first.target_info, second.target_info);
    }
    pairs(first.target_info);
    answer_challenge(input);
}

/* Gives a copy of the message the proof that the account's owner would give. */
static void put_proof(const struct ntlm_accept *accept, struct span message)
{
    static struct identity identity;
    struct ntlm_answer answer;
    struct ntlm_challenge sent;
    uint8_t owf[NTLM_KEY_SIZE], proof[NTLM_PROOF_SIZE];
    if (ntlm_answer_read(message, &answer, &identity) != REFUSAL_NONE)
        return;
    must(ntlm_challenge_read((struct span){accept->challenge, accept->challenge_size}, &sent));
    must(ntlm_owf_v2(hash, identity.user, answer.message.domain, owf));
    must(ntlm_proof(owf, sent.server_challenge, answer.blob, proof));
    size_t offset = (size_t)(answer.proof.at - message.at);
    memcpy(&copy[offset], proof, sizeof proof);
}

/* The seeds answer this CHALLENGE: its random parts are taken out. */
static void fix_challenge(struct ntlm_accept *accept)
{
    struct ntlm_challenge sent;
    struct av_list list;
    must(ntlm_challenge_read((struct span){accept->challenge, accept->challenge_size}, &sent));
    must(av_list_read(sent.target_info, &list));
    size_t time = (size_t)(av_list_find(&list, AV_TIMESTAMP)->value.at - accept->challenge);
    memset(&accept->challenge[24], 0x11, NTLM_CHALLENGE_SIZE);
    memset(&accept->challenge[time], 0x22, sizeof(uint64_t));
}

static void rules(struct span input)
{
    static struct ntlm_accept accept;
    static struct identity identity;
    static const char *const names[] = {"files"};
    static const uint8_t first[] = "NTLMSSP\0\1\0\0\0\x15\x82\x08\x62";
    const struct accept_policy policy = {.mic = input.size & 1 ? MIC_REQUIRED : MIC_ANNOUNCED,
                                         .target_name = input.size % 3 ? TARGET_NAME_REQUIRED
                                                                       : TARGET_NAME_IF_PRESENT,
                                         .names = names,
                                         .names_count = 1,
                                         .netbios_name = "PROXY"};
    static const struct accept_backend backend = {.lookup = find};
    memset(&identity, 0, sizeof identity);
    ntlm_accept_start(&accept, &policy);
    must(ntlm_accept_negotiate(&accept, (struct span){first, 16}, &backend) == REFUSAL_NONE);
    fix_challenge(&accept);
    memcpy(copy, input.at, input.size);
    const struct span message = {copy, input.size};
    put_proof(&accept, message);
    enum refusal refusal = ntlm_accept_authenticate(&accept, message, &backend, &identity);
    must(refusal < REFUSAL_COUNT && refusal != REFUSAL_UNKNOWN_USER);
    must(refusal != REFUSAL_NONE || policy.mic != MIC_REQUIRED || identity.mic_present);
    must(refusal != REFUSAL_NONE || *identity.target_name ||
         policy.target_name != TARGET_NAME_REQUIRED);
    must(refusal != REFUSAL_NONE || *identity.user);
    must(ntlm_accept_authenticate(&accept, message, &backend, &identity) == REFUSAL_OUT_OF_ORDER);
}

static void authenticate(struct span input)
{
    struct ntlm_authenticate first, second;
    if (!ntlm_authenticate_read(input, &first))
        return;
    must(first.mic_offset == 0 || first.mic.size == NTLM_MIC_SIZE);
    struct writer writer = writer_over(buffer, sizeof buffer);
    ntlm_authenticate_write(&writer, &first);
    if (writer_done(&writer) && ntlm_authenticate_read(writer_span(&writer), &second)) {
        must(first.flags == second.flags && second.mic_offset == 72);
        same(first.lm_response, second.lm_response);
        same(first.nt_response, second.nt_response);
        same(first.domain, second.domain);
        same(first.user, second.user);
        same(first.workstation, second.workstation);
        same(first.session_key, second.session_key);
        must(first.mic.size == 0 || span_equal(first.mic, second.mic));
    }
    rules(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span input = {data, size};
    negotiate(input);
    challenge(input);
    authenticate(input);
    pairs(input);
    return 0;
}
