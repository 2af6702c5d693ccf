/*
 * A generation that was prepared and is not wanted, against a worker that could not wait for it.
 */
#include "tests/unit/keeper_roles.h"

#include <sys/mman.h>

enum { PREPARED = 1, LISTENER = PREPARED << KEEPER_INDEX_BITS };

static void free_read(struct keeper_settings *settings)
{
    free((void *)(uintptr_t)settings->credentials);
    free(settings);
}

/* The text of a configuration is the path of its credentials here. */
static struct keeper_settings *read_path(struct span text, char *problem, size_t size)
{
    struct keeper_settings *settings = calloc(1, sizeof *settings);
    (void)problem;
    (void)size;
    if (settings) {
        settings->listeners = listeners;
        settings->listeners_count = sizeof listeners / sizeof listeners[0];
        settings->upstreams = upstreams;
        settings->upstreams_count = UPSTREAMS;
        settings->credentials = strndup((const char *)text.at, text.size);
        settings->free = free_read;
    }
    return settings;
}

static int start_keeper_that_reads(void **state)
{
    static const struct keeper_settings settings = {
        .listeners = listeners,
        .listeners_count = sizeof listeners / sizeof listeners[0],
        .upstreams = upstreams,
        .upstreams_count = UPSTREAMS,
        .threads = 2,
        .read = read_path,
    };
    return start_keeper_with(state, &settings, NULL);
}

static void prepare(struct harness *harness)
{
    uint8_t body[4];
    struct writer writer = writer_over(body, sizeof body);
    size_t size = strlen(harness->credentials);
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, harness->credentials, size), (ssize_t)size);
    write_le32(&writer, PREPARED);
    assert_true(channel_send(harness->control.channel, CONTROL_PREPARE, writer_span(&writer), fd));
    close(fd);
    struct control_prepared answer;
    struct letter *letter = expect_letter(harness, &harness->control, CONTROL_PREPARED);
    assert_true(control_prepared_read(letter_body(letter), &answer));
    assert_int_equal(answer.problem.size, 0);
    free(letter);
}

static void expect_proof(struct harness *harness, uint64_t attempt)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, add_worker(harness), attempt, 7, "alice", "", alice_hash, handle);
}

static void abort_under_a_login(struct harness *harness, bool prepared_again)
{
    static struct client client;
    struct played *hasty = add_worker(harness);
    prepare(harness);
    client_begin(&client, "alice", "", alice_hash);
    send_accept(hasty, 1, 7, LISTENER, client_token(&client));
    client_go_on(harness, hasty, &client, 1);
    send_control(harness, CONTROL_ABORT);
    if (prepared_again)
        prepare(harness);
    else
        expect_proof(harness, 1);
    send_accept(hasty, 1, 7, LISTENER, client_token(&client));
    assert_int_equal(expect_refused(harness, hasty, 1).reason, KEEPER_REASON_INTERNAL);
    initiator_free(client.initiator);
    expect_proof(harness, 2);
}

/* A login that was begun under it does not go on, and the keeper does. */
static void test_aborted_under_a_login(void **state)
{
    abort_under_a_login(*state, false);
}

/* Nor when the next one, of the same number, is prepared meanwhile. */
static void test_prepared_again_under_a_login(void **state)
{
    abort_under_a_login(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_aborted_under_a_login, start_keeper_that_reads,
                                        stop_keeper),
        cmocka_unit_test_setup_teardown(test_prepared_again_under_a_login, start_keeper_that_reads,
                                        stop_keeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
