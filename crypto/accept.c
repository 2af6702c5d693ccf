#include "crypto/accept.h"

#include "crypto/groups.h"
#include "crypto/kerberos_accept.h"
#include "crypto/kerberos_token.h"
#include "crypto/ntlm_accept.h"
#include "crypto/spnego.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { MECH_LIST_MAX = 1024, HINT_LIST_MAX = 64, MIC_MAX = KERBEROS_MIC_MAX };

enum accept_state {
    ACCEPT_START,      /* nothing yet */
    ACCEPT_SELECTED,   /* a mechanism chosen out of a list; its first token is to come */
    ACCEPT_CHALLENGED, /* NTLM: our CHALLENGE is out */
    ACCEPT_MIC_DUE,    /* Kerberos: proven but for the client's mechListMIC */
    ACCEPT_DONE,
    ACCEPT_REFUSED,
};

struct acceptor {
    const struct accept_policy *policy;
    struct accept_policy here; /* … with `called`, where that counts */
    enum accept_state state;
    enum refusal refusal;
    enum spnego_mechanism mechanism; /* the chosen one */
    bool mic_needed;                 /* … which was not the client's first choice */
    struct identity identity;
    struct ntlm_accept ntlm;
    struct kerberos_accept kerberos;
    size_t mech_list_size;
    uint8_t mech_list[MECH_LIST_MAX]; /* as sent */
};

/* Names are in the policy; a worker has no say in them. */
static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

struct acceptor *acceptor_new(const struct accept_policy *policy, const char *called)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return NULL;
    acceptor->policy = policy;
    if (policy->transparent && is_address(called)) {
        acceptor->here = *policy;
        acceptor->here.called = called;
        acceptor->policy = &acceptor->here;
    }
    ntlm_accept_start(&acceptor->ntlm, acceptor->policy);
    return acceptor;
}

void acceptor_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    kerberos_accept_wipe(&acceptor->kerberos);
    OPENSSL_cleanse(acceptor, sizeof *acceptor);
    free(acceptor);
}

static enum step refuse(struct acceptor *acceptor, enum refusal refusal)
{
    acceptor->state = ACCEPT_REFUSED;
    acceptor->refusal = refusal;
    ntlm_accept_wipe(&acceptor->ntlm);
    kerberos_accept_wipe(&acceptor->kerberos);
    return STEP_REFUSED;
}

/* Sends `response`, or its token alone to a client that does not speak SPNEGO. */
static enum step reply_with(struct acceptor *acceptor, const struct spnego_response *response,
                            enum accept_state next, struct writer *reply)
{
    if (acceptor->identity.spnego)
        spnego_response_write(reply, response);
    else
        write_span(reply, response->token);
    if (!writer_done(reply))
        return refuse(acceptor, REFUSAL_INTERNAL);
    acceptor->state = next;
    return next == ACCEPT_DONE ? STEP_DONE : STEP_CONTINUE;
}

static bool is_kerberos(enum spnego_mechanism mechanism)
{
    return mechanism == SPNEGO_KERBEROS || mechanism == SPNEGO_MS_KERBEROS;
}

static bool is_taken(const struct accept_policy *policy, enum spnego_mechanism mechanism)
{
    return is_kerberos(mechanism) ? policy->keytab != NULL
                                  : mechanism == SPNEGO_NTLM && !policy->refuse_ntlm;
}

static bool mic_right(const struct acceptor *acceptor, struct span list, struct span mic)
{
    const struct ntlm_accept *ntlm = &acceptor->ntlm;
    if (is_kerberos(acceptor->mechanism))
        return kerberos_mic_right(&acceptor->kerberos, list, mic);
    return ntlm_mac_right(ntlm->session_key, ntlm->agreed, NTLM_FROM_CLIENT, list, mic);
}

static bool mic_write(const struct acceptor *acceptor, struct span list, struct writer *mic)
{
    const struct ntlm_accept *ntlm = &acceptor->ntlm;
    uint8_t mac[NTLM_MAC_SIZE];
    if (is_kerberos(acceptor->mechanism))
        return kerberos_mic_write(&acceptor->kerberos, list, mic);
    if (!ntlm_mac(ntlm->session_key, ntlm->agreed, NTLM_FROM_SERVER, list, mac))
        return false;
    write_bytes(mic, mac, sizeof mac);
    return writer_done(mic);
}

/*
 * The client's mechListMIC, and ours in answer to it. One that is there is always checked. One that
 * is not is missed only where RFC 4178 5 needs it: Apple's and other clients leave it out when
 * their first choice was taken.
 */
static enum refusal exchange_mics(const struct acceptor *acceptor, struct span theirs,
                                  struct writer *ours)
{
    const struct span list = {acceptor->mech_list, acceptor->mech_list_size};
    if (theirs.size == 0)
        return acceptor->mic_needed ? REFUSAL_MECH_LIST_MIC_MISSING : REFUSAL_NONE;
    if (!mic_right(acceptor, list, theirs))
        return REFUSAL_MECH_LIST_MIC_WRONG;
    return mic_write(acceptor, list, ours) ? REFUSAL_NONE : REFUSAL_INTERNAL;
}

/* The client's NTLM token when a NEGOTIATE is due. `named`: the client has been told already which
 * mechanism it is. */
static enum step take_negotiate(struct acceptor *acceptor, struct span token, bool named,
                                const struct accept_backend *backend, struct writer *reply)
{
    uint32_t type;
    if (!ntlm_message_type(token, &type))
        return refuse(acceptor, REFUSAL_MALFORMED);
    acceptor->identity.mechanism = MECHANISM_NTLM;
    if (type == NTLM_AUTHENTICATE)
        return refuse(acceptor, REFUSAL_OUT_OF_ORDER);
    enum refusal refusal = ntlm_accept_negotiate(&acceptor->ntlm, token, backend);
    if (refusal != REFUSAL_NONE)
        return refuse(acceptor, refusal);
    const struct spnego_response response = {
        .state = SPNEGO_INCOMPLETE,
        .mechanism = named ? (struct span){NULL, 0} : spnego_oid(SPNEGO_NTLM),
        .token = {acceptor->ntlm.challenge, acceptor->ntlm.challenge_size},
    };
    return reply_with(acceptor, &response, ACCEPT_CHALLENGED, reply);
}

/*
 * The client's AP-REQ, which proves it. The AP-REP completes our side: where a mechListMIC is
 * needed and the client could not make one yet, ours goes with it and theirs is the last token (RFC
 * 4178 5). `named` as above; `mic` is the token's own.
 */
static enum step take_ticket(struct acceptor *acceptor, struct span token, struct span mic,
                             bool named, const struct accept_backend *backend, struct writer *reply)
{
    uint8_t bytes[MIC_MAX];
    struct writer ours = writer_over(bytes, sizeof bytes);
    struct kerberos_accept *kerberos = &acceptor->kerberos;
    const struct span list = {acceptor->mech_list, acceptor->mech_list_size};
    enum refusal refusal =
        kerberos_accept_token(kerberos, acceptor->policy, token, backend, &acceptor->identity);
    if (refusal == REFUSAL_NONE && backend->groups)
        refusal =
            groups_refusal(groups_mark(backend->groups, &kerberos->sids, &acceptor->identity));
    bool due = acceptor->mic_needed && mic.size == 0;
    if (refusal == REFUSAL_NONE && due)
        refusal = mic_write(acceptor, list, &ours) ? REFUSAL_NONE : REFUSAL_INTERNAL;
    else if (refusal == REFUSAL_NONE)
        refusal = exchange_mics(acceptor, mic, &ours);
    if (refusal != REFUSAL_NONE)
        return refuse(acceptor, refusal);
    const struct spnego_response response = {
        .state = due ? SPNEGO_INCOMPLETE : SPNEGO_COMPLETED,
        .mechanism = named ? (struct span){NULL, 0} : spnego_oid(acceptor->mechanism),
        .token = {kerberos->reply.value, kerberos->reply.length},
        .mic = writer_span(&ours),
    };
    return reply_with(acceptor, &response, due ? ACCEPT_MIC_DUE : ACCEPT_DONE, reply);
}

/* The client's mechListMIC alone, which needs no answer. */
static enum step take_mic(struct acceptor *acceptor, const struct spnego_response *token)
{
    const struct span list = {acceptor->mech_list, acceptor->mech_list_size};
    if (token->mic.size == 0)
        return refuse(acceptor, REFUSAL_MECH_LIST_MIC_MISSING);
    if (!mic_right(acceptor, list, token->mic))
        return refuse(acceptor, REFUSAL_MECH_LIST_MIC_WRONG);
    acceptor->state = ACCEPT_DONE;
    return STEP_DONE;
}

/* RFC 4178 4.2.2: a mechanism that is not the client's first choice has to be confirmed by
 * mechListMIC, or anybody could have cut the better ones off the list. Its first token comes next.
 */
static enum step select_mechanism(struct acceptor *acceptor, struct writer *reply)
{
    const struct spnego_response response = {
        .state = acceptor->mic_needed ? SPNEGO_REQUEST_MIC : SPNEGO_INCOMPLETE,
        .mechanism = spnego_oid(acceptor->mechanism),
    };
    return reply_with(acceptor, &response, ACCEPT_SELECTED, reply);
}

/* Chooses the first mechanism of the client's list that the policy takes. */
static enum refusal choose(struct acceptor *acceptor, const struct spnego_init *init)
{
    struct writer list = writer_over(acceptor->mech_list, sizeof acceptor->mech_list);
    write_span(&list, init->mech_list);
    if (!writer_done(&list))
        return REFUSAL_MALFORMED;
    acceptor->mech_list_size = writer_size(&list);
    for (size_t i = 0; i < init->offers_count; i++) {
        if (is_taken(acceptor->policy, init->offers[i])) {
            acceptor->mechanism = init->offers[i];
            acceptor->mic_needed = i > 0;
            return REFUSAL_NONE;
        }
    }
    return spnego_offers(init, SPNEGO_NTLM) ? REFUSAL_NTLM : REFUSAL_NO_MECHANISM;
}

/* A first token without SPNEGO. */
static enum step start_bare(struct acceptor *acceptor, struct span token,
                            const struct accept_backend *backend, struct writer *reply)
{
    const struct span none = {NULL, 0};
    if (!is_taken(acceptor->policy, acceptor->mechanism))
        return refuse(acceptor,
                      is_kerberos(acceptor->mechanism) ? REFUSAL_NO_MECHANISM : REFUSAL_NTLM);
    return is_kerberos(acceptor->mechanism)
               ? take_ticket(acceptor, token, none, true, backend, reply)
               : take_negotiate(acceptor, token, true, backend, reply);
}

static enum step start(struct acceptor *acceptor, struct span token,
                       const struct accept_backend *backend, struct writer *reply)
{
    const struct span none = {NULL, 0};
    struct spnego_init init;
    uint32_t type;
    if (ntlm_message_type(token, &type))
        acceptor->mechanism = SPNEGO_NTLM;
    else if (kerberos_token_is(token))
        acceptor->mechanism = SPNEGO_KERBEROS;
    if (acceptor->mechanism != SPNEGO_OTHER)
        return start_bare(acceptor, token, backend, reply);
    if (!spnego_init_read(token, &init))
        return refuse(acceptor, REFUSAL_MALFORMED);
    acceptor->identity.spnego = true;
    enum refusal refusal = choose(acceptor, &init);
    if (refusal != REFUSAL_NONE)
        return refuse(acceptor, refusal);
    /* The optimistic token is for the first mechanism; of another one it is none of our business.
     */
    if (acceptor->mic_needed || init.token.size == 0)
        return select_mechanism(acceptor, reply);
    return is_kerberos(acceptor->mechanism)
               ? take_ticket(acceptor, init.token, none, false, backend, reply)
               : take_negotiate(acceptor, init.token, false, backend, reply);
}

/* A later token of the client, with or without SPNEGO around it as the first one had. */
static bool open_token(const struct acceptor *acceptor, struct span token,
                       struct spnego_response *response)
{
    *response = (struct spnego_response){.state = SPNEGO_NO_STATE, .token = token};
    return !acceptor->identity.spnego || spnego_response_read(token, response);
}

static enum step take_authenticate(struct acceptor *acceptor, const struct spnego_response *token,
                                   const struct accept_backend *backend, struct writer *reply)
{
    uint8_t mic[MIC_MAX];
    struct writer ours = writer_over(mic, sizeof mic);
    uint32_t type;
    if (!ntlm_message_type(token->token, &type))
        return refuse(acceptor, REFUSAL_MALFORMED);
    if (type == NTLM_NEGOTIATE)
        return refuse(acceptor, REFUSAL_OUT_OF_ORDER);
    enum refusal refusal =
        ntlm_accept_authenticate(&acceptor->ntlm, token->token, backend, &acceptor->identity);
    if (refusal == REFUSAL_NONE)
        refusal = exchange_mics(acceptor, token->mic, &ours);
    if (refusal != REFUSAL_NONE)
        return refuse(acceptor, refusal);
    const struct spnego_response response = {.state = SPNEGO_COMPLETED, .mic = writer_span(&ours)};
    return reply_with(acceptor, &response, ACCEPT_DONE, reply);
}

enum step acceptor_step(struct acceptor *acceptor, struct span token,
                        const struct accept_backend *backend, struct writer *reply)
{
    struct spnego_response response;
    if (acceptor->state == ACCEPT_DONE || acceptor->state == ACCEPT_REFUSED)
        return refuse(acceptor, REFUSAL_OUT_OF_ORDER);
    if (token.size > TOKEN_MAX)
        return refuse(acceptor, REFUSAL_MALFORMED);
    if (acceptor->state == ACCEPT_START)
        return start(acceptor, token, backend, reply);
    if (!open_token(acceptor, token, &response))
        return refuse(acceptor, REFUSAL_MALFORMED);
    if (acceptor->state == ACCEPT_MIC_DUE)
        return take_mic(acceptor, &response);
    if (acceptor->state == ACCEPT_CHALLENGED)
        return take_authenticate(acceptor, &response, backend, reply);
    return is_kerberos(acceptor->mechanism)
               ? take_ticket(acceptor, response.token, response.mic, true, backend, reply)
               : take_negotiate(acceptor, response.token, true, backend, reply);
}

enum refusal acceptor_refusal(const struct acceptor *acceptor)
{
    return acceptor->refusal;
}

uint32_t acceptor_status(const struct acceptor *acceptor)
{
    return acceptor->ntlm.status;
}

/* The NTLM token of a first or a later message; empty when there is none. */
static struct span ntlm_token(const struct acceptor *acceptor, struct span token)
{
    struct spnego_response response;
    struct spnego_init init;
    uint32_t type;
    if (ntlm_message_type(token, &type))
        return token;
    if (acceptor->state == ACCEPT_START)
        return spnego_init_read(token, &init) && init.offers[0] == SPNEGO_NTLM
                   ? init.token
                   : (struct span){NULL, 0};
    return open_token(acceptor, token, &response) ? response.token : (struct span){NULL, 0};
}

bool acceptor_asks_domain(const struct acceptor *acceptor, struct span token,
                          const struct accept_backend *backend)
{
    uint32_t type;
    if (acceptor->state == ACCEPT_DONE || acceptor->state == ACCEPT_REFUSED)
        return false;
    struct span inner = ntlm_token(acceptor, token);
    if (ntlm_message_type(inner, &type))
        return ntlm_accept_asks_domain(&acceptor->ntlm, inner, backend);
    return backend->groups && groups_ask_domain(backend->groups);
}

const struct identity *acceptor_identity(const struct acceptor *acceptor)
{
    return &acceptor->identity;
}

void acceptor_session_key(const struct acceptor *acceptor, struct session_key *key)
{
    memset(key, 0, sizeof *key);
    if (acceptor->state != ACCEPT_DONE)
        return;
    if (is_kerberos(acceptor->mechanism)) {
        *key = acceptor->kerberos.key;
        return;
    }
    key->size = NTLM_KEY_SIZE;
    memcpy(key->bytes, acceptor->ntlm.session_key, NTLM_KEY_SIZE);
}

struct evidence *acceptor_take_evidence(struct acceptor *acceptor)
{
    struct evidence *evidence = acceptor->kerberos.evidence;
    if (acceptor->state != ACCEPT_DONE)
        return NULL;
    acceptor->kerberos.evidence = NULL;
    return evidence;
}

void accept_write_hint(struct writer *writer, const struct accept_policy *policy)
{
    enum spnego_mechanism mechanisms[3];
    uint8_t bytes[HINT_LIST_MAX];
    struct writer list = writer_over(bytes, sizeof bytes);
    size_t count = 0;
    if (policy->keytab) {
        mechanisms[count++] = SPNEGO_MS_KERBEROS;
        mechanisms[count++] = SPNEGO_KERBEROS;
    }
    if (!policy->refuse_ntlm)
        mechanisms[count++] = SPNEGO_NTLM;
    spnego_list_write(&list, mechanisms, count);
    spnego_hint_write(writer, writer_span(&list));
}
