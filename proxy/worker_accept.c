/*
 * Taking in connections, within the limits that apply before anything is read or dialled.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/worker_state.h"

enum { ACCEPT_BATCH = 64 };

struct source {
    struct table_entry by_address;
    unsigned connections;
};

/* FNV-1a; two addresses that meet share one count, which is no worse than a NAT. */
static uint64_t address_key(const char *address)
{
    uint64_t key = 0xcbf29ce484222325u;
    for (; *address; address++)
        key = (key ^ (uint8_t)*address) * 0x100000001b3u;
    return key;
}

static struct source *find_source(struct worker *worker, const char *address)
{
    struct table_entry *entry = table_find(&worker->sources, address_key(address));
    return entry ? CONTAINER_OF(entry, struct source, by_address) : NULL;
}

bool worker_source_enter(struct worker *worker, const char *address)
{
    struct source *source = find_source(worker, address);
    if (!source) {
        source = calloc(1, sizeof *source);
        if (!source)
            return false;
        table_add(&worker->sources, &source->by_address, address_key(address));
    }
    source->connections++;
    return source->connections <= worker->config->limits.connections_per_source;
}

void worker_source_leave(struct worker *worker, const char *address)
{
    struct source *source = find_source(worker, address);
    if (!source || --source->connections)
        return;
    table_remove(&worker->sources, &source->by_address);
    free(source);
}

bool worker_upstream_enter(struct link *link)
{
    unsigned *count = &link->generation->upstream_connections[link->upstream_index];
    link->counted =
        generation_connections(link->worker, link->upstream->name) < link->upstream->connections;
    *count += link->counted;
    return link->counted;
}

void worker_upstream_leave(struct link *link)
{
    link->generation->upstream_connections[link->upstream_index] -= link->counted;
    link->counted = false;
}

struct link *worker_admit(struct worker *worker, struct generation *generation, unsigned listener,
                          int fd, const struct sockaddr *address, socklen_t size)
{
    struct link *link = link_new(worker, generation, listener, fd, address, size);
    if (!link)
        return NULL;
    const char *reason = NULL;
    bool entered = worker_source_enter(worker, link->client.address);
    if (worker_source_closed(worker, link->client.address)) {
        link_refuse(link, END_LIMIT, EVENT_LIMITER_ACTED, LEG_CLIENT, "source");
        link_settle(link);
        return NULL;
    }
    if (!entered)
        reason = "connections_per_source";
    else if (worker->links_count > worker->config->limits.connections)
        reason = "connections";
    if (!reason)
        return link;
    link_refuse(link, END_LIMIT, EVENT_LIMIT_REACHED, LEG_CLIENT, reason);
    link_settle(link);
    return NULL;
}

static void on_rested(evutil_socket_t fd, short what, void *context)
{
    struct worker_listener *listener = context;
    (void)fd;
    (void)what;
    event_add(&listener->accept_event, NULL);
}

/* Out of descriptors or memory: those that wait stay in the queue, and nobody asks for them in a
 * circle. */
static void rest(struct worker_listener *listener)
{
    static const struct timeval a_moment = {0, 100000};
    event_del(&listener->accept_event);
    event_add(&listener->rest_event, &a_moment);
}

static void on_acceptable(evutil_socket_t listen_fd, short what, void *context)
{
    struct worker_listener *listener = context;
    (void)what;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(listen_fd, (struct sockaddr *)(void *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                rest(listener);
            return;
        }
        (void)worker_admit(listener->worker, listener->worker->generation, listener->index, fd,
                           (const struct sockaddr *)(const void *)&address, size);
    }
}

bool worker_listen(struct worker *worker)
{
    unsigned count = worker->config->listeners_count;
    worker->listeners = calloc(count, sizeof *worker->listeners);
    if (!worker->listeners)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct worker_listener *listener = &worker->listeners[i];
        listener->worker = worker;
        listener->index = i;
        event_assign(&listener->accept_event, worker->base, worker->generation->listen_fds[i],
                     EV_READ | EV_PERSIST, on_acceptable, listener);
        event_assign(&listener->rest_event, worker->base, -1, 0, on_rested, listener);
        if (event_add(&listener->accept_event, NULL) != 0)
            return false;
    }
    return true;
}

void worker_stop_listening(struct worker *worker)
{
    for (unsigned i = 0; worker->listeners && i < worker->config->listeners_count; i++) {
        event_del(&worker->listeners[i].accept_event);
        event_del(&worker->listeners[i].rest_event);
    }
    free(worker->listeners);
    worker->listeners = NULL;
}
