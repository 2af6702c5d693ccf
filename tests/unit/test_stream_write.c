/* Writing: the queue, our own messages, and frames that go on from one stream to another. */
#include "tests/unit/stream_end.h"

/* What the stream has sent so far and nobody has looked at yet. */
struct received {
    uint8_t *bytes;
    size_t size, room;
};

static void received_free(struct received *received)
{
    free(received->bytes);
    *received = (struct received){0};
}

/* Reads what is there, at most `most`; how much it was. */
static size_t receive(struct end *end, struct received *received, size_t most)
{
    size_t before = received->size;
    while (received->size - before < most) {
        if (received->room - received->size < 65536) {
            received->room = received->room * 2 + 65536;
            received->bytes = realloc(received->bytes, received->room);
            assert_non_null(received->bytes);
        }
        size_t want = most - (received->size - before);
        ssize_t got = recv(end->peer, received->bytes + received->size, want < 65536 ? want : 65536,
                           MSG_DONTWAIT);
        if (got <= 0)
            break;
        received->size += (size_t)got;
    }
    return received->size - before;
}

static void receive_all(struct end *end, struct received *received)
{
    do {
        stream_flush(&end->stream);
        end_run(end);
    } while (receive(end, received, SIZE_MAX));
}

static void check_received(const struct received *received, const uint8_t *bytes, size_t size)
{
    assert_int_equal(received->size, size);
    for (size_t i = 0; i < size; i++)
        if (received->bytes[i] != bytes[i])
            fail_msg("byte %zu of %zu differs", i, size);
}

/* A buffer with the frame in it, its transport header not written yet. */
static struct buffer *buffer_with(struct end *end, const uint8_t *frame, size_t size, uint8_t **at)
{
    struct buffer *buffer = buffer_get(&end->pool, BUFFER_HEADROOM + FRAME_HEAD_SIZE + size);
    assert_non_null(buffer);
    *at = buffer->bytes + BUFFER_HEADROOM + FRAME_HEAD_SIZE;
    memset(buffer->bytes, 0xee, BUFFER_HEADROOM + FRAME_HEAD_SIZE);
    memcpy(*at, frame, size);
    return buffer;
}

/* Queues the frames of make_frames(), each in a buffer of its own. */
static void queue_frames(struct end *end, const uint8_t *bytes, const size_t *sizes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *at;
        struct buffer *buffer = buffer_with(end, bytes + FRAME_HEAD_SIZE, sizes[i], &at);
        assert_true(stream_send(&end->stream, buffer, at, sizes[i]));
        buffer_release(buffer); /* the queue has its own reference */
        bytes += FRAME_HEAD_SIZE + sizes[i];
    }
}

static void test_send(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 70000, 3};
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    queue_frames(end, bytes, sizes, COUNT_OF(sizes));
    assert_int_equal(end->stream.out_bytes, total);
    end_run(end);
    assert_int_equal(receive(end, &received, SIZE_MAX), 0); /* not before it is flushed */
    receive_all(end, &received);
    check_received(&received, bytes, total);
    assert_int_equal(end->stream.out_bytes, 0);
    assert_int_equal(end->stream.bytes_out, total);
    assert_int_equal(end->pool.in_use, 0);
    received_free(&received);
    free(bytes);
}

/* More slices than one write takes, and a ring that has gone round when it grows. */
static void test_many_slices_in_order(void **state)
{
    enum { MANY = 700 };
    static size_t sizes[MANY];
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    for (size_t i = 0; i < MANY; i++)
        sizes[i] = 10 + i % 50;
    uint8_t *bytes = make_frames(sizes, MANY, &total);
    const uint8_t *at = bytes;
    for (size_t first = 0, count = 5; first < MANY; first += count, count = count * 3 / 2) {
        count = count < MANY - first ? count : MANY - first;
        queue_frames(end, at, sizes + first, count);
        for (size_t i = first; i < first + count; i++)
            at += FRAME_HEAD_SIZE + sizes[i];
        if (first % 2) /* else they pile up */
            receive_all(end, &received);
    }
    receive_all(end, &received);
    check_received(&received, bytes, total);
    assert_int_equal(end->pool.in_use, 0);
    received_free(&received);
    free(bytes);
}

/* Sends frame `i` of three that lie one after the other in `buffer`. */
static void send_of_three(struct end *end, struct buffer *buffer, const size_t *sizes, size_t i)
{
    uint8_t *at = buffer->bytes + BUFFER_HEADROOM + FRAME_HEAD_SIZE;
    for (size_t j = 0; j < i; j++)
        at += FRAME_HEAD_SIZE + sizes[j];
    assert_true(stream_send(&end->stream, buffer, at + FRAME_HEAD_SIZE, sizes[i]));
}

static void test_neighbours_are_merged(void **state)
{
    static const size_t sizes[] = {10, 20, 30};
    struct end *end = *state;
    struct received received = {0};
    struct buffer *buffers[3];
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total), *at, expected[200];
    for (size_t i = 0; i < 3; i++)
        buffers[i] = buffer_with(end, bytes, total, &at);
    send_of_three(end, buffers[0], sizes, 0);
    send_of_three(end, buffers[0], sizes, 1);
    assert_int_equal(end->stream.out_count, 1);
    assert_int_equal(end->stream.out_bytes, 14 + 24);
    send_of_three(end, buffers[1], sizes, 2); /* the right place in another buffer */
    assert_int_equal(end->stream.out_count, 2);
    send_of_three(end, buffers[2], sizes, 0);
    send_of_three(end, buffers[2], sizes, 2); /* not next to the one before */
    assert_int_equal(end->stream.out_count, 4);
    send_of_three(end, buffers[2], sizes, 1); /* before it */
    assert_int_equal(end->stream.out_count, 5);
    for (size_t i = 0; i < 3; i++)
        buffer_release(buffers[i]);
    receive_all(end, &received);
    memcpy(expected, bytes, total);
    memcpy(expected + 72, bytes, 14);
    memcpy(expected + 86, bytes + 38, 34);
    memcpy(expected + 120, bytes + 14, 24);
    check_received(&received, expected, 144);
    assert_int_equal(end->pool.in_use, 0);
    received_free(&received);
    free(bytes);
}

static uint8_t *own_message(struct end *end, size_t i, size_t room, size_t used)
{
    uint8_t *at = stream_own(&end->stream, room);
    assert_non_null(at);
    assert_true(at - end->stream.own->bytes >= BUFFER_HEADROOM);
    memset(at - BUFFER_HEADROOM, 0xdd, BUFFER_HEADROOM); /* it is ours to write to */
    memset(at, 0xcc, room);
    for (size_t j = 0; j < used; j++)
        at[j] = content(i, j);
    return at;
}

static void test_own_messages(void **state)
{
    static const size_t sizes[] = {64,  0,    80,         5000, 5000,      5000, 72,
                                   100, 1000, 128 * 1024, 64,   16 * 1024, 1};
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        /* What was reserved and not used is not sent, and may be used again. */
        size_t room = sizes[i] < 1000 ? sizes[i] + 300 : sizes[i];
        uint8_t *at = own_message(end, i, room, sizes[i]);
        assert_true(stream_send_own(&end->stream, at, sizes[i]));
    }
    receive_all(end, &received);
    check_received(&received, bytes, total);
    assert_int_equal(end->pool.in_use, 0); /* a quiet stream keeps no buffer for them */
    received_free(&received);
    free(bytes);
}

/* Room that was asked for and not sent leaves no trace. */
static void test_an_own_message_that_is_given_up(void **state)
{
    static const size_t sizes[] = {50};
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    uint8_t *bytes = make_frames(sizes, 1, &total);
    (void)own_message(end, 9, 200, 200);
    uint8_t *at = own_message(end, 0, 50, 50);
    assert_true(stream_send_own(&end->stream, at, 50));
    (void)own_message(end, 9, 200, 200);
    receive_all(end, &received);
    check_received(&received, bytes, total);
    assert_int_equal(end->pool.in_use, 0);
    received_free(&received);
    free(bytes);
}

static void test_no_memory_for_an_own_message(void **state)
{
    struct end *end = *state;
    end->pool.limit = 16 * 1024;
    assert_null(stream_own(&end->stream, 20000));
    assert_non_null(stream_own(&end->stream, 1000));
    assert_null(stream_own(&end->stream, 20000));
    assert_non_null(stream_own(&end->stream, 1000));
}

static void set_send_buffer(struct end *end, int size)
{
    assert_int_equal(setsockopt(end->stream.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

/* The peer takes little at a time: every write is partial, and ends anywhere in a frame. */
static void test_back_pressure(void **state)
{
    static const size_t sizes[] = {20000, 1, 300000, 0, 12345, 60, 60, 60, 1024 * 1024 + 1, 9};
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    set_send_buffer(end, 4096);
    queue_frames(end, bytes, sizes, COUNT_OF(sizes));
    stream_flush(&end->stream);
    assert_true(end->stream.out_bytes > 0);
    unsigned settled = end->settled;
    for (size_t step = 1; received.size < total; step = step * 5 % 4099 + 1) {
        size_t waiting = end->stream.out_bytes;
        assert_int_equal(waiting + end->stream.bytes_out, total);
        (void)receive(end, &received, step);
        end_run(end); /* it goes on by itself, without a flush */
        assert_true(end->stream.out_bytes <= waiting);
    }
    assert_true(end->settled > settled);
    check_received(&received, bytes, total);
    assert_int_equal(end->stream.out_bytes, 0);
    assert_int_equal(end->pool.in_use, 0);
    settled = end->settled;
    end_run(end);
    assert_int_equal(end->settled, settled); /* nothing to write: not called for it */
    received_free(&received);
    free(bytes);
}

/* What is added while the first slice is half written does not disturb it. */
static void test_more_while_a_write_is_partial(void **state)
{
    enum { MANY = 200 };
    static size_t sizes[MANY];
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    srand(29);
    for (size_t i = 0; i < MANY; i++)
        sizes[i] = (size_t)rand() % 9000;
    uint8_t *bytes = make_frames(sizes, MANY, &total);
    const uint8_t *at = bytes;
    set_send_buffer(end, 4096);
    for (size_t i = 0; i < MANY; i++) {
        if (i % 3) {
            queue_frames(end, at, sizes + i, 1);
        } else {
            uint8_t *own = stream_own(&end->stream, sizes[i]);
            assert_non_null(own);
            memcpy(own, at + FRAME_HEAD_SIZE, sizes[i]);
            assert_true(stream_send_own(&end->stream, own, sizes[i]));
        }
        at += FRAME_HEAD_SIZE + sizes[i];
        stream_flush(&end->stream);
        (void)receive(end, &received, (size_t)rand() % 12000);
    }
    receive_all(end, &received);
    check_received(&received, bytes, total);
    assert_int_equal(end->pool.in_use, 0);
    received_free(&received);
    free(bytes);
}

static void test_the_peer_is_gone(void **state)
{
    static const size_t sizes[] = {100, 200};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    close(end->peer);
    end->peer = -1;
    queue_frames(end, bytes, sizes, COUNT_OF(sizes));
    stream_flush(&end->stream); /* no SIGPIPE either */
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_FAILED);
    assert_int_equal(end->stream.error, EPIPE);
    assert_int_equal(end->stream.out_bytes, 0);
    assert_int_equal(end->pool.in_use, 0);
    stream_flush(&end->stream);
    end_run(end);
    assert_int_equal(end->ended, 1);
    free(bytes);
}

static void test_close_sends_what_it_can(void **state)
{
    static const size_t sizes[] = {100, 200};
    struct end *end = *state;
    struct received received = {0};
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    queue_frames(end, bytes, sizes, COUNT_OF(sizes));
    stream_close(&end->stream);
    assert_int_equal(end->pool.in_use, 0);
    assert_int_equal(receive(end, &received, SIZE_MAX), total);
    check_received(&received, bytes, total);
    stream_close(&end->stream); /* twice */
    stream_flush(&end->stream);
    stream_read(&end->stream, true);
    end_run(end);
    assert_int_equal(end->ended, 0);
    received_free(&received);
    free(bytes);
}

static void test_close_drops_what_cannot_be_sent(void **state)
{
    static const size_t sizes[] = {1024 * 1024, 1024 * 1024};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    queue_frames(end, bytes, sizes, COUNT_OF(sizes));
    (void)own_message(end, 3, 100, 100);
    end_feed(end, "\0\0\1", 3); /* part of a frame too */
    stream_flush(&end->stream);
    assert_true(end->stream.out_bytes > 0);
    stream_close(&end->stream);
    assert_int_equal(end->pool.in_use, 0);
    free(bytes);
}

static void test_close_of_a_stream_that_never_opened(void **state)
{
    struct stream stream = {.fd = -1};
    (void)state;
    stream_close(&stream);
    stream_flush(&stream);
    stream_read(&stream, true);
    stream_close(&stream);
}

/* ---- from one stream to another ---- */

enum { SKIPPED = 8, FORWARDED = 2500 };

struct forwarding {
    struct end *to;
    uint8_t *expected;
    size_t size;
};

/* What link.c does with a frame: sometimes it is dropped, sometimes only its end goes on, with its
 * transport header in the place of what stood before it; always it is rewritten in place. */
static void forward(struct end *end, struct frame *frame)
{
    struct forwarding *forwarding = end->each_context;
    size_t i = end->count - 1, skip = i % 5 == 3 && frame->size > SKIPPED ? SKIPPED : 0;
    if (i % 7 == 6)
        return;
    uint8_t *at = frame->at + skip;
    size_t size = frame->size - skip;
    for (size_t j = 0; j < size; j += 97)
        at[j] ^= 0x5a;
    uint8_t *expected = forwarding->expected + forwarding->size;
    frame_head(expected, size);
    memcpy(expected + FRAME_HEAD_SIZE, at, size);
    forwarding->size += FRAME_HEAD_SIZE + size;
    assert_true(stream_send(&forwarding->to->stream, frame->buffer, at, size));
}

static size_t any_size(void)
{
    switch (rand() % 20) {
    case 0: return 0;
    case 1: return (size_t)rand() % (300 * 1024);
    case 2: return 16 * 1024 - 80 + (size_t)rand() % 32; /* around what a buffer holds */
    case 3: return 64 * 1024 - 16 + (size_t)rand() % 32;
    case 4: return rand() % 10 ? (size_t)rand() % 5000 : 1024 * 1024 + (size_t)rand() % 1000;
    default: return (size_t)rand() % 300;
    }
}

/* Both have one pool, as in a worker. */
static void join(struct end *from, struct end *to)
{
    to->stream.pool = &from->pool;
}

static void test_forwarding_in_place(void **state)
{
    static size_t sizes[FORWARDED];
    struct end *from = *state, *to = calloc(1, sizeof *to);
    struct received received = {0};
    size_t total, at = 0;
    assert_non_null(to);
    end_open(to, FRAME_MAX, 0);
    join(from, to);
    set_send_buffer(to, 16 * 1024);
    srand(31);
    for (size_t i = 0; i < FORWARDED; i++)
        sizes[i] = any_size();
    uint8_t *bytes = make_frames(sizes, FORWARDED, &total);
    struct forwarding forwarding = {to, malloc(total), 0};
    assert_non_null(forwarding.expected);
    from->each = forward;
    from->each_context = &forwarding;
    while (at < total || received.size < forwarding.size) {
        size_t piece = (size_t)rand() % 100000;
        piece = piece < total - at ? piece : total - at;
        ssize_t sent = send(from->peer, bytes + at, piece, MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        /* Back-pressure now and then, as a link applies it. */
        stream_read(&from->stream, to->stream.out_bytes < 500000);
        end_run(from);
        if (rand() % 2)
            stream_flush(&to->stream);
        end_run(to);
        (void)receive(to, &received, (size_t)rand() % 200000);
    }
    check_taken(from, sizes, FORWARDED);
    check_received(&received, forwarding.expected, forwarding.size);
    assert_int_equal(from->pool.in_use, 0);
    assert_int_equal(to->stream.out_bytes, 0);
    received_free(&received);
    free(forwarding.expected);
    free(bytes);
    end_close(to);
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_send, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_many_slices_in_order, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_neighbours_are_merged, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_own_messages, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_an_own_message_that_is_given_up, end_setup,
                                        end_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_an_own_message, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_back_pressure, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_more_while_a_write_is_partial, end_setup,
                                        end_teardown),
        cmocka_unit_test_setup_teardown(test_the_peer_is_gone, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_close_sends_what_it_can, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_close_drops_what_cannot_be_sent, end_setup,
                                        end_teardown),
        cmocka_unit_test(test_close_of_a_stream_that_never_opened),
        cmocka_unit_test_setup_teardown(test_forwarding_in_place, end_setup, end_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
