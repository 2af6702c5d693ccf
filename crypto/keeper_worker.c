#include "crypto/keeper_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "crypto/clock.h"
#include "crypto/evidence.h"
#include "crypto/keeper_answer.h"
#include "crypto/keeper_reply.h"

/* Frees an attempt that is out of the table and not in a pool; the worker too when it ended and
 * this was its last. */
static void free_attempt(struct attempt *attempt)
{
    struct keeper_worker *worker = attempt->worker;
    secrets_release(attempt->secrets);
    authentication_wipe(&attempt->authentication);
    attempt->generation->attempts--;
    free(attempt);
    worker->open--;
    if (!worker->channel && worker->open == 0)
        free(worker);
}

/* Takes an attempt out of the table. What a pool has of it is freed when it comes back. */
static void forget_attempt(struct attempt *attempt)
{
    attempts_remove(&attempt->worker->attempts, attempt);
    attempt->forgotten = true;
    atomic_store(&attempt->authentication.abandoned, true);
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

static void work_on_step(void *context)
{
    struct attempt *attempt = context;
    authentication_step(&attempt->authentication);
}

static void submit(struct attempt *attempt);

static void step_is_back(void *context)
{
    struct attempt *attempt = context;
    struct keeper_worker *worker = attempt->worker;
    attempt->busy = false;
    if (attempt->forgotten) {
        free_attempt(attempt);
        return;
    }
    if (attempt->authentication.result.elsewhere) {
        authentication_go_remote(&attempt->authentication);
        submit(attempt);
        return;
    }
    bool sent = answer_step(attempt);
    bool over = attempt->authentication.result.step != STEP_CONTINUE;
    secrets_release(attempt->secrets);
    attempt->secrets = NULL;
    authentication_end_step(&attempt->authentication);
    if (over)
        forget_attempt(attempt);
    if (!sent)
        end_worker(worker);
}

static void submit(struct attempt *attempt)
{
    struct keeper *keeper = attempt->worker->keeper;
    attempt->busy = true;
    attempt->job =
        (struct pool_job){.work = work_on_step, .done = step_is_back, .context = attempt};
    pool_submit(attempt->authentication.remote ? keeper->remote : keeper->local, &attempt->job);
}

/* Says no to a request that began nothing. */
MUST_USE static bool refuse(struct keeper_worker *worker, uint64_t number,
                            enum keeper_reason reason)
{
    return reply_refused(worker->channel, number, reason, REFUSAL_NONE, 0, NULL);
}

/* Sends the attempt with a copy of the token into a pool. */
MUST_USE static bool begin_step(struct attempt *attempt, struct span token)
{
    struct keeper *keeper = attempt->worker->keeper;
    attempt->secrets = generation_secrets(attempt->generation);
    if (!attempt->secrets || !authentication_take_token(&attempt->authentication, token)) {
        bool sent = refuse(attempt->worker, attempt->number, KEEPER_REASON_INTERNAL);
        forget_attempt(attempt);
        return sent;
    }
    attempt->authentication.credentials = attempt->secrets->credentials;
    attempt->authentication.groups = attempt->secrets->groups;
    attempt->authentication.domain = keeper->domain;
    attempt->authentication.tickets = keeper->tickets;
    attempt->authentication.replays = keeper->replays;
    attempt->authentication.challenges = keeper->challenges;
    attempt->authentication.credential_key = &keeper->credential_key;
    submit(attempt);
    return true;
}

/* Begins an attempt; NULL with `why` set when there is no room for it. */
static struct attempt *open_attempt(struct keeper_worker *worker, uint64_t number, uint64_t link,
                                    uint32_t index, struct keeper_generation *generation,
                                    enum keeper_reason *why)
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
    attempt->begun = clock_ms();
    attempt->worker = worker;
    attempt->generation = generation;
    generation->attempts++;
    attempts_add(&worker->attempts, attempt);
    worker->open++;
    return attempt;
}

/* A worker's number of a listener or upstream, without its generation. */
static uint32_t index_of(uint32_t number)
{
    return number & ((1u << KEEPER_INDEX_BITS) - 1);
}

/* What a keeper that was started in the place of another need not know: an honest worker may still
 * ask for it when the supervisor could not tell. */
static bool is_past(const struct keeper *keeper, uint32_t number)
{
    return number >> KEEPER_INDEX_BITS < keeper->newest->settings->generation;
}

MUST_USE static bool start_accept(struct keeper_worker *worker, const struct keeper_accept *message,
                                  struct keeper_generation *generation)
{
    enum keeper_reason why;
    struct attempt *attempt =
        open_attempt(worker, message->attempt, message->link, message->listener, generation, &why);
    if (!attempt)
        return refuse(worker, message->attempt, why);
    attempt->authentication.kind = AUTHENTICATION_OF_CLIENT;
    attempt->authentication.policy =
        &generation->settings->listeners[index_of(message->listener)].accept;
    struct writer called =
        writer_over(attempt->authentication.called, sizeof attempt->authentication.called - 1);
    write_span(&called, message->called);
    return begin_step(attempt, message->token);
}

MUST_USE static bool on_accept(struct keeper_worker *worker, struct span body)
{
    struct keeper_accept message;
    if (!keeper_accept_read(body, &message))
        return false;
    struct attempt *attempt = attempts_find(&worker->attempts, message.attempt);
    if (attempt) {
        if (attempt->authentication.kind != AUTHENTICATION_OF_CLIENT || attempt->busy ||
            attempt->link != message.link || attempt->index != message.listener)
            return false;
        return begin_step(attempt, message.token);
    }
    struct keeper_generation *generation = generation_of(worker->keeper, message.listener);
    if (!generation)
        return is_past(worker->keeper, message.listener) &&
               refuse(worker, message.attempt, KEEPER_REASON_INTERNAL);
    return index_of(message.listener) < generation->settings->listeners_count &&
           start_accept(worker, &message, generation);
}

/* Takes over the grant's evidence. */
MUST_USE static bool start_login(struct keeper_worker *worker, const struct keeper_login *message,
                                 struct keeper_generation *generation, const struct grant *grant)
{
    enum keeper_reason why;
    struct attempt *attempt =
        open_attempt(worker, message->attempt, message->link, message->upstream, generation, &why);
    if (!attempt) {
        evidence_release(grant->evidence);
        return refuse(worker, message->attempt, why);
    }
    attempt->authentication.kind = AUTHENTICATION_UPSTREAM;
    login_begin(&attempt->authentication.login,
                &generation->settings->upstreams[index_of(message->upstream)], message->upstream,
                grant);
    return begin_step(attempt, (struct span){NULL, 0});
}

MUST_USE static bool on_login(struct keeper_worker *worker, struct span body)
{
    struct keeper_login message;
    struct grant grant = {.evidence = NULL};
    if (!keeper_login_read(body, &message) || attempts_find(&worker->attempts, message.attempt))
        return false;
    struct keeper_generation *generation = generation_of(worker->keeper, message.upstream);
    if (!generation)
        return is_past(worker->keeper, message.upstream) &&
               refuse(worker, message.attempt, KEEPER_REASON_BAD_HANDLE);
    if (index_of(message.upstream) >= generation->settings->upstreams_count)
        return false;
    bool proven = handles_take(&worker->keeper->handles, worker, message.link, message.handle,
                               clock_ms(), &grant);
    OPENSSL_cleanse(message.handle, sizeof message.handle);
    if (proven && grant.renewal && grant.upstream != message.upstream) {
        evidence_release(grant.evidence);
        proven = false;
    }
    if (!proven)
        return refuse(worker, message.attempt, KEEPER_REASON_BAD_HANDLE);
    return start_login(worker, &message, generation, &grant);
}

MUST_USE static bool on_release(struct keeper_worker *worker, struct span body)
{
    struct keeper_release message;
    if (!keeper_release_read(body, &message))
        return false;
    bool ours = handles_release(&worker->keeper->handles, worker, message.handle);
    OPENSSL_cleanse(&message, sizeof message);
    return ours;
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
                             0, NULL);
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
        answer_credential_refused(attempt);
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
    case KEEPER_RELEASE: return on_release(worker, body);
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
