/*
 * The configuration: what is read and what is filled in.
 */
#include "tests/unit/config_everything.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

static void assert_default_encryption(enum config_encryption encryption,
                                      const enum config_cipher *ciphers, unsigned count,
                                      unsigned shares)
{
    assert_int_equal(encryption, CONFIG_ENCRYPTION_ALLOWED);
    assert_int_equal(count, 4);
    assert_int_equal(ciphers[0], CONFIG_AES_128_GCM);
    assert_int_equal(ciphers[1], CONFIG_AES_256_GCM);
    assert_int_equal(ciphers[2], CONFIG_AES_128_CCM);
    assert_int_equal(ciphers[3], CONFIG_AES_256_CCM);
    assert_int_equal(shares, 0);
}

static void test_default_encryption(void **state)
{
    struct config *config = parse(LEAST);
    (void)state;
    const struct config_listener *listener = &config->listeners[0];
    const struct config_upstream *upstream = &config->upstreams[0];
    assert_default_encryption(listener->encryption, listener->ciphers, listener->ciphers_count,
                              listener->encrypted_shares_count);
    assert_default_encryption(upstream->encryption, upstream->ciphers, upstream->ciphers_count,
                              upstream->encrypted_shares_count);
    config_free(config);
}

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
    assert_int_equal(upstream->connections, 4096);
    assert_string_equal(config->audit.file, "/var/log/countersign/audit.json");
    assert_false(config->audit.syslog);
    assert_string_equal(config->users.keeper, "countersign-keeper");
    assert_int_equal(config->limits.connections, 4096);
    assert_int_equal(config->audit.fold, 60000);
    assert_int_equal(config->authentication.failures, 5);
    assert_int_equal(config->authentication.failures_per_source, 50);
    assert_int_equal(config->authentication.failures_per_user, 50);
    assert_int_equal(config->authentication.delay_max, 300000);
    assert_string_equal(config->state, "/var/lib/countersign/state");
    assert_int_equal(listener->downgrade, CONFIG_DOWNGRADE_RECORD);
    assert_int_equal(upstream->downgrade, CONFIG_DOWNGRADE_RECORD);
    assert_int_equal(config->limits.connections_per_source, 512);
    assert_int_equal(config->limits.login_timeout, 60000);
    assert_int_equal(config->limits.sessions_per_connection, 256);
    assert_int_equal(config->limits.interim_hold, 1000);
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

static void test_every_option_listeners(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_listener *a = &config->listeners[0], *b = &config->listeners[1];
    assert_string_equal(a->name, "a");
    assert_string_equal(a->address, "192.0.2.1");
    assert_int_equal(a->port, 4450);
    assert_true(a->transparent);
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
    assert_int_equal(two->login_count, 5);
    assert_int_equal(two->login[0], CONFIG_LOGIN_MAPPED);
    assert_int_equal(two->login[1], CONFIG_LOGIN_SAME);
    assert_int_equal(two->min_dialect, CONFIG_SMB_3_0);
    assert_int_equal(two->max_dialect, CONFIG_SMB_3_0_2);
    assert_int_equal(two->signing_count, 1);
    assert_int_equal(two->connect_timeout, 100);
    assert_int_equal(two->connections, 8);
    assert_int_equal(config->upstreams[1].connections, 10);
    assert_string_equal(config->credentials, "/c");
    assert_null(config->audit.file);
    assert_true(config->audit.syslog);
    assert_string_equal(config->users.worker, "1001");
    assert_string_equal(config->users.keeper, "k");
    assert_string_equal(config->users.recorder, "r");
    assert_int_equal(config->limits.connections, 10);
    assert_int_equal(config->audit.fold, 0);
    assert_int_equal(config->authentication.failures, 1);
    assert_int_equal(config->authentication.failures_per_source, 2);
    assert_int_equal(config->authentication.failures_per_user, 3);
    assert_int_equal(config->authentication.delay_max, 4);
    assert_string_equal(config->state, "/s");
    assert_int_equal(config->listeners[0].downgrade, CONFIG_DOWNGRADE_PIN);
    assert_int_equal(two->downgrade, CONFIG_DOWNGRADE_PIN);
    assert_int_equal(config->upstreams[1].downgrade, CONFIG_DOWNGRADE_RECORD);
    assert_int_equal(config->limits.connections_per_source, 9);
    assert_int_equal(config->limits.login_timeout, 1000);
    assert_int_equal(config->limits.sessions_per_connection, 1);
    assert_int_equal(config->limits.interim_hold, 0);
    assert_int_equal(config->limits.memory, 16);
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->netbios_name, "N");
    assert_string_equal(config->netbios_domain, "D");
    assert_string_equal(config->dns_name, "n.d");
    assert_string_equal(config->dns_domain, "e");
    config_free(config);
}

static void test_every_option_of_encryption(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_listener *a = &config->listeners[0];
    const struct config_upstream *two = &config->upstreams[0];
    assert_int_equal(a->encryption, CONFIG_ENCRYPTION_REQUIRED);
    assert_int_equal(a->ciphers_count, 2);
    assert_int_equal(a->ciphers[0], CONFIG_AES_256_CCM);
    assert_int_equal(a->ciphers[1], CONFIG_AES_128_CCM);
    assert_int_equal(a->encrypted_shares_count, 2);
    assert_string_equal(a->encrypted_shares[0], "Pay roll");
    assert_string_equal(a->encrypted_shares[1], "b");
    assert_int_equal(config->listeners[1].encryption, CONFIG_ENCRYPTION_IF_OFFERED);
    assert_int_equal(two->encryption, CONFIG_ENCRYPTION_IF_OFFERED);
    assert_int_equal(two->ciphers_count, 1);
    assert_int_equal(two->ciphers[0], CONFIG_AES_256_GCM);
    assert_int_equal(two->quirk_bits,
                     CONFIG_QUIRK_UNSIGNED_BAD_SHARE | CONFIG_QUIRK_UNSIGNED_ERRORS);
    assert_true(two->strict);
    assert_int_equal(two->encrypted_shares_count, 1);
    assert_string_equal(two->encrypted_shares[0], "secret");
    assert_int_equal(config->upstreams[1].encryption, CONFIG_ENCRYPTION_OFF);
    assert_int_equal(config->upstreams[1].ciphers[0], CONFIG_AES_128_GCM);
    config_free(config);
}

static void test_every_option_of_kerberos(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_listener *a = &config->listeners[0], *b = &config->listeners[1];
    const struct config_upstream *two = &config->upstreams[0], *one = &config->upstreams[1];
    assert_int_equal(a->mechanisms_count, 2);
    assert_int_equal(a->mechanisms[0], CONFIG_MECHANISM_NTLM);
    assert_int_equal(a->mechanisms[1], CONFIG_MECHANISM_KERBEROS);
    assert_string_equal(a->keytab, "/a.keytab");
    assert_int_equal(a->services_count, 2);
    assert_string_equal(a->services[1], "host/y.example.com");
    assert_string_equal(b->keytab, "/k");
    assert_int_equal(two->login[2], CONFIG_LOGIN_TRANSITION);
    assert_int_equal(two->login[3], CONFIG_LOGIN_DELEGATE);
    assert_int_equal(two->login[4], CONFIG_LOGIN_TICKET);
    assert_string_equal(two->service, "cifs/p.d@D");
    assert_string_equal(two->keytab, "/t");
    assert_null(one->service);
    assert_string_equal(one->keytab, "/k");
    assert_string_equal(config->kerberos.keytab, "/k");
    assert_string_equal(config->kerberos.config, "/krb5.conf");
    assert_int_equal(config->kerberos.rc4, CONFIG_RC4_ALLOW);
    assert_int_equal(config->kerberos.domains_count, 1);
    assert_string_equal(config->kerberos.domains[0].name, "CORP");
    assert_string_equal(config->kerberos.domains[0].realm, "CORP.EXAMPLE.COM");
    assert_string_equal(config->kerberos.domains[0].sid, "S-1-5-21-1-2-3");
    assert_true(config->winbind);
    assert_int_equal(config->users.keeper_groups_count, 2);
    assert_string_equal(config->users.keeper_groups[0], "wbpriv");
    assert_true(config_logs_in_by(two, CONFIG_LOGIN_DELEGATE));
    assert_false(config_logs_in_by(one, CONFIG_LOGIN_DELEGATE));
    config_free(config);
}

/* Kerberos where there is a key, NTLM where there is somebody to ask. */
static void test_default_mechanisms(void **state)
{
    static const char by_ticket[] = LISTENER UPSTREAM "  login: [ticket]\n"
                                                      "kerberos: {keytab: /k}\n";
    (void)state;
    struct config *config = parse(LEAST);
    assert_false(config_takes(&config->listeners[0], CONFIG_MECHANISM_KERBEROS));
    assert_true(config_takes(&config->listeners[0], CONFIG_MECHANISM_NTLM));
    assert_null(config->kerberos.keytab);
    assert_string_equal(config->kerberos.config, "/etc/krb5.conf");
    assert_int_equal(config->kerberos.rc4, CONFIG_RC4_REFUSE);
    assert_false(config->winbind);
    assert_int_equal(config->users.keeper_groups_count, 0);
    config_free(config);

    config = parse(by_ticket);
    assert_null(config->credentials);
    assert_string_equal(config->listeners[0].keytab, "/k");
    assert_int_equal(config->listeners[0].mechanisms_count, 1);
    assert_true(config_takes(&config->listeners[0], CONFIG_MECHANISM_KERBEROS));
    config_free(config);

    config = parse(LEAST "kerberos: {keytab: /k}\n");
    assert_int_equal(config->listeners[0].mechanisms_count, 2);
    assert_int_equal(config->listeners[0].mechanisms[0], CONFIG_MECHANISM_KERBEROS);
    config_free(config);

    config = parse(LISTENER "  keytab: ~\n" UPSTREAM CREDENTIALS "kerberos: {keytab: /k}\n");
    assert_null(config->listeners[0].keytab);
    assert_false(config_takes(&config->listeners[0], CONFIG_MECHANISM_KERBEROS));
    config_free(config);

    config = parse(LEAST "winbind: true\n");
    assert_int_equal(config->users.keeper_groups_count, 1);
    assert_string_equal(config->users.keeper_groups[0], "winbindd_priv");
    config_free(config);
    config = parse(LEAST "winbind: true\nusers: {keeper_groups: []}\n");
    assert_int_equal(config->users.keeper_groups_count, 0);
    config_free(config);
}

static void test_every_option_of_rules(void **state)
{
    struct config *config = parse(everything);
    (void)state;
    const struct config_rule *rule = &config->rules[0], *pipe = &config->rules[1];
    assert_int_equal(config->rules_count, 2);
    assert_string_equal(rule->name, "r");
    assert_int_equal(rule->preset, CONFIG_PRESET_ENCRYPT);
    assert_int_equal(rule->who_count, 2);
    assert_string_equal(rule->from.network[0], "10.0.0.0/8");
    assert_string_equal(rule->from.listener[1], "b");
    assert_string_equal(rule->to.upstream[0], "one");
    assert_string_equal(rule->to.share[1], "t");
    assert_int_equal(rule->when.mechanism[0], CONFIG_MECHANISM_KERBEROS);
    assert_int_equal(rule->when.dialect[1], CONFIG_SMB_3_0);
    assert_int_equal(rule->when.signing[1], CONFIG_HMAC_SHA256);
    assert_int_equal(rule->when.cipher[0], CONFIG_CIPHER_NONE);
    assert_int_equal(rule->when.target_name[0], CONFIG_TARGET_ABSENT);
    assert_int_equal(rule->then, CONFIG_AUDIT);
    assert_int_equal(rule->demand.min_dialect, CONFIG_SMB_3_0_2);
    assert_true(rule->demand.encryption && rule->demand.kerberos && rule->demand.read_only);
    assert_true(rule->demand.mutual_authentication && rule->demand.pin);
    assert_int_equal(rule->authenticated_rpc, CONFIG_REFUSE);
    assert_string_equal(pipe->to.pipe[0], "spoolss");
    assert_int_equal(pipe->then, CONFIG_ALLOW);
    assert_int_equal(pipe->authenticated_rpc, CONFIG_ALLOW);
    assert_int_equal(config->otherwise, CONFIG_REFUSE);
    assert_int_equal(config->groups_count, 1);
    assert_int_equal(config_group_index(config, "G"), 0);
    assert_int_equal(config_group_index(config, "h"), 1);
    config_free(config);
}

/* One word for the usual choices of encryption. */
static void test_posture(void **state)
{
    static const struct {
        const char *options;
        enum config_encryption encryption;
        enum config_posture posture;
    } cases[] = {
        {"", CONFIG_ENCRYPTION_ALLOWED, CONFIG_POSTURE_SIGNING},
        {"  posture: signing\n", CONFIG_ENCRYPTION_ALLOWED, CONFIG_POSTURE_SIGNING},
        {"  posture: encryption-if-offered\n", CONFIG_ENCRYPTION_IF_OFFERED,
         CONFIG_POSTURE_IF_OFFERED},
        {"  posture: encryption\n", CONFIG_ENCRYPTION_REQUIRED, CONFIG_POSTURE_ENCRYPTION},
        {"  posture: encryption\n  encryption: required\n", CONFIG_ENCRYPTION_REQUIRED,
         CONFIG_POSTURE_ENCRYPTION},
        {"  encryption: if-offered\n", CONFIG_ENCRYPTION_IF_OFFERED, CONFIG_POSTURE_IF_OFFERED},
        {"  encryption: off\n", CONFIG_ENCRYPTION_OFF, CONFIG_POSTURE_SIGNING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s%s", LISTENER, cases[i].options, UPSTREAM CREDENTIALS);
        struct config *config = parse(text);
        assert_int_equal(config->listeners[0].encryption, cases[i].encryption);
        assert_int_equal(config->listeners[0].posture, cases[i].posture);
        config_free(config);
    }
}

/* A dialect too old to encrypt is no contradiction to anything but a demand. */
static void test_old_dialects_need_no_encryption(void **state)
{
    static const char *const words[] = {"off", "allowed", "if-offered"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s  max_dialect: 2.1\n  encryption: %s\n%s%s", LISTENER,
                 words[i], UPSTREAM "  max_dialect: 2.0.2\n", CREDENTIALS);
        config_free(parse(text));
    }
    config_free(parse(LISTENER
                      "  min_dialect: 2.0.2\n  max_dialect: 3.0\n"
                      "  encryption: required\n  encrypted_shares: [a]\n" UPSTREAM CREDENTIALS));
}

static void test_share_listed(void **state)
{
    struct config *config = parse(
        LISTENER
        "  encrypted_shares: [Payroll, \"Gr\\u00f6\\u00dfe\", \"a b$\"]\n" UPSTREAM CREDENTIALS);
    (void)state;
    char *const *shares = config->listeners[0].encrypted_shares;
    assert_int_equal(config->listeners[0].encrypted_shares_count, 3);
    assert_true(config_share_listed(shares, 3, "Payroll"));
    assert_true(config_share_listed(shares, 3, "PAYROLL"));
    assert_true(config_share_listed(shares, 3, "A B$"));
    assert_true(config_share_listed(shares, 3,
                                    "gR\xc3\x96\xc3\x9f"
                                    "E"));
    assert_true(config_share_listed(shares, 3, "GR\xc3\x96SSE"));
    assert_true(config_share_listed(shares, 3,
                                    "gr\xc3\xb6\xe1\xba\x9e"
                                    "e"));
    assert_false(config_share_listed(shares, 3, "Gr\xc3\xb6se"));
    assert_false(config_share_listed(shares, 3, "Payrol"));
    assert_false(config_share_listed(shares, 3, "Payroll2"));
    assert_false(config_share_listed(shares, 3, ""));
    assert_false(config_share_listed(shares, 2, "a b$"));
    assert_false(config_share_listed(NULL, 0, "Payroll"));
    config_free(config);
}

static void test_other_limits_never_above_connections(void **state)
{
    (void)state;
    struct config *config = parse(LEAST "limits: {connections: 100}\n");
    assert_int_equal(config->limits.connections_per_source, 100);
    assert_int_equal(config->upstreams[0].connections, 100);
    config_free(config);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_default_encryption),
        cmocka_unit_test(test_names_of_host),
        cmocka_unit_test(test_every_option_listeners),
        cmocka_unit_test(test_every_option_else),
        cmocka_unit_test(test_every_option_of_encryption),
        cmocka_unit_test(test_every_option_of_kerberos),
        cmocka_unit_test(test_default_mechanisms),
        cmocka_unit_test(test_every_option_of_rules),
        cmocka_unit_test(test_posture),
        cmocka_unit_test(test_old_dialects_need_no_encryption),
        cmocka_unit_test(test_share_listed),
        cmocka_unit_test(test_other_limits_never_above_connections),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_dialect_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
