/*
 * A stream on one end of a socketpair, with the test on the other: what the stream hands up is
 * copied and remembered, what it writes is read from `peer`.
 */
#ifndef COUNTERSIGN_TESTS_STREAM_END_H
#define COUNTERSIGN_TESTS_STREAM_END_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/stream.h"
#include "tests/unit/count_of.h"

enum { FRAMES_MAX = 4096, POOL_LIMIT = 256 << 20 };

struct taken {
    uint8_t *copy;
    size_t size;
    struct frame frame; /* its buffer is held while `pinned` */
    bool pinned;
};

struct end {
    struct event_base *base;
    struct buffer_pool pool;
    struct stream stream;
    int peer;
    struct taken taken[FRAMES_MAX];
    size_t count;
    size_t stop_at; /* answer false to this frame (counted from 1), and to every one after it */
    bool pin;
    void (*each)(struct end *end, struct frame *frame); /* or NULL */
    void *each_context;
    unsigned ended;
    enum stream_end why;
    unsigned settled;
};

static inline bool end_frame(void *context, struct frame *frame)
{
    struct end *end = context;
    assert_true(end->count < FRAMES_MAX);
    assert_int_equal(end->ended, 0);
    struct taken *taken = &end->taken[end->count++];
    *taken = (struct taken){malloc(frame->size + 1), frame->size, *frame, end->pin};
    assert_non_null(taken->copy);
    memcpy(taken->copy, frame->at, frame->size);
    if (end->pin)
        buffer_share(frame->buffer);
    if (end->each)
        end->each(end, frame);
    return end->count < end->stop_at;
}

static inline void end_ended(void *context, enum stream_end why)
{
    struct end *end = context;
    end->ended++;
    end->why = why;
}

static inline void end_settle(void *context)
{
    ((struct end *)context)->settled++;
}

static inline void end_open(struct end *end, size_t frame_max, size_t budget)
{
    static const struct stream_handler handler = {end_frame, end_ended, end_settle};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memset(end, 0, sizeof *end);
    end->base = event_base_new();
    assert_non_null(end->base);
    end->peer = fds[1];
    end->stop_at = SIZE_MAX;
    buffer_pool_init(&end->pool, budget);
    stream_open(&end->stream, end->base, fds[0], &end->pool, &handler, end, frame_max);
    stream_read(&end->stream, true);
}

static inline void end_forget(struct end *end)
{
    for (size_t i = 0; i < end->count; i++) {
        free(end->taken[i].copy);
        if (end->taken[i].pinned)
            buffer_release(end->taken[i].frame.buffer);
    }
    end->count = 0;
}

/* Whatever happened: every buffer has gone back. */
static inline void end_close(struct end *end)
{
    end_forget(end);
    stream_close(&end->stream);
    assert_int_equal(end->pool.in_use, 0);
    buffer_pool_free(&end->pool);
    if (end->peer >= 0)
        close(end->peer);
    event_base_free(end->base);
}

/* An end for a test, as its state. */
static inline int end_setup(void **state)
{
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    end_open(end, FRAME_MAX, POOL_LIMIT);
    *state = end;
    return 0;
}

static inline int end_teardown(void **state)
{
    end_close(*state);
    free(*state);
    return 0;
}

/* Lets the stream do all that it can do now. */
static inline void end_run(struct end *end)
{
    for (int i = 0; i < 4; i++)
        assert_true(event_base_loop(end->base, EVLOOP_NONBLOCK) >= 0);
}

/* Bytes for the stream to read, all of them, while it reads. */
static inline void end_feed(struct end *end, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (int idle = 0; size > 0 && idle < 100; idle++) {
        ssize_t sent = send(end->peer, at, size, MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
            idle = 0;
        } else {
            assert_true(sent < 0 && errno == EAGAIN);
        }
        end_run(end);
    }
    assert_int_equal(size, 0);
    end_run(end);
}

/* A frame's transport header. */
static inline void frame_head(uint8_t head[FRAME_HEAD_SIZE], size_t size)
{
    head[0] = 0;
    head[1] = (uint8_t)(size >> 16);
    head[2] = (uint8_t)(size >> 8);
    head[3] = (uint8_t)size;
}

/* What frame number `i` holds at `at`. */
static inline uint8_t content(size_t i, size_t at)
{
    return (uint8_t)(i * 131 + at * 7 + (at >> 8) * 13);
}

/* Frames of these sizes, heads and contents, as they stand in a connection. */
static inline uint8_t *make_frames(const size_t *sizes, size_t count, size_t *total)
{
    *total = 0;
    for (size_t i = 0; i < count; i++)
        *total += FRAME_HEAD_SIZE + sizes[i];
    uint8_t *bytes = malloc(*total + 1), *at = bytes;
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        frame_head(at, sizes[i]);
        at += FRAME_HEAD_SIZE;
        for (size_t j = 0; j < sizes[i]; j++)
            at[j] = content(i, j);
        at += sizes[i];
    }
    return bytes;
}

/* The frames taken are the first `count` of those that make_frames() made; pinned ones are still
 * what they were. */
static inline void check_taken(const struct end *end, const size_t *sizes, size_t count)
{
    assert_int_equal(end->count, count);
    for (size_t i = 0; i < count; i++) {
        const struct taken *taken = &end->taken[i];
        assert_int_equal(taken->size, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            if (taken->copy[j] != content(i, j))
                fail_msg("frame %zu differs at %zu", i, j);
        if (taken->pinned)
            assert_memory_equal(taken->frame.at, taken->copy, taken->size);
    }
}

#endif
