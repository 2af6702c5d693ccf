/*
 * A link put together by hand: both legs negotiated, one session with keys, and the test at the
 * other ends of both streams. There is no recorder: an event counts as lost, which shows that there
 * was one.
 */
#ifndef COUNTERSIGN_TESTS_LINK_FIXTURE_H
#define COUNTERSIGN_TESTS_LINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/body.h"
#include "proxy/command.h"
#include "proxy/open.h"
#include "proxy/worker_state.h"
#include "tests/unit/count_of.h"

enum { FIXTURE_CLIENT_ID = 0x1111, FIXTURE_UPSTREAM_ID = 0x2222 };

struct fixture {
    struct worker_settings settings;
    struct config config;
    struct config_listener listener;
    struct config_upstream upstream;
    struct worker worker;
    struct generation generation;
    unsigned upstream_connections;
    struct link link;
    struct session *session;
    int client_peer, server_peer;
};

static inline bool fixture_frame(void *context, struct frame *frame)
{
    (void)context;
    (void)frame;
    return true;
}

static inline void fixture_ended(void *context, enum stream_end why)
{
    (void)context;
    (void)why;
}

static inline void fixture_settle(void *context)
{
    (void)context;
}

static inline int fixture_stream(struct fixture *fixture, struct leg *leg)
{
    static const struct stream_handler handler = {fixture_frame, fixture_ended, fixture_settle};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    stream_open(&leg->stream, fixture->worker.base, fds[0], &fixture->worker.buffers, &handler, leg,
                FRAME_MAX);
    return fds[1];
}

static inline void fixture_session(struct fixture *fixture)
{
    static const uint8_t client_key[SIGNING_KEY_SIZE] = {1}, upstream_key[SIGNING_KEY_SIZE] = {2};
    struct session *session = session_new(&fixture->link);
    assert_non_null(session);
    session->state = SESSION_VALID;
    session->identity = calloc(1, sizeof *session->identity);
    assert_non_null(session->identity);
    session->identity->mechanism = MECHANISM_NTLM;
    session->client_id = FIXTURE_CLIENT_ID;
    session->upstream_id = FIXTURE_UPSTREAM_ID;
    session->client_signer = signer_new(SIGNING_AES_CMAC, client_key);
    session->upstream_signer = signer_new(SIGNING_AES_GMAC, upstream_key);
    assert_non_null(session->client_signer);
    assert_non_null(session->upstream_signer);
    table_add(&fixture->link.sessions, &session->by_client_id, session->client_id);
    table_add(&fixture->link.upstream_sessions, &session->by_upstream_id, session->upstream_id);
    fixture->link.sessions_valid++;
    fixture->session = session;
}

static inline void fixture_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    (void)context;
}

static inline int fixture_open(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct worker *worker = &fixture->worker;
    struct link *link = &fixture->link;
    fixture->listener.name = (char *)(uintptr_t) "listener";
    fixture->upstream.name = (char *)(uintptr_t) "upstream";
    worker->settings = &fixture->settings;
    worker->config = &fixture->config;
    fixture->generation = (struct generation){
        .config = &fixture->config, .upstream_connections = &fixture->upstream_connections};
    worker->generation = worker->generations = &fixture->generation;
    link->generation = link->rules = &fixture->generation;
    worker->base = event_base_new();
    assert_non_null(worker->base);
    buffer_pool_init(&worker->buffers, 64 << 20);
    table_init(&worker->attempts);
    table_init(&worker->leases);
    table_init(&worker->queries);
    link->worker = worker;
    link->listener = &fixture->listener;
    link->upstream = &fixture->upstream;
    link->state = LINK_READY;
    link->client = (struct leg){.role = LEG_CLIENT, .link = link, .dialect = SMB_3_1_1};
    link->server = (struct leg){.role = LEG_UPSTREAM, .link = link, .dialect = SMB_3_1_1};
    table_init(&link->sessions);
    table_init(&link->upstream_sessions);
    table_init(&link->opens);
    event_assign(&link->timer, worker->base, -1, 0, fixture_timer, link);
    event_assign(&link->hold_timer, worker->base, -1, 0, fixture_timer, link);
    pending_table_init(&link->pending);
    credit_window_init(&link->window);
    credit_purse_init(&link->purse);
    link->purse.available = 100;
    fixture->client_peer = fixture_stream(fixture, &link->client);
    fixture->server_peer = fixture_stream(fixture, &link->server);
    fixture_session(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    event_del(&link->timer);
    event_del(&link->hold_timer);
    pending_table_free(&link->pending);
    break_drop_all(link);
    take_back_drop(link);
    open_close_all(link);
    if (fixture->session) { /* has not ended in the test */
        table_remove(&link->sessions, &fixture->session->by_client_id);
        table_remove(&link->upstream_sessions, &fixture->session->by_upstream_id);
        session_free(fixture->session);
    }
    table_free(&link->sessions);
    table_free(&link->upstream_sessions);
    link_free_ended(link);
    if (link->frame_is_held)
        buffer_release(link->held_frame.buffer);
    stream_close(&link->client.stream);
    stream_close(&link->server.stream);
    assert_int_equal(fixture->worker.buffers.in_use, 0);
    buffer_pool_free(&fixture->worker.buffers);
    event_base_free(fixture->worker.base);
    close(fixture->client_peer);
    close(fixture->server_peer);
    free(fixture);
    return 0;
}

/* The next message that a leg has sent, in `message`; its size, or 0 when there is none. */
static inline size_t fixture_sent(struct leg *leg, int peer, uint8_t *message, size_t room)
{
    uint8_t head[FRAME_HEAD_SIZE];
    stream_flush(&leg->stream);
    if (recv(peer, head, sizeof head, MSG_DONTWAIT) != sizeof head)
        return 0;
    size_t size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    assert_true(size <= room);
    assert_int_equal(recv(peer, message, size, MSG_DONTWAIT), size);
    return size;
}

/* A request in memory of exactly its size. */
struct request {
    struct smb2_message message;
    uint8_t *body;
};

static inline struct request make_request(const struct smb2_header *header, size_t body_size)
{
    struct request request;
    size_t size = SMB2_HEADER_SIZE + body_size;
    uint8_t *at = calloc(1, size);
    assert_non_null(at);
    struct writer writer = writer_over(at, size);
    smb2_header_write(&writer, header);
    assert_true(smb2_header_read((struct span){at, size}, &request.message.header));
    request.message.at = at;
    request.message.size = size;
    request.body = at + SMB2_HEADER_SIZE;
    return request;
}

static inline struct request simple_request(uint16_t command, uint16_t structure_size,
                                            size_t body_size)
{
    const struct smb2_header header = {
        .command = command, .message_id = 7, .session_id = FIXTURE_CLIENT_ID, .tree_id = 3};
    struct request request = make_request(&header, body_size);
    if (body_size >= 2)
        put_le16(request.body, structure_size);
    return request;
}

/* The dialects of both legs, and whether the file server has LARGE_MTU. */
static const uint16_t all_dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};

static inline void set_legs(struct link *link, uint16_t client, uint16_t server, bool large_mtu)
{
    bool both = large_mtu && client >= SMB_2_1 && server >= SMB_2_1;
    link->client.dialect = client;
    link->client.server_capabilities = both ? SMB2_GLOBAL_CAP_LARGE_MTU : 0;
    link->server.dialect = server;
    link->server.server_capabilities =
        large_mtu && server >= SMB_2_1 ? SMB2_GLOBAL_CAP_LARGE_MTU : 0;
}

#endif
