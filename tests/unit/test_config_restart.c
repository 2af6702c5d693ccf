/*
 * What a reload may change, and what it may not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/config.h"

/* With `more` as further lines. */
static struct config *with(const char *more)
{
    static const char always[] = "listeners: [{name: l, address: 127.0.0.1, upstream: u}]\n"
                                 "upstreams: [{name: u, address: 127.0.0.1}]\n"
                                 "credentials: /c\n";
    struct config_error error;
    char text[1024];
    int size = snprintf(text, sizeof text, "%s%s\n", always, more);
    struct config *config = config_parse(text, (size_t)size, &error);
    if (!config)
        fail_msg("%s", error.text);
    return config;
}

static void expect(const char *more, const char *option)
{
    struct config *running = with(""), *wanted = with(more);
    const char *found = config_needs_restart(running, wanted);
    if (option)
        assert_string_equal(found ? found : "nothing", option);
    else
        assert_null(found);
    config_free(running);
    config_free(wanted);
}

static void test_takes_a_restart(void **state)
{
    (void)state;
    expect("workers: 7", "workers");
    expect("users: {worker: somebody}", "users.worker");
    expect("users: {keeper_groups: [shadow]}", "users.keeper_groups");
    expect("audit: {file: /other}", "audit.file");
    expect("audit: {syslog: true}", "audit.syslog");
    expect("audit: {fold: 1}", "audit.fold");
    expect("authentication: {failures: 6}", "authentication.failures");
    expect("authentication: {delay_max: 0}", "authentication.delay_max");
    expect("state: ''", "state");
    expect("winbind: true", "winbind");
    expect("kerberos: {config: /other}", "kerberos.config");
    expect("limits: {connections: 7}", "limits.connections");
    expect("limits: {memory: 17}", "limits.memory");
}

static void test_takes_none(void **state)
{
    (void)state;
    expect("", NULL);
    expect("otherwise: refuse", NULL);
    expect("rules: [{name: r, who: ['@g'], then: refuse}]", NULL);
    expect("limits: {login_timeout: 5000}", NULL);
    expect("netbios_name: OTHER", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_a_restart),
        cmocka_unit_test(test_takes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
