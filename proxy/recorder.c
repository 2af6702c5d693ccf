#include "proxy/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "crypto/channel.h"
#include "crypto/keeper_message.h"
#include "policy/audit.h"
#include "proxy/directory.h"

/* How long the other processes have for their last events, once it is told to stop. */
static const struct timeval drain_time = {.tv_sec = 1};

/* Another process that sends events. */
struct peer {
    LIST_ENTRY(peer) next;
    struct recorder *recorder;
    struct channel *channel;
    enum peer_role role;
    char index[12]; /* of a worker, as text */
};

struct recorder {
    struct event_base *base;
    struct audit *log;
    struct directory *sessions;
    struct directory *durables;
    struct channel *control; /* NULL once the supervisor is gone */
    struct event *deadline;
    LIST_HEAD(, peer) peers;
    bool draining;
    bool losing; /* the last event could not be written */
    bool failed;
};

static void write_event(struct recorder *recorder, const struct audit_event *event)
{
    bool lost = !audit_write(recorder->log, event);
    if (lost && !recorder->losing)
        fprintf(stderr, "countersign: the audit log cannot be written: events are being lost\n");
    if (!lost && recorder->losing)
        fprintf(stderr, "countersign: the audit log can be written again\n");
    recorder->losing = lost;
}

/* Writes what a process sent. The number of a worker is ours to say: a subverted one must not blame
 * another. Nobody else counts. */
MUST_USE static bool take_event(struct recorder *recorder, struct span body,
                                const struct peer *peer)
{
    struct audit_event event;
    struct event_storage storage;
    if (!event_unpack(body.at, body.size, &event, &storage) || event.kind == EVENT_COUNTERS)
        return false;
    if (peer && peer->role == PEER_WORKER)
        event.field[FIELD_WORKER] = peer->index;
    write_event(recorder, &event);
    return true;
}

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
    return writer_done(&writer) &&
           channel_send(peer->channel, RECORDER_SESSION_FOUND, writer_span(&writer), -1);
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

static bool on_peer_message(void *context, uint16_t type, struct span body, int fd)
{
    struct peer *peer = context;
    if (fd >= 0) {
        close(fd);
        return false;
    }
    if (type == RECORDER_EVENT)
        return take_event(peer->recorder, body, peer);
    if (peer->role != PEER_WORKER)
        return false;
    switch (type) {
    case RECORDER_SESSION_ADD: return add_entry(peer->recorder->sessions, body);
    case RECORDER_SESSION_FIND: return find_entry(peer, peer->recorder->sessions, body);
    case RECORDER_DURABLE_ADD: return add_entry(peer->recorder->durables, body);
    case RECORDER_DURABLE_FIND: return find_entry(peer, peer->recorder->durables, body);
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
        write_event(recorder, &event);
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
    if (peer->channel)
        return true;
    peer_free(peer);
    return false;
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

static void reopen(struct recorder *recorder)
{
    if (!audit_reopen(recorder->log))
        fprintf(stderr, "countersign: cannot open the audit log again, still writing the old: %s\n",
                strerror(errno));
}

/* The messages of the supervisor that carry no descriptor. */
MUST_USE static bool take_control(struct recorder *recorder, uint16_t type, struct span body)
{
    if (type == RECORDER_EVENT)
        return take_event(recorder, body, NULL);
    if (body.size != 0)
        return false;
    switch (type) {
    case CONTROL_STOP: start_draining(recorder); return true;
    case CONTROL_RELOAD: reopen(recorder); return true;
    case RECORDER_COUNTERS: audit_write_counters(recorder->log); return true;
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
    recorder->control = channel_new(recorder->base, control_fd, &control_handler, recorder);
    return recorder->sessions && recorder->durables && recorder->deadline && recorder->control &&
           channel_send(recorder->control, CONTROL_READY, empty, -1);
}

static void release(struct recorder *recorder)
{
    while (!LIST_EMPTY(&recorder->peers))
        peer_free(LIST_FIRST(&recorder->peers));
    channel_free(recorder->control);
    directory_free(recorder->sessions);
    directory_free(recorder->durables);
    if (recorder->deadline)
        event_free(recorder->deadline);
    if (recorder->base)
        event_base_free(recorder->base);
    audit_close(recorder->log);
}

int recorder_run(struct audit *log_ready, int control_fd)
{
    struct recorder recorder = {.log = log_ready};
    LIST_INIT(&recorder.peers);
    if (!start(&recorder, control_fd) || event_base_dispatch(recorder.base) < 0) {
        fprintf(stderr, "countersign: the recorder cannot start: %s\n", strerror(errno));
        recorder.failed = true;
    }
    audit_write_counters(recorder.log);
    release(&recorder);
    return recorder.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
