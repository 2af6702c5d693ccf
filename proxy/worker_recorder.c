/*
 * A worker's conversation with the recorder, but for the session directory: events that were lost,
 * how authentications ended, and the limiter's delays.
 */
#include <string.h>
#include <unistd.h>

#include "crypto/clock.h"
#include "proxy/recorder.h"
#include "proxy/worker_state.h"

/* ---- losses ---- */

void worker_tell_losses(struct worker *worker)
{
    uint8_t body[EVENT_KIND_COUNT * 10];
    struct writer writer = writer_over(body, sizeof body);
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        if (!worker->lost[kind])
            continue;
        write_le16(&writer, (uint16_t)kind);
        write_le64(&writer, worker->lost[kind]);
    }
    if (writer_size(&writer) == 0 || !writer_done(&writer) || !worker->recorder ||
        !channel_send(worker->recorder, RECORDER_LOST, writer_span(&writer), -1))
        return;
    memset(worker->lost, 0, sizeof worker->lost);
}

static bool has_losses(const struct worker *worker)
{
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (worker->lost[kind])
            return true;
    return false;
}

static void arm(const struct worker *worker)
{
    static const struct timeval soon = {.tv_sec = 1};
    if (worker->losses_timer && !event_pending(worker->losses_timer, EV_TIMEOUT, NULL))
        event_add(worker->losses_timer, &soon);
}

/* Only when it has read what was sent before: what is said into a full channel is lost as well. */
static void on_losses(evutil_socket_t fd, short what, void *context)
{
    struct worker *worker = context;
    (void)fd;
    (void)what;
    if (worker->recorder && !channel_queued(worker->recorder))
        worker_tell_losses(worker);
    if (has_losses(worker))
        arm(worker);
}

void worker_lose_event(struct worker *worker, enum event_kind kind)
{
    worker->events_lost++;
    worker->lost[kind]++;
    if (!worker->losses_timer && worker->control)
        worker->losses_timer = evtimer_new(worker->base, on_losses, worker);
    arm(worker);
}

/* ---- the limiter ---- */

bool worker_source_closed(const struct worker *worker, const char *address)
{
    return limit_board_closes(&worker->limits, address, clock_ms());
}

const char *worker_login_limited(const struct link *link, const char *user)
{
    const struct limit_board *board = &link->worker->limits;
    struct attempt_key attempt;
    if (!board->keyed || !board->limits.count)
        return NULL;
    attempt_key_make(&board->key, link->client.address, user, &attempt);
    return limit_board_refuses(board, &attempt, clock_ms());
}

void worker_tell_outcome(const struct link *link, const char *user, bool proven)
{
    const struct worker *worker = link->worker;
    struct attempt_key attempt;
    uint8_t body[64];
    struct writer writer = writer_over(body, sizeof body);
    if (!worker->recorder || !worker->limits.keyed || !worker->config->authentication.delay_max)
        return;
    attempt_key_make(&worker->limits.key, link->client.address, user, &attempt);
    outcome_write(&writer, &attempt, proven);
    /* A recorder that does not keep up hears less: the next failure counts again. */
    bool told = writer_done(&writer) &&
                channel_send(worker->recorder, RECORDER_OUTCOME, writer_span(&writer), -1);
    (void)told;
}

static bool take_key(struct worker *worker, struct span body)
{
    struct reader reader = reader_over_span(body);
    struct siphash_key key;
    if (!read_le64(&reader, &key.low) || !read_le64(&reader, &key.high) || reader_left(&reader))
        return false;
    limit_board_key(&worker->limits, &key);
    return true;
}

static bool take_limit(struct worker *worker, struct span body)
{
    struct limit limit;
    if (!limit_read(body, &limit))
        return false;
    limit_board_post(&worker->limits, &limit, clock_ms());
    return true;
}

/* ---- the channel ---- */

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct worker *worker = context;
    if (fd >= 0) {
        close(fd);
        return false;
    }
    switch (type) {
    case RECORDER_SESSION_FOUND: return worker_directory_answer(worker, body);
    case RECORDER_LIMITER_KEY: return take_key(worker, body);
    case RECORDER_LIMIT: return take_limit(worker, body);
    case RECORDER_SEEN: return worker_sighting_answer(worker, body);
    default: return false;
    }
}

static void on_gone(void *context, bool malformed)
{
    struct worker *worker = context;
    (void)malformed;
    channel_free(worker->recorder);
    worker->recorder = NULL;
    worker_directory_gone(worker);
    worker_sightings_gone(worker);
}

void worker_recorder_channel(struct worker *worker, int fd)
{
    static const struct channel_handler handler = {on_message, on_gone};
    if (worker->recorder)
        on_gone(worker, false);
    worker->recorder = channel_new(worker->base, fd, &handler, worker);
}
