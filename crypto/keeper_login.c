#include "crypto/keeper_login.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/evidence.h"
#include "crypto/kerberos.h"
#include "crypto/text.h"

/* What came of trying to use one login of the list. */
enum use { USED, UNUSABLE, ELSEWHERE };

void login_begin(struct login *login, const struct keeper_upstream *upstream,
                 const struct grant *grant)
{
    *login = (struct login){
        .upstream = upstream,
        .grant = *grant,
        .trouble = {.reason = KEEPER_REASON_NO_CREDENTIAL},
    };
}

/* The first that is more than a missing credential is what the administrator meant to happen. */
static enum use unusable(struct login *login, enum keeper_reason reason, enum refusal refusal)
{
    if (login->trouble.reason == KEEPER_REASON_NO_CREDENTIAL)
        login->trouble = (struct login_trouble){reason, refusal};
    return UNUSABLE;
}

static enum use no_credential(struct login *login)
{
    return unusable(login, KEEPER_REASON_NO_CREDENTIAL, REFUSAL_NONE);
}

static enum use use_ntlm(struct login *login, const struct account *account)
{
    if (account_name(account->domain, account->user, login->account, sizeof login->account))
        login->ntlm = initiator_new(account->user, account->domain, account->nt_hash,
                                    login->upstream->target);
    return login->ntlm ? USED : unusable(login, KEEPER_REASON_INTERNAL, REFUSAL_NONE);
}

static enum use use_same(struct login *login, const struct login_means *means)
{
    struct account account;
    bool found = account_same(means->credentials, &login->grant.identity, &account);
    enum use use = found ? use_ntlm(login, &account) : no_credential(login);
    OPENSSL_cleanse(&account, sizeof account);
    return use;
}

/* Who has a ticket of the realm that our own service is in belongs to it. */
MUST_USE static bool at_home(const struct grant *grant)
{
    if (!grant->evidence)
        return false;
    const char *ours = strrchr(evidence_service(grant->evidence), '@');
    const char *theirs = strrchr(evidence_client(grant->evidence), '@');
    return ours && theirs && strcmp(ours, theirs) == 0;
}

static enum use use_mapped(struct login *login, const struct login_means *means)
{
    struct account account;
    enum use use = UNUSABLE;
    if (!account_mapped(means->credentials, &login->grant.identity, at_home(&login->grant),
                        &account))
        use = no_credential(login);
    else if (account.key == ACCOUNT_NT_HASH)
        use = use_ntlm(login, &account);
    OPENSSL_cleanse(&account, sizeof account);
    return use;
}

static enum use use_creds(struct login *login, const krb5_creds *creds)
{
    enum refusal refusal;
    login->kerberos = kerberos_initiator_new(creds, &refusal);
    login->expires = kerberos_time(creds->times.endtime);
    return login->kerberos ? USED : unusable(login, KEEPER_REASON_REFUSAL, refusal);
}

/* A ticket for our own account is of no use to the file server, which has not its key. Every other
 * key in the listener's keytab is the file server's. */
MUST_USE static bool is_for_file_server(const struct login *login)
{
    const char *service = login->upstream->service;
    return login->grant.evidence &&
           (!service || !text_same_name(evidence_service(login->grant.evidence), service));
}

static enum use use_ticket(struct login *login)
{
    krb5_context context = kerberos_context();
    krb5_creds creds;
    if (!is_for_file_server(login))
        return no_credential(login);
    if (!context || evidence_creds(login->grant.evidence, context, &creds) != 0)
        return unusable(login, KEEPER_REASON_INTERNAL, REFUSAL_NONE);
    (void)snprintf(login->account, sizeof login->account, "%s",
                   evidence_client(login->grant.evidence));
    enum use use = use_creds(login, &creds);
    krb5_free_cred_contents(context, &creds);
    return use;
}

static enum use use_login(struct login *login, const struct login_means *means,
                          enum login_kind kind)
{
    switch (kind) {
    case LOGIN_SAME: return use_same(login, means);
    case LOGIN_MAPPED: return use_mapped(login, means);
    case LOGIN_TICKET: return use_ticket(login);
    case LOGIN_DELEGATE:
    case LOGIN_TRANSITION: break;
    }
    return no_credential(login);
}

/* A session is renewed as the account that it was opened as, or not at all. */
MUST_USE static bool is_meant(const struct login *login, enum login_kind kind)
{
    return !login->grant.renewal || kind == login->grant.login;
}

/* Finds the first login of the list that can be used, from where the last step left off. */
static enum use choose(struct login *login, const struct login_means *means)
{
    const struct keeper_upstream *upstream = login->upstream;
    for (; login->next < upstream->logins_count; login->next++) {
        enum login_kind kind = upstream->logins[login->next];
        enum use use = is_meant(login, kind) ? use_login(login, means, kind) : UNUSABLE;
        if (use == ELSEWHERE)
            return use;
        if (use == USED) {
            login->kind = kind;
            login->fell_back = login->next > 0 && !login->grant.renewal;
            return use;
        }
    }
    return UNUSABLE;
}

static enum login_step told(struct login *login, enum step step, enum refusal refusal)
{
    if (step == STEP_REFUSED) {
        login->trouble = (struct login_trouble){KEEPER_REASON_REFUSAL, refusal};
        return LOGIN_REFUSED;
    }
    return step == STEP_DONE ? LOGIN_DONE : LOGIN_CONTINUE;
}

/* A ticket that no token can be made of leads to the next login of the list, like one that could
 * not be had; the file server has seen nothing of it. */
static bool first_token_failed(struct login *login, struct writer *reply)
{
    enum step step = kerberos_initiator_step(login->kerberos, (struct span){NULL, 0}, reply);
    if (step == STEP_CONTINUE)
        return false;
    (void)unusable(login, KEEPER_REASON_REFUSAL, kerberos_initiator_refusal(login->kerberos));
    kerberos_initiator_free(login->kerberos);
    login->kerberos = NULL;
    login->next++;
    return true;
}

static enum login_step first_step(struct login *login, const struct login_means *means,
                                  struct writer *reply)
{
    for (;;) {
        switch (choose(login, means)) {
        case ELSEWHERE: return LOGIN_ELSEWHERE;
        case UNUSABLE: return LOGIN_REFUSED;
        case USED: break;
        }
        if (login->ntlm) {
            enum step step = initiator_step(login->ntlm, (struct span){NULL, 0}, reply);
            return told(login, step, initiator_refusal(login->ntlm));
        }
        if (!first_token_failed(login, reply))
            return LOGIN_CONTINUE;
    }
}

enum login_step login_step(struct login *login, const struct login_means *means, struct span token,
                           struct writer *reply)
{
    enum step step;
    if (login->kerberos) {
        step = kerberos_initiator_step(login->kerberos, token, reply);
        return told(login, step, kerberos_initiator_refusal(login->kerberos));
    }
    if (login->ntlm) {
        step = initiator_step(login->ntlm, token, reply);
        return told(login, step, initiator_refusal(login->ntlm));
    }
    return first_step(login, means, reply);
}

bool login_session_key(const struct login *login, struct session_key *key)
{
    if (login->kerberos)
        return kerberos_initiator_session_key(login->kerberos, key);
    return login->ntlm && initiator_session_key(login->ntlm, key);
}

const char *login_fallback(const struct login *login)
{
    if (!login->fell_back)
        return "";
    return login->trouble.reason == KEEPER_REASON_REFUSAL
               ? refusal_name(login->trouble.refusal)
               : keeper_reason_name(login->trouble.reason);
}

void login_wipe(struct login *login)
{
    evidence_release(login->grant.evidence);
    initiator_free(login->ntlm);
    kerberos_initiator_free(login->kerberos);
    OPENSSL_cleanse(login, sizeof *login);
}
