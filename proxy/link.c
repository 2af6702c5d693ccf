#include "proxy/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/open.h"
#include "proxy/renewal.h"
#include "proxy/worker_state.h"

enum {
    OUTPUT_HIGH = 4 * 1024 * 1024, /* bytes waiting to be sent: stop reading what makes more */
    OUTPUT_HIGH_EARLY = 32 * 1024, /* the same while there is no valid session */
};

static const char *link_end_name(enum link_end reason)
{
    static const char *const names[] = {
        [END_NONE] = "none",
        [END_CLIENT_CLOSED] = "client_closed",
        [END_UPSTREAM_CLOSED] = "upstream_closed",
        [END_CLIENT_FAILED] = "client_failed",
        [END_UPSTREAM_FAILED] = "upstream_failed",
        [END_CLIENT_PROTOCOL] = "client_protocol",
        [END_UPSTREAM_PROTOCOL] = "upstream_protocol",
        [END_REFUSED] = "refused",
        [END_UNSIGNED] = "unsigned",
        [END_BAD_SIGNATURE] = "bad_signature",
        [END_UPSTREAM_SIGNATURE] = "upstream_signature",
        [END_VALIDATE_MISMATCH] = "validate_mismatch",
        [END_UPSTREAM_UNREACHABLE] = "upstream_unreachable",
        [END_UPSTREAM_REFUSED] = "upstream_refused",
        [END_TIMEOUT] = "timeout",
        [END_LIMIT] = "limit",
        [END_MEMORY] = "memory",
        [END_HANDED_OVER] = "handed_over",
        [END_STOPPING] = "stopping",
        [END_RELOADED] = "reloaded",
    };
    return names[reason];
}

void link_end(struct link *link, enum link_end reason)
{
    if (link->end == END_NONE)
        link->end = reason;
}

void link_refuse(struct link *link, enum link_end end, enum event_kind kind, enum leg_role leg,
                 const char *reason)
{
    if (link_ended(link))
        return;
    report_event(kind, link, NULL, leg, reason, "refused");
    link_end(link, end);
}

/* Fills `text` with the address, if it is one, and answers the port. */
static uint16_t write_address(const struct sockaddr *address, char *text, socklen_t size)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, text, size);
        return ntohs(in->sin_port);
    }
    if (address->sa_family != AF_INET6)
        return 0;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    inet_ntop(AF_INET6, &in6->sin6_addr, text, size);
    return ntohs(in6->sin6_port);
}

static void describe_address(struct leg *leg, const struct sockaddr *address)
{
    leg->port = write_address(address, leg->address, sizeof leg->address);
}

/* What is diverted to a transparent listener keeps the address that it was for. */
static void note_called(struct link *link, int fd)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (link->listener->transparent && getsockname(fd, (struct sockaddr *)(void *)&own, &size) == 0)
        (void)write_address((const struct sockaddr *)(const void *)&own, link->called,
                            sizeof link->called);
}

/* A client that sleeps for a while finds its files open, as it would without us: how long a silent
 * one is kept is the system's setting, as with most file servers. */
static void set_client_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* A client cannot notice by itself that the file server is gone, since its ECHOs are answered here.
 * Keep-alive asks only where nothing is under way; what is, would be sent again for a quarter of an
 * hour. */
static void set_upstream_options(int fd)
{
    int on = 1, idle = 60, interval = 15, count = 4;
    unsigned limit = 1000u * (unsigned)(idle + interval * count);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
}

static size_t output_high(const struct link *link)
{
    return link->sessions_valid ? OUTPUT_HIGH : OUTPUT_HIGH_EARLY;
}

static bool on_frame(void *context, struct frame *frame)
{
    struct leg *leg = context;
    struct link *link = leg->link;
    if (link_ended(link))
        return false;
    if (leg->role == LEG_UPSTREAM)
        response_frame(link, frame);
    else if (link->state == LINK_READY)
        request_frame(link, frame);
    else
        client_negotiate(link, frame);
    bool full = link->client.stream.out_bytes > output_high(link) ||
                (leg->role == LEG_CLIENT && link->server.stream.out_bytes > output_high(link));
    bool waiting =
        leg->role == LEG_CLIENT &&
        (link->frame_is_held || (link->state != LINK_READY && link->state != LINK_WILDCARD));
    return !link_ended(link) && !full && !waiting;
}

static void on_ended(void *context, enum stream_end why)
{
    struct leg *leg = context;
    struct link *link = leg->link;
    bool client = leg->role == LEG_CLIENT;
    if (!client && link->state == LINK_UPSTREAM_NEGOTIATING && !link_ended(link)) {
        /* Servers without SMB2 just hang up on its NEGOTIATE. */
        report_event(EVENT_UPSTREAM_REFUSED, link, NULL, LEG_UPSTREAM, "closed_in_negotiate",
                     "refused");
        client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
        link_end(link, END_UPSTREAM_REFUSED);
    }
    if (!client)
        validate_hung_up(link);
    switch (why) {
    case STREAM_CLOSED: link_end(link, client ? END_CLIENT_CLOSED : END_UPSTREAM_CLOSED); break;
    case STREAM_FAILED: link_end(link, client ? END_CLIENT_FAILED : END_UPSTREAM_FAILED); break;
    case STREAM_BAD_FRAME:
        link_refuse(link, client ? END_CLIENT_PROTOCOL : END_UPSTREAM_PROTOCOL,
                    EVENT_PROTOCOL_ERROR, leg->role, "bad_frame");
        break;
    case STREAM_NO_MEMORY:
        link_refuse(link, END_MEMORY, EVENT_LIMIT_REACHED, leg->role, "buffer_memory");
        break;
    }
}

static void on_settle(void *context)
{
    link_settle(((struct leg *)context)->link);
}

static const struct stream_handler stream_events = {on_frame, on_ended, on_settle};

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    struct link *link = context;
    (void)fd;
    (void)what;
    if (link->state == LINK_DIALLING || link->state == LINK_UPSTREAM_NEGOTIATING) {
        report_event(EVENT_UPSTREAM_UNREACHABLE, link, NULL, LEG_UPSTREAM, "connect_timeout",
                     "refused");
        client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
        link_end(link, END_UPSTREAM_UNREACHABLE);
    } else {
        link_end(link, END_TIMEOUT);
    }
    link_settle(link);
}

static void on_hold_timer(evutil_socket_t fd, short what, void *context)
{
    struct link *link = context;
    (void)fd;
    (void)what;
    interim_release(link);
    link_settle(link);
}

void link_deadline(struct link *link, unsigned milliseconds)
{
    if (milliseconds == 0) {
        event_del(&link->timer);
        return;
    }
    struct timeval wait = {milliseconds / 1000, (suseconds_t)(milliseconds % 1000) * 1000};
    event_add(&link->timer, &wait);
}

struct link *link_new(struct worker *worker, struct generation *generation, unsigned listener_index,
                      int fd, const struct sockaddr *client, socklen_t client_size)
{
    (void)client_size;
    struct link *link = calloc(1, sizeof *link);
    if (!link) {
        close(fd);
        return NULL;
    }
    link->worker = worker;
    link->number = ++worker->next_link;
    link->listener_index = listener_index;
    link->generation = link->rules = generation;
    generation_hold(generation);
    generation_hold(generation);
    link->listener = &generation->config->listeners[listener_index];
    link->upstream = config_upstream_of(generation->config, link->listener);
    link->upstream_index = (unsigned)(link->upstream - generation->config->upstreams);
    link->upstream_number = generation_upstream(generation, link->upstream_index);
    link->client = (struct leg){.role = LEG_CLIENT, .link = link};
    link->server = (struct leg){.role = LEG_UPSTREAM, .link = link};
    link->server.stream.fd = -1;
    describe_address(&link->client, client);
    note_called(link, fd);
    table_init(&link->sessions);
    table_init(&link->upstream_sessions);
    table_init(&link->opens);
    pending_table_init(&link->pending);
    credit_window_init(&link->window);
    credit_purse_init(&link->purse);
    set_client_options(fd);
    stream_open(&link->client.stream, worker->base, fd, &worker->buffers, &stream_events,
                &link->client, FRAME_MAX_EARLY);
    event_assign(&link->timer, worker->base, -1, 0, on_deadline, link);
    event_assign(&link->hold_timer, worker->base, -1, 0, on_hold_timer, link);
    link->next = worker->links;
    link->previous = &worker->links;
    if (link->next)
        link->next->previous = &link->next;
    worker->links = link;
    worker->links_count++;
    link_deadline(link, worker->config->limits.login_timeout);
    stream_read(&link->client.stream, true);
    return link;
}

static void on_connected(evutil_socket_t fd, short what, void *context)
{
    struct link *link = context;
    int error = 0;
    socklen_t size = sizeof error;
    (void)what;
    event_del(&link->server.stream.write_event);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        report_event(EVENT_UPSTREAM_UNREACHABLE, link, NULL, LEG_UPSTREAM,
                     error == ECONNREFUSED ? "connection_refused" : "connect_failed", "refused");
        client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
        link_end(link, END_UPSTREAM_UNREACHABLE);
        link_settle(link);
        return;
    }
    set_upstream_options(fd);
    stream_open(&link->server.stream, link->worker->base, fd, &link->worker->buffers,
                &stream_events, &link->server, FRAME_MAX_EARLY);
    stream_read(&link->server.stream, true);
    link->state = LINK_UPSTREAM_NEGOTIATING;
    upstream_negotiate_start(link);
    link_settle(link);
}

void link_dial(struct link *link)
{
    const struct upstream_address *to = &link->generation->upstreams[link->upstream_index];
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&to->address;
    describe_address(&link->server, address);
    if (!worker_upstream_enter(link)) {
        report_event(EVENT_LIMIT_REACHED, link, NULL, LEG_UPSTREAM, "upstream_connections",
                     "refused");
        client_negotiate_refuse(link, STATUS_INSUFF_SERVER_RESOURCES);
        link_end(link, END_LIMIT);
        return;
    }
    link->state = LINK_DIALLING;
    link_deadline(link, link->upstream->connect_timeout);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        link->server.stream.fd = fd;
        event_assign(&link->server.stream.read_event, link->worker->base, fd, EV_READ, on_connected,
                     link);
        event_assign(&link->server.stream.write_event, link->worker->base, fd, EV_WRITE,
                     on_connected, link);
        if (connect(fd, address, to->size) == 0 || errno == EINPROGRESS) {
            event_add(&link->server.stream.write_event, NULL);
            return;
        }
    }
    report_event(EVENT_UPSTREAM_UNREACHABLE, link, NULL, LEG_UPSTREAM, "connect_failed", "refused");
    client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
    link_end(link, END_UPSTREAM_UNREACHABLE);
}

static void report_abandoned(struct table_entry *entry, void *context)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    const struct link *link = context;
    struct report report;
    if (session->state != SESSION_VALID || session->client_proved_key)
        return;
    report_start(&report, EVENT_LOGIN_ABANDONED, link, session, LEG_CLIENT, "closed_after_success");
    report.event.field[FIELD_VERDICT] = "recorded";
    if (link->client.dialect == SMB_3_1_1)
        report.event.field[FIELD_TEXT] =
            "so does a client that finds the negotiation changed on its way";
    report_send(link->worker, &report);
}

static void forget_session(struct table_entry *entry, void *context)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    struct link *link = context;
    table_remove(&link->sessions, entry);
    worker_forget(session);
    renewal_forget(session);
    worker_drop_query(session);
    link_drop_recall(&session->recall);
    session_free(session);
}

static void link_free(struct link *link)
{
    struct worker *worker = link->worker;
    if (link->end != END_HANDED_OVER) {
        if (link->end == END_CLIENT_CLOSED || link->end == END_CLIENT_FAILED)
            table_each(&link->sessions, report_abandoned, link);
        report_event(EVENT_LINK_ENDED, link, NULL,
                     link->end == END_UPSTREAM_CLOSED ? LEG_UPSTREAM : LEG_CLIENT,
                     link_end_name(link->end), NULL);
    }
    link_drop_recall(&link->client.recall);
    link_drop_recall(&link->server.recall);
    event_del(&link->timer);
    event_del(&link->hold_timer);
    pending_table_free(&link->pending);
    break_drop_all(link);
    take_back_drop(link);
    open_close_all(link);
    table_each(&link->sessions, forget_session, link);
    table_free(&link->sessions);
    table_free(&link->upstream_sessions);
    link_free_ended(link);
    if (link->frame_is_held)
        buffer_release(link->held_frame.buffer);
    stream_close(&link->client.stream);
    stream_close(&link->server.stream);
    free(link->offer);
    free(link->netname);
    *link->previous = link->next;
    if (link->next)
        link->next->previous = link->previous;
    worker->links_count--;
    worker_source_leave(worker, link->client.address);
    worker_upstream_leave(link);
    generation_release(worker, link->rules);
    generation_release(worker, link->generation);
    OPENSSL_cleanse(link, sizeof *link);
    free(link);
}

/* A leg is read unless what its messages turn into has nowhere to go. Hysteresis between the marks.
 */
static bool may_read(const struct link *link, const struct stream *to, const struct stream *stream)
{
    return to->out_bytes <= (stream->reading ? output_high(link) : output_high(link) / 4);
}

void link_settle(struct link *link)
{
    if (link->settling)
        return;
    link->settling = true;
    if (!link_ended(link) && link->frame_is_held)
        request_retry(link);
    stream_flush(&link->client.stream);
    if (link->state >= LINK_UPSTREAM_NEGOTIATING)
        stream_flush(&link->server.stream);
    link->settling = false;
    if (link_ended(link)) {
        link_free(link);
        return;
    }
    struct stream *client = &link->client.stream, *server = &link->server.stream;
    bool waits = link->frame_is_held || link->state == LINK_HANDOVER ||
                 link->state == LINK_ASKING || link->state == LINK_DIALLING ||
                 link->state == LINK_UPSTREAM_NEGOTIATING;
    stream_read(client, !waits && may_read(link, client, client) &&
                            (link->state != LINK_READY || may_read(link, server, client)));
    if (link->state >= LINK_UPSTREAM_NEGOTIATING)
        stream_read(server, may_read(link, client, server));
}
