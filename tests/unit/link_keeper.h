/*
 * The keeper's end of the worker of link_fixture.h: it hears, and answers nothing by itself.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_LINK_KEEPER_H
#define COUNTERSIGN_TESTS_UNIT_LINK_KEEPER_H

#include "tests/unit/link_traffic.h"

enum { HEARD_MAX = 16 };

static struct {
    struct channel *channel;
    unsigned count; /* messages */
    uint16_t type[HEARD_MAX];
    uint8_t last[1024];
    size_t last_size;
} keeper;

static inline bool keeper_hears(void *context, uint16_t type, struct span body, int fd)
{
    (void)context, (void)fd;
    assert_true(keeper.count < HEARD_MAX && body.size <= sizeof keeper.last);
    keeper.type[keeper.count++] = type;
    memcpy(keeper.last, body.at, body.size);
    keeper.last_size = body.size;
    return true;
}

static inline void keeper_is_left(void *context, bool malformed)
{
    (void)context, (void)malformed;
}

static inline void run_loop(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++)
        assert_true(event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK) >= 0);
}

static inline int keeper_open(void **state)
{
    static const struct channel_handler handler = {keeper_hears, keeper_is_left};
    int fds[2];
    assert_int_equal(fixture_open(state), 0);
    struct fixture *fixture = *state;
    memset(&keeper, 0, sizeof keeper);
    assert_true(channel_pair(fds));
    worker_keeper_channel(&fixture->worker, fds[0]);
    keeper.channel = channel_new(fixture->worker.base, fds[1], &handler, NULL);
    assert_true(fixture->worker.keeper && keeper.channel);
    return 0;
}

static inline int keeper_close(void **state)
{
    struct fixture *fixture = *state;
    channel_free(keeper.channel);
    channel_free(fixture->worker.keeper);
    fixture->worker.keeper = NULL;
    while (table_any(&fixture->worker.attempts)) {
        struct table_entry *entry = table_any(&fixture->worker.attempts);
        table_remove(&fixture->worker.attempts, entry);
        free(CONTAINER_OF(entry, struct attempt, by_number));
    }
    table_free(&fixture->worker.attempts);
    return fixture_close(state);
}

/* What the keeper has been told since the last time: one message of that type. */
static inline void expect_told(struct fixture *fixture, uint16_t type)
{
    run_loop(fixture);
    assert_int_equal(keeper.count, 1);
    assert_int_equal(keeper.type[0], type);
    keeper.count = 0;
}

static inline void expect_not_told(struct fixture *fixture)
{
    run_loop(fixture);
    assert_int_equal(keeper.count, 0);
}

static const uint8_t some_token[] = {0xa1, 0x02, 0x03};
static inline struct span some_token_span(void)
{
    return (struct span){some_token, sizeof some_token};
}

/* The body of a SESSION_SETUP response with a token. */
static inline struct span setup_response_body(uint8_t *room, size_t size, uint16_t flags)
{
    struct session_setup_response body = {.session_flags = flags, .token = some_token_span()};
    struct writer writer = writer_over(room, size);
    session_setup_response_write(&writer, &body);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

#endif
