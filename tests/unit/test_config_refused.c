/*
 * The configuration: each thing that is refused, with its line.
 */
#include "tests/unit/config_text.h"

#include <stdio.h>
#include <stdlib.h>

struct refused {
    const char *text;
    unsigned line;
    const char *told; /* begins with the option's path */
};

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
         "\"worker\" is no option; there are: listeners, upstreams, rules, otherwise, credentials"},
        {LISTENER "  adress: 1.2.3.4\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0]: \"adress\" is no option; there are: name, address, port"},
        {LISTENER UPSTREAM "  oddities: []\n" CREDENTIALS, 8,
         "upstreams[0]: \"oddities\" is no option"},
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
        {LISTENER "  downgrade: refuse\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].downgrade: must be one of record, pin, not \"refuse\""},
        {LEAST "state: memory\n", 9, "state: \"memory\" is not an absolute path"},
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
         "upstreams[0].login[1]: must be one of same, mapped, ticket, delegate, transition, not "
         "\"guest\""},
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
        {LISTENER UPSTREAM "  connections: 0\n" CREDENTIALS, 8,
         "upstreams[0].connections: must be a whole number from 1 to 1000000"},
        {LEAST "limits: {connections: 0}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits: {connections: 1000001}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits: {connections: 4294967297}\n", 9, "limits.connections: must be a whole"},
        {LEAST "limits:\n  connections_per_source: 0\n", 10, "limits.connections_per_source: must"},
        {LEAST "limits: {login_timeout: 999}\n", 9, "limits.login_timeout: must be a whole"},
        {LEAST "limits: {sessions_per_connection: 0}\n", 9, "limits.sessions_per_connection: must"},
        {LEAST "limits: {memory: 15}\n", 9, "limits.memory: must be a whole number from 16 to"},
        {LEAST "audit: {fold: 3600001}\n", 9, "audit.fold: must be a whole number from 0 to"},
        {LEAST "authentication: {failures: 0}\n", 9,
         "authentication.failures: must be a whole number from 1 to 10000"},
        {LEAST "authentication: {failures_per_source: 0}\n", 9,
         "authentication.failures_per_source: must be a whole number from 1 to"},
        {LEAST "authentication: {failures_per_user: 0}\n", 9,
         "authentication.failures_per_user: must be a whole number from 1 to"},
        {LEAST "authentication: {delay_max: 3600001}\n", 9,
         "authentication.delay_max: must be a whole number from 0 to"},
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
         "upstreams[0].login[0]: mapped needs a credentials file"},
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
        {LISTENER UPSTREAM "  connections: 4097\n" CREDENTIALS, 8,
         "upstreams[0].connections: is more than limits.connections (4096)"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

#define KEYTAB "kerberos: {keytab: /k}\n"

static void test_mechanisms(void **state)
{
    static const struct refused refused[] = {
        {LISTENER "  mechanisms: []\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].mechanisms: is empty; nobody could log in"},
        {LISTENER "  mechanisms: [kerberos]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].mechanisms: has kerberos, which needs a keytab"},
        {LISTENER "  keytab: ~\n  mechanisms: [kerberos]\n" UPSTREAM CREDENTIALS KEYTAB, 6,
         "listeners[0].mechanisms: has kerberos, which needs a keytab"},
        {LISTENER "  mechanisms: [ntlm,\n   ntlm]\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].mechanisms[1]: is in the list already"},
        {LISTENER "  mechanisms: [spnego]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].mechanisms[0]: must be one of kerberos, ntlm, not \"spnego\""},
        {LISTENER "  mechanisms: [kerberos, ntlm]\n" UPSTREAM "  login: [ticket]\n" KEYTAB, 5,
         "listeners[0].mechanisms: has ntlm, but there is nobody to ask"},
        {LISTENER "  mechanisms: [ntlm]\n  keytab: /k\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].keytab: is given, but mechanisms has no kerberos"},
        {LISTENER "  mechanisms: [ntlm]\n  services: [cifs/a]\n" UPSTREAM CREDENTIALS KEYTAB, 6,
         "listeners[0].services: is given, but mechanisms has no kerberos"},
        {LISTENER "  services: [cifs]\n" UPSTREAM CREDENTIALS KEYTAB, 5,
         "listeners[0].services[0]: \"cifs\" is no service; write it like cifs/files.example.com"},
        {LISTENER "  services: [cifs/a,\n   cifs/b@REALM]\n" UPSTREAM CREDENTIALS KEYTAB, 6,
         "listeners[0].services[1]: \"cifs/b@REALM\" must not contain \"@\""},
        {LISTENER "  services: [cifs/a,\n   CIFS/A]\n" UPSTREAM CREDENTIALS KEYTAB, 6,
         "listeners[0].services[1]: \"CIFS/A\" is in the list already"},
        {LISTENER "  services: [cifs/a/b]\n" UPSTREAM CREDENTIALS KEYTAB, 5, "is no service"},
        {LISTENER "  keytab: k\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].keytab: \"k\" is not an absolute path"},
        {LEAST "kerberos:\n  keytab: k\n", 10, "kerberos.keytab: \"k\" is not an absolute path"},
        {LEAST "kerberos:\n  config: \n", 10, "kerberos.config: is empty"},
        {LEAST "kerberos:\n  config: krb5.conf\n", 10, "kerberos.config: \"krb5.conf\" is not an"},
        {LEAST "kerberos:\n  rc4: maybe\n", 10,
         "kerberos.rc4: must be one of refuse, allow, not \"maybe\""},
        {LEAST "kerberos:\n  domains: [{realm: R}]\n", 10, "kerberos.domains[0].name: is missing"},
        {LEAST "kerberos:\n  domains: [{name: CORP}]\n", 10,
         "kerberos.domains[0].realm: is missing"},
        {LEAST "kerberos:\n  domains:\n  - {name: A, realm: R}\n  - {name: a, realm: Q}\n", 12,
         "kerberos.domains[1].name: \"a\" is in the list already"},
        {LEAST "kerberos:\n  domains: [{name: A\\B, realm: R}]\n", 10, "must not contain"},
        {LEAST "kerberos:\n  domains: [{name: A, realm: x@R}]\n", 10, "must not contain \"@\""},
        {LEAST "kerberos:\n  domains: [{name: A, realm: R, sid: S-1-5-21-1-2-3-4}]\n", 10,
         "kerberos.domains[0].sid: \"S-1-5-21-1-2-3-4\" is no SID of a domain"},
        {LEAST "kerberos:\n  domains: [{name: A, realm: R, sid: S-1-5-21-1-2-4294967296}]\n", 10,
         "is no SID of a domain"},
        {LEAST "kerberos:\n  domains: [{name: A, realm: R, sid: S-1-5-21-1-2-}]\n", 10,
         "is no SID of a domain"},
        {LEAST "winbind: yes\n", 9, "winbind: must be one of true, false, not \"yes\""},
        {LISTENER "  mechanisms: [kerberos]\n" UPSTREAM CREDENTIALS KEYTAB "winbind: true\n", 11,
         "winbind: is on, but no listener takes ntlm"},
        {LEAST "users:\n  keeper_groups: [root]\n", 10, "users.keeper_groups[0]: is root's group"},
        {LEAST "users:\n  keeper_groups: [\"0\"]\n", 10, "users.keeper_groups[0]: is root's group"},
        {LEAST "users:\n  keeper_groups: [\"\"]\n", 10, "users.keeper_groups[0]: is empty"},
        {LEAST "users:\n  keeper_groups: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]\n", 10,
         "users.keeper_groups[16]: is one too many; at most 16"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_logins_by_kerberos(void **state)
{
    static const struct refused refused[] = {
        {LISTENER UPSTREAM "  login: [ticket]\n" CREDENTIALS, 8,
         "upstreams[0].login[0]: ticket needs the client's ticket, but no listener"},
        {LISTENER UPSTREAM "  login: [same,\n   delegate]\n" CREDENTIALS, 9,
         "upstreams[0].login[1]: delegate needs an account of our own; add \"service: "},
        {LISTENER UPSTREAM "  service: cifs/p@D\n  login: [delegate]\n" CREDENTIALS, 9,
         "upstreams[0].login[0]: delegate needs the key of its account; add \"keytab: "},
        {LISTENER UPSTREAM "  service: cifs/p@D\n  keytab: /k\n  login: [delegate]\n" CREDENTIALS,
         10, "upstreams[0].login[0]: delegate needs the client's ticket, but no listener"},
        {LISTENER UPSTREAM "  login: [transition]\n" CREDENTIALS KEYTAB, 8,
         "upstreams[0].login[0]: transition needs an account of our own"},
        {LISTENER UPSTREAM "  service: cifs/p@D\n  login: [transition]\n" CREDENTIALS, 9,
         "upstreams[0].login[0]: transition needs the key of its account"},
        {LISTENER UPSTREAM "  login: [ticket, same]\n" KEYTAB, 8,
         "upstreams[0].login[1]: same needs a credentials file"},
        {LISTENER UPSTREAM "  service: cifs/p\n" CREDENTIALS, 8,
         "upstreams[0].service: \"cifs/p\" has no realm; write it like cifs/files.example.com@EX"},
        {LISTENER UPSTREAM "  service: cifs/p@\n" CREDENTIALS, 8, "has no realm"},
        {LISTENER UPSTREAM "  keytab: k\n" CREDENTIALS, 8,
         "upstreams[0].keytab: \"k\" is not an absolute path"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
    config_free(parse(LISTENER UPSTREAM "  service: cifs/p@D\n  login: [transition]\n" KEYTAB
                                        "winbind: true\n"));
    /* A listener of another upstream brings no tickets here. */
    struct config_error error;
    static const char other[] = "listeners:\n- {name: a, address: 127.0.0.1, upstream: nas}\n"
                                "- {name: b, address: 127.0.0.2, upstream: two, keytab: /k}\n"
                                "upstreams:\n- {name: nas, address: 192.0.2.1, login: [ticket]}\n"
                                "- {name: two, address: 192.0.2.2}\n" CREDENTIALS;
    assert_null(config_parse(other, strlen(other), &error));
    assert_int_equal(error.line, 5);
}

static void test_encryption(void **state)
{
    static const struct refused refused[] = {
        {LISTENER "  encryption: on\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].encryption: must be one of off, allowed, if-offered, required, not \"on\""},
        {LISTENER UPSTREAM "  encryption:\n" CREDENTIALS, 8,
         "upstreams[0].encryption: must be one"},
        {LISTENER UPSTREAM "  ciphers:\n  - aes-128-gcm\n  - aes-192-gcm\n" CREDENTIALS, 10,
         "upstreams[0].ciphers[1]: must be one of aes-128-gcm, aes-256-gcm, aes-128-ccm, "
         "aes-256-ccm, not \"aes-192-gcm\""},
        {LISTENER "  ciphers: aes-128-gcm\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].ciphers: must be a list"},
        {LISTENER "  ciphers: []\n" UPSTREAM CREDENTIALS, 5, "listeners[0].ciphers: is empty"},
        {LISTENER UPSTREAM "  ciphers: []\n" CREDENTIALS, 8, "upstreams[0].ciphers: is empty"},
        {LISTENER "  encryption: off\n  ciphers: []\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].ciphers: is empty"},
        {LISTENER "  ciphers:\n  - aes-128-gcm\n  - aes-128-gcm\n" UPSTREAM CREDENTIALS, 7,
         "listeners[0].ciphers[1]: is in the list already"},
        {LISTENER UPSTREAM "  ciphers: [aes-128-gcm, aes-256-ccm,\n  aes-128-gcm]\n" CREDENTIALS, 9,
         "upstreams[0].ciphers[2]: is in the list already"},
        {LISTENER "  max_dialect: 2.1\n  encryption: required\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].encryption: is required, which max_dialect 2.1 cannot do"},
        {LISTENER UPSTREAM "  encryption: required\n  max_dialect: 2.0.2\n" CREDENTIALS, 8,
         "upstreams[0].encryption: is required, which max_dialect 2.0.2 cannot do"},
        {LEAST "limits:\n  interim_hold: 10001\n", 10,
         "limits.interim_hold: must be a whole number from 0 to 10000, not \"10001\""},
        {LEAST "limits:\n  interim_hold: 50 ms\n", 10, "limits.interim_hold: must be a whole"},
        {LEAST "limits:\n  interim_hold: -1\n", 10, "limits.interim_hold: must be a whole"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
    config_free(parse(LEAST "limits: {interim_hold: 10000}\n"));
}

static void test_encrypted_shares(void **state)
{
    static const struct refused refused[] = {
        {LISTENER "  encrypted_shares: payroll\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].encrypted_shares: must be a list"},
        {LISTENER "  encrypted_shares:\n  - a\n  - \"\"\n" UPSTREAM CREDENTIALS, 7,
         "listeners[0].encrypted_shares[1]: is empty; give it a value, like payroll"},
        {LISTENER UPSTREAM "  encrypted_shares:\n  -\n" CREDENTIALS, 9,
         "upstreams[0].encrypted_shares[0]: is empty"},
        {LISTENER "  encrypted_shares: [\"re\\u0301sume\"]\n" UPSTREAM CREDENTIALS, 5,
         "has accents apart from their letters"},
        {LISTENER "  encrypted_shares: [a/b]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].encrypted_shares[0]: \"a/b\" must not contain \"/\"; give the share's name "
         "only"},
        {LISTENER UPSTREAM "  encrypted_shares:\n  - \\\\nas\\pay\n" CREDENTIALS, 9,
         "upstreams[0].encrypted_shares[0]: \"\\\\nas\\pay\" must not contain \"\\\""},
        {LISTENER "  encrypted_shares: [\"a\\tb\"]\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].encrypted_shares[0]: \"a?b\" has unprintable characters"},
        {LISTENER "  encrypted_shares:\n  - Payroll\n  - b\n  - PAYROLL\n" UPSTREAM CREDENTIALS, 8,
         "listeners[0].encrypted_shares[2]: \"PAYROLL\" is in the list already"},
        {LISTENER UPSTREAM "  encrypted_shares: [\"\\u00e4\",\n  \"\\u00c4\"]\n" CREDENTIALS, 9,
         "upstreams[0].encrypted_shares[1]: \"\xc3\x84\" is in the list already"},
        {LISTENER "  encrypted_shares: [a]\n  encryption: off\n" UPSTREAM CREDENTIALS, 5,
         "listeners[0].encrypted_shares: names shares, but encryption is off"},
        {LISTENER UPSTREAM "  encryption: off\n  encrypted_shares: [a]\n" CREDENTIALS, 9,
         "upstreams[0].encrypted_shares: names shares, but encryption is off"},
        {LISTENER "  max_dialect: 2.1\n  encrypted_shares: [a]\n" UPSTREAM CREDENTIALS, 6,
         "listeners[0].encrypted_shares: names shares, but max_dialect 2.1 cannot encrypt"},
        {LISTENER UPSTREAM "  encrypted_shares: [a]\n  max_dialect: 2.0.2\n" CREDENTIALS, 8,
         "upstreams[0].encrypted_shares: names shares, but max_dialect 2.0.2 cannot encrypt"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
    config_free(parse(LISTENER "  encryption: off\n  encrypted_shares: []\n" UPSTREAM CREDENTIALS));
}

static void test_long_shares(void **state)
{
    (void)state;
    for (size_t size = 320; size <= 321; size++) {
        char name[322] = "", text[1024];
        memset(name, 's', size);
        snprintf(text, sizeof text, "%s  encrypted_shares:\n  - %s\n%s", LISTENER, name,
                 UPSTREAM CREDENTIALS);
        if (size == 320)
            config_free(parse(text));
        else
            assert_refused(&(struct refused){text, 6, "has 321 bytes; at most 320 are allowed"}, 1);
    }
}

static void test_many_shares(void **state)
{
    (void)state;
    for (unsigned count = 256; count <= 257; count++) {
        char text[8192] = LISTENER "  encrypted_shares:\n";
        for (unsigned i = 0; i < count; i++)
            snprintf(&text[strlen(text)], 24, "  - s%u\n", i);
        strcat(text, UPSTREAM CREDENTIALS);
        if (count == 256)
            config_free(parse(text));
        else
            assert_refused(
                &(struct refused){text, 5 + 257, "encrypted_shares[256]: is one too many; at most"},
                1);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_yaml),
        cmocka_unit_test(test_unknown_option),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_mechanisms),
        cmocka_unit_test(test_logins_by_kerberos),
        cmocka_unit_test(test_encryption),
        cmocka_unit_test(test_encrypted_shares),
        cmocka_unit_test(test_long_shares),
        cmocka_unit_test(test_many_shares),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_long_values_are_cut_in_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
