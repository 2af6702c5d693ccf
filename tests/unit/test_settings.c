/*
 * From the configuration to what the processes start with: the keeper's settings, the addresses of
 * the upstreams, the listening sockets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/listen_socket.h"
#include "proxy/resolve.h"
#include "proxy/settings.h"

static const char two_of_each[] =
    "listeners:\n"
    "  - {name: lan, address: 127.0.0.1, port: 44511, upstream: nas,\n"
    "     names: [files.example.com], mic: required}\n"
    "  - {name: all, address: '::', port: 44512, upstream: old,\n"
    "     target_name: required}\n"
    "upstreams:\n"
    "  - {name: nas, address: 127.0.0.2, port: 4451,\n"
    "     server_name: nas.example.com, login: [mapped, same]}\n"
    "  - {name: old, address: '::1', port: 4452, login: [same]}\n"
    "credentials: /etc/countersign/credentials\n"
    "audit: {file: /tmp/audit.json}\n"
    "netbios_name: PROXY\n"
    "dns_name: proxy.example.com\n";

static struct config *parse(const char *text)
{
    struct config_error error;
    struct config *config = config_parse(text, strlen(text), &error);
    if (config == NULL) {
        fail_msg("line %u: %s", error.line, error.text);
    }
    return config;
}

static bool is_name(const struct accept_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->names_count; i++) {
        if (strcmp(policy->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void test_keeper_settings(void **state)
{
    struct config *config = parse(two_of_each);
    struct keeper_settings *settings = settings_for_keeper(config);

    (void)state;
    assert_non_null(settings);
    assert_int_equal(settings->listeners_count, 2);
    assert_int_equal(settings->upstreams_count, 2);
    assert_true(settings->threads >= 1);
    assert_string_equal(settings->credentials, "/etc/countersign/credentials");
    assert_int_equal(settings->listeners[0].accept.mic, MIC_REQUIRED);
    assert_int_equal(settings->listeners[1].accept.mic, MIC_ANNOUNCED);
    assert_int_equal(settings->listeners[0].accept.target_name, TARGET_NAME_IF_PRESENT);
    assert_int_equal(settings->listeners[1].accept.target_name, TARGET_NAME_REQUIRED);
    assert_int_equal(settings->upstreams[0].logins_count, 2);
    assert_int_equal(settings->upstreams[0].logins[0], LOGIN_MAPPED);
    assert_int_equal(settings->upstreams[0].logins[1], LOGIN_SAME);
    assert_string_equal(settings->upstreams[0].target, "cifs/nas.example.com");
    assert_string_equal(settings->upstreams[1].target, "cifs/::1");
    settings_free(settings);
    config_free(config);
}

static void test_kerberos_settings(void **state)
{
    static const char text[] =
        "listeners:\n"
        "  - {name: both, address: 127.0.0.1, upstream: nas, services: [cifs/files]}\n"
        "  - {name: tickets, address: 127.0.0.2, upstream: nas, mechanisms: [kerberos],\n"
        "     keytab: /other}\n"
        "  - {name: old, address: 127.0.0.3, upstream: nas, keytab: ~}\n"
        "upstreams:\n"
        "  - {name: nas, address: 127.0.0.4, login: [ticket, delegate, transition, same, mapped],\n"
        "     service: cifs/files@EXAMPLE.COM}\n"
        "credentials: /c\n"
        "kerberos: {keytab: /k, rc4: allow}\n"
        "winbind: true\n";
    static const enum login_kind order[] = {LOGIN_TICKET, LOGIN_DELEGATE, LOGIN_TRANSITION,
                                            LOGIN_SAME, LOGIN_MAPPED};
    struct config *config = parse(text);
    struct keeper_settings *settings = settings_for_keeper(config);
    (void)state;
    assert_non_null(settings);
    const struct accept_policy *both = &settings->listeners[0].accept;
    assert_string_equal(both->keytab, "/k");
    assert_false(both->refuse_ntlm);
    assert_true(both->allow_rc4);
    assert_int_equal(both->services_count, 1);
    assert_string_equal(both->services[0], "cifs/files");
    assert_string_equal(settings->listeners[1].accept.keytab, "/other");
    assert_true(settings->listeners[1].accept.refuse_ntlm);
    assert_null(settings->listeners[2].accept.keytab);
    assert_false(settings->listeners[2].accept.refuse_ntlm);
    assert_int_equal(settings->upstreams[0].logins_count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(settings->upstreams[0].logins[i], order[i]);
    assert_string_equal(settings->upstreams[0].service, "cifs/files@EXAMPLE.COM");
    assert_string_equal(settings->upstreams[0].keytab, "/k");
    assert_true(settings->winbind);
    assert_true(settings->remote_threads >= 1);
    settings_free(settings);
    config_free(config);
}

/* Where rules name what only a PAC tells, tickets without one are refused. */
static void test_rules_that_need_a_pac(void **state)
{
    static const struct {
        const char *who;
        bool needed;
    } cases[] = {
        {"alice", false},          {"alice@EXAMPLE.COM", false},    {"'@staff'", false},
        {"'@S.staff'", false},     {"'EXAMPLE.COM\\alice'", false}, {"'CORP\\a.smith'", true},
        {"'@CORP\\clerks'", true}, {"'@S-1-5-21-1-2-3-512'", true}, {"'@s-1-5-32-544'", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[sizeof two_of_each + 128];
        (void)snprintf(text, sizeof text, "%srules: [{name: r, who: [bob, %s], then: refuse}]\n",
                       two_of_each, cases[i].who);
        struct config *config = parse(text);
        struct keeper_settings *settings = settings_for_keeper(config);
        assert_non_null(settings);
        assert_int_equal(settings->listeners[1].accept.pac_required, cases[i].needed);
        settings_free(settings);
        config_free(config);
    }
}

/* A login meant for the file server itself was relayed: its name is not one of ours. */
static void test_names_of_a_listener(void **state)
{
    struct config *config = parse(two_of_each);
    struct keeper_settings *settings = settings_for_keeper(config);
    const struct accept_policy *lan = &settings->listeners[0].accept;
    const struct accept_policy *all = &settings->listeners[1].accept;

    (void)state;
    assert_true(is_name(lan, "files.example.com"));
    assert_true(is_name(lan, "127.0.0.1"));
    assert_true(is_name(lan, "PROXY"));
    assert_true(is_name(lan, "proxy.example.com"));
    assert_int_equal(lan->names_count, 4);
    assert_false(is_name(all, "files.example.com"));
    assert_false(is_name(all, "::"));
    assert_int_equal(all->names_count, 2);
    assert_false(is_name(lan, "nas.example.com") || is_name(all, "nas.example.com"));
    settings_free(settings);
    config_free(config);
    settings_free(NULL);
}

static void test_addresses_of_upstreams(void **state)
{
    struct config *config = parse(two_of_each);
    char error[512];
    struct upstream_address *addresses = resolve_upstreams(config, error, sizeof error);
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    (void)state;
    assert_non_null(addresses);
    assert_int_equal(addresses[0].size, sizeof four);
    memcpy(&four, &addresses[0].address, sizeof four);
    assert_int_equal(four.sin_family, AF_INET);
    assert_int_equal(ntohs(four.sin_port), 4451);
    assert_int_equal(ntohl(four.sin_addr.s_addr), 0x7f000002);
    assert_int_equal(addresses[1].size, sizeof six);
    memcpy(&six, &addresses[1].address, sizeof six);
    assert_int_equal(six.sin6_family, AF_INET6);
    assert_int_equal(ntohs(six.sin6_port), 4452);
    free(addresses);
    config_free(config);
}

static void test_upstream_that_is_nowhere(void **state)
{
    struct config *config = parse(two_of_each);
    char error[512] = "";

    (void)state;
    free(config->upstreams[1].address);
    config->upstreams[1].address = strdup("no-such-host.invalid");
    assert_null(resolve_upstreams(config, error, sizeof error));
    assert_non_null(strstr(error, "upstream old"));
    assert_non_null(strstr(error, "no-such-host.invalid"));
    config_free(config);
}

static void test_listening_sockets(void **state)
{
    struct config *config = parse(two_of_each);
    struct listen_sockets sockets;
    struct listen_error error;

    (void)state;
    assert_true(listen_sockets_open(config, 3, &sockets, &error));
    for (unsigned worker = 0; worker < 3; worker++) {
        const int *own = listen_sockets_of(&sockets, worker);
        for (unsigned i = 0; i < 2; i++) {
            int on = 0;
            socklen_t size = sizeof on;
            assert_int_equal(getsockopt(own[i], SOL_SOCKET, SO_ACCEPTCONN, &on, &size), 0);
            assert_int_equal(on, 1);
        }
        /* An IPv6 listener takes no IPv4: that would be another listener's. */
        int only = 0;
        socklen_t size = sizeof only;
        assert_int_equal(getsockopt(own[1], IPPROTO_IPV6, IPV6_V6ONLY, &only, &size), 0);
        assert_int_equal(only, 1);
    }
    listen_sockets_close(&sockets);
    assert_true(listen_sockets_open(config, 1, &sockets, &error));
    listen_sockets_close(&sockets);
    config_free(config);
}

static void test_listener_that_cannot_be(void **state)
{
    struct config *config = parse(two_of_each);
    struct listen_sockets sockets;
    struct listen_error error;

    (void)state;
    free(config->listeners[1].address);
    config->listeners[1].address = strdup("192.0.2.1"); /* documentation; nobody's */
    assert_false(listen_sockets_open(config, 2, &sockets, &error));
    assert_string_equal(error.text, "listener all: cannot listen on 192.0.2.1:44512: Cannot assign "
                                    "requested address; this host has no such address: `ip "
                                    "address` lists them");
    assert_null(sockets.fds);
    config_free(config);
}

static void test_names_of_addresses(void **state)
{
    struct config *config = parse(two_of_each);
    char name[64];

    (void)state;
    listen_name(&config->listeners[0], name, sizeof name);
    assert_string_equal(name, "127.0.0.1:44511");
    listen_name(&config->listeners[1], name, sizeof name);
    assert_string_equal(name, "[::]:44512");
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper_settings),
        cmocka_unit_test(test_kerberos_settings),
        cmocka_unit_test(test_rules_that_need_a_pac),
        cmocka_unit_test(test_names_of_a_listener),
        cmocka_unit_test(test_addresses_of_upstreams),
        cmocka_unit_test(test_upstream_that_is_nowhere),
        cmocka_unit_test(test_listening_sockets),
        cmocka_unit_test(test_listener_that_cannot_be),
        cmocka_unit_test(test_names_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
