/* The connection to the file server: how long it may be silent. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tests/unit/link_fixture.h"

enum { TWO_MINUTES = 120, DEADLINE_MS = 10000 };

static int listen_somewhere(struct upstream_address *at)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 1), 0);
    at->size = sizeof at->address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&at->address, &at->size), 0);
    return fd;
}

static int option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &size), 0);
    return value;
}

/* Whether it is asked for something or not, a file server that is gone is noticed in two minutes.
 */
static void test_file_server_that_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    struct upstream_address address;
    int listening = listen_somewhere(&address);
    fixture->generation.upstreams = &address;
    fixture->upstream.connections = 1;
    fixture->upstream.connect_timeout = DEADLINE_MS;
    fixture->upstream.max_dialect = CONFIG_SMB_2_1;
    stream_close(&link->server.stream);
    link_dial(link);
    while (link->state == LINK_DIALLING)
        assert_true(event_base_loop(fixture->worker.base, EVLOOP_ONCE) >= 0);
    assert_int_equal(link->state, LINK_UPSTREAM_NEGOTIATING);
    int fd = link->server.stream.fd;
    assert_int_equal(option(fd, TCP_USER_TIMEOUT), 1000 * TWO_MINUTES);
    assert_int_equal(option(fd, TCP_KEEPIDLE) + option(fd, TCP_KEEPINTVL) * option(fd, TCP_KEEPCNT),
                     TWO_MINUTES);
    close(listening);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_server_that_is_gone, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
