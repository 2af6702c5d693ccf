/*
 * The supervisor with doubles in place of keeper, recorder and workers: each greets every peer it
 * is given, and writes into shared memory what happens to it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/supervisor.h"
#include "tests/unit/supervisor_doubles.h"

enum { WAIT_MS = 15000, UID_KEEPER = 64911, UID_RECORDER = 64912, UID_WORKER = 64913 };

/* The supervisor in a process of its own. */

struct fixture {
    char directory[64];
    char log[96];
    char errors[96];
    char configuration[96];
    char control[96];
    uint16_t port;
    pid_t supervisor;
};

static const char configuration[] =
    "listeners: [{name: front, address: 127.0.0.1, port: %u, upstream: nas}]\n"
    "upstreams: [{name: nas, address: 127.0.0.1, port: 1, server_name: nas.example.com,"
    " login: [same]}]\n"
    "credentials: /nowhere/credentials\n"
    "kerberos: {config: /nowhere/krb5.conf}\n"
    "audit: {file: %s, syslog: false}\n"
    "users: {worker: '64913', keeper: '64911', recorder: '64912'}\n"
    "limits: {connections: %u}\n"
    "workers: %d\n";

static void write_configuration(const struct fixture *fixture, unsigned connections)
{
    FILE *file = fopen(fixture->configuration, "w");
    assert_non_null(file);
    fprintf(file, configuration, fixture->port, fixture->log, connections, (int)WORKERS);
    assert_int_equal(fclose(file), 0);
}

static int run_supervisor(const struct fixture *fixture)
{
    struct upstream_address address = {.size = 0};
    struct config_error error;
    struct config *config = config_read(fixture->configuration, &error);

    if (config == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    int status = supervisor_run(config, &address, fixture->configuration, fixture->control);
    config_free(config);
    return status;
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void start(struct fixture *fixture)
{
    write_configuration(fixture, 16);
    fixture->supervisor = fork();
    assert_true(fixture->supervisor >= 0);
    if (fixture->supervisor == 0) {
        int fd = open(fixture->errors, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDERR_FILENO);
        close(fd);
        exit(run_supervisor(fixture));
    }
}

static void nap(void)
{
    usleep(10000);
}

/* Waits for a number in shared memory to become at least `wanted`. */
static void await(atomic_int *number, int wanted)
{
    for (int waited = 0; *number < wanted && waited < WAIT_MS; waited += 10) {
        nap();
    }
    assert_true(*number >= wanted);
}

static bool has_said(const struct fixture *fixture, const char *text)
{
    char all[8192];
    FILE *file = fopen(fixture->errors, "r");
    if (file == NULL) {
        return false;
    }
    all[fread(all, 1, sizeof all - 1, file)] = '\0';
    fclose(file);
    return strstr(all, text) != NULL;
}

static void await_text(const struct fixture *fixture, const char *text)
{
    for (int waited = 0; !has_said(fixture, text) && waited < WAIT_MS; waited += 10) {
        nap();
    }
    assert_true(has_said(fixture, text));
}

/* Ready, and everybody has heard of everybody. */
static void await_whole(const struct fixture *fixture)
{
    await_text(fixture, "countersign: ready\n");
    for (int i = 0; i < CHILDREN; i++) {
        for (int j = 0; j < CHILDREN; j++) {
            if (i != j) {
                await(&shared->child[i].greeted_by[j], 1);
            }
        }
    }
}

static int end_status(struct fixture *fixture)
{
    int status = -1;
    assert_int_equal(waitpid(fixture->supervisor, &status, 0), fixture->supervisor);
    fixture->supervisor = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void stop(struct fixture *fixture)
{
    assert_int_equal(kill(fixture->supervisor, SIGTERM), 0);
    assert_int_equal(end_status(fixture), 0);
}

static void assert_all_gone(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        int pid = shared->child[i].pid;
        for (int waited = 0; pid != 0 && kill(pid, 0) == 0 && waited < WAIT_MS; waited += 10) {
            nap();
        }
        assert_true(pid == 0 || kill(pid, 0) != 0);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    memset(shared, 0, sizeof *shared);
    strcpy(fixture->directory, "/tmp/countersign-test-XXXXXX");
    if (mkdtemp(fixture->directory) == NULL || chmod(fixture->directory, 0755) != 0) {
        return -1;
    }
    snprintf(fixture->log, sizeof fixture->log, "%s/audit.json", fixture->directory);
    snprintf(fixture->configuration, sizeof fixture->configuration, "%s/proxy.yaml",
             fixture->directory);
    snprintf(fixture->control, sizeof fixture->control, "%s/control", fixture->directory);
    snprintf(fixture->errors, sizeof fixture->errors, "%s/errors", fixture->directory);
    fixture->port = free_port();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->supervisor > 0) {
        kill(fixture->supervisor, SIGKILL);
        waitpid(fixture->supervisor, NULL, 0);
    }
    unlink(fixture->log);
    unlink(fixture->configuration);
    unlink(fixture->control);
    unlink(fixture->errors);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

/* The tests. */

static void test_starts_in_order_and_introduces_everybody(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_whole(fixture);
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(shared->child[i].starts, 1);
    }
    await(&shared->child[RECORDER].events[EVENT_LISTENER_UP], 1);
    assert_true(has_said(fixture, "listening on 127.0.0.1:"));
    assert_true(has_said(fixture, " for upstream nas\n"));
    assert_int_equal(shared->child[WORKER_0].accepts, 1);
    assert_int_equal(shared->child[WORKER_1].accepts, 1);
    stop(fixture);
    assert_all_gone();
}

/* Nothing that was inherited tells the Kerberos libraries where keys and caches are. */
static void test_keeper_has_its_own_environment(void **state)
{
    struct fixture *fixture = *state;

    (void)setenv("KRB5_KTNAME", "/nowhere/other.keytab", 1);
    (void)setenv("KRB5CCNAME", "/nowhere/ccache", 1);
    (void)setenv("KRB5_CONFIG", "/nowhere/other.conf", 1);
    start(fixture);
    await_text(fixture, "countersign: ready\n");
    assert_int_equal(shared->child[KEEPER].variables, 3);
    stop(fixture);
    (void)unsetenv("KRB5_KTNAME");
    (void)unsetenv("KRB5CCNAME");
    (void)unsetenv("KRB5_CONFIG");
}

static void test_children_hold_only_what_is_theirs(void **state)
{
    struct fixture *fixture = *state;
    struct stat log;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    /* Three standard ones and the control channel; the log; the listening socket. */
    assert_int_equal(shared->child[KEEPER].open_descriptors, 4);
    assert_int_equal(shared->child[RECORDER].open_descriptors, 5);
    assert_int_equal(shared->child[WORKER_0].open_descriptors, 5);
    if (geteuid() == 0) {
        assert_int_equal(shared->child[KEEPER].uid, UID_KEEPER);
        assert_int_equal(shared->child[RECORDER].uid, UID_RECORDER);
        assert_int_equal(shared->child[WORKER_0].uid, UID_WORKER);
        assert_int_equal(shared->child[WORKER_1].uid, UID_WORKER);
        assert_int_equal(stat(fixture->log, &log), 0);
        assert_int_equal(log.st_uid, UID_RECORDER);
        assert_int_equal(log.st_mode & 07777, 0640);
    }
    stop(fixture);
}

static void test_stops_workers_then_keeper_then_recorder(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    assert_int_equal(kill(fixture->supervisor, SIGINT), 0);
    assert_int_equal(end_status(fixture), 0);
    assert_false(has_said(fixture, "while stopping"));
    assert_int_equal(shared->stops, CHILDREN);
    assert_int_equal(shared->child[KEEPER].stopped, CHILDREN - 1);
    assert_int_equal(shared->child[RECORDER].stopped, CHILDREN);
}

static void kill_and_await(int id, struct fixture *fixture)
{
    int before = shared->child[id].pid;

    assert_int_equal(kill(before, SIGKILL), 0);
    await(&shared->child[id].starts, 2);
    assert_int_not_equal(shared->child[id].pid, before);
    for (int i = 0; i < CHILDREN; i++) {
        if (i != id) {
            await(&shared->child[i].greeted_by[id], 2);
            await(&shared->child[id].greeted_by[i], 2);
        }
    }
    await(&shared->child[RECORDER].events[EVENT_PROCESS_ENDED], 1);
    assert_true(has_said(fixture, "ended by signal 9"));
    assert_true(has_said(fixture, "started again in 100 ms"));
    stop(fixture);
}

static void test_restarts_a_worker(void **state)
{
    start(*state);
    await_whole(*state);
    kill_and_await(WORKER_1, *state);
}

static void test_restarts_the_keeper(void **state)
{
    start(*state);
    await_whole(*state);
    kill_and_await(KEEPER, *state);
}

/* Tickets that one keeper has accepted are known to the next, and to no other process. */
static void test_keepers_share_replays(void **state)
{
    start(*state);
    await_whole(*state);
    assert_non_null(shared->replays);
    assert_int_equal(shared->child[KEEPER].replays_found, 0);
    kill_and_await(KEEPER, *state);
    assert_int_equal(shared->child[KEEPER].replays_found, 1);
    for (int i = 0; i < CHILDREN; i++)
        assert_false(shared->child[i].replays_seen);
}

static void test_recorder_has_no_replays(void **state)
{
    start(*state);
    await_whole(*state);
    kill_and_await(RECORDER, *state);
    assert_false(shared->child[RECORDER].replays_seen);
}

static void test_restarts_the_recorder_and_tells_it(void **state)
{
    start(*state);
    await_whole(*state);
    kill_and_await(RECORDER, *state);
}

static void test_waits_longer_each_time(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    for (int i = 1; i <= 3; i++) {
        await(&shared->child[WORKER_0].starts, i);
        assert_int_equal(kill(shared->child[WORKER_0].pid, SIGKILL), 0);
    }
    await_text(fixture, "started again in 400 ms");
    assert_true(has_said(fixture, "started again in 200 ms"));
    await(&shared->child[WORKER_0].starts, 4);
    stop(fixture);
}

static void test_passes_signals_on(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
    await(&shared->child[KEEPER].reloads, 1);
    await(&shared->child[RECORDER].reloads, 1);
    assert_int_equal(kill(fixture->supervisor, SIGUSR1), 0);
    await(&shared->child[RECORDER].counters, 1);
    await(&shared->child[WORKER_0].reloads, 1);
    stop(fixture);
}

/* The log is opened again all the same, and nobody else hears of it. */
static void test_refuses_what_takes_a_restart(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    write_configuration(fixture, 17);
    assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
    await_text(fixture, "`limits.connections` has changed, which takes a restart");
    await(&shared->child[RECORDER].reloads, 1);
    await(&shared->child[RECORDER].events[EVENT_RELOAD_REFUSED], 1);
    assert_int_equal(shared->child[KEEPER].prepared, 0);
    stop(fixture);
}

/* One that cannot: all forget it, and the next attempt works. */
static void test_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    shared->child[WORKER_0].unprepared = 1;
    assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
    await_text(fixture, "everything stays as it was: not this one???[2J\n");
    await(&shared->child[KEEPER].aborts, 1);
    await(&shared->child[WORKER_0].aborts, 1);
    assert_int_equal(shared->child[KEEPER].reloads, 0);
    shared->child[WORKER_0].unprepared = 0;
    assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
    await(&shared->child[KEEPER].reloads, 1);
    await(&shared->child[WORKER_0].reloads, 1);
    stop(fixture);
}

/* Workers that do not say that they have changed: those in their place have. */
static void test_kills_workers_that_do_not_change(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_whole(fixture);
    shared->child[WORKER_0].deafness = SAYS_NOTHING;
    shared->child[WORKER_1].deafness = HANGS_UP;
    assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
    await(&shared->child[WORKER_0].starts, 2);
    await(&shared->child[WORKER_1].starts, 2);
    assert_true(has_said(fixture, "the worker 0 does not answer; killed"));
    assert_true(has_said(fixture, "the worker 1 does not answer; killed"));
    assert_true(has_said(fixture, "countersign: reloaded\n"));
    await(&shared->child[RECORDER].events[EVENT_PROCESS_ENDED], 2);
    shared->child[WORKER_0].deafness = shared->child[WORKER_1].deafness = HEARS;
    for (int waited = 0; shared->child[WORKER_1].reloads < 2 && waited < WAIT_MS; waited += 10) {
        assert_int_equal(kill(fixture->supervisor, SIGHUP), 0);
        nap();
    }
    await(&shared->child[WORKER_0].reloads, 2);
    await(&shared->child[WORKER_1].reloads, 2);
    stop(fixture);
}

static void test_says_why_it_does_not_start(void **state)
{
    struct fixture *fixture = *state;

    shared->keeper = FAIL;
    start(fixture);
    assert_int_equal(end_status(fixture), 1);
    assert_true(has_said(fixture, "keeper (pid "));
    assert_true(has_said(fixture, "ended with status 1 before everything was ready"));
    assert_int_equal(shared->child[WORKER_0].starts, 0);
    assert_all_gone();
}

static void test_gives_up_on_a_child_that_is_never_ready(void **state)
{
    struct fixture *fixture = *state;

    shared->worker = NEVER_READY;
    start(fixture);
    assert_int_equal(end_status(fixture), 1);
    assert_true(has_said(fixture, "worker 1 is not ready after 10 seconds"));
    assert_false(has_said(fixture, "countersign: ready\n"));
    assert_all_gone();
}

static void test_kills_a_child_that_does_not_stop(void **state)
{
    struct fixture *fixture = *state;

    shared->worker = IGNORE_STOP;
    start(fixture);
    await_text(fixture, "countersign: ready\n");
    stop(fixture);
    assert_true(has_said(fixture, "the worker 0 does not stop; killed"));
    assert_all_gone();
}

static void test_kills_a_child_that_talks_nonsense(void **state)
{
    struct fixture *fixture = *state;

    shared->worker = TALK_NONSENSE;
    start(fixture);
    assert_int_equal(end_status(fixture), 1);
    assert_true(has_said(fixture, "sent a malformed message; killed"));
    assert_all_gone();
}

static void test_children_do_not_outlive_it(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    assert_int_equal(kill(fixture->supervisor, SIGKILL), 0);
    assert_int_equal(waitpid(fixture->supervisor, NULL, 0), fixture->supervisor);
    fixture->supervisor = 0;
    assert_all_gone();
}

static void test_refuses_a_port_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct fixture second = *fixture;
    char wanted[128];

    start(fixture);
    await_text(fixture, "countersign: ready\n");
    snprintf(second.errors, sizeof second.errors, "%s/second", fixture->directory);
    start(&second);
    assert_int_equal(end_status(&second), 1);
    snprintf(wanted, sizeof wanted,
             "listener front: cannot listen on 127.0.0.1:%u: Address already in use",
             fixture->port);
    assert_true(has_said(&second, wanted));
    unlink(second.errors);
    stop(fixture);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_starts_in_order_and_introduces_everybody),
        TEST(test_keeper_has_its_own_environment),
        TEST(test_children_hold_only_what_is_theirs),
        TEST(test_stops_workers_then_keeper_then_recorder),
        TEST(test_restarts_a_worker),
        TEST(test_restarts_the_keeper),
        TEST(test_keepers_share_replays),
        TEST(test_recorder_has_no_replays),
        TEST(test_restarts_the_recorder_and_tells_it),
        TEST(test_waits_longer_each_time),
        TEST(test_passes_signals_on),
        TEST(test_refuses_what_takes_a_restart),
        TEST(test_all_or_nothing),
        TEST(test_kills_workers_that_do_not_change),
        TEST(test_says_why_it_does_not_start),
        TEST(test_gives_up_on_a_child_that_is_never_ready),
        TEST(test_kills_a_child_that_does_not_stop),
        TEST(test_kills_a_child_that_talks_nonsense),
        TEST(test_children_do_not_outlive_it),
        TEST(test_refuses_a_port_in_use),
    };
    umask(022);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
