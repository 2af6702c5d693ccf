/* Reading: whatever pieces the bytes come in, the frames are the same. Writing: test_stream_write.c
 */
#include "tests/unit/stream_end.h"

static void test_one_frame(void **state)
{
    static const size_t sizes[] = {100};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, 1, &total);
    end_feed(end, bytes, total);
    check_taken(end, sizes, 1);
    assert_true(end->settled > 0);
    assert_int_equal(end->stream.bytes_in, total);
    assert_null(end->stream.in); /* an idle stream holds no buffer */
    assert_int_equal(end->pool.in_use, 0);
    free(bytes);
}

/* Room for the transport header and what may be put before it. */
static void test_a_frame_has_room_before_it(void **state)
{
    static const size_t sizes[] = {10};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, 1, &total);
    end->pin = true;
    end_feed(end, bytes, total);
    const struct frame *frame = &end->taken[0].frame;
    assert_true(frame->at - frame->buffer->bytes >= BUFFER_HEADROOM);
    memset(frame->at - BUFFER_HEADROOM, 0xff, BUFFER_HEADROOM);
    check_taken(end, sizes, 1);
    free(bytes);
}

static void test_many_small_frames_in_one_read(void **state)
{
    enum { MANY = 500 };
    struct end *end = *state;
    size_t sizes[MANY], total;
    for (size_t i = 0; i < MANY; i++)
        sizes[i] = i % 90;
    uint8_t *bytes = make_frames(sizes, MANY, &total);
    assert_true(total < 64 * 1024);
    assert_int_equal(send(end->peer, bytes, total, 0), total);
    end_run(end);
    check_taken(end, sizes, MANY);
    assert_int_equal(end->pool.in_use, 0);
    free(bytes);
}

static void test_split_anywhere(void **state)
{
    static const size_t sizes[] = {5, 0, 1, 70, 3};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    for (size_t first = 0; first <= total; first++) {
        for (size_t second = first; second <= total; second++) {
            end_feed(end, bytes, first);
            end_feed(end, bytes + first, second - first);
            end_feed(end, bytes + second, total - second);
            check_taken(end, sizes, COUNT_OF(sizes));
            assert_int_equal(end->pool.in_use, 0);
            end_forget(end);
        }
    }
    free(bytes);
}

static void test_byte_by_byte(void **state)
{
    static const size_t sizes[] = {300, 0, 20};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    for (size_t i = 0; i < total; i++)
        end_feed(end, bytes + i, 1);
    check_taken(end, sizes, COUNT_OF(sizes));
    free(bytes);
}

/* Larger than any buffer it began in, between small ones. */
static void test_large_frames(void **state)
{
    static const size_t sizes[] = {
        50,  1024 * 1024 + 12345,  0,         50,        16 * 1024,
        60,  144 * 1024,           40 * 1024, 65536 - 4, 65536,
        200, 3 * 1024 * 1024 + 17, 7,         FRAME_MAX, 1,
    };
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    end->pin = true;
    end_feed(end, bytes, total);
    check_taken(end, sizes, COUNT_OF(sizes));
    free(bytes);
}

/* What is here of a frame counts against the budget, and is given back. */
static void test_memory_of_a_partial_frame(void **state)
{
    static const size_t sizes[] = {2 * 1024 * 1024};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, 1, &total);
    end_feed(end, bytes, 5);
    assert_true(end->pool.in_use >= 5);
    end_feed(end, bytes + 5, total / 2);
    assert_true(end->pool.in_use >= total / 2);
    end_feed(end, bytes + 5 + total / 2, total - 5 - total / 2);
    check_taken(end, sizes, 1);
    assert_int_equal(end->pool.in_use, 0);
    end_feed(end, bytes, 5); /* end_close() sees whether this is given back too */
    free(bytes);
}

static void test_empty_frames(void **state)
{
    static const size_t sizes[] = {0, 0, 0};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    end_feed(end, bytes, total);
    check_taken(end, sizes, COUNT_OF(sizes));
    assert_int_equal(end->ended, 0);
    free(bytes);
}

static void test_as_long_as_allowed(void **state)
{
    size_t sizes[] = {1000}, total;
    struct end *end = *state;
    end->stream.frame_max = 1000;
    uint8_t *bytes = make_frames(sizes, 1, &total);
    end_feed(end, bytes, total);
    check_taken(end, sizes, 1);
    assert_int_equal(end->ended, 0);
    free(bytes);
}

/* Its head is enough: nothing is read, nor is memory taken, for a frame that is too long. */
static void test_too_long(void **state)
{
    struct end *end = *state;
    uint8_t head[FRAME_HEAD_SIZE];
    end->stream.frame_max = 1000;
    frame_head(head, 1001);
    assert_int_equal(send(end->peer, head, sizeof head, 0), sizeof head);
    end_run(end);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_BAD_FRAME);
    assert_int_equal(end->count, 0);
    /* Ended is ended. */
    assert_int_equal(send(end->peer, head, sizeof head, 0), sizeof head);
    stream_read(&end->stream, true);
    end_run(end);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->count, 0);
}

static void test_frames_before_a_bad_one_count(void **state)
{
    static const size_t sizes[] = {10, 20, 1001, 10};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    end->stream.frame_max = 1000;
    assert_int_equal(send(end->peer, bytes, total, 0), total);
    end_run(end);
    check_taken(end, sizes, 2);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_BAD_FRAME);
    free(bytes);
}

static void test_not_direct_tcp(void **state)
{
    (void)state;
    for (int type = 1; type < 256; type++) {
        struct end *end = calloc(1, sizeof *end);
        assert_non_null(end);
        end_open(end, FRAME_MAX, POOL_LIMIT);
        const uint8_t head[FRAME_HEAD_SIZE] = {(uint8_t)type, 0, 0, 0};
        end_feed(end, head, 3);
        assert_int_equal(end->ended, 0); /* not a head yet */
        end_feed(end, head + 3, 1);
        assert_int_equal(end->ended, 1);
        assert_int_equal(end->why, STREAM_BAD_FRAME);
        assert_int_equal(end->count, 0);
        end_close(end);
        free(end);
    }
}

/* The frames that wait in the buffer make no socket readable: they come all the same. */
static void test_pause_with_frames_already_here(void **state)
{
    static const size_t sizes[] = {10, 20, 30, 40};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    assert_int_equal(send(end->peer, bytes, total - 5, 0), total - 5);
    for (size_t i = 1; i <= 3; i++) {
        end->stop_at = i;
        end_run(end);
        check_taken(end, sizes, i);
        assert_false(end->stream.reading);
        assert_true(end->pool.in_use > 0);
        stream_read(&end->stream, true);
    }
    end->stop_at = SIZE_MAX;
    end_run(end);
    check_taken(end, sizes, 3);
    end_feed(end, bytes + total - 5, 5);
    check_taken(end, sizes, 4);
    assert_int_equal(end->pool.in_use, 0);
    free(bytes);
}

static void test_paused_from_outside(void **state)
{
    static const size_t sizes[] = {10, 20};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    stream_read(&end->stream, false);
    assert_int_equal(send(end->peer, bytes, total, 0), total);
    end_run(end);
    assert_int_equal(end->count, 0);
    assert_int_equal(end->stream.bytes_in, 0); /* it stays in the kernel, and slows the peer */
    stream_read(&end->stream, true);
    stream_read(&end->stream, false);
    end_run(end);
    assert_int_equal(end->count, 0);
    stream_read(&end->stream, true);
    end_run(end);
    check_taken(end, sizes, 2);
    free(bytes);
}

static void test_the_peer_closes(void **state)
{
    static const size_t sizes[] = {10, 20};
    (void)state;
    for (size_t missing = 0; missing < 25; missing += 8) {
        struct end *end = calloc(1, sizeof *end);
        assert_non_null(end);
        end_open(end, FRAME_MAX, POOL_LIMIT);
        size_t total;
        uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
        end_feed(end, bytes, total - missing);
        assert_int_equal(end->ended, 0);
        close(end->peer);
        end->peer = -1;
        end_run(end);
        check_taken(end, sizes, missing ? 1 : 2);
        assert_int_equal(end->ended, 1);
        assert_int_equal(end->why, STREAM_CLOSED);
        free(bytes);
        end_close(end);
        free(end);
    }
}

static void test_the_connection_is_reset(void **state)
{
    struct end *end = *state;
    assert_int_equal(send(end->stream.fd, "unread", 6, 0), 6);
    close(end->peer);
    end->peer = -1;
    end_run(end);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_FAILED);
    assert_int_equal(end->stream.error, ECONNRESET);
}

static void test_no_memory_for_a_large_frame(void **state)
{
    static const size_t sizes[] = {100, 20000};
    struct end *end = *state;
    size_t total;
    uint8_t *bytes = make_frames(sizes, COUNT_OF(sizes), &total);
    end->pool.limit = 32 * 1024;
    assert_int_equal(send(end->peer, bytes, total, 0), total);
    end_run(end);
    check_taken(end, sizes, 1);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_NO_MEMORY);
    free(bytes);
}

static void test_no_memory_at_all(void **state)
{
    struct end *end = *state;
    end->pool.limit = 0;
    assert_int_equal(send(end->peer, "\0\0\0\1x", 5, 0), 5);
    end_run(end);
    assert_int_equal(end->count, 0);
    assert_int_equal(end->ended, 1);
    assert_int_equal(end->why, STREAM_NO_MEMORY);
}

/* What somebody holds is never read over: sizes and pieces at random, every frame kept. */
static void test_frames_that_are_held_stay_whole(void **state)
{
    enum { MANY = 1500 };
    static size_t sizes[MANY];
    struct end *end = *state;
    size_t total, at = 0;
    srand(23);
    for (size_t i = 0; i < MANY; i++) {
        static const size_t limits[] = {10, 200, 200, 200, 5000, 5000, 40000, 200000};
        sizes[i] = (size_t)rand() % limits[(size_t)rand() % COUNT_OF(limits)];
    }
    uint8_t *bytes = make_frames(sizes, MANY, &total);
    end->pin = true;
    while (at < total) {
        size_t piece = (size_t)rand() % (rand() % 4 ? 3000 : 150000) + 1;
        piece = piece < total - at ? piece : total - at;
        end_feed(end, bytes + at, piece);
        at += piece;
    }
    check_taken(end, sizes, MANY);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_frame, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_a_frame_has_room_before_it, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_many_small_frames_in_one_read, end_setup,
                                        end_teardown),
        cmocka_unit_test_setup_teardown(test_split_anywhere, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_byte_by_byte, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_large_frames, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_memory_of_a_partial_frame, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_empty_frames, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_as_long_as_allowed, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_too_long, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_frames_before_a_bad_one_count, end_setup,
                                        end_teardown),
        cmocka_unit_test(test_not_direct_tcp),
        cmocka_unit_test_setup_teardown(test_pause_with_frames_already_here, end_setup,
                                        end_teardown),
        cmocka_unit_test_setup_teardown(test_paused_from_outside, end_setup, end_teardown),
        cmocka_unit_test(test_the_peer_closes),
        cmocka_unit_test_setup_teardown(test_the_connection_is_reset, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_a_large_frame, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_at_all, end_setup, end_teardown),
        cmocka_unit_test_setup_teardown(test_frames_that_are_held_stay_whole, end_setup,
                                        end_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
