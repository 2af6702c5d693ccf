#include "crypto/keeper_authentication.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/domain.h"
#include "crypto/evidence.h"

const struct identity *authentication_identity(const struct authentication *authentication)
{
    return authentication->kind == AUTHENTICATION_UPSTREAM ? &authentication->login.grant.identity
                                                           : &authentication->identity;
}

bool authentication_take_token(struct authentication *authentication, struct span token)
{
    authentication->token = NULL;
    authentication->token_size = token.size;
    if (token.size == 0)
        return true;
    authentication->token = malloc(token.size);
    if (authentication->token)
        memcpy(authentication->token, token.at, token.size);
    return authentication->token;
}

static enum nt_hash_found look_up(void *context, const char *user, const char *domain,
                                  uint8_t hash[NT_HASH_SIZE])
{
    const struct authentication *authentication = context;
    if (credentials_find_domain_user(authentication->credentials, user, domain, hash))
        return NT_HASH_OF_DOMAIN;
    return credentials_find_user(authentication->credentials, user, domain, hash) ? NT_HASH_PLAIN
                                                                                  : NT_HASH_NONE;
}

static void accept_step(struct authentication *authentication)
{
    struct authentication_result *result = &authentication->result;
    struct span token = {authentication->token, authentication->token_size};
    if (!authentication->acceptor)
        authentication->acceptor = acceptor_new(authentication->policy, authentication->called);
    struct acceptor *acceptor = authentication->acceptor;
    if (!acceptor) {
        result->reason = KEEPER_REASON_INTERNAL;
        return;
    }
    const struct accept_backend backend = {
        .lookup = look_up,
        .lookup_context = authentication,
        .domain = authentication->domain,
        .groups = authentication->groups,
        .replays = authentication->replays,
        .challenges = authentication->challenges,
    };
    if (!authentication->remote && acceptor_asks_domain(acceptor, token, &backend)) {
        result->elsewhere = true;
        return;
    }
    result->step = acceptor_step(acceptor, token, &backend, &result->reply);
    if (result->step == STEP_REFUSED) {
        result->refusal = acceptor_refusal(acceptor);
        result->status = acceptor_status(acceptor);
    }
    if (result->step != STEP_CONTINUE)
        authentication->identity = *acceptor_identity(acceptor);
    if (result->step == STEP_DONE) {
        acceptor_session_key(acceptor, &result->key);
        authentication->evidence = acceptor_take_evidence(acceptor);
    }
}

static void upstream_step(struct authentication *authentication)
{
    struct authentication_result *result = &authentication->result;
    struct login *login = &authentication->login;
    struct domain_names own = {.domain = ""};
    bool joined = authentication->domain && domain_names(authentication->domain, &own);
    const struct login_means means = {
        .credentials = authentication->credentials,
        .tickets = authentication->tickets,
        .own_domain = joined ? own.domain : "",
        .own_dns_domain = joined ? own.dns_domain : "",
        .challenges = authentication->challenges,
        .credential_key = authentication->credential_key,
        .remote = authentication->remote,
    };
    struct span token = {authentication->token, authentication->token_size};
    switch (login_step(login, &means, token, &result->reply)) {
    case LOGIN_CONTINUE: result->step = STEP_CONTINUE; break;
    case LOGIN_DONE: result->step = STEP_DONE; break;
    case LOGIN_ELSEWHERE: result->elsewhere = true; return;
    case LOGIN_REFUSED:
        result->reason = login->trouble.reason;
        result->refusal = login->trouble.refusal;
        return;
    }
    if (!login_session_key(login, &result->key)) {
        result->key.size = 0;
        if (result->step == STEP_DONE) {
            result->step = STEP_REFUSED;
            result->reason = KEEPER_REASON_INTERNAL;
        }
    }
}

void authentication_step(struct authentication *authentication)
{
    struct authentication_result *result = &authentication->result;
    *result = (struct authentication_result){.step = STEP_REFUSED, .reason = KEEPER_REASON_REFUSAL};
    uint8_t *reply = atomic_load(&authentication->abandoned) ? NULL : malloc(TOKEN_MAX);
    if (!reply) {
        result->reason = KEEPER_REASON_INTERNAL;
        return;
    }
    result->reply = writer_over(reply, TOKEN_MAX);
    switch (authentication->kind) {
    case AUTHENTICATION_OF_CLIENT: accept_step(authentication); break;
    case AUTHENTICATION_UPSTREAM: upstream_step(authentication); break;
    }
    if (result->step != STEP_REFUSED && !writer_done(&result->reply)) {
        result->step = STEP_REFUSED;
        result->reason = KEEPER_REASON_INTERNAL;
    }
}

/* What the step made: nobody wants it, or it has been sent. */
static void drop_result(struct authentication *authentication)
{
    struct writer *reply = &authentication->result.reply;
    OPENSSL_cleanse(reply->start, writer_size(reply));
    free(reply->start);
    OPENSSL_cleanse(&authentication->result, sizeof authentication->result);
}

void authentication_go_remote(struct authentication *authentication)
{
    drop_result(authentication);
    authentication->remote = true;
}

void authentication_end_step(struct authentication *authentication)
{
    drop_result(authentication);
    OPENSSL_cleanse(authentication->token, authentication->token_size);
    free(authentication->token);
    authentication->token = NULL;
    authentication->token_size = 0;
    authentication->credentials = NULL;
    authentication->groups = NULL;
    authentication->domain = NULL;
    authentication->remote = false;
}

void authentication_wipe(struct authentication *authentication)
{
    authentication_end_step(authentication);
    acceptor_free(authentication->acceptor);
    evidence_release(authentication->evidence);
    login_wipe(&authentication->login);
    OPENSSL_cleanse(authentication, sizeof *authentication);
}
