#include "proxy/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/clock.h"
#include "proxy/recorder_state.h"

/* How long it waits for the other processes' next event, once it is told to stop. */
static const struct timeval drain_time = {.tv_sec = 1};
static const struct timeval tick_time = {.tv_sec = 1};

enum { PROBLEM_MAX = 900 }; /* of a sentence to the supervisor */

static void end_when_drained(struct recorder *recorder)
{
    if (recorder->draining && LIST_EMPTY(&recorder->peers))
        event_base_loopbreak(recorder->base);
}

static void peer_free(struct peer *peer)
{
    channel_free(peer->channel);
    LIST_REMOVE(peer, next);
    free(peer);
}

bool recorder_answer(struct peer *peer, uint16_t type, const struct writer *answer)
{
    return writer_done(answer) && (channel_send(peer->channel, type, writer_span(answer), -1) ||
                                   channel_is_deserted(peer->channel));
}

MUST_USE static bool find_entry(struct peer *peer, struct directory *directory, struct span body)
{
    struct directory_entry entry;
    uint8_t answer[32];
    uint64_t query, upstream_id;
    if (!directory_entry_read(body, &query, &entry))
        return false;
    enum directory_answer found = directory_find(directory, &entry, &upstream_id);
    struct writer writer = writer_over(answer, sizeof answer);
    directory_found_write(&writer, query, found, upstream_id);
    return recorder_answer(peer, RECORDER_SESSION_FOUND, &writer);
}

MUST_USE static bool add_entry(struct directory *directory, struct span body)
{
    struct directory_entry entry;
    uint64_t query;
    if (!directory_entry_read(body, &query, &entry))
        return false;
    directory_add(directory, &entry);
    return true;
}

MUST_USE static bool remove_entry(struct directory *directory, struct span body)
{
    struct directory_entry entry;
    uint64_t query;
    if (!directory_entry_read(body, &query, &entry))
        return false;
    directory_remove(directory, &entry);
    return true;
}

static bool on_peer_message(void *context, uint16_t type, struct span body, int fd)
{
    struct peer *peer = context;
    if (fd >= 0) {
        close(fd);
        return false;
    }
    if (peer->recorder->draining && event_add(peer->recorder->deadline, &drain_time) < 0)
        event_base_loopbreak(peer->recorder->base);
    if (type == RECORDER_EVENT)
        return recorder_take_event(peer->recorder, body, peer);
    if (peer->role != PEER_WORKER)
        return false;
    switch (type) {
    case RECORDER_SESSION_ADD: return add_entry(peer->recorder->sessions, body);
    case RECORDER_SESSION_FIND: return find_entry(peer, peer->recorder->sessions, body);
    case RECORDER_DURABLE_ADD: return add_entry(peer->recorder->durables, body);
    case RECORDER_DURABLE_FIND: return find_entry(peer, peer->recorder->durables, body);
    case RECORDER_SESSION_REMOVE: return remove_entry(peer->recorder->sessions, body);
    case RECORDER_DURABLE_REMOVE: return remove_entry(peer->recorder->durables, body);
    case RECORDER_LOST: return recorder_take_losses(peer, body);
    case RECORDER_OUTCOME: return recorder_take_outcome(peer, body);
    case RECORDER_SIGHTING: return recorder_take_sighting(peer, body);
    default: return false;
    }
}

static void on_peer_gone(void *context, bool malformed)
{
    struct peer *peer = context;
    struct recorder *recorder = peer->recorder;
    if (malformed) {
        const struct audit_event event = {
            .kind = EVENT_PROTOCOL_ERROR,
            .field[FIELD_REASON] = "internal_message",
            .field[FIELD_TEXT] = "a process of Countersign sent a malformed message to the "
                                 "recorder and is not listened to any more",
            .field[FIELD_VERDICT] = "refused",
            .field[FIELD_WORKER] = peer->role == PEER_WORKER ? peer->index : NULL,
        };
        recorder_write(recorder, &event);
    }
    peer_free(peer);
    end_when_drained(recorder);
}

static const struct channel_handler peer_handler = {on_peer_message, on_peer_gone};

/* Takes over `fd`. */
MUST_USE static bool add_peer(struct recorder *recorder, struct span body, int fd)
{
    struct control_peer message;
    if (fd < 0)
        return false;
    if (!control_peer_read(body, &message) || message.role == PEER_RECORDER) {
        close(fd);
        return false;
    }
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) {
        close(fd);
        return false;
    }
    peer->recorder = recorder;
    peer->role = message.role;
    snprintf(peer->index, sizeof peer->index, "%u", message.index);
    LIST_INSERT_HEAD(&recorder->peers, peer, next);
    peer->channel = channel_new(recorder->base, fd, &peer_handler, peer);
    if (!peer->channel) {
        peer_free(peer);
        return false;
    }
    if (peer->role == PEER_WORKER)
        recorder_greet_worker(peer);
    return true;
}

/* The others are told to stop at the same time: what they still send is written. */
static void start_draining(struct recorder *recorder)
{
    if (recorder->draining)
        return;
    recorder->draining = true;
    if (event_add(recorder->deadline, &drain_time) < 0)
        event_base_loopbreak(recorder->base);
    end_when_drained(recorder);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    struct recorder *recorder = context;
    (void)fd;
    (void)what;
    event_base_loopbreak(recorder->base);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct recorder *recorder = context;
    (void)fd;
    (void)what;
    fold_tick(recorder->fold, clock_ms());
    recorder_memory_tick(recorder, false);
}

static void write_counters(struct recorder *recorder)
{
    fold_flush(recorder->fold);
    audit_write_counters(recorder->log);
}

/* The supervisor refuses a reload whose log cannot be opened: nobody would look at the old one. */
MUST_USE static bool reopen(struct recorder *recorder)
{
    char problem[PROBLEM_MAX] = "";
    uint8_t buffer[PROBLEM_MAX + 8];
    struct writer writer = writer_over(buffer, sizeof buffer);
    if (!audit_reopen(recorder->log))
        snprintf(problem, sizeof problem,
                 "audit.file: the recorder (uid %u) cannot open %s again: %s; make its directory "
                 "and let that user write there. Until then events go to the file that was open",
                 (unsigned)getuid(), recorder->config->audit.file, strerror(errno));
    if (problem[0])
        fprintf(stderr, "countersign: %s\n", problem);
    struct control_prepared answer = {.problem = {(const uint8_t *)problem, strlen(problem)}};
    control_prepared_write(&writer, &answer);
    return writer_done(&writer) && recorder->control &&
           channel_send(recorder->control, CONTROL_PREPARED, writer_span(&writer), -1);
}

/* The messages of the supervisor that carry no descriptor. */
MUST_USE static bool take_control(struct recorder *recorder, uint16_t type, struct span body)
{
    if (type == RECORDER_EVENT)
        return recorder_take_event(recorder, body, NULL);
    if (body.size != 0)
        return false;
    switch (type) {
    case CONTROL_STOP: start_draining(recorder); return true;
    case CONTROL_RELOAD: return reopen(recorder);
    case RECORDER_COUNTERS: write_counters(recorder); return true;
    default: return false;
    }
}

static bool on_control_message(void *context, uint16_t type, struct span body, int fd)
{
    struct recorder *recorder = context;
    if (type == CONTROL_PEER)
        return add_peer(recorder, body, fd);
    if (fd >= 0) {
        close(fd);
        return false;
    }
    return take_control(recorder, type, body);
}

static void on_control_gone(void *context, bool malformed)
{
    struct recorder *recorder = context;
    if (malformed) {
        fprintf(stderr, "countersign: the recorder got a malformed message and stops\n");
        recorder->failed = true;
    }
    channel_free(recorder->control);
    recorder->control = NULL;
    start_draining(recorder);
}

static const struct channel_handler control_handler = {on_control_message, on_control_gone};

MUST_USE static bool make_tables(struct recorder *recorder)
{
    const struct config *config = recorder->config;
    recorder->fold = fold_new(config->audit.fold, FOLD_MAX, recorder_write_repeats, recorder);
    recorder->limiter =
        limiter_new(&config->authentication, LIMITER_MAX, recorder_tell_limit, recorder);
    recorder->memory = memory_new(MEMORY_MAX);
    return recorder->fold && recorder->limiter && recorder->memory &&
           siphash_key_make(&recorder->limiter_key);
}

/* Takes over `control_fd`. */
MUST_USE static bool start(struct recorder *recorder, int control_fd)
{
    const struct span empty = {NULL, 0};
    recorder->base = event_base_new();
    if (!recorder->base) {
        close(control_fd);
        return false;
    }
    recorder->sessions = directory_new(DIRECTORY_MAX);
    recorder->durables = directory_new(DIRECTORY_MAX);
    recorder->deadline = evtimer_new(recorder->base, on_deadline, recorder);
    recorder->tick = event_new(recorder->base, -1, EV_PERSIST, on_tick, recorder);
    recorder->control = channel_new(recorder->base, control_fd, &control_handler, recorder);
    if (!recorder->sessions || !recorder->durables || !recorder->deadline || !recorder->tick ||
        !recorder->control || !make_tables(recorder))
        return false;
    recorder_memory_load(recorder);
    return event_add(recorder->tick, &tick_time) == 0 &&
           channel_send(recorder->control, CONTROL_READY, empty, -1);
}

static void release(struct recorder *recorder)
{
    while (!LIST_EMPTY(&recorder->peers))
        peer_free(LIST_FIRST(&recorder->peers));
    channel_free(recorder->control);
    directory_free(recorder->sessions);
    directory_free(recorder->durables);
    fold_free(recorder->fold);
    limiter_free(recorder->limiter);
    memory_free(recorder->memory);
    if (recorder->deadline)
        event_free(recorder->deadline);
    if (recorder->tick)
        event_free(recorder->tick);
    if (recorder->base)
        event_base_free(recorder->base);
    audit_close(recorder->log);
}

int recorder_run(const struct config *config, struct audit *log_ready, int control_fd)
{
    struct recorder recorder = {.config = config, .log = log_ready};
    LIST_INIT(&recorder.peers);
    if (!start(&recorder, control_fd) || event_base_dispatch(recorder.base) < 0) {
        fprintf(stderr, "countersign: the recorder cannot start: %s\n", strerror(errno));
        recorder.failed = true;
    } else {
        recorder_memory_tick(&recorder, true);
        write_counters(&recorder);
    }
    release(&recorder);
    return recorder.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
