#include "crypto/keeper_login.h"

#include <openssl/crypto.h>

#include "crypto/evidence.h"
#include "crypto/keeper_login_use.h"

void login_begin(struct login *login, const struct keeper_upstream *upstream, uint32_t index,
                 const struct grant *grant)
{
    *login = (struct login){
        .upstream = upstream,
        .index = index,
        .grant = *grant,
        .trouble = {.reason = KEEPER_REASON_NO_CREDENTIAL},
    };
}

/* A session is renewed as the account that it was opened as, or not at all. */
MUST_USE static bool is_meant(const struct login *login, enum login_kind kind)
{
    return !login->grant.renewal || kind == login->grant.login;
}

/* Finds the first login of the list that can be used, from where the last step left off. */
static enum login_use choose(struct login *login, const struct login_means *means)
{
    const struct keeper_upstream *upstream = login->upstream;
    for (; login->next < upstream->logins_count; login->next++) {
        enum login_kind kind = upstream->logins[login->next];
        enum login_use use = is_meant(login, kind) ? login_use(login, means, kind) : LOGIN_UNUSABLE;
        if (use == LOGIN_USE_ELSEWHERE || use == LOGIN_USE_REFUSED)
            return use;
        if (use == LOGIN_USED) {
            login->kind = kind;
            login->fell_back = login->next > 0 && !login->grant.renewal;
            return use;
        }
    }
    return LOGIN_UNUSABLE;
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
    (void)login_unusable(login, KEEPER_REASON_REFUSAL, kerberos_initiator_refusal(login->kerberos));
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
        case LOGIN_USE_ELSEWHERE: return LOGIN_ELSEWHERE;
        case LOGIN_USE_REFUSED:
        case LOGIN_UNUSABLE: return LOGIN_REFUSED;
        case LOGIN_USED: break;
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
        if (step == STEP_REFUSED)
            login_ticket_refused(login, means->tickets);
        return told(login, step, kerberos_initiator_refusal(login->kerberos));
    }
    if (login->ntlm) {
        step = initiator_step(login->ntlm, token, reply);
        return told(login, step, initiator_refusal(login->ntlm));
    }
    return first_step(login, means, reply);
}

void login_ticket_refused(struct login *login, struct upstream_tickets *tickets)
{
    const struct ticket_key key = {login->index, login->kind, login->client};
    if (login->kerberos && *login->client)
        upstream_ticket_drop(tickets, &key);
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
