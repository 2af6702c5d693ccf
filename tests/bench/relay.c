/*
 * A plain TCP relay: the least that anything in the middle of a connection has to do. What the
 * proxy costs is told as a multiple of it.
 *
 *   relay ADDRESS PORT UPSTREAM-ADDRESS UPSTREAM-PORT
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/endpoint.h"

enum { ROOM = 1024 * 1024 };

struct pair;

/* Bytes from one socket to the other: either read or written, never both at a time. */
struct way {
    struct pair *pair;
    int to;
    struct event readable;
    struct event writable;
    uint8_t *bytes;
    size_t start;
    size_t end;
};

struct pair {
    struct way up;
    struct way down;
};

static struct event_base *base;
static struct sockaddr_in upstream;

static void end_pair(struct pair *pair)
{
    struct way *ways[] = {&pair->up, &pair->down};
    for (int i = 0; i < 2; i++) {
        event_del(&ways[i]->readable);
        event_del(&ways[i]->writable);
        close(ways[i]->to);
        free(ways[i]->bytes);
    }
    free(pair);
}

/* Sends what is there. False when the pair has ended. */
static bool drain(struct way *way)
{
    while (way->start < way->end) {
        ssize_t sent = send(way->to, &way->bytes[way->start], way->end - way->start, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return true;
        if (sent < 0) {
            end_pair(way->pair);
            return false;
        }
        way->start += (size_t)sent;
    }
    way->start = way->end = 0;
    return true;
}

static void on_readable(evutil_socket_t from, short what, void *context)
{
    struct way *way = context;
    (void)what;
    ssize_t got = recv(from, way->bytes, ROOM, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        end_pair(way->pair);
        return;
    }
    way->end = (size_t)got;
    if (drain(way) && way->end) {
        event_del(&way->readable);
        event_add(&way->writable, NULL);
    }
}

static void on_writable(evutil_socket_t to, short what, void *context)
{
    struct way *way = context;
    (void)to;
    (void)what;
    if (drain(way) && way->end == 0) {
        event_del(&way->writable);
        event_add(&way->readable, NULL);
    }
}

static void open_way(struct way *way, struct pair *pair, int from, int to)
{
    int on = 1;
    way->pair = pair;
    way->to = to;
    way->bytes = malloc(ROOM);
    if (!way->bytes)
        fail("malloc");
    setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(to, F_SETFL, O_NONBLOCK);
    event_assign(&way->readable, base, from, EV_READ | EV_PERSIST, on_readable, way);
    event_assign(&way->writable, base, to, EV_WRITE | EV_PERSIST, on_writable, way);
    event_add(&way->readable, NULL);
}

static void on_connection(evutil_socket_t listener, short what, void *context)
{
    (void)what;
    (void)context;
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int server = endpoint_connect(&upstream);
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        fail("calloc");
    open_way(&pair->up, pair, client, server);
    open_way(&pair->down, pair, server, client);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: relay ADDRESS PORT UPSTREAM-ADDRESS UPSTREAM-PORT\n");
        return 2;
    }
    struct sockaddr_in at = endpoint_read(argv[1], argv[2]);
    upstream = endpoint_read(argv[3], argv[4]);
    base = event_base_new();
    if (!base)
        fail("event_base_new");
    struct event *accepts =
        event_new(base, endpoint_listen(&at), EV_READ | EV_PERSIST, on_connection, NULL);
    if (!accepts || event_add(accepts, NULL) != 0)
        fail("event_new");
    event_base_dispatch(base);
    return 1;
}
