#include "crypto/keeper_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "crypto/clock.h"
#include "crypto/keeper_reply.h"
#include "crypto/keeper_worker.h"

MUST_USE static bool refuse(const struct attempt *attempt, enum keeper_reason reason,
                            enum refusal refusal)
{
    return reply_refused(attempt->worker->channel, attempt->number, reason, refusal,
                         attempt->authentication.result.status,
                         authentication_identity(&attempt->authentication));
}

/* The client is who it says: the worker gets a handle that proves just that. */
MUST_USE static bool answer_proven(struct attempt *attempt)
{
    struct keeper_worker *worker = attempt->worker;
    const struct authentication *authentication = &attempt->authentication;
    const struct grant grant = {
        .identity = authentication->identity,
        .evidence = authentication->evidence,
    };
    uint8_t handle[KEEPER_HANDLE_SIZE];
    uint64_t now = clock_ms();
    switch (handles_make(&worker->keeper->handles, worker, attempt->link, &grant,
                         now + HANDLE_LIFETIME_MS, now, handle)) {
    case HANDLE_MADE: break;
    case HANDLE_TOO_MANY: return refuse(attempt, KEEPER_REASON_BUSY, REFUSAL_NONE);
    case HANDLE_FAILED: return refuse(attempt, KEEPER_REASON_INTERNAL, REFUSAL_NONE);
    }
    bool sent = reply_proven(worker->channel, attempt->number, authentication, handle);
    OPENSSL_cleanse(handle, sizeof handle);
    return sent;
}

/* When an identity's proof runs out, on the clock of handles. */
static uint64_t end_of(const struct identity *identity, uint64_t now)
{
    int64_t left = identity->expires - (int64_t)time(NULL);
    if (identity->expires == 0)
        return UINT64_MAX;
    return left > 0 ? now + (uint64_t)left * 1000 : now;
}

/* What the worker may renew the session with; all zeros when it cannot: the client's own ticket
 * only the client renews. A session without one works as well, until it ends. */
static void make_renewal(struct attempt *attempt, uint8_t handle[KEEPER_HANDLE_SIZE])
{
    struct keeper_worker *worker = attempt->worker;
    const struct login *login = &attempt->authentication.login;
    struct grant grant = login->grant;
    uint64_t now = clock_ms();
    grant.renewal = true;
    grant.upstream = attempt->index;
    grant.login = login->kind;
    if (login->kind == LOGIN_TICKET ||
        handles_make(&worker->keeper->handles, worker, attempt->link, &grant,
                     end_of(&grant.identity, now), now, handle) != HANDLE_MADE)
        memset(handle, 0, KEEPER_HANDLE_SIZE);
}

static struct back_off_account account_of(const struct attempt *attempt)
{
    return (struct back_off_account){
        .address = attempt->authentication.login.upstream->address,
        .login = attempt->authentication.login.kind,
        .name = attempt->authentication.login.account,
        .credential = attempt->authentication.login.credential,
    };
}

/* Asked before each token of a login that proves a password, for the account may be refused in
 * another login between the first token, which names nobody yet, and the second, which proves it.
 */
MUST_USE static bool must_rest(struct attempt *attempt)
{
    const struct authentication *authentication = &attempt->authentication;
    if (authentication->kind != AUTHENTICATION_UPSTREAM || attempt->trial ||
        !authentication->login.ntlm)
        return false;
    struct back_off_account account = account_of(attempt);
    switch (back_offs_ask(&attempt->worker->keeper->back_offs, &account, clock_ms())) {
    case BACK_OFF_NONE: break;
    case BACK_OFF_TRIAL: attempt->trial = true; break;
    case BACK_OFF_RESTS: return true;
    }
    return false;
}

/* How a login ended says nothing of a credential that was not shown. */
static void remember_outcome(const struct attempt *attempt, bool refused)
{
    struct keeper *keeper = attempt->worker->keeper;
    if (!attempt->proof_sent)
        return;
    struct back_off_account account = account_of(attempt);
    if (!refused)
        back_offs_accepted(&keeper->back_offs, &account);
    else if (!back_offs_refused(&keeper->back_offs, &account, attempt->trial, clock_ms()))
        (void)fputs("countersign: keeper: no memory to keep a refused credential from being tried "
                    "again\n",
                    stderr);
}

void answer_credential_refused(struct attempt *attempt)
{
    login_ticket_refused(&attempt->authentication.login, attempt->worker->keeper->tickets);
    remember_outcome(attempt, true);
}

MUST_USE static bool answer_logged_in(struct attempt *attempt)
{
    uint8_t renewal[KEEPER_HANDLE_SIZE];
    remember_outcome(attempt, false);
    make_renewal(attempt, renewal);
    bool sent = reply_logged_in(attempt->worker->channel, attempt->number, &attempt->authentication,
                                renewal);
    OPENSSL_cleanse(renewal, sizeof renewal);
    return sent;
}

MUST_USE static bool answer_continue(struct attempt *attempt)
{
    const struct authentication *authentication = &attempt->authentication;
    if (must_rest(attempt)) {
        attempt->authentication.result.step = STEP_REFUSED;
        return refuse(attempt, KEEPER_REASON_BACK_OFF, REFUSAL_NONE);
    }
    attempt->proof_sent = authentication->login.ntlm && authentication->result.key.size > 0;
    return reply_continue(attempt->worker->channel, attempt->number, authentication);
}

bool answer_step(struct attempt *attempt)
{
    const struct authentication *authentication = &attempt->authentication;
    const struct authentication_result *result = &authentication->result;
    switch (result->step) {
    case STEP_CONTINUE: return answer_continue(attempt);
    case STEP_DONE:
        return authentication->kind == AUTHENTICATION_OF_CLIENT ? answer_proven(attempt)
                                                                : answer_logged_in(attempt);
    case STEP_REFUSED: break;
    }
    return refuse(attempt, result->reason, result->refusal);
}
