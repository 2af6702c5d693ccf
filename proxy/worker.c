#include "proxy/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/algorithms.h"
#include "proxy/worker_state.h"

/* How long the last events may take to reach the recorder: nobody counts those that do not. Less
 * than the supervisor's patience (SUPERVISOR_STOP_MS). */
enum { LAST_WORDS_MS = 4000 };

static bool only_bytes(int fd)
{
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static bool on_peer_message(void *context, uint16_t type, struct span body, int fd)
{
    struct worker_peer *peer = context;
    if (type == WORKER_HANDOVER)
        return handover_receive(peer->worker, body, fd);
    (void)only_bytes(fd);
    return false;
}

static void on_peer_gone(void *context, bool malformed)
{
    struct worker_peer *peer = context;
    (void)malformed;
    channel_free(peer->channel);
    peer->channel = NULL;
}

static bool take_peer(struct worker *worker, const struct control_peer *peer, int fd)
{
    static const struct channel_handler other = {on_peer_message, on_peer_gone};
    if (peer->role == PEER_KEEPER) {
        worker_keeper_channel(worker, fd);
        return true;
    }
    if (peer->role == PEER_RECORDER) {
        worker_recorder_channel(worker, fd);
        return true;
    }
    if (peer->role != PEER_WORKER || peer->index >= worker->settings->count ||
        peer->index == worker->settings->index) {
        close(fd);
        return false;
    }
    struct worker_peer *slot = &worker->peers[peer->index];
    channel_free(slot->channel);
    slot->channel = channel_new(worker->base, fd, &other, slot);
    return true;
}

static void stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    worker->stopping = true;
    worker_stop_listening(worker);
    while (worker->links) {
        link_end(worker->links, END_STOPPING);
        link_settle(worker->links);
    }
    event_base_loopexit(worker->base, NULL);
}

static bool reload(struct worker *worker, struct span body)
{
    struct control_reload message;
    if (!control_reload_read(body, &message) || !generation_use(worker))
        return false;
    if (message.apply)
        rejudge_links(worker);
    return generation_settled(worker);
}

static bool on_control(void *context, uint16_t type, struct span body, int fd)
{
    struct worker *worker = context;
    struct control_peer peer;
    switch (type) {
    case CONTROL_PEER:
        if (fd < 0)
            return false;
        if (!control_peer_read(body, &peer)) {
            close(fd);
            return false;
        }
        return take_peer(worker, &peer, fd);
    case CONTROL_STOP: stop(worker); return only_bytes(fd);
    case CONTROL_RELOAD: return only_bytes(fd) && reload(worker, body);
    case CONTROL_PREPARE: return generation_prepare(worker, body, fd);
    case CONTROL_LISTENER: return generation_listener(worker, body, fd);
    case CONTROL_ABORT:
        generation_abort(worker);
        return only_bytes(fd) && generation_settled(worker);
    default: (void)only_bytes(fd); return false;
    }
}

/* Without a supervisor there is nobody to be replaced by: end cleanly. */
static void on_control_gone(void *context, bool malformed)
{
    (void)malformed;
    stop(context);
}

static bool start(struct worker *worker, int control_fd)
{
    static const struct channel_handler control = {on_control, on_control_gone};
    worker->base = event_base_new();
    worker->peers = calloc(worker->settings->count, sizeof *worker->peers);
    if (!worker->base || !worker->peers || !generation_begin(worker)) {
        close(control_fd);
        return false;
    }
    for (unsigned i = 0; i < worker->settings->count; i++)
        worker->peers[i] = (struct worker_peer){worker, i, NULL};
    worker->control = channel_new(worker->base, control_fd, &control, worker);
    return worker->control && algorithms_prepare() && worker_listen(worker) &&
           channel_send(worker->control, CONTROL_READY, (struct span){NULL, 0}, -1);
}

/* The events of the links that were just ended may still be queued. */
static void send_last_events(struct worker *worker)
{
    struct timeval limit = {LAST_WORDS_MS / 1000, 0};
    event_base_loopexit(worker->base, &limit);
    while (worker->recorder && channel_queued(worker->recorder))
        if (event_base_loop(worker->base, EVLOOP_ONCE) != 0 || event_base_got_exit(worker->base))
            break;
    worker_tell_losses(worker);
}

static void finish(struct worker *worker)
{
    if (worker->recorder)
        send_last_events(worker);
    channel_free(worker->keeper);
    channel_free(worker->recorder);
    for (unsigned i = 0; worker->peers && i < worker->settings->count; i++)
        channel_free(worker->peers[i].channel);
    channel_free(worker->control);
    free(worker->peers);
    generation_free_all(worker);
    table_free(&worker->attempts);
    table_free(&worker->leases);
    table_free(&worker->queries);
    table_free(&worker->recalls);
    limit_board_free(&worker->limits);
    if (worker->losses_timer)
        event_free(worker->losses_timer);
    table_free(&worker->sources);
    buffer_pool_free(&worker->buffers);
    if (worker->base)
        event_base_free(worker->base);
}

int worker_run(const struct worker_settings *settings, int control_fd)
{
    struct worker worker = {.settings = settings, .config = settings->config};
    signal(SIGPIPE, SIG_IGN);
    table_init(&worker.attempts);
    table_init(&worker.leases);
    table_init(&worker.queries);
    table_init(&worker.recalls);
    limit_board_init(&worker.limits);
    table_init(&worker.sources);
    buffer_pool_init(&worker.buffers, (size_t)settings->config->limits.memory << 20);
    bool started = start(&worker, control_fd);
    if (started)
        event_base_dispatch(worker.base);
    worker_stop_listening(&worker);
    finish(&worker);
    return started ? 0 : 1;
}
