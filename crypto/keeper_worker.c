#include "crypto/keeper_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "crypto/keeper_reply.h"

struct keeper_worker {
    LIST_ENTRY(keeper_worker) next;
    struct keeper *keeper;
    uint32_t index;          /* as the supervisor counts workers */
    struct channel *channel; /* NULL once it ended */
    struct attempt_table attempts;
    size_t open; /* attempts of this worker that exist, also the forgotten ones in the pool */
};

uint64_t keeper_now(void)
{
    struct timespec now;
    /* Cannot fail: every Linux has this clock. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Frees an attempt that is out of the table and not in the pool; the worker too when it ended and
 * this was its last. */
static void free_attempt(struct attempt *attempt)
{
    struct keeper_worker *worker = attempt->worker;
    authentication_wipe(&attempt->authentication);
    free(attempt);
    worker->open--;
    if (!worker->channel && worker->open == 0)
        free(worker);
}

/* Takes an attempt out of the table. What the pool has of it is freed when it comes back. */
static void forget_attempt(struct attempt *attempt)
{
    attempts_remove(&attempt->worker->attempts, attempt);
    attempt->forgotten = true;
    if (!attempt->busy)
        free_attempt(attempt);
}

static void end_worker(struct keeper_worker *worker)
{
    struct attempt *attempt;
    while ((attempt = attempts_any(&worker->attempts)))
        forget_attempt(attempt);
    handles_drop_owner(&worker->keeper->handles, worker);
    LIST_REMOVE(worker, next);
    channel_free(worker->channel);
    worker->channel = NULL;
    if (worker->open == 0)
        free(worker);
}

/* The client is who it says: the worker gets a handle that proves just that. */
MUST_USE static bool answer_proven(struct attempt *attempt)
{
    struct keeper_worker *worker = attempt->worker;
    const struct authentication *authentication = &attempt->authentication;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    switch (handles_make(&worker->keeper->handles, worker, attempt->link, &authentication->identity,
                         keeper_now(), handle)) {
    case HANDLE_MADE: break;
    case HANDLE_TOO_MANY:
        return reply_refused(worker->channel, attempt->number, KEEPER_REASON_BUSY, REFUSAL_NONE,
                             &authentication->identity);
    case HANDLE_FAILED:
        return reply_refused(worker->channel, attempt->number, KEEPER_REASON_INTERNAL, REFUSAL_NONE,
                             &authentication->identity);
    }
    bool sent = reply_proven(worker->channel, attempt->number, authentication, handle);
    OPENSSL_cleanse(handle, sizeof handle);
    return sent;
}

static struct back_off_account account_of(const struct attempt *attempt)
{
    return (struct back_off_account){
        .upstream = attempt->index,
        .login = attempt->authentication.login,
        .name = attempt->authentication.account,
    };
}

/* Asked before each token of a login, for the account may be refused in another login between the
 * first token, which names nobody yet, and the second, which proves it. */
MUST_USE static bool must_rest(struct attempt *attempt)
{
    const struct authentication *authentication = &attempt->authentication;
    struct back_off_account account = account_of(attempt);
    if (authentication->kind != AUTHENTICATION_UPSTREAM || attempt->trial ||
        authentication->result.step != STEP_CONTINUE)
        return false;
    switch (back_offs_ask(&attempt->worker->keeper->back_offs, &account, keeper_now())) {
    case BACK_OFF_NONE: break;
    case BACK_OFF_TRIAL: attempt->trial = true; break;
    case BACK_OFF_RESTS: return true;
    }
    return false;
}

/* How a login ended says nothing of a credential that was not shown, or is not in use any more. */
static void remember_outcome(const struct attempt *attempt, bool refused)
{
    struct keeper *keeper = attempt->worker->keeper;
    struct back_off_account account = account_of(attempt);
    if (!attempt->proof_sent || attempt->reload != keeper->reloads)
        return;
    if (!refused)
        back_offs_accepted(&keeper->back_offs, &account);
    else if (!back_offs_refused(&keeper->back_offs, &account, attempt->trial, keeper_now()))
        (void)fputs("countersign: keeper: no memory to keep a refused credential from being tried "
                    "again\n",
                    stderr);
}

MUST_USE static bool answer_logged_in(struct attempt *attempt)
{
    remember_outcome(attempt, false);
    return reply_logged_in(attempt->worker->channel, attempt->number, &attempt->authentication);
}

MUST_USE static bool answer_continue(struct attempt *attempt)
{
    attempt->proof_sent = attempt->authentication.result.key.size > 0;
    return reply_continue(attempt->worker->channel, attempt->number, &attempt->authentication);
}

MUST_USE static bool answer(struct attempt *attempt)
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
    return reply_refused(attempt->worker->channel, attempt->number, result->reason, result->refusal,
                         &authentication->identity);
}

static void work_on_step(void *context)
{
    struct attempt *attempt = context;
    authentication_step(&attempt->authentication);
}

static void step_is_back(void *context)
{
    struct attempt *attempt = context;
    struct keeper_worker *worker = attempt->worker;
    attempt->busy = false;
    secrets_release(attempt->secrets);
    attempt->secrets = NULL;
    if (attempt->forgotten) {
        free_attempt(attempt);
        return;
    }
    if (must_rest(attempt)) {
        attempt->authentication.result.step = STEP_REFUSED;
        attempt->authentication.result.reason = KEEPER_REASON_BACK_OFF;
    }
    bool sent = answer(attempt);
    bool over = attempt->authentication.result.step != STEP_CONTINUE;
    authentication_end_step(&attempt->authentication);
    if (over)
        forget_attempt(attempt);
    if (!sent)
        end_worker(worker);
}

/* Says no to a request that began nothing. */
MUST_USE static bool refuse(struct keeper_worker *worker, uint64_t number,
                            enum keeper_reason reason)
{
    return reply_refused(worker->channel, number, reason, REFUSAL_NONE, NULL);
}

/* Sends the attempt with a copy of the token into the pool. */
MUST_USE static bool begin_step(struct attempt *attempt, struct span token)
{
    struct keeper *keeper = attempt->worker->keeper;
    if (!authentication_take_token(&attempt->authentication, token)) {
        bool sent = refuse(attempt->worker, attempt->number, KEEPER_REASON_INTERNAL);
        forget_attempt(attempt);
        return sent;
    }
    attempt->busy = true;
    attempt->secrets = secrets_hold(keeper->secrets);
    attempt->authentication.credentials = attempt->secrets->credentials;
    attempt->job =
        (struct pool_job){.work = work_on_step, .done = step_is_back, .context = attempt};
    pool_submit(keeper->pool, &attempt->job);
    return true;
}

/* Begins an attempt; NULL with `why` set when there is no room for it. */
static struct attempt *open_attempt(struct keeper_worker *worker, uint64_t number, uint64_t link,
                                    uint32_t index, enum keeper_reason *why)
{
    *why = KEEPER_REASON_BUSY;
    if (worker->open >= KEEPER_ATTEMPTS_MAX)
        return NULL;
    *why = KEEPER_REASON_INTERNAL;
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return NULL;
    attempt->number = number;
    attempt->link = link;
    attempt->index = index;
    attempt->begun = keeper_now();
    attempt->reload = worker->keeper->reloads;
    attempt->worker = worker;
    attempts_add(&worker->attempts, attempt);
    worker->open++;
    return attempt;
}

MUST_USE static bool on_accept(struct keeper_worker *worker, struct span body)
{
    const struct keeper_settings *settings = worker->keeper->settings;
    struct keeper_accept message;
    enum keeper_reason why;
    if (!keeper_accept_read(body, &message) || message.listener >= settings->listeners_count)
        return false;
    struct attempt *attempt = attempts_find(&worker->attempts, message.attempt);
    if (attempt) {
        if (attempt->authentication.kind != AUTHENTICATION_OF_CLIENT || attempt->busy ||
            attempt->link != message.link || attempt->index != message.listener)
            return false;
        return begin_step(attempt, message.token);
    }
    attempt = open_attempt(worker, message.attempt, message.link, message.listener, &why);
    if (!attempt)
        return refuse(worker, message.attempt, why);
    attempt->authentication.kind = AUTHENTICATION_OF_CLIENT;
    attempt->authentication.policy = &settings->listeners[message.listener].accept;
    return begin_step(attempt, message.token);
}

MUST_USE static bool on_login(struct keeper_worker *worker, struct span body)
{
    const struct keeper_settings *settings = worker->keeper->settings;
    struct keeper_login message;
    struct identity identity;
    enum keeper_reason why;
    if (!keeper_login_read(body, &message) || message.upstream >= settings->upstreams_count ||
        attempts_find(&worker->attempts, message.attempt))
        return false;
    bool proven = handles_take(&worker->keeper->handles, worker, message.link, message.handle,
                               keeper_now(), &identity);
    OPENSSL_cleanse(message.handle, sizeof message.handle);
    if (!proven)
        return refuse(worker, message.attempt, KEEPER_REASON_BAD_HANDLE);
    struct attempt *attempt =
        open_attempt(worker, message.attempt, message.link, message.upstream, &why);
    if (!attempt)
        return refuse(worker, message.attempt, why);
    attempt->authentication.kind = AUTHENTICATION_UPSTREAM;
    attempt->authentication.upstream = &settings->upstreams[message.upstream];
    attempt->authentication.identity = identity;
    return begin_step(attempt, (struct span){NULL, 0});
}

MUST_USE static bool on_step(struct keeper_worker *worker, struct span body)
{
    struct keeper_step message;
    if (!keeper_step_read(body, &message))
        return false;
    struct attempt *attempt = attempts_find(&worker->attempts, message.attempt);
    /* A slow file server's token may come after the attempt's lifetime: no fault of the worker. */
    if (!attempt)
        return reply_refused(worker->channel, message.attempt, KEEPER_REASON_REFUSAL, REFUSAL_STALE,
                             NULL);
    if (attempt->authentication.kind != AUTHENTICATION_UPSTREAM || attempt->busy)
        return false;
    return begin_step(attempt, message.token);
}

/* The attempt may have ended already, with our answer still under way to the worker. */
MUST_USE static bool on_forget(struct keeper_worker *worker, struct span body)
{
    struct keeper_forget message;
    if (!keeper_forget_read(body, &message))
        return false;
    struct attempt *attempt = attempts_find(&worker->attempts, message.attempt);
    if (!attempt)
        return true;
    if (message.refused) {
        if (attempt->authentication.kind != AUTHENTICATION_UPSTREAM || attempt->busy)
            return false;
        remember_outcome(attempt, true);
    }
    forget_attempt(attempt);
    return true;
}

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct keeper_worker *worker = context;
    if (fd >= 0) {
        close(fd);
        return false;
    }
    switch (type) {
    case KEEPER_ACCEPT: return on_accept(worker, body);
    case KEEPER_LOGIN: return on_login(worker, body);
    case KEEPER_STEP: return on_step(worker, body);
    case KEEPER_FORGET: return on_forget(worker, body);
    default: return false;
    }
}

static void on_gone(void *context, bool malformed)
{
    struct keeper_worker *worker = context;
    if (malformed)
        (void)fprintf(
            stderr,
            "countersign: keeper: worker %u cut off: it sent what no worker sends, or does "
            "not read\n",
            worker->index);
    end_worker(worker);
}

bool keeper_worker_add(struct keeper *keeper, uint32_t index, int fd)
{
    static const struct channel_handler handler = {.message = on_message, .gone = on_gone};
    struct keeper_worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        close(fd);
        return false;
    }
    worker->keeper = keeper;
    worker->index = index;
    attempts_init(&worker->attempts);
    worker->channel = channel_new(keeper->base, fd, &handler, worker);
    if (!worker->channel) {
        free(worker);
        return false;
    }
    LIST_INSERT_HEAD(&keeper->workers, worker, next);
    return true;
}

void keeper_workers_tick(struct keeper *keeper, uint64_t now)
{
    struct keeper_worker *worker;
    struct attempt *attempt;
    LIST_FOREACH(worker, &keeper->workers, next)
    {
        while ((attempt = attempts_expired(&worker->attempts, now)))
            forget_attempt(attempt);
    }
    handles_drop_expired(&keeper->handles, now);
}

void keeper_workers_end(struct keeper *keeper)
{
    while (!LIST_EMPTY(&keeper->workers))
        end_worker(LIST_FIRST(&keeper->workers));
}
