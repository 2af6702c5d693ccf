/*
 * The recorder as a process: what it takes from whom, and that nothing is lost when it stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/channel.h"
#include "crypto/clock.h"
#include "crypto/keeper_message.h"
#include "policy/audit.h"
#include "proxy/directory.h"
#include "proxy/memory.h"
#include "proxy/recorder.h"

enum { PATIENCE_MS = 5000 };

struct scene {
    char directory[64];
    char file[80];
    char other[80];
    int control;
    pid_t pid;
};

static void run_child(const char *file, int control)
{
    /* What it tells about malformed messages is not for the test's own output. */
    /* Every event is written, and nothing is remembered. */
    static const struct config config = {.audit.fold = 0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct audit *audit = audit_open(file, false);
    dup2(null, STDERR_FILENO);
    close(null);
    exit(audit ? recorder_run(&config, audit, control) : 99);
}

/* Sends one message, whole; false when the other end is gone. */
static bool send_raw(int to, const uint8_t *bytes, size_t size, int passed)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof passed)];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (passed >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(head), &passed, sizeof passed);
    }
    struct pollfd writable = {.fd = to, .events = POLLOUT};
    assert_int_equal(poll(&writable, 1, PATIENCE_MS), 1);
    ssize_t sent = sendmsg(to, &message, MSG_NOSIGNAL);
    assert_true(sent == (ssize_t)size || errno == EPIPE || errno == ECONNRESET);
    return sent == (ssize_t)size;
}

static bool send_message(int to, uint16_t type, struct span body, int passed)
{
    uint8_t bytes[CHANNEL_HEAD_SIZE + EVENT_PACKED_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    write_le16(&writer, type);
    write_le16(&writer, 0);
    write_le32(&writer, (uint32_t)(CHANNEL_HEAD_SIZE + body.size));
    write_span(&writer, body);
    assert_true(writer_done(&writer));
    return send_raw(to, bytes, writer_size(&writer), passed);
}

static bool tell(int to, uint16_t type)
{
    return send_message(to, type, (struct span){NULL, 0}, -1);
}

static bool send_event(int to, const struct audit_event *event)
{
    uint8_t bytes[EVENT_PACKED_MAX];
    size_t size = event_pack(event, bytes, sizeof bytes);
    assert_true(size > 0);
    return send_message(to, RECORDER_EVENT, (struct span){bytes, size}, -1);
}

static bool send_login(int to, const char *user)
{
    const struct audit_event event = {
        .kind = EVENT_LOGIN, .field[FIELD_USER] = user, .field[FIELD_WORKER] = "77"};
    return send_event(to, &event);
}

/* A channel to the recorder, introduced as `role`; our end. */
static int introduce(const struct scene *scene, uint32_t role, uint32_t index)
{
    uint8_t bytes[64];
    int fds[2];
    struct writer writer = writer_over(bytes, sizeof bytes);
    const struct control_peer message = {.role = (enum peer_role)role, .index = index};
    assert_true(channel_pair(fds));
    control_peer_write(&writer, &message);
    assert_true(writer_done(&writer));
    assert_true(send_message(scene->control, CONTROL_PEER, writer_span(&writer), fds[1]));
    close(fds[1]);
    return fds[0];
}

/* Waits until the other end is closed. */
static void assert_closed(int fd)
{
    char byte;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    /* A worker has been greeted before. */
    do
        assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
    while (recv(fd, &byte, 1, 0) > 0);
}

static int start(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    int fds[2];
    uint8_t bytes[64];
    assert_non_null(scene);
    snprintf(scene->directory, sizeof scene->directory, "/tmp/countersign-recorder-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->file, sizeof scene->file, "%s/audit.json", scene->directory);
    snprintf(scene->other, sizeof scene->other, "%s/audit.json.1", scene->directory);
    assert_true(channel_pair(fds));
    scene->pid = fork();
    assert_true(scene->pid >= 0);
    if (scene->pid == 0) {
        close(fds[0]);
        run_child(scene->file, fds[1]);
    }
    close(fds[1]);
    scene->control = fds[0];
    /* It says that it is ready, and nothing else ever. */
    struct pollfd readable = {.fd = scene->control, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
    assert_int_equal(recv(scene->control, bytes, sizeof bytes, 0), CHANNEL_HEAD_SIZE);
    assert_int_equal(get_le16(bytes), CONTROL_READY);
    *state = scene;
    return 0;
}

static int finish(void **state)
{
    struct scene *scene = *state;
    if (scene->pid) {
        kill(scene->pid, SIGKILL);
        waitpid(scene->pid, NULL, 0);
    }
    if (scene->control >= 0)
        close(scene->control);
    unlink(scene->file);
    unlink(scene->other);
    assert_int_equal(rmdir(scene->directory), 0);
    free(scene);
    return 0;
}

/* The exit status, when it ends in time. */
static int wait_for_end(struct scene *scene)
{
    int status = 0;
    for (uint64_t end = clock_ms() + PATIENCE_MS; clock_ms() < end;) {
        if (waitpid(scene->pid, &status, WNOHANG) == scene->pid) {
            scene->pid = 0;
            assert_true(WIFEXITED(status));
            return WEXITSTATUS(status);
        }
        poll(NULL, 0, 5);
    }
    fail_msg("the recorder does not end");
    return -1;
}

static void stop(struct scene *scene)
{
    assert_true(tell(scene->control, CONTROL_STOP));
    assert_int_equal(wait_for_end(scene), EXIT_SUCCESS);
}

/* How often a text is in a file. */
static unsigned count_in(const char *path, const char *text)
{
    char *content = calloc(1, 1 << 20);
    FILE *in = fopen(path, "r");
    unsigned count = 0;
    assert_non_null(content);
    assert_non_null(in);
    assert_true(fread(content, 1, (1 << 20) - 1, in) < (1 << 20) - 1);
    fclose(in);
    for (const char *at = content; (at = strstr(at, text)); at += strlen(text))
        count++;
    free(content);
    return count;
}

static void await(const char *path, const char *text)
{
    for (uint64_t end = clock_ms() + PATIENCE_MS; clock_ms() < end; poll(NULL, 0, 5))
        if (access(path, R_OK) == 0 && count_in(path, text))
            return;
    fail_msg("not recorded: %s", text);
}

static void test_stop(void **state)
{
    struct scene *scene = *state;
    stop(scene);
    assert_int_equal(count_in(scene->file, "\n"), 1);
    assert_int_equal(count_in(scene->file, "\"event\":\"counters\""), 1);
    assert_int_equal(count_in(scene->file, "\"counts\":{}"), 1);
}

static void test_control_closes(void **state)
{
    struct scene *scene = *state;
    assert_true(send_login(scene->control, "ada"));
    close(scene->control);
    scene->control = -1;
    assert_int_equal(wait_for_end(scene), EXIT_SUCCESS);
    assert_int_equal(count_in(scene->file, "\"user\":\"ada\""), 1);
    assert_int_equal(count_in(scene->file, "\"counts\":{\"login\":1}"), 1);
}

static void test_events(void **state)
{
    struct scene *scene = *state;
    int three = introduce(scene, PEER_WORKER, 3), keeper = introduce(scene, PEER_KEEPER, 0);
    assert_true(send_login(scene->control, "of supervisor"));
    assert_true(send_login(three, "of three"));
    assert_true(send_login(keeper, "of keeper"));
    close(three);
    close(keeper);
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"event\":\"login\""), 3);
    assert_int_equal(count_in(scene->file, "\"user\":\"of three\",\"worker\":3}"), 1);
    assert_int_equal(count_in(scene->file, "\"user\":\"of supervisor\",\"worker\":77}"), 1);
    assert_int_equal(count_in(scene->file, "\"user\":\"of keeper\",\"worker\":77}"), 1);
    assert_int_equal(count_in(scene->file, "\"counts\":{\"login\":3}"), 1);
}

/* The sender of each of these is not listened to any more; another one is. */
static void test_malformed_from_peer(void **state)
{
    static const uint8_t wrong_length[] = {RECORDER_EVENT, 0, 0, 0, 9, 0, 0, 0};
    static const uint8_t no_event[] = {EVENT_LOGIN, 0, 5, 0};
    static const uint8_t counters[] = {EVENT_COUNTERS, 0, 4, 0};
    static const uint8_t fine[] = {EVENT_LOGOFF, 0, 4, 0};
    static const struct span none = {NULL, 0};
    struct scene *scene = *state;
    int good = introduce(scene, PEER_WORKER, 1), bad[8];
    for (unsigned i = 0; i < 8; i++)
        bad[i] = introduce(scene, PEER_WORKER, 2);
    assert_true(send_raw(bad[0], wrong_length, sizeof wrong_length, -1));
    assert_true(send_message(bad[1], RECORDER_EVENT, (struct span){no_event, 4}, -1));
    assert_true(send_message(bad[2], RECORDER_EVENT, (struct span){counters, 4}, -1));
    assert_true(send_message(bad[3], RECORDER_EVENT, (struct span){fine, 4}, scene->control));
    assert_true(send_message(bad[4], RECORDER_COUNTERS, none, -1));
    assert_true(send_message(bad[5], CONTROL_STOP, none, -1));
    assert_true(send_message(bad[6], 999, none, -1));
    assert_true(send_message(bad[7], RECORDER_EVENT, none, -1));
    for (unsigned i = 0; i < 8; i++) {
        assert_closed(bad[i]);
        assert_false(send_login(bad[i], "too late"));
        close(bad[i]);
    }
    assert_true(send_login(good, "good"));
    close(good);
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"event\":\"protocol_error\""), 8);
    assert_int_equal(count_in(scene->file, "\"reason\":\"internal_message\""), 8);
    assert_int_equal(count_in(scene->file, "\"worker\":2}"), 8);
    assert_int_equal(count_in(scene->file, "too late"), 0);
    assert_int_equal(count_in(scene->file, "logoff"), 0);
    assert_int_equal(count_in(scene->file, "\"event\":\"counters\""), 1);
    assert_int_equal(count_in(scene->file, "\"user\":\"good\",\"worker\":1}"), 1);
}

static void assert_ends_after_malformed(struct scene *scene)
{
    assert_int_equal(wait_for_end(scene), EXIT_FAILURE);
    assert_int_equal(count_in(scene->file, "\"event\":\"counters\""), 1);
}

static void test_malformed_event_from_control(void **state)
{
    static const uint8_t counters[] = {EVENT_COUNTERS, 0, 4, 0};
    struct scene *scene = *state;
    assert_true(send_message(scene->control, RECORDER_EVENT, (struct span){counters, 4}, -1));
    assert_ends_after_malformed(scene);
}

static void test_peer_without_descriptor(void **state)
{
    static const uint8_t body[] = {PEER_WORKER, 0, 0, 0, 0, 0, 0, 0};
    struct scene *scene = *state;
    assert_true(send_message(scene->control, CONTROL_PEER, (struct span){body, 8}, -1));
    assert_ends_after_malformed(scene);
}

static void test_recorder_as_peer(void **state)
{
    struct scene *scene = *state;
    int peer = introduce(scene, PEER_RECORDER, 0);
    assert_closed(peer);
    close(peer);
    assert_ends_after_malformed(scene);
}

static void test_stop_with_body(void **state)
{
    static const uint8_t body[] = {0};
    struct scene *scene = *state;
    assert_true(send_message(scene->control, CONTROL_STOP, (struct span){body, 1}, -1));
    assert_ends_after_malformed(scene);
}

static void test_descriptor_with_reload(void **state)
{
    struct scene *scene = *state;
    assert_true(send_message(scene->control, CONTROL_RELOAD, (struct span){NULL, 0}, 1));
    assert_ends_after_malformed(scene);
}

static void test_counters_on_request(void **state)
{
    struct scene *scene = *state;
    assert_true(send_login(scene->control, "ada"));
    assert_true(tell(scene->control, RECORDER_COUNTERS));
    await(scene->file, "\"counts\":{\"login\":1}");
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"event\":\"counters\""), 2);
    assert_int_equal(count_in(scene->file, "\"counts\":{\"counters\":1,\"login\":1}"), 1);
}

static void test_reload(void **state)
{
    struct scene *scene = *state;
    assert_true(send_login(scene->control, "before"));
    await(scene->file, "before");
    assert_int_equal(rename(scene->file, scene->other), 0);
    assert_true(tell(scene->control, CONTROL_RELOAD));
    assert_true(send_login(scene->control, "after"));
    await(scene->file, "after");
    stop(scene);
    assert_int_equal(count_in(scene->other, "\n"), 1);
    assert_int_equal(count_in(scene->file, "before"), 0);
}

static void test_last_events_are_drained(void **state)
{
    struct scene *scene = *state;
    int peers[3];
    for (unsigned i = 0; i < 3; i++)
        peers[i] = introduce(scene, PEER_WORKER, i);
    assert_true(tell(scene->control, CONTROL_STOP));
    for (unsigned round = 0; round < 100; round++)
        for (unsigned i = 0; i < 3; i++)
            assert_true(send_login(peers[i], "last"));
    for (unsigned i = 0; i < 3; i++)
        close(peers[i]);
    assert_int_equal(wait_for_end(scene), EXIT_SUCCESS);
    assert_int_equal(count_in(scene->file, "\"user\":\"last\""), 300);
    assert_int_equal(count_in(scene->file, "\"counts\":{\"login\":300}"), 1);
}

/* However long that takes: as long as there is something to read. */
static void test_drain_goes_on(void **state)
{
    struct scene *scene = *state;
    int peer = introduce(scene, PEER_WORKER, 0);
    assert_true(tell(scene->control, CONTROL_STOP));
    for (unsigned round = 0; round < 7; round++) {
        poll(NULL, 0, 250);
        assert_true(send_login(peer, "slow"));
    }
    close(peer);
    assert_int_equal(wait_for_end(scene), EXIT_SUCCESS);
    assert_int_equal(count_in(scene->file, "\"user\":\"slow\""), 7);
}

static bool send_sighting(int to)
{
    uint8_t packed[EVENT_PACKED_MAX], body[SIGHTING_MESSAGE_MAX];
    const struct audit_event event = {.kind = EVENT_DOWNGRADE};
    const struct sighting sighting = {.name = "192.0.2.7", .spoken.dialect = SMB_3_1_1};
    struct writer writer = writer_over(body, sizeof body);
    size_t size = event_pack(&event, packed, sizeof packed);
    sighting_write(&writer, 1, &sighting, (struct span){packed, size});
    assert_true(writer_done(&writer));
    return send_message(to, RECORDER_SIGHTING, writer_span(&writer), -1);
}

static bool send_question(int to, uint16_t type)
{
    uint8_t body[1024];
    const struct directory_entry entry = {.client_id = 5, .who = "ada"};
    struct writer writer = writer_over(body, sizeof body);
    directory_entry_write(&writer, 1, &entry);
    assert_true(writer_done(&writer));
    return send_message(to, type, writer_span(&writer), -1);
}

/* Whoever has asked and gone gets no answer; what it said behind that is written all the same. */
static void test_answers_for_nobody(void **state)
{
    struct scene *scene = *state;
    int peers[3];
    for (unsigned i = 0; i < 3; i++) {
        peers[i] = introduce(scene, PEER_WORKER, i);
        assert_true(send_login(peers[i], "before"));
    }
    for (unsigned i = 0; i < PATIENCE_MS / 5 && count_in(scene->file, "before") < 3; i++)
        poll(NULL, 0, 5);
    kill(scene->pid, SIGSTOP);
    assert_true(send_sighting(peers[0]));
    assert_true(send_question(peers[1], RECORDER_SESSION_FIND));
    assert_true(send_question(peers[2], RECORDER_DURABLE_FIND));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(send_login(peers[i], "behind"));
        close(peers[i]);
    }
    kill(scene->pid, SIGCONT);
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"user\":\"behind\""), 3);
    assert_int_equal(count_in(scene->file, "internal_message"), 0);
}

/* One that stays is waited for, but not for long. */
static void test_drain_has_an_end(void **state)
{
    struct scene *scene = *state;
    int peer = introduce(scene, PEER_WORKER, 0);
    uint64_t before = clock_ms();
    assert_true(tell(scene->control, CONTROL_STOP));
    poll(NULL, 0, 200);
    assert_true(send_login(peer, "late"));
    assert_int_equal(wait_for_end(scene), EXIT_SUCCESS);
    uint64_t took = clock_ms() - before;
    assert_true(took >= 1000 && took < PATIENCE_MS);
    assert_int_equal(count_in(scene->file, "\"user\":\"late\""), 1);
    close(peer);
}

/* What a worker had to drop is counted by kind, and told. */
static void test_losses(void **state)
{
    static const uint8_t lost[] = {EVENT_LOGOFF, 0, 5, 0, 0, 0, 0, 0, 0, 0,
                                   EVENT_LOGIN,  0, 2, 1, 0, 0, 0, 0, 0, 0};
    static const uint8_t unknown[] = {EVENT_KIND_COUNT, 0, 5, 0, 0, 0, 0, 0, 0, 0};
    struct scene *scene = *state;
    int worker = introduce(scene, PEER_WORKER, 3), bad[2];
    assert_true(send_login(worker, "ada"));
    assert_true(send_message(worker, RECORDER_LOST, (struct span){lost, sizeof lost}, -1));
    for (unsigned i = 0; i < 2; i++)
        bad[i] = introduce(scene, i ? PEER_KEEPER : PEER_WORKER, i ? 0 : 4);
    assert_true(send_message(bad[0], RECORDER_LOST, (struct span){unknown, sizeof unknown}, -1));
    assert_true(send_message(bad[1], RECORDER_LOST, (struct span){lost, sizeof lost}, -1));
    for (unsigned i = 0; i < 2; i++) {
        assert_closed(bad[i]);
        close(bad[i]);
    }
    close(worker);
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"event\":\"events_lost\""), 1);
    assert_int_equal(count_in(scene->file, "\"worker\":3,\"lost\":263}"), 1);
    assert_int_equal(count_in(scene->file, "\"login\":259"), 1);
    assert_int_equal(count_in(scene->file, "\"logoff\":5"), 1);
    assert_int_equal(count_in(scene->file, "\"lost\":263}"), 2); /* of the event, of the counters */
}

/* A worker that was restarted comes again; what its predecessor still has to say is taken. */
static void test_peer_comes_again(void **state)
{
    struct scene *scene = *state;
    int old = introduce(scene, PEER_WORKER, 5), new = introduce(scene, PEER_WORKER, 5);
    assert_true(send_login(new, "new"));
    assert_true(send_login(old, "old"));
    close(old);
    close(new);
    stop(scene);
    assert_int_equal(count_in(scene->file, "\"worker\":5}"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stop, start, finish),
        cmocka_unit_test_setup_teardown(test_control_closes, start, finish),
        cmocka_unit_test_setup_teardown(test_events, start, finish),
        cmocka_unit_test_setup_teardown(test_malformed_from_peer, start, finish),
        cmocka_unit_test_setup_teardown(test_malformed_event_from_control, start, finish),
        cmocka_unit_test_setup_teardown(test_peer_without_descriptor, start, finish),
        cmocka_unit_test_setup_teardown(test_recorder_as_peer, start, finish),
        cmocka_unit_test_setup_teardown(test_stop_with_body, start, finish),
        cmocka_unit_test_setup_teardown(test_descriptor_with_reload, start, finish),
        cmocka_unit_test_setup_teardown(test_counters_on_request, start, finish),
        cmocka_unit_test_setup_teardown(test_reload, start, finish),
        cmocka_unit_test_setup_teardown(test_last_events_are_drained, start, finish),
        cmocka_unit_test_setup_teardown(test_drain_goes_on, start, finish),
        cmocka_unit_test_setup_teardown(test_answers_for_nobody, start, finish),
        cmocka_unit_test_setup_teardown(test_drain_has_an_end, start, finish),
        cmocka_unit_test_setup_teardown(test_losses, start, finish),
        cmocka_unit_test_setup_teardown(test_peer_comes_again, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
