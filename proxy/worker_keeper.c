/*
 * The worker's side of its conversation with the keeper: which session each answer is for.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/worker_state.h"

static struct attempt *begin(struct session *session, bool upstream)
{
    struct worker *worker = session->link->worker;
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return NULL;
    attempt->session = session;
    attempt->upstream = upstream;
    attempt->rules = session->link->rules;
    generation_hold(attempt->rules);
    session->attempt = ++worker->next_attempt;
    table_add(&worker->attempts, &attempt->by_number, session->attempt);
    return attempt;
}

static struct attempt *find(const struct worker *worker, uint64_t number)
{
    struct table_entry *entry = table_find(&worker->attempts, number);
    return entry ? CONTAINER_OF(entry, struct attempt, by_number) : NULL;
}

static void finish(struct worker *worker, struct attempt *attempt)
{
    attempt->session->attempt = 0;
    table_remove(&worker->attempts, &attempt->by_number);
    generation_release(worker, attempt->rules);
    free(attempt);
}

static bool send_message(struct worker *worker, uint16_t type, const struct writer *writer)
{
    return writer_done(writer) && worker->keeper &&
           channel_send(worker->keeper, type, writer_span(writer), -1);
}

bool worker_accept(struct session *session, struct span token)
{
    static uint8_t body[CHANNEL_MESSAGE_MAX - CHANNEL_HEAD_SIZE];
    struct link *link = session->link;
    struct writer writer = writer_over(body, sizeof body);
    if (!session->attempt) {
        if (!begin(session, false))
            return false;
        session->keeper_listener = generation_number(link->rules, link->listener_index);
    }
    struct keeper_accept message = {
        .attempt = session->attempt,
        .link = link->number,
        .listener = session->keeper_listener,
        .client = span_of_text(link->client.address),
        .called = span_of_text(link->called),
        .token = token,
    };
    keeper_accept_write(&writer, &message);
    return send_message(link->worker, KEEPER_ACCEPT, &writer);
}

bool worker_login(struct session *session)
{
    uint8_t body[128];
    struct link *link = session->link;
    struct writer writer = writer_over(body, sizeof body);
    if (!begin(session, true))
        return false;
    if (session->state < SESSION_VALID)
        session->keeper_upstream = generation_number(
            link->rules, (unsigned)(link->upstream - link->rules->config->upstreams));
    struct keeper_login message = {
        .attempt = session->attempt, .link = link->number, .upstream = session->keeper_upstream};
    memcpy(message.handle, session->handle, sizeof message.handle);
    keeper_login_write(&writer, &message);
    bool sent = send_message(link->worker, KEEPER_LOGIN, &writer);
    OPENSSL_cleanse(&message, sizeof message);
    OPENSSL_cleanse(body, sizeof body);
    return sent;
}

bool worker_step(struct session *session, struct span token)
{
    static uint8_t body[CHANNEL_MESSAGE_MAX - CHANNEL_HEAD_SIZE];
    struct writer writer = writer_over(body, sizeof body);
    struct keeper_step message = {.attempt = session->attempt, .token = token};
    keeper_step_write(&writer, &message);
    return session->attempt && send_message(session->link->worker, KEEPER_STEP, &writer);
}

static void give_up(struct session *session, bool refused)
{
    uint8_t body[16];
    struct worker *worker = session->link->worker;
    struct attempt *attempt = session->attempt ? find(worker, session->attempt) : NULL;
    if (!attempt)
        return;
    struct writer writer = writer_over(body, sizeof body);
    struct keeper_forget message = {.attempt = session->attempt, .refused = refused};
    keeper_forget_write(&writer, &message);
    /* A keeper that is not there has nothing to forget. */
    if (!send_message(worker, KEEPER_FORGET, &writer))
        session->attempt = 0;
    finish(worker, attempt);
}

/* A keeper that is not there has no handles. */
void worker_release(const struct session *session)
{
    uint8_t body[KEEPER_HANDLE_SIZE];
    struct writer writer = writer_over(body, sizeof body);
    struct keeper_release message;
    memcpy(message.handle, session->renewal, sizeof message.handle);
    keeper_release_write(&writer, &message);
    if (!send_message(session->link->worker, KEEPER_RELEASE, &writer))
        session->link->worker->events_lost++;
    OPENSSL_cleanse(&message, sizeof message);
    OPENSSL_cleanse(body, sizeof body);
}

void worker_forget(struct session *session)
{
    give_up(session, false);
}

void worker_credential_refused(struct session *session)
{
    give_up(session, true);
}

static bool on_continue(struct worker *worker, struct span body)
{
    struct keeper_continue reply;
    if (!keeper_continue_read(body, &reply))
        return false;
    struct attempt *attempt = find(worker, reply.attempt);
    if (attempt) {
        struct link *link = attempt->session->link;
        if (attempt->upstream)
            upstream_login_continue(attempt->session, &reply);
        else
            client_login_continue(attempt->session, &reply);
        link_settle(link);
    }
    OPENSSL_cleanse(&reply, sizeof reply);
    return true;
}

static bool on_proven(struct worker *worker, struct span body)
{
    struct keeper_proven reply;
    if (!keeper_proven_read(body, &reply))
        return false;
    struct attempt *attempt = find(worker, reply.attempt);
    if (attempt && !attempt->upstream) {
        struct session *session = attempt->session;
        struct link *link = session->link;
        struct generation *asked = attempt->rules;
        generation_hold(asked);
        finish(worker, attempt);
        if (rejudge_proven(session, asked, &reply.identity))
            client_login_proven(session, &reply);
        generation_release(worker, asked);
        link_settle(link);
    }
    OPENSSL_cleanse(&reply, sizeof reply);
    return true;
}

static bool on_logged_in(struct worker *worker, struct span body)
{
    struct keeper_logged_in reply;
    if (!keeper_logged_in_read(body, &reply))
        return false;
    struct attempt *attempt = find(worker, reply.attempt);
    if (attempt && attempt->upstream) {
        struct session *session = attempt->session;
        struct link *link = session->link;
        finish(worker, attempt);
        upstream_login_done(session, &reply);
        link_settle(link);
    }
    OPENSSL_cleanse(&reply, sizeof reply);
    return true;
}

static bool on_refused(struct worker *worker, struct span body)
{
    struct keeper_refused reply;
    if (!keeper_refused_read(body, &reply))
        return false;
    struct attempt *attempt = find(worker, reply.attempt);
    if (attempt) {
        struct session *session = attempt->session;
        struct link *link = session->link;
        bool upstream = attempt->upstream;
        finish(worker, attempt);
        if (upstream)
            upstream_login_refused(session, &reply);
        else
            client_login_refused(session, &reply);
        link_settle(link);
    }
    return true;
}

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct worker *worker = context;
    if (fd >= 0) {
        close(fd);
        return false;
    }
    switch (type) {
    case KEEPER_CONTINUE: return on_continue(worker, body);
    case KEEPER_PROVEN: return on_proven(worker, body);
    case KEEPER_LOGGED_IN: return on_logged_in(worker, body);
    case KEEPER_REFUSED: return on_refused(worker, body);
    default: return false;
    }
}

/* Whatever was being authenticated will never be answered. */
static void on_gone(void *context, bool malformed)
{
    struct worker *worker = context;
    struct table_entry *entry;
    (void)malformed;
    channel_free(worker->keeper);
    worker->keeper = NULL;
    while ((entry = table_any(&worker->attempts))) {
        struct attempt *attempt = CONTAINER_OF(entry, struct attempt, by_number);
        struct session *session = attempt->session;
        struct link *link = session->link;
        bool upstream = attempt->upstream;
        finish(worker, attempt);
        report_event(EVENT_LOGIN_REFUSED, link, session, LEG_CLIENT, "keeper_unavailable",
                     "refused");
        if (upstream)
            upstream_login_failed(session, STATUS_NO_LOGON_SERVERS);
        else
            client_login_failed(session, STATUS_NO_LOGON_SERVERS);
        link_settle(link);
    }
}

void worker_keeper_channel(struct worker *worker, int fd)
{
    static const struct channel_handler handler = {on_message, on_gone};
    if (worker->keeper)
        on_gone(worker, false);
    worker->keeper = channel_new(worker->base, fd, &handler, worker);
}
