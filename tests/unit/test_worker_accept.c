/* Taking in connections when there are no descriptors left: those that wait are asked for now and
 * then, not in a circle, and taken when there is room again. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/unit/link_fixture.h"

enum { LIMIT = 100, WATCH_MS = 450, RESTS_MAX = WATCH_MS / 100 + 1, DEADLINE_MS = 10000 };

static unsigned accepts, refusals;
static int failure; /* what the whole system lacks, which no test can use up; 0: nothing */

/* In the place of the C library's: the same call, counted. */
int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    int accepted = failure ? -1 : (int)syscall(SYS_accept4, fd, address, size, flags);
    if (failure)
        errno = failure;
    accepts++;
    refusals += accepted < 0 && errno != EAGAIN;
    return accepted;
}

struct front {
    struct worker worker;
    struct worker_settings settings;
    struct config config;
    struct config_listener listener;
    struct config_upstream upstream;
    struct generation generation;
    struct upstream_address address;
    unsigned upstream_connections;
    int listen_fd;
    struct rlimit files; /* as they were */
};

static int front_open(void **state)
{
    static char name[] = "nas";
    struct front *front = calloc(1, sizeof *front);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_non_null(front);
    front->listener.name = front->listener.upstream = front->upstream.name = name;
    front->config = (struct config){.listeners = &front->listener,
                                    .listeners_count = 1,
                                    .upstreams = &front->upstream,
                                    .upstreams_count = 1};
    front->config.limits.connections = front->config.limits.connections_per_source = LIMIT;
    front->config.limits.login_timeout = DEADLINE_MS;
    front->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(front->listen_fd >= 0);
    assert_int_equal(
        bind(front->listen_fd, (const struct sockaddr *)(const void *)&any, sizeof any), 0);
    assert_int_equal(listen(front->listen_fd, LIMIT), 0);
    front->settings = (struct worker_settings){
        .config = &front->config, .count = 1, .listen_fds = &front->listen_fd};
    front->generation = (struct generation){.config = &front->config,
                                            .upstreams = &front->address,
                                            .upstream_connections = &front->upstream_connections,
                                            .listen_fds = &front->listen_fd};
    front->worker = (struct worker){.settings = &front->settings,
                                    .config = &front->config,
                                    .base = event_base_new(),
                                    .generation = &front->generation,
                                    .generations = &front->generation};
    assert_non_null(front->worker.base);
    table_init(&front->worker.sources);
    table_init(&front->worker.attempts);
    table_init(&front->worker.leases);
    table_init(&front->worker.queries);
    buffer_pool_init(&front->worker.buffers, 16 << 20);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &front->files), 0);
    assert_true(worker_listen(&front->worker));
    accepts = refusals = 0;
    failure = 0;
    *state = front;
    return 0;
}

static int front_close(void **state)
{
    struct front *front = *state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &front->files), 0);
    worker_stop_listening(&front->worker);
    while (front->worker.links) {
        link_end(front->worker.links, END_STOPPING);
        link_settle(front->worker.links);
    }
    table_free(&front->worker.sources);
    buffer_pool_free(&front->worker.buffers);
    event_base_free(front->worker.base);
    close(front->listen_fd);
    free(front);
    return 0;
}

static int connect_to(const struct front *front)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(front->listen_fd, (struct sockaddr *)(void *)&address, &size), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)&address, size), 0);
    return fd;
}

/* No descriptor more than those that are open. */
static void use_up_descriptors(const struct front *front)
{
    int next = dup(front->listen_fd);
    assert_true(next >= 0);
    close(next);
    struct rlimit files = {.rlim_cur = (rlim_t)next, .rlim_max = front->files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void run_for(const struct front *front, unsigned milliseconds)
{
    struct timeval wait = {milliseconds / 1000, (suseconds_t)(milliseconds % 1000) * 1000};
    assert_int_equal(event_base_loopexit(front->worker.base, &wait), 0);
    assert_int_equal(event_base_dispatch(front->worker.base), 0);
}

static void check_rests(struct front *front)
{
    run_for(front, WATCH_MS);
    assert_int_equal(front->worker.links_count, 0);
    assert_in_range(refusals, 1, RESTS_MAX);
    assert_int_equal(accepts, refusals);
}

static void check_goes_on(struct front *front)
{
    for (unsigned waited = 0; front->worker.links_count < 2 && waited < DEADLINE_MS; waited += 50)
        run_for(front, 50);
    assert_int_equal(front->worker.links_count, 2);
}

static void test_no_descriptors(void **state)
{
    struct front *front = *state;
    int first = connect_to(front), second = connect_to(front);
    use_up_descriptors(front);
    check_rests(front);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &front->files), 0);
    check_goes_on(front);
    close(first);
    close(second);
}

static void test_no_descriptors_in_the_system(void **state)
{
    static const int failures[] = {ENFILE, ENOBUFS, ENOMEM};
    struct front *front = *state;
    int first = connect_to(front), second = connect_to(front);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        failure = failures[i];
        accepts = refusals = 0;
        check_rests(front);
    }
    failure = 0;
    check_goes_on(front);
    close(first);
    close(second);
}

/* A limit of the configuration is no reason to rest: the client hears at once that there is no
 * room.
 */
static void test_no_room(void **state)
{
    struct front *front = *state;
    char byte;
    front->config.limits.connections = 1;
    int first = connect_to(front), second = connect_to(front);
    for (unsigned waited = 0; !front->worker.events_lost && waited < DEADLINE_MS; waited += 50)
        run_for(front, 50);
    assert_int_equal(front->worker.links_count, 1);
    assert_int_equal(recv(second, &byte, 1, 0), 0);
    assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(refusals, 0);
    close(first);
    close(second);
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

/* One that sleeps is not given up before the system's own time. */
static void test_silent_client(void **state)
{
    struct front *front = *state;
    int client = connect_to(front);
    for (unsigned waited = 0; !front->worker.links && waited < DEADLINE_MS; waited += 50)
        run_for(front, 50);
    assert_non_null(front->worker.links);
    int fd = front->worker.links->client.stream.fd;
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
                     option(client, IPPROTO_TCP, TCP_KEEPIDLE));
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, front_open, front_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_descriptors),
        TEST(test_no_descriptors_in_the_system),
        TEST(test_no_room),
        TEST(test_silent_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
