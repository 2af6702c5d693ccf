/*
 * Doubles of keeper, recorder and workers for the test of the supervisor, which links them instead
 * of the real ones: each greets every peer it is given, and writes into shared memory what happens
 * to it.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_SUPERVISOR_DOUBLES_H
#define COUNTERSIGN_TESTS_UNIT_SUPERVISOR_DOUBLES_H

#include <event2/event.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/channel.h"
#include "crypto/keeper_message.h"
#include "policy/audit.h"
#include "proxy/recorder.h"
#include "proxy/worker.h"

enum {
    GREETING = 200,
    RECORDER = 0,
    KEEPER = 1,
    WORKER_0 = 2,
    WORKER_1 = 3,
    CHILDREN = 4,
    WORKERS = 2,
};

/* When it is told of a reload. */
enum deafness { HEARS, SAYS_NOTHING, HANGS_UP };

enum behaviour { BEHAVE, FAIL, NEVER_READY, IGNORE_STOP, TALK_NONSENSE };

struct seen {
    atomic_int pid;
    atomic_int uid;
    atomic_int starts;
    atomic_int greeted_by[CHILDREN];
    atomic_int reloads;
    atomic_int prepared;
    atomic_int aborts;
    atomic_int unprepared; /* it cannot, it will say */
    atomic_int deafness;
    atomic_int counters;
    atomic_int events[EVENT_KIND_COUNT];
    atomic_int stopped; /* its place in the order of stops */
    atomic_int open_descriptors;
    atomic_int accepts;       /* its listening sockets are listening sockets */
    atomic_int variables;     /* of the environment */
    atomic_int replays_found; /* what a keeper before this one left */
    atomic_int replays_seen;  /* by one who must not have them */
};

static struct shared {
    struct seen child[CHILDREN];
    atomic_int stops;
    enum behaviour keeper;
    enum behaviour worker;
    _Atomic(void *) replays; /* where keepers have them */
} * shared;

/* msync() knows which pages are mapped. */
static inline void look_for_replays(int id)
{
    void *at = shared->replays;
    shared->child[id].replays_seen = at && msync(at, 1, MS_ASYNC) == 0;
}

enum { PEERS_MAX = 32 };
struct actor {
    int id;
    enum behaviour behaviour;
    struct event_base *base;
    struct channel *control;
    struct channel *peers[PEERS_MAX];
    unsigned peers_count;
};

static int id_of(enum peer_role role, unsigned index)
{
    return role == PEER_RECORDER ? RECORDER : role == PEER_KEEPER ? KEEPER : WORKER_0 + (int)index;
}

static bool on_greeting(void *context, uint16_t type, struct span body, int fd)
{
    struct actor *actor = context;
    if (type == GREETING && body.size == 1 && fd < 0 && body.at[0] < CHILDREN) {
        shared->child[actor->id].greeted_by[body.at[0]]++;
        return true;
    }
    return false;
}

static void on_peer_gone(void *context, bool malformed)
{
    (void)context;
    assert_false(malformed);
}

static bool meet(struct actor *actor, int fd)
{
    static const struct channel_handler handler = {on_greeting, on_peer_gone};
    uint8_t me = (uint8_t)actor->id;
    struct channel *peer = channel_new(actor->base, fd, &handler, actor);

    if (peer == NULL || actor->peers_count == PEERS_MAX) {
        abort();
    }
    actor->peers[actor->peers_count++] = peer;
    if (!channel_send(peer, GREETING, (struct span){&me, 1}, -1)) {
        fprintf(stderr, "a peer is gone already\n");
    }
    return true;
}

static void note_event(struct actor *actor, struct span body)
{
    static struct event_storage storage;
    struct audit_event event;

    if (!event_unpack(body.at, body.size, &event, &storage)) {
        abort();
    }
    shared->child[actor->id].events[event.kind]++;
}

static bool answer(struct actor *actor, const char *problem)
{
    uint8_t buffer[64];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct control_prepared message = {.problem = {(const uint8_t *)problem, strlen(problem)}};

    control_prepared_write(&writer, &message);
    return channel_send(actor->control, CONTROL_PREPARED, writer_span(&writer), -1);
}

static bool prepare(struct actor *actor, const struct seen *seen, int fd)
{
    close(fd);
    return answer(actor, seen->unprepared ? "not this one\r\n\033[2J" : "");
}

static bool settle(struct actor *actor)
{
    return answer(actor, "");
}

static bool reload(struct actor *actor, struct seen *seen)
{
    seen->reloads++;
    switch ((enum deafness)seen->deafness) {
    case SAYS_NOTHING: return true;
    case HANGS_UP:
        channel_free(actor->control);
        actor->control = NULL;
        return true;
    case HEARS: break;
    }
    return actor->id == KEEPER || settle(actor);
}

static bool on_control(void *context, uint16_t type, struct span body, int fd)
{
    struct actor *actor = context;
    struct seen *seen = &shared->child[actor->id];
    struct control_peer peer;

    switch (type) {
    case CONTROL_PEER: return control_peer_read(body, &peer) && fd >= 0 && meet(actor, fd);
    case CONTROL_RELOAD: return reload(actor, seen);
    case CONTROL_PREPARE: seen->prepared++; return prepare(actor, seen, fd);
    case CONTROL_LISTENER: close(fd); return true;
    case CONTROL_ABORT: seen->aborts++; return actor->id == KEEPER || settle(actor);
    case RECORDER_COUNTERS: seen->counters++; return true;
    case RECORDER_EVENT: note_event(actor, body); return true;
    case CONTROL_STOP:
        if (actor->behaviour != IGNORE_STOP) {
            seen->stopped = ++shared->stops;
            event_base_loopbreak(actor->base);
        }
        return true;
    default: return false;
    }
}

static void on_control_gone(void *context, bool malformed)
{
    struct actor *actor = context;
    (void)malformed;
    event_base_loopbreak(actor->base);
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int act(enum peer_role role, unsigned index, int control_fd, enum behaviour behaviour)
{
    static const struct channel_handler handler = {on_control, on_control_gone};
    struct actor actor = {.id = id_of(role, index), .behaviour = behaviour};
    struct seen *seen = &shared->child[actor.id];

    if (behaviour == FAIL) {
        return 1;
    }
    seen->open_descriptors = count_descriptors();
    seen->uid = (int)getuid();
    actor.base = event_base_new();
    actor.control = channel_new(actor.base, control_fd, &handler, &actor);
    if (behaviour != NEVER_READY) {
        uint16_t type = behaviour == TALK_NONSENSE ? GREETING : CONTROL_READY;
        if (!channel_send(actor.control, type, (struct span){NULL, 0}, -1)) {
            abort();
        }
    }
    seen->pid = (int)getpid();
    seen->starts++;
    event_base_dispatch(actor.base);
    for (unsigned i = 0; i < actor.peers_count; i++) {
        channel_free(actor.peers[i]);
    }
    channel_free(actor.control);
    event_base_free(actor.base);
    return 0;
}

int keeper_run(const struct keeper_settings *settings, int control_fd)
{
    if (settings->listeners_count != 1 || settings->upstreams_count != 1 ||
        strcmp(settings->upstreams[0].target, "cifs/nas.example.com") != 0) {
        return 1;
    }
    for (char **at = environ; *at; at++) {
        shared->child[KEEPER].variables++;
    }
    const char *file = getenv("KRB5_CONFIG"), *cache = getenv("KRB5RCACHENAME");
    if (!file || strcmp(file, "/nowhere/krb5.conf") != 0 || !cache || strcmp(cache, "none:") != 0) {
        return 1;
    }
    atomic_int *replays = settings->replays;
    shared->replays = replays;
    shared->child[KEEPER].replays_found = (*replays)++;
    return act(PEER_KEEPER, 0, control_fd, shared->keeper);
}

int recorder_run(const struct config *config, struct audit *log_ready, int control_fd)
{
    look_for_replays(RECORDER);
    (void)config;
    int status = act(PEER_RECORDER, 0, control_fd, BEHAVE);
    audit_close(log_ready);
    return status;
}

int worker_run(const struct worker_settings *settings, int control_fd)
{
    int on = 0;
    socklen_t size = sizeof on;

    getsockopt(settings->listen_fds[0], SOL_SOCKET, SO_ACCEPTCONN, &on, &size);
    shared->child[WORKER_0 + settings->index].accepts = on;
    look_for_replays(WORKER_0 + (int)settings->index);
    return act(PEER_WORKER, settings->index, control_fd, shared->worker);
}

#endif
