/* Channels between processes: what arrives, in what order, and who frees what. */
#include "tests/unit/channel_ear.h"

static void test_pair_is_private_and_never_blocks(void **state)
{
    int fds[2];
    (void)state;
    assert_true(channel_pair(fds));
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        close(fds[i]);
    }
}

static void test_boundaries_are_kept(void **state)
{
    int fds[2];
    struct heard a, b;
    (void)state;
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    listen_to(&b, fds[1]);
    assert_true(channel_send(a.channel, 7, span_of_text("one"), -1));
    settle();
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.type, 7);
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.body, "one", 3);
    assert_int_equal(b.fd, -1);
    assert_true(channel_send(a.channel, 8, span_of_text("two"), -1));
    assert_true(channel_send(a.channel, 0xffff, span_of_text(""), -1));
    settle();
    assert_int_equal(b.messages, 3);
    assert_int_equal(b.type, 0xffff);
    assert_int_equal(b.size, 0);
    assert_true(channel_send(b.channel, 9, span_of_text("back"), -1));
    settle();
    assert_int_equal(a.messages, 1);
    assert_int_equal(a.gone + b.gone, 0);
    forget(&a);
    settle();
    assert_int_equal(b.gone, 1);
    assert_false(b.malformed);
    assert_false(channel_send(b.channel, 1, span_of_text("late"), -1));
    forget(&b);
}

static void test_longest_message(void **state)
{
    static uint8_t bytes[CHANNEL_MESSAGE_MAX];
    struct span longest = {bytes, CHANNEL_MESSAGE_MAX - CHANNEL_HEAD_SIZE};
    int fds[2];
    struct heard a, b;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31);
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    listen_to(&b, fds[1]);
    assert_true(channel_send(a.channel, 1, longest, -1));
    settle();
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.size, longest.size);
    assert_memory_equal(b.body, bytes, longest.size);
    longest.size++;
    assert_false(channel_send(a.channel, 1, longest, -1));
    settle();
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.gone, 0);
    forget(&a);
    forget(&b);
}

static void test_descriptor_is_passed(void **state)
{
    int fds[2], tube[2];
    struct heard a, b;
    char byte = 0;
    (void)state;
    assert_int_equal(pipe2(tube, O_CLOEXEC), 0);
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    listen_to(&b, fds[1]);
    assert_true(channel_send(a.channel, 3, span_of_text("fd"), tube[1]));
    /* The sender keeps its own. */
    assert_true(fcntl(tube[1], F_GETFD) >= 0);
    settle();
    assert_true(b.fd >= 0);
    assert_true(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
    close(tube[1]);
    assert_int_equal(write(b.fd, "x", 1), 1);
    assert_int_equal(read(tube[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(tube[0]);
    forget(&a);
    forget(&b);
}

static void test_freed_in_message(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 10, 0, 0, 0, 'h', 'i'};
    (void)state;
    for (int answer = 0; answer < 2; answer++) {
        struct heard b;
        int raw = raw_pair(&b);
        b.free_in_message = true;
        b.answer = answer;
        raw_send(raw, good, sizeof good, NULL, 0);
        raw_send(raw, good, sizeof good, NULL, 0);
        settle();
        assert_int_equal(b.messages, 1);
        assert_memory_equal(b.body, "hi", 2);
        assert_int_equal(b.gone, 0);
        forget(&b);
        close(raw);
    }
}

static void test_freed_in_gone(void **state)
{
    struct heard b;
    (void)state;
    int raw = raw_pair(&b);
    b.free_in_gone = true;
    close(raw);
    settle();
    assert_int_equal(b.gone, 1);
    assert_false(b.malformed);
    assert_null(b.channel);
    forget(&b);

    raw = raw_pair(&b);
    b.free_in_gone = true;
    raw_send(raw, "bad", 3, NULL, 0);
    settle();
    assert_int_equal(b.gone, 1);
    assert_true(b.malformed);
    forget(&b);
    close(raw);
}

static void test_last_words_are_heard(void **state)
{
    int fds[2];
    struct heard a, b;
    (void)state;
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    listen_to(&b, fds[1]);
    /* The end closes with something of ours unread, which the kernel tells as a reset. */
    assert_true(channel_send(b.channel, 1, span_of_text("unread"), -1));
    assert_true(channel_send(a.channel, 1, span_of_text("first"), -1));
    assert_true(channel_send(a.channel, 2, span_of_text("last"), -1));
    forget(&a);
    settle();
    assert_int_equal(b.messages, 2);
    assert_int_equal(b.type, 2);
    assert_int_equal(b.gone, 1);
    assert_false(b.malformed);
    forget(&b);
}

static void test_queue_waits_and_is_bounded(void **state)
{
    static uint8_t bytes[1024];
    struct span body = {bytes, sizeof bytes};
    int fds[2];
    struct heard a, b;
    unsigned sent = 0;
    (void)state;
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    while (channel_send(a.channel, 1, body, -1))
        sent++;
    assert_int_equal(channel_queued(a.channel), CHANNEL_QUEUE_MAX);
    assert_true(sent > CHANNEL_QUEUE_MAX);
    /* The other end begins to read: everything arrives, in order after what was refused. */
    listen_to(&b, fds[1]);
    settle();
    assert_int_equal(channel_queued(a.channel), 0);
    assert_int_equal(b.messages, sent);
    assert_true(channel_send(a.channel, 2, body, -1));
    settle();
    assert_int_equal(b.type, 2);
    assert_int_equal(a.gone + b.gone, 0);
    forget(&a);
    forget(&b);
}

static void test_queued_descriptors_are_kept_and_dropped(void **state)
{
    static uint8_t bytes[64 * 1024];
    struct span body = {bytes, sizeof bytes};
    unsigned before = open_descriptors();
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        int fds[2], tube[2];
        struct heard a, b;
        assert_int_equal(pipe2(tube, O_CLOEXEC), 0);
        assert_true(channel_pair(fds));
        listen_to(&a, fds[0]);
        while (channel_queued(a.channel) == 0)
            assert_true(channel_send(a.channel, 1, body, -1));
        assert_true(channel_send(a.channel, 2, span_of_text("fd"), tube[1]));
        close(tube[1]);
        if (reads) {
            listen_to(&b, fds[1]);
            settle();
            assert_int_equal(b.type, 2);
            assert_true(b.fd >= 0);
            assert_int_equal(write(b.fd, "x", 1), 1);
            forget(&b);
        } else {
            close(fds[1]);
        }
        forget(&a);
        close(tube[0]);
    }
    assert_int_equal(open_descriptors(), before);
}

static void test_busy_sender_does_not_keep_the_loop(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 8, 0, 0, 0};
    struct heard b;
    int raw = raw_pair(&b);
    (void)state;
    for (int i = 0; i < 200; i++)
        raw_send(raw, good, sizeof good, NULL, 0);
    assert_true(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
    assert_in_range(b.messages, 1, 199);
    settle();
    assert_int_equal(b.messages, 200);
    forget(&b);
    close(raw);
}

static void test_killed_process_is_noticed(void **state)
{
    int fds[2];
    struct heard b;
    (void)state;
    assert_true(channel_pair(fds));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[1]);
        for (;;)
            pause();
    }
    close(fds[0]);
    listen_to(&b, fds[1]);
    settle();
    assert_int_equal(b.gone, 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    settle();
    assert_int_equal(b.gone, 1);
    assert_false(b.malformed);
    forget(&b);
}

static void test_sending_to_nobody(void **state)
{
    static uint8_t bytes[64 * 1024];
    struct span body = {bytes, sizeof bytes};
    int fds[2];
    struct heard a;
    (void)state;
    assert_true(channel_pair(fds));
    listen_to(&a, fds[0]);
    /* With messages waiting when the other end closes: they are dropped and `gone` is called. */
    while (channel_queued(a.channel) < 3)
        assert_true(channel_send(a.channel, 1, body, -1));
    close(fds[1]);
    settle();
    assert_int_equal(a.gone, 1);
    assert_false(a.malformed);
    assert_int_equal(channel_queued(a.channel), 0);
    forget(&a);
}

static void test_bad_descriptor(void **state)
{
    struct heard heard = {.fd = -1};
    (void)state;
    /* epoll does not take it; it is closed all the same. */
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_null(channel_new(base, file, &handler, &heard));
    assert_int_equal(fcntl(file, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    channel_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_is_private_and_never_blocks),
        cmocka_unit_test(test_boundaries_are_kept),
        cmocka_unit_test(test_longest_message),
        cmocka_unit_test(test_descriptor_is_passed),
        cmocka_unit_test(test_freed_in_message),
        cmocka_unit_test(test_freed_in_gone),
        cmocka_unit_test(test_last_words_are_heard),
        cmocka_unit_test(test_queue_waits_and_is_bounded),
        cmocka_unit_test(test_queued_descriptors_are_kept_and_dropped),
        cmocka_unit_test(test_busy_sender_does_not_keep_the_loop),
        cmocka_unit_test(test_killed_process_is_noticed),
        cmocka_unit_test(test_sending_to_nobody),
        cmocka_unit_test(test_bad_descriptor),
    };
    return cmocka_run_group_tests(tests, make_base, drop_base);
}
