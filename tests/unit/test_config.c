/*
 * The configuration: what is read, what is filled in, and each thing that is refused, with its
 * line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

/* The least that is a configuration; lines 1 to 8. */
#define LISTENER                                                                                   \
    "listeners:\n"                                                                                 \
    "- name: lan\n"                                                                                \
    "  address: 0.0.0.0\n"                                                                         \
    "  upstream: nas\n"
#define UPSTREAM                                                                                   \
    "upstreams:\n"                                                                                 \
    "- name: nas\n"                                                                                \
    "  address: 192.0.2.10\n"
#define CREDENTIALS "credentials: /etc/countersign/credentials\n"
#define LEAST       LISTENER UPSTREAM CREDENTIALS

struct refused {
    const char *text;
    unsigned line;
    const char *told; /* begins with the option's path */
};

static struct config *parse(const char *text)
{
    struct config_error error = {0};
    struct config *config = config_parse(text, strlen(text), &error);
    if (!config)
        fail_msg("line %u: %s\nin:\n%s", error.line, error.text, text);
    return config;
}

static void assert_refused(const struct refused *refused, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config_error error = {.line = 9999};
        struct config *config = config_parse(refused[i].text, strlen(refused[i].text), &error);
        if (config)
            fail_msg("taken:\n%s", refused[i].text);
        if (error.line != refused[i].line || !strstr(error.text, refused[i].told))
            fail_msg("told line %u: %s\nnot line %u: %s\nin:\n%s", error.line, error.text,
                     refused[i].line, refused[i].told, refused[i].text);
    }
}

#define ASSERT_REFUSED(list) assert_refused(list, sizeof list / sizeof list[0])

static void test_defaults(void **state)
{
    struct config *config = parse(LEAST);
    (void)state;
    const struct config_listener *listener = &config->listeners[0];
    assert_int_equal(config->listeners_count, 1);
    assert_int_equal(listener->port, 445);
    assert_int_equal(listener->names_count, 0);
    assert_int_equal(listener->min_dialect, CONFIG_SMB_2_0_2);
    assert_int_equal(listener->max_dialect, CONFIG_SMB_3_1_1);
    assert_int_equal(listener->signing_count, 3);
    assert_int_equal(listener->signing[0], CONFIG_AES_GMAC);
    assert_int_equal(listener->signing[1], CONFIG_AES_CMAC);
    assert_int_equal(listener->signing[2], CONFIG_HMAC_SHA256);
    assert_int_equal(listener->multi_protocol, CONFIG_MULTI_PROTOCOL_ACCEPT);
    assert_int_equal(listener->mic, CONFIG_MIC_ANNOUNCED);
    assert_int_equal(listener->target_name, CONFIG_TARGET_NAME_IF_PRESENT);
    const struct config_upstream *upstream = config_upstream_of(config, listener);
    assert_ptr_equal(upstream, &config->upstreams[0]);
    assert_int_equal(upstream->port, 445);
    assert_string_equal(upstream->server_name, "192.0.2.10");
    assert_int_equal(upstream->login_count, 1);
    assert_int_equal(upstream->login[0], CONFIG_LOGIN_SAME);
    assert_int_equal(upstream->connect_timeout, 5000);
    assert_string_equal(config->audit.file, "/var/log/countersign/audit.json");
    assert_false(config->audit.syslog);
    assert_string_equal(config->users.keeper, "countersign-keeper");
    assert_int_equal(config->limits.connections, 4096);
    assert_int_equal(config->limits.connections_per_source, 512);
    assert_int_equal(config->limits.login_timeout, 60000);
    assert_int_equal(config->limits.sessions_per_connection, 256);
    assert_int_equal(config->limits.memory, 1024);
    assert_int_equal(config->workers, 0);
    assert_string_equal(config->netbios_domain, "WORKGROUP");
    config_free(config);
}

static void test_names_of_host(void **state)
{
    char host[256] = "";
    (void)state;
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    struct config *config = parse(LEAST);
    assert_string_equal(config->dns_name, host);
    assert_true(strlen(config->netbios_name) <= 15 && config->netbios_name[0]);
    assert_int_equal(strcspn(config->netbios_name, ".abcdefghijklmnopqrstuvwxyz"),
                     strlen(config->netbios_name));
    config_free(config);
    config = parse(LEAST "dns_name: files.example.com\n");
    assert_string_equal(config->dns_domain, "example.com");
    config_free(config);
    config = parse(LEAST "dns_name: files.example.com\ndns_domain: \"\"\n");
    assert_string_equal(config->dns_domain, "");
    config_free(config);
    config = parse(LEAST "dns_name: files\nnetbios_name: Files\n");
    assert_string_equal(config->dns_domain, "");
    assert_string_equal(config->netbios_name, "Files");
    config_free(config);
}

/* Each option, with another value than its default. */
static const char everything[] =
    "listeners:\n"
    "- {name: a, address: 192.0.2.1, port: 4450, upstream: two, names: [x, \"2001:db8::1\"],\n"
    "   min_dialect: 2.1, max_dialect: 3.0, signing: [hmac-sha256, aes-cmac],\n"
    "   multi_protocol: refuse, mic: required, target_name: required}\n"
    "- {name: b, address: \"::\", upstream: one, target_name: off, min_dialect: 3.0.2}\n"
    "upstreams:\n"
    "- {name: two, address: \"2001:db8::2\", port: 1445, server_name: NAS, login: [mapped, same],\n"
    "   min_dialect: 3.0, max_dialect: 3.0.2, signing: [aes-cmac], connect_timeout: 100}\n"
    "- {name: one, address: nas.example.com}\n"
    "credentials: /c\n"
    "audit: {file: ~, syslog: true}\n"
    "users: {worker: \"1001\", keeper: k, recorder: r}\n"
    "limits: {connections: 10, connections_per_source: 9, login_timeout: 1000,\n"
    "  sessions_per_connection: 1, memory: 16}\n"
    "workers: 3\n"
    "netbios_name: N\nnetbios_domain: D\ndns_name: n.d\ndns_domain: e\n";

static void test_every_option_listeners(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_listener *a = &config->listeners[0], *b = &config->listeners[1];
    assert_string_equal(a->name, "a");
    assert_string_equal(a->address, "192.0.2.1");
    assert_int_equal(a->port, 4450);
    assert_ptr_equal(config_upstream_of(config, a), &config->upstreams[0]);
    assert_int_equal(a->names_count, 2);
    assert_string_equal(a->names[1], "2001:db8::1");
    assert_int_equal(a->min_dialect, CONFIG_SMB_2_1);
    assert_int_equal(a->max_dialect, CONFIG_SMB_3_0);
    assert_int_equal(a->signing_count, 2);
    assert_int_equal(a->signing[0], CONFIG_HMAC_SHA256);
    assert_int_equal(a->signing[1], CONFIG_AES_CMAC);
    assert_int_equal(a->multi_protocol, CONFIG_MULTI_PROTOCOL_REFUSE);
    assert_int_equal(a->mic, CONFIG_MIC_REQUIRED);
    assert_int_equal(a->target_name, CONFIG_TARGET_NAME_REQUIRED);
    assert_ptr_equal(config_upstream_of(config, b), &config->upstreams[1]);
    assert_int_equal(b->target_name, CONFIG_TARGET_NAME_OFF);
    assert_int_equal(b->min_dialect, CONFIG_SMB_3_0_2);
    config_free(config);
}

static void test_every_option_else(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_upstream *two = &config->upstreams[0];
    assert_string_equal(config->upstreams[1].server_name, "nas.example.com");
    assert_string_equal(two->address, "2001:db8::2");
    assert_int_equal(two->port, 1445);
    assert_string_equal(two->server_name, "NAS");
    assert_int_equal(two->login_count, 2);
    assert_int_equal(two->login[0], CONFIG_LOGIN_MAPPED);
    assert_int_equal(two->login[1], CONFIG_LOGIN_SAME);
    assert_int_equal(two->min_dialect, CONFIG_SMB_3_0);
    assert_int_equal(two->max_dialect, CONFIG_SMB_3_0_2);
    assert_int_equal(two->signing_count, 1);
    assert_int_equal(two->connect_timeout, 100);
    assert_string_equal(config->credentials, "/c");
    assert_null(config->audit.file);
    assert_true(config->audit.syslog);
    assert_string_equal(config->users.worker, "1001");
    assert_string_equal(config->users.keeper, "k");
    assert_string_equal(config->users.recorder, "r");
    assert_int_equal(config->limits.connections, 10);
    assert_int_equal(config->limits.connections_per_source, 9);
    assert_int_equal(config->limits.login_timeout, 1000);
    assert_int_equal(config->limits.sessions_per_connection, 1);
    assert_int_equal(config->limits.memory, 16);
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->netbios_name, "N");
    assert_string_equal(config->netbios_domain, "D");
    assert_string_equal(config->dns_name, "n.d");
    assert_string_equal(config->dns_domain, "e");
    config_free(config);
}

static void test_per_source_never_above_connections(void **state)
{
    (void)state;
    struct config *config = parse(LEAST "limits: {connections: 100}\n");
    assert_int_equal(config->limits.connections_per_source, 100);
    config_free(config);
}

static void test_not_yaml(void **state)
{
    static const struct refused refused[] = {
        {"", 0, "is empty"},
        {"# nothing\n", 0, "is empty"},
        {"[1]\n", 1, "is not a list of options"},
        {"\n\njust text\n", 3, "is not a list of options"},
        {"a: [1,\n2\nb: 3\n", 3, "is not YAML"},
        {"listeners:\n\t- name: x\n", 2, "is not YAML"},
        {"listeners: \"open\n", 1, "is not YAML: while scanning a quoted scalar"},
        {"workers: 0\nlimits: {memory: 16\n# the end\n", 2, "is not YAML: while parsing a flow"},
        {"workers: 0\n{{{", 2, "is not YAML"},
        {"workers: 0\ndns_name: \xff\n", 2, "is not text"},
        {"workers: 0\ndns_name: a\001b\n", 2, "is not text"},
        {LEAST "---\nworkers: 1\n", 10, "a second YAML document"},
        {LEAST "---\n}\n", 10, "is not YAML"},
        {"workers: 0\nworkers: 0\n", 2, "\"workers\" is given twice, first in line 1"},
        {"workers: 0\nlimits:\n  memory: 16\n  memory: 17\n", 4, "\"memory\" is given twice"},
        {LEAST "dns_name: \"a\\0b\"\n", 9, "has a NUL character"},
        {LEAST "dns_name: &x a\nnetbios_name: *x\n", 10, "netbios_name: aliases"},
        {"a: *nowhere\n", 1, "is not YAML"},
        {LEAST "? [a]\n: 3\n", 9, "cannot name an option"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_unknown_option(void **state)
{
    static const struct refused refused[] = {
        {LEAST "worker: 3\n", 9,
         "\"worker\" is no option; there are: listeners, upstreams, credentials, audit"},
        {LISTENER "  adress: 1.2.3.4\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0]: \"adress\" is no option; there are: name, address, port"},
        {LISTENER UPSTREAM "  quirks: []\n" CREDENTIALS, 8,
         "upstreams[0]: \"quirks\" is no option"},
        {LEAST "audit:\n  syslog: true\n  path: /x\n", 11, "audit: \"path\" is no option"},
        {LEAST "users: {root: x}\n", 9, "users: \"root\" is no option"},
        {LEAST "limits:\n\n  Memory: 16\n", 11, "limits: \"Memory\" is no option"},
        {LEAST "\"a.b[0]\": 16\n", 9, "\"a.b[0]\" is no option"},
        {LEAST "? \"a\x07\"\n: 1\n" /* a bell */, 9, "is not text"},
        {LEAST "\"a\\nb\": 16\n", 9, "\"a?b\" is no option"},
        {LEAST "<<: {workers: 1}\n", 9, "\"<<\" is no option"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_wrong_type(void **state)
{
    static const struct refused refused[] = {
        {"listeners: 5\n", 1, "listeners: must be a list"},
        {"listeners:\n", 1,
         "listeners: must be a list, like [first, second] or lines that begin "
         "with \"- \", not empty"},
        {"listeners:\n- 5\n", 2, "listeners[0]: must be options of its own"},
        {LEAST "audit: /var/log/x\n", 9, "audit: must be options of its own"},
        {LEAST "audit: [x]\n", 9,
         "audit: must be options of its own, like \"name: value\", not a list"},
        {LEAST "workers: {x: 1}\n", 9,
         "workers: must be a whole number from 0 to 256, not options of its own"},
        {LEAST "workers: two\n", 9, "workers: must be a whole number from 0 to 256, not \"two\""},
        {LEAST "workers:\n", 9, "workers: must be a whole number from 0 to 256, not empty"},
        {LEAST "credentials2: x\n", 9, "no option"},
        {LEAST "dns_name: [a]\n", 9, "dns_name: must be one text, not a list"},
        {LISTENER "  names: files\n" UPSTREAM CREDENTIALS, 5, "listeners[0].names: must be a list"},
        {LISTENER "  names:\n  - a\n  - [b]\n" UPSTREAM CREDENTIALS, 7,
         "listeners[0].names[1]: must be one text"},
        {LISTENER "  mic: off\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].mic: must be one of announced, required, not \"off\""},
        {LISTENER "  mic: 1\n" UPSTREAM CREDENTIALS, 5, "listeners[0].mic: must be one of"},
        {LISTENER "  target_name: on\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].target_name: must be one of off, if-present, required"},
        {LISTENER "  multi_protocol: yes\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].multi_protocol: must be one of accept, refuse"},
        {LISTENER "  min_dialect: 3.1\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].min_dialect: must be one of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1, not \"3.1\""},
        {LISTENER "  max_dialect: 2\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].max_dialect: must be"},
        {LISTENER "  signing: [aes-cmac,\n    none]\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].signing[1]: must be one of aes-gmac, aes-cmac, hmac-sha256, not \"none\""},
        {LISTENER UPSTREAM "  login:\n  - same\n  - guest\n" CREDENTIALS, 10,
         "upstreams[0].login[1]: must be one of same, mapped, not \"guest\""},
        {LEAST "audit: {syslog: maybe}\n", 9,
         "audit.syslog: must be one of true, false, not \"maybe\""},
        {LEAST "audit: {syslog: 1}\n", 9, "audit.syslog: must be one of true, false"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_out_of_range(void **state)
{
    static const struct refused refused[] = {
        {LISTENER "  port: 0\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].port: must be a whole number from 1 to 65535, not \"0\""},
        {LISTENER "  port: 65536\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port: must be a whole"},
        {LISTENER "  port: -1\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port: must be a whole"},
        {LISTENER "  port: -18446744073709551171\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port:"},
        {LISTENER "  port: 0445\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port: must be a whole"},
        {LISTENER "  port: 0x1bd\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port: must be a whole"},
        {LISTENER "  port: 445.0\n" UPSTREAM CREDENTIALS, 5, "listeners[0].port: must be a whole"},
        {LISTENER UPSTREAM "  port: 0\n" CREDENTIALS, 8, "upstreams[0].port: must be a whole"},
        {LISTENER UPSTREAM "  connect_timeout: 99\n" CREDENTIALS, 8,
         "upstreams[0].connect_timeout: must be a whole number from 100 to 600000"},
        {LISTENER UPSTREAM "  connect_timeout: 600001\n" CREDENTIALS, 8, "connect_timeout: must"},
        {LEAST "limits: {connections: 0}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits: {connections: 1000001}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits: {connections: 4294967297}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits:\n  connections_per_source: 0\n", 10, "limits.connections_per_source: must"},
        {LEAST "limits: {login_timeout: 999}\n", 9, "limits.login_timeout: must be a whole"},
        {LEAST "limits: {sessions_per_connection: 0}\n", 9, "limits.sessions_per_connection: must"},
        {LEAST "limits: {memory: 15}\n", 9, "limits.memory: must be a whole number from 16 to"},
        {LEAST "workers: 257\n", 9, "workers: must be a whole number from 0 to 256"},
        {LEAST "workers: +1\n", 9, "workers: must be a whole number from 0 to 256"},
        {LEAST "workers: 99999999999999999999999\n", 9, "workers: must be a whole number"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_missing(void **state)
{
    static const struct refused refused[] = {
        {CREDENTIALS, 0, "upstreams: is missing; at least one is needed"},
        {UPSTREAM CREDENTIALS, 0, "listeners: is missing; at least one is needed"},
        {UPSTREAM CREDENTIALS "listeners: []\n", 5, "listeners: is empty"},
        {LISTENER CREDENTIALS "upstreams: []\n", 6, "upstreams: is empty"},
        {"listeners:\n- address: 0.0.0.0\n  upstream: nas\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].name: is missing; add it, like \"name: lan\""},
        {"listeners:\n- name: a\n  upstream: nas\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].address: is missing"},
        {"listeners:\n- name: a\n  address: 0.0.0.0\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].upstream: is missing"},
        {"listeners:\n- {}\n" UPSTREAM CREDENTIALS, 2, "listeners[0].name: is missing"},
        {LISTENER "upstreams:\n- address: 192.0.2.1\n" CREDENTIALS, 6,
         "upstreams[0].name: is missing"},
        {LISTENER "upstreams:\n- name: nas\n" CREDENTIALS, 6, "upstreams[0].address: is missing"},
        {"listeners:\n- name:\n  address: 0.0.0.0\n  upstream: nas\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].name: is empty"},
        {"listeners:\n- name: a\n  address: \"\"\n  upstream: nas\n" UPSTREAM CREDENTIALS, 3,
         "listeners[0].address: is empty"},
        {LISTENER UPSTREAM "  server_name: \"\"\n" CREDENTIALS, 8,
         "upstreams[0].server_name: is empty"},
        {LEAST "users: {keeper: }\n", 9, "users.keeper: is empty"},
        {LEAST "netbios_name: \"\"\n", 9, "netbios_name: is empty"},
        {LEAST "netbios_domain: ~\n", 9, "netbios_domain: is empty"},
        {LEAST "dns_name: null\n", 9, "dns_name: is empty"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_texts(void **state)
{
    static const struct refused refused[] = {
        {"listeners:\n- {name: a b, address: 0.0.0.0, upstream: nas}\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].name: \"a b\" has spaces or unprintable characters"},
        {"listeners:\n- name: \"a\\x1bb\"\n  address: 0.0.0.0\n  upstream: nas\n" UPSTREAM
             CREDENTIALS,
         2, "listeners[0].name: \"a?b\" has spaces or unprintable"},
        {"listeners:\n- name: \"a\\u202eb\"\n  address: 0.0.0.0\n  upstream: nas\n" UPSTREAM
             CREDENTIALS,
         2, "listeners[0].name: "},
        {LISTENER "  names: [a, \"\"]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].names[1]: is empty"},
        {LISTENER "  names:\n  - a\n  - \"b\\tc\"\n" UPSTREAM CREDENTIALS, 7,
         "listeners[0].names[1]: \"b?c\" has spaces"},
        {LISTENER "  names: [cifs/files]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].names[0]: \"cifs/files\" must not contain \"/\""},
        {LISTENER UPSTREAM "  server_name: \\\\nas\n" CREDENTIALS, 8, "must not contain \"\\\""},
        {LEAST "netbios_name: SIXTEEN-LETTERS-\n", 9,
         "netbios_name: \"SIXTEEN-LETTERS-\" has 16 bytes; at most 15"},
        {LEAST "netbios_domain: A*B\n", 9, "netbios_domain: \"A*B\" must not contain \"*\""},
        {LEAST "dns_name: a/b\n", 9, "dns_name: \"a/b\" must not contain"},
        {LEAST "dns_domain: \"a b\"\n", 9, "dns_domain: \"a b\" has spaces"},
        {LISTENER UPSTREAM "credentials: credentials\n", 8,
         "credentials: \"credentials\" is not an absolute path"},
        {LISTENER UPSTREAM "credentials: /etc/countersign/\n", 8,
         "credentials: \"/etc/countersign/\""},
        {LISTENER UPSTREAM "credentials: \"/etc/a\\nb\"\n", 8,
         "credentials: \"/etc/a?b\" has unprint"},
        {LEAST "audit:\n  file: ./audit.json\n", 10,
         "audit.file: \"./audit.json\" is not an absolute"},
        {LEAST "users: {worker: \"0\"}\n", 9, "users.worker: is root"},
        {LEAST "users: {recorder: root}\n", 9, "users.recorder: is root"},
        {LEAST "users: {worker: \"4294967296\"}\n", 9, "users.worker: \"4294967296\" is no uid"},
        {LEAST "users: {worker: \"007\"}\n", 9, "users.worker: \"007\" is no uid"},
        {LEAST "users: {worker: \"a:b\"}\n", 9, "users.worker: \"a:b\" must not contain \":\""},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_addresses(void **state)
{
    static const struct refused refused[] = {
        {"listeners:\n- {name: a, address: localhost, upstream: nas}\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].address: \"localhost\" is not a numeric address"},
        {"listeners:\n- {name: a, address: 127.1, upstream: nas}\n" UPSTREAM CREDENTIALS, 2,
         "listeners[0].address: \"127.1\" is not a numeric address"},
        {LISTENER "upstreams:\n- name: nas\n  address: a/b\n" CREDENTIALS, 7,
         "upstreams[0].address: \"a/b\" is neither"},
        {LISTENER "- name: dmz\n  address: 0.0.0.0\n  upstream: nas\n" UPSTREAM CREDENTIALS, 6,
         "listeners[1].address: \"0.0.0.0\" port 445 is where listeners[0] listens"},
        {"listeners:\n- {name: a, address: \"::1\", upstream: nas}\n"
         "- {name: b, address: \"0:0:0::1\", port: 445, upstream: nas}\n" UPSTREAM CREDENTIALS,
         3, "listeners[1].address: \"0:0:0::1\" port 445 is where listeners[0] listens"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
    config_free(parse(LISTENER "- name: b\n  address: 0.0.0.0\n  port: 446\n"
                               "  upstream: nas\n" UPSTREAM CREDENTIALS));
}

static void test_contradictions(void **state)
{
    static const struct refused refused[] = {
        {LISTENER "  max_dialect: 2.1\n  min_dialect: 3.0\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].min_dialect: 3.0 is above max_dialect 2.1"},
        {LISTENER UPSTREAM "  min_dialect: 3.1.1\n  max_dialect: 3.0.2\n" CREDENTIALS, 8,
         "upstreams[0].min_dialect: 3.1.1 is above max_dialect 3.0.2"},
        {"listeners:\n- name: lan\n  address: 0.0.0.0\n  upstream: nsa\n" UPSTREAM CREDENTIALS, 4,
         "listeners[0].upstream: there is no upstream named \"nsa\""},
        {LISTENER "- name: lan\n  address: 127.0.0.1\n  upstream: nas\n" UPSTREAM CREDENTIALS, 5,
         "listeners[1].name: \"lan\" is the name of listeners[0] too"},
        {LISTENER UPSTREAM "- name: nas\n  address: 192.0.2.11\n" CREDENTIALS, 8,
         "upstreams[1].name: \"nas\" is the name of upstreams[0] too"},
        {LISTENER "  names: [a, b,\n   A]\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].names[2]: \"A\" is in the list already"},
        {LISTENER UPSTREAM "  login: []\n" CREDENTIALS, 8, "upstreams[0].login: is empty"},
        {LISTENER UPSTREAM "  login:\n  - same\n  - mapped\n  - same\n" CREDENTIALS, 11,
         "upstreams[0].login[2]: is in the list already"},
        {LISTENER UPSTREAM "  login: [mapped]\n", 8,
         "upstreams[0].login: mapped needs a credentials file"},
        {LISTENER UPSTREAM, 6, "upstreams[0].login: same needs a credentials file"},
        {LISTENER UPSTREAM "credentials: ~\n", 6, "upstreams[0].login: same needs a credentials"},
        {LISTENER "  signing: []\n" UPSTREAM CREDENTIALS, 5, "listeners[0].signing: is empty"},
        {LISTENER UPSTREAM "  signing: []\n" CREDENTIALS, 8, "upstreams[0].signing: is empty"},
        {LISTENER "  signing:\n  - aes-cmac\n  - aes-cmac\n" UPSTREAM CREDENTIALS, 7,
         "listeners[0].signing[1]: is in the list already"},
        {LISTENER UPSTREAM "  signing: [aes-gmac, aes-cmac, aes-gmac]\n" CREDENTIALS, 8,
         "upstreams[0].signing[2]: is in the list already"},
        {LEAST "audit:\n  file:\n", 10, "audit.file: is empty and audit.syslog is off"},
        {LEAST "users: {keeper: countersign}\n", 9, "users.keeper: is the same as users.worker"},
        {LEAST "users: {recorder: countersign-keeper}\n", 9,
         "users.keeper: is the same as users.recorder"},
        {LEAST "limits:\n  connections_per_source: 101\n  connections: 100\n", 10,
         "limits.connections_per_source: is more than limits.connections (100)"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

/* `count` listeners in two lines each, on ports from 1000 on, or as many upstreams. */
static char *many(unsigned listeners, unsigned upstreams, unsigned names)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fprintf(out, "%slisteners:\n", CREDENTIALS);
    for (unsigned i = 0; i < listeners; i++)
        fprintf(out, "- {name: l%u, address: 0.0.0.0, port: %u,\n  upstream: u0}\n", i, 1000 + i);
    for (unsigned i = 0; i < names; i++)
        fprintf(out, "%s n%u\n", i ? "  -" : "- name: l\n  names:\n  -", i);
    if (names)
        fputs("  address: 0.0.0.0\n  upstream: u0\n", out);
    fputs("upstreams:\n", out);
    for (unsigned i = 0; i < upstreams; i++)
        fprintf(out, "- {name: u%u, address: 192.0.2.1}\n", i);
    fclose(out);
    return text;
}

static void assert_many(unsigned listeners, unsigned upstreams, unsigned names, unsigned line,
                        const char *told)
{
    char *text = many(listeners, upstreams, names);
    if (told)
        assert_refused(&(struct refused){text, line, told}, 1);
    else
        config_free(parse(text));
    free(text);
}

static void test_most(void **state)
{
    (void)state;
    assert_many(64, 64, 0, 0, NULL);
    assert_many(65, 1, 0, 3 + 64 * 2, "listeners[64]: is one too many; at most 64");
    assert_many(1, 65, 0, 3 + 2 + 1 + 64, "upstreams[64]: is one too many; at most 64");
    assert_many(0, 1, 256, 0, NULL);
    assert_many(0, 1, 257, 3 + 2 + 256, "listeners[0].names[256]: is one too many; at most 256");
}

static void test_many_keys(void **state)
{
    char text[65 * 8 + 1] = "";
    (void)state;
    for (unsigned i = 0; i < 65; i++)
        snprintf(&text[strlen(text)], 9, "k%02u: 1\n", i);
    assert_refused(&(struct refused){text, 1, "65 options in one place"}, 1);
}

static void test_long_values_are_cut_in_errors(void **state)
{
    char text[4096] = "workers: ";
    struct config_error error;
    (void)state;
    memset(&text[strlen(text)], 'x', 3000);
    assert_null(config_parse(text, strlen(text), &error));
    assert_int_equal(error.line, 1);
    assert_non_null(strstr(error.text, "xxx\xe2\x80\xa6\""));
    assert_true(strlen(error.text) < 160);
}

static void test_files(void **state)
{
    struct config_error error;
    (void)state;
    assert_null(config_read("/nowhere/proxy.yaml", &error));
    assert_int_equal(error.line, 0);
    assert_non_null(strstr(error.text, "No such file"));
    assert_null(config_read("/", &error));
    assert_non_null(strstr(error.text, "cannot be read"));
    assert_null(config_read("/dev/zero", &error));
    assert_non_null(strstr(error.text, "is longer than"));
    config_free(NULL);
}

static void test_dialect_names(void **state)
{
    (void)state;
    assert_string_equal(config_dialect_name(0x0202), "2.0.2");
    assert_string_equal(config_dialect_name(0x0210), "2.1");
    assert_string_equal(config_dialect_name(0x0300), "3.0");
    assert_string_equal(config_dialect_name(0x0302), "3.0.2");
    assert_string_equal(config_dialect_name(0x0311), "3.1.1");
    assert_string_equal(config_dialect_name(0x02ff), "unknown");
    assert_string_equal(config_dialect_name(0), "unknown");
}

/* proxy.yaml as text; with the options that are shown as comments ("#name: value") made options. */
static char *shipped(bool comments_too)
{
    FILE *in = fopen("proxy.yaml", "r");
    char *text = NULL, line[512];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in)) {
        char *hash = strchr(line, '#');
        bool option =
            hash && strspn(line, " ") == (size_t)(hash - line) && hash[1] >= 'a' && hash[1] <= 'z';
        if (option && comments_too)
            memmove(hash, hash + 1, strlen(hash));
        fputs(line, out);
    }
    fclose(in);
    fclose(out);
    return text;
}

/* What a configuration says, as YAML. */
static char *printed(const char *text)
{
    struct config *config = parse(text);
    char *yaml = NULL;
    size_t size;
    assert_int_equal(cyaml_save_data(&yaml, &size, &config_cyaml, &config_schema, config, 0),
                     CYAML_OK);
    config_free(config);
    yaml = realloc(yaml, size + 1);
    assert_non_null(yaml);
    yaml[size] = '\0';
    return yaml;
}

static void test_shipped_file_shows_defaults(void **state)
{
    char *text = shipped(false);
    char *with_file = printed(text);
    char *without = printed(LISTENER "  names: [files.example.com]\n" UPSTREAM CREDENTIALS);
    (void)state;
    assert_string_equal(with_file, without);
    char *other = printed(LISTENER "  names: [files.example.com]\n" UPSTREAM CREDENTIALS
                                   "limits: {memory: 1025}\n");
    assert_string_not_equal(with_file, other);
    free(other);
    free(with_file);
    free(without);
    free(text);
}

static unsigned count_missing(struct config_document *document, const char *where,
                              const cyaml_schema_field_t *field)
{
    unsigned missing = 0;
    for (; field->key; field++) {
        struct config_path path = config_path_option(where, field->key);
        const cyaml_schema_value_t *value = config_schema_at(path.text);
        assert_non_null(value);
        if (!config_document_has(document, path.text)) {
            print_message("proxy.yaml lacks %s\n", path.text);
            missing++;
        }
        if (value->type == CYAML_SEQUENCE && value->sequence.entry->type == CYAML_MAPPING) {
            path = config_path_entry(path.text, 0);
            value = value->sequence.entry;
        }
        if (value->type == CYAML_MAPPING)
            missing += count_missing(document, path.text, value->mapping.fields);
    }
    return missing;
}

static unsigned missing_in(const char *text)
{
    struct config_error error;
    struct config_document *document = config_document_read(text, strlen(text), &error);
    assert_non_null(document);
    unsigned missing = count_missing(document, "", config_schema.mapping.fields);
    config_document_free(document);
    return missing;
}

/* An option of the file that is none is refused by the parser: so the two have the same options. */
static void test_shipped_file_shows_every_option(void **state)
{
    char *text = shipped(true);
    (void)state;
    config_free(parse(text));
    assert_int_equal(missing_in(text), 0);
    free(text);
    text = shipped(false);
    assert_int_equal(missing_in(text), 4); /* server_name and three names of the host */
    free(text);
    assert_int_equal(missing_in(everything), 0);
}

/* Every number of the schema has a range, so that none is taken as it comes. */
static void count_numbers(const char *where, const cyaml_schema_field_t *field, unsigned *numbers)
{
    for (; field->key; field++) {
        struct config_path path = config_path_option(where, field->key);
        const cyaml_schema_value_t *value = config_schema_at(path.text);
        if (value->type == CYAML_UINT) {
            assert_non_null(config_range_of(path.text));
            (*numbers)++;
        }
        if (value->type == CYAML_SEQUENCE) {
            path = config_path_entry(path.text, 0);
            value = value->sequence.entry;
        }
        if (value->type == CYAML_MAPPING)
            count_numbers(path.text, value->mapping.fields, numbers);
    }
}

static void test_every_number_has_a_range(void **state)
{
    unsigned numbers = 0;
    (void)state;
    count_numbers("", config_schema.mapping.fields, &numbers);
    assert_int_equal(numbers, 9);
    assert_null(config_range_of("listeners[0].name"));
    assert_null(config_range_of(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_names_of_host),
        cmocka_unit_test(test_every_option_listeners),
        cmocka_unit_test(test_every_option_else),
        cmocka_unit_test(test_per_source_never_above_connections),
        cmocka_unit_test(test_not_yaml),
        cmocka_unit_test(test_unknown_option),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_long_values_are_cut_in_errors),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_dialect_names),
        cmocka_unit_test(test_shipped_file_shows_defaults),
        cmocka_unit_test(test_shipped_file_shows_every_option),
        cmocka_unit_test(test_every_number_has_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
