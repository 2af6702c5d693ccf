#include "crypto/keeper_authentication.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/text.h"

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

static bool look_up(void *context, const char *user, const char *domain, uint8_t hash[NT_HASH_SIZE])
{
    const struct authentication *authentication = context;
    return credentials_find_user(authentication->credentials, user, domain, hash);
}

static void accept_step(struct authentication *authentication)
{
    struct authentication_result *result = &authentication->result;
    struct span token = {authentication->token, authentication->token_size};
    if (!authentication->acceptor)
        authentication->acceptor = acceptor_new(authentication->policy);
    struct acceptor *acceptor = authentication->acceptor;
    if (!acceptor) {
        result->reason = KEEPER_REASON_INTERNAL;
        return;
    }
    const struct accept_backend backend = {.lookup = look_up, .lookup_context = authentication};
    result->step = acceptor_step(acceptor, token, &backend, &result->reply);
    if (result->step == STEP_REFUSED)
        result->refusal = acceptor_refusal(acceptor);
    if (result->step != STEP_CONTINUE)
        authentication->identity = *acceptor_identity(acceptor);
    if (result->step == STEP_DONE)
        acceptor_session_key(acceptor, &result->key);
}

/* The domain of a user's entry, which credentials_find_user() does not tell. */
struct entry_search {
    char name[ACCOUNT_NAME_MAX]; /* DOMAIN\user */
    char *domain;                /* stays empty when the entry has none */
    size_t domain_size;
};

static void look_at_entry(void *context, enum credentials_kind kind, const char *name,
                          const char *target)
{
    struct entry_search *search = context;
    const char *backslash = strchr(name, '\\');
    (void)target;
    if (kind == CREDENTIALS_USER && backslash && text_same_name(name, search->name))
        (void)snprintf(search->domain, search->domain_size, "%.*s", (int)(backslash - name), name);
}

/* The name of an account, for people and for comparison; false when it does not fit. */
MUST_USE static bool name_account(const char *domain, const char *user, char *to, size_t size)
{
    int length = snprintf(to, size, "%s%s%s", domain, *domain ? "\\" : "", user);
    return length >= 0 && (size_t)length < size;
}

/* The account of the same name: an entry with the identity's domain goes before one without. */
MUST_USE static bool find_same(const struct authentication *authentication, struct account *account)
{
    const struct identity *identity = &authentication->identity;
    struct entry_search search = {.domain = account->domain, .domain_size = sizeof account->domain};
    if (!credentials_find_user(authentication->credentials, identity->user, identity->domain,
                               account->nt_hash) ||
        !name_account(identity->domain, identity->user, search.name, sizeof search.name))
        return false;
    (void)snprintf(account->user, sizeof account->user, "%s", identity->user);
    if (*identity->domain)
        credentials_each(authentication->credentials, look_at_entry, &search);
    return true;
}

MUST_USE static bool find_account(const struct authentication *authentication,
                                  enum login_kind login, struct account *account)
{
    const struct identity *identity = &authentication->identity;
    *account = (struct account){0};
    switch (login) {
    case LOGIN_SAME: return find_same(authentication, account);
    case LOGIN_MAPPED:
        return credentials_find_mapped(authentication->credentials, identity->user,
                                       identity->domain, account);
    case LOGIN_TICKET:
    case LOGIN_DELEGATE:
    case LOGIN_TRANSITION: break;
    }
    return false;
}

/* Finds the first login of the upstream's list that has a credential for the identity. */
MUST_USE static bool choose_login(struct authentication *authentication, struct account *account)
{
    const struct keeper_upstream *upstream = authentication->upstream;
    for (size_t i = 0; i < upstream->logins_count; i++) {
        if (find_account(authentication, upstream->logins[i], account)) {
            authentication->login = upstream->logins[i];
            authentication->fell_back = i > 0;
            return true;
        }
    }
    return false;
}

/* Makes the initiator, or says in the result why there is none. */
static void begin_login(struct authentication *authentication)
{
    struct account account;
    if (!choose_login(authentication, &account)) {
        authentication->result.reason = KEEPER_REASON_NO_CREDENTIAL;
        return;
    }
    if (name_account(account.domain, account.user, authentication->account,
                     sizeof authentication->account))
        authentication->initiator = initiator_new(account.user, account.domain, account.nt_hash,
                                                  authentication->upstream->target);
    OPENSSL_cleanse(&account, sizeof account);
    if (!authentication->initiator)
        authentication->result.reason = KEEPER_REASON_INTERNAL;
}

static void login_step(struct authentication *authentication)
{
    struct authentication_result *result = &authentication->result;
    struct span token = {authentication->token, authentication->token_size};
    if (!authentication->initiator)
        begin_login(authentication);
    if (!authentication->initiator)
        return;
    result->step = initiator_step(authentication->initiator, token, &result->reply);
    if (result->step == STEP_REFUSED) {
        result->refusal = initiator_refusal(authentication->initiator);
        return;
    }
    if (!initiator_session_key(authentication->initiator, &result->key)) {
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
    uint8_t *reply = malloc(TOKEN_MAX);
    if (!reply) {
        result->reason = KEEPER_REASON_INTERNAL;
        return;
    }
    result->reply = writer_over(reply, TOKEN_MAX);
    switch (authentication->kind) {
    case AUTHENTICATION_OF_CLIENT: accept_step(authentication); break;
    case AUTHENTICATION_UPSTREAM: login_step(authentication); break;
    }
    if (result->step != STEP_REFUSED && !writer_done(&result->reply)) {
        result->step = STEP_REFUSED;
        result->reason = KEEPER_REASON_INTERNAL;
    }
}

void authentication_end_step(struct authentication *authentication)
{
    struct writer *reply = &authentication->result.reply;
    OPENSSL_cleanse(authentication->token, authentication->token_size);
    free(authentication->token);
    OPENSSL_cleanse(reply->start, writer_size(reply));
    free(reply->start);
    OPENSSL_cleanse(&authentication->result, sizeof authentication->result);
    authentication->token = NULL;
    authentication->token_size = 0;
    authentication->credentials = NULL;
}

void authentication_wipe(struct authentication *authentication)
{
    authentication_end_step(authentication);
    acceptor_free(authentication->acceptor);
    initiator_free(authentication->initiator);
    OPENSSL_cleanse(authentication, sizeof *authentication);
}
