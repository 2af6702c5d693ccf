/*
 * Rules: their order, what they demand, and what is decided while share or pipe are unknown.
 */
#include "tests/unit/rule_text.h"

static void test_first_match_decides(void **state)
{
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: one, who: [alice], then: allow}\n"
                                  "- {name: two, when: {mechanism: [kerberos]}, then: refuse}\n"
                                  "- {name: three, when: {mechanism: [ntlm]}, then: audit}\n");
    struct rule_facts carol = alice();
    carol.user = "carol";
    expect(config, alice(), RULE_ALLOW, "one", NULL);
    expect(config, carol, RULE_REFUSE, "two", "rule");
    expect(config, bob(), RULE_AUDIT, "three", "rule");
    assert_int_equal(judge(config, bob()).index, 2);
    config_free(config);
    config = rules("rules:\n"
                   "- {name: two, when: {dialect: [3.1.1]}, then: refuse}\n"
                   "- {name: one, who: [alice], then: allow}\n");
    expect(config, alice(), RULE_REFUSE, "two", "rule");
    config_free(config);
}

static void test_otherwise(void **state)
{
    (void)state;
    struct config *config = rules("rules: [{name: one, who: [alice], then: allow}]\n"
                                  "otherwise: refuse\n");
    expect(config, alice(), RULE_ALLOW, "one", NULL);
    expect(config, bob(), RULE_REFUSE, NULL, "no_rule");
    config_free(config);
    config = rules("otherwise: audit\n");
    expect(config, bob(), RULE_AUDIT, NULL, "no_rule");
    assert_int_equal(judge(config, bob()).index, 0);
    config_free(config);
}

static void test_demands(void **state)
{
    static const struct {
        const char *demand;
        const char *reason;
    } cases[] = {{"kerberos: true", "kerberos"},
                 {"mutual_authentication: true", "mutual_authentication"},
                 {"min_dialect: 3.0", "min_dialect"},
                 {"encryption: true", "encryption"},
                 {"pin: true", "pin"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "rules: [{name: r, then: allow, demand: {%s}}]\n",
                 cases[i].demand);
        struct config *config = rules(text);
        expect(config, alice(), RULE_ALLOW, "r", NULL);
        expect(config, bob(), RULE_REFUSE, "r", cases[i].reason);
        config_free(config);
        snprintf(text, sizeof text, "rules: [{name: r, then: audit, demand: {%s}}]\n",
                 cases[i].demand);
        config = rules(text);
        expect(config, alice(), RULE_ALLOW, "r", NULL);
        expect(config, bob(), RULE_AUDIT, "r", cases[i].reason);
        assert_false(judge(config, alice()).encryption); /* enforces nothing */
        config_free(config);
    }
    struct config *config =
        rules("rules: [{name: r, then: allow, demand: {kerberos: false, encryption: false}}]\n");
    expect(config, bob(), RULE_ALLOW, "r", NULL);
    config_free(config);
}

static void test_least_dialect_is_enough(void **state)
{
    (void)state;
    struct rule_facts facts = bob();
    struct config *config = rules("rules: [{name: r, then: allow, demand: {min_dialect: 2.1}}]\n");
    expect(config, facts, RULE_ALLOW, "r", NULL);
    facts.dialect = CONFIG_SMB_2_0_2;
    expect(config, facts, RULE_REFUSE, "r", "min_dialect");
    config_free(config);
}

static void test_what_holds_from_now_on(void **state)
{
    (void)state;
    struct config *config =
        rules("rules:\n"
              "- {name: r, to: {share: [a]}, then: allow, demand: {read_only: true}}\n"
              "- {name: s, to: {share: [b]}, then: audit, demand: {read_only: true}}\n"
              "- {name: t, to: {share: [c]}, then: allow, demand: {encryption: true}}\n");
    struct rule_verdict verdict = judge(config, at_share(alice(), "A"));
    assert_true(verdict.what == RULE_ALLOW && verdict.read_only && !verdict.read_only_audit);
    assert_false(verdict.encryption);
    verdict = judge(config, at_share(alice(), "b"));
    assert_true(verdict.what == RULE_ALLOW && !verdict.read_only && verdict.read_only_audit);
    verdict = judge(config, at_share(alice(), "c"));
    assert_true(verdict.what == RULE_ALLOW && !verdict.read_only && verdict.encryption);
    verdict = judge(config, at_share(alice(), "d"));
    assert_true(!verdict.read_only && !verdict.read_only_audit && !verdict.encryption);
    config_free(config);
}

static void test_encryption_of_a_pipe_is_that_of_its_share(void **state)
{
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: a, who: [alice], to: {pipe: [a]}, then: audit, "
                                  "demand: {encryption: true}}\n"
                                  "- {name: b, to: {pipe: [b], upstream: [nas]}, then: allow, "
                                  "demand: {encryption: true}}\n"
                                  "- {name: c, to: {share: [c]}, then: allow}\n"
                                  "otherwise: refuse\n");
    struct rule_facts carol = alice(), dave = alice();
    carol.cipher = CONFIG_CIPHER_NONE;
    dave.upstream = "old";
    assert_true(judge(config, at_share(alice(), "ipc$")).encryption);
    expect(config, at_share(alice(), "IPC$"), RULE_ALLOW, NULL, NULL);
    assert_false(judge(config, at_share(alice(), "c")).encryption);
    assert_false(judge(config, alice()).encryption);
    assert_false(
        judge(config, at_share(carol, "IPC$")).encryption); /* other pipes are open to it */
    expect(config, at_pipe(carol, "b"), RULE_REFUSE, "b", "encryption");
    assert_false(judge(config, at_share(dave, "IPC$")).encryption);
    config_free(config);
}

static void test_presets(void **state)
{
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: policies, to: {share: [SYSVOL, NETLOGON]}, "
                                  "preset: hardened-unc}\n"
                                  "- {name: no-ntlm, preset: no-ntlm}\n");
    struct rule_facts one_way = alice();
    one_way.mutual = false;
    expect(config, at_share(alice(), "sysvol"), RULE_ALLOW, "policies", NULL);
    expect(config, at_share(one_way, "sysvol"), RULE_REFUSE, "policies", "mutual_authentication");
    expect(config, at_share(bob(), "netlogon"), RULE_REFUSE, "policies", "kerberos");
    expect(config, at_share(alice(), "data"), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "data"), RULE_REFUSE, "no-ntlm", "rule");
    config_free(config);
    config = rules("rules: [{name: n, preset: no-ntlm, then: audit}]\n");
    expect(config, bob(), RULE_AUDIT, "n", "rule");
    expect(config, alice(), RULE_ALLOW, NULL, NULL);
    config_free(config);
    config = rules("rules: [{name: e, preset: encrypt}]\n");
    expect(config, bob(), RULE_REFUSE, "e", "encryption");
    expect(config, alice(), RULE_ALLOW, "e", NULL);
    assert_true(judge(config, alice()).encryption);
    config_free(config);
    config = rules("rules: [{name: e, preset: encrypt, then: audit}]\n");
    expect(config, bob(), RULE_AUDIT, "e", "encryption");
    config_free(config);
    config = rules("rules: [{name: e, preset: encrypt, demand: {read_only: true}}]\n");
    assert_true(judge(config, at_share(alice(), "x")).read_only);
    config_free(config);
}

/* Who gives less than once is let in where no rule that demands more matches, and only there. */
static void test_pin(void **state)
{
    (void)state;
    struct config *config =
        rules("rules:\n"
              "- {name: bob, who: [bob], to: {share: [public]}, then: allow}\n"
              "- {name: p, to: {share: [pay]}, then: allow, demand: {pin: true}}\n"
              "- {name: w, to: {pipe: [winreg]}, then: allow,\n"
              "   demand: {pin: true}}\n");
    struct rule_facts ever = bob();
    ever.less = false;
    assert_true(rule_demands_pin(config));
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "public"), RULE_ALLOW, "bob", NULL);
    expect(config, at_share(bob(), "data"), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "PAY"), RULE_REFUSE, "p", "pin");
    expect(config, at_share(ever, "PAY"), RULE_ALLOW, "p", NULL);
    expect(config, at_pipe(bob(), "winreg"), RULE_REFUSE, "w", "pin");
    expect(config, at_pipe(ever, "winreg"), RULE_ALLOW, "w", NULL);
    config_free(config);
    /* A rule that only records demands it too, and who meets it is not recorded. */
    config = rules("rules: [{name: r, then: audit, demand: {pin: true}}]\n");
    assert_true(rule_demands_pin(config));
    expect(config, ever, RULE_ALLOW, "r", NULL);
    config_free(config);
    config =
        rules("rules: [{name: r, who: [x], then: allow, demand: {pin: false, encryption: true}},\n"
              "        {name: s, preset: hardened-unc}]\n");
    assert_false(rule_demands_pin(config));
    config_free(config);
}

/* Nobody is turned away at the door who may go into one of the rooms. */
static void test_login_waits_for_the_share(void **state)
{
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: public, to: {share: [public]}, then: allow}\n"
                                  "- {name: no-ntlm, preset: no-ntlm}\n");
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "public"), RULE_ALLOW, "public", NULL);
    expect(config, at_share(bob(), "data"), RULE_REFUSE, "no-ntlm", "rule");
    config_free(config);
    /* … unless that rule does not concern him, or would refuse him too. */
    config = rules("rules:\n"
                   "- {name: public, who: [alice], to: {share: [public]}, then: allow}\n"
                   "- {name: secret, to: {share: [secret]}, then: refuse}\n"
                   "- {name: no-ntlm, preset: no-ntlm}\n");
    expect(config, bob(), RULE_REFUSE, "no-ntlm", "rule");
    config_free(config);
    config = rules("rules: [{name: public, to: {share: [public]}, then: allow}]\n"
                   "otherwise: refuse\n");
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "data"), RULE_REFUSE, NULL, "no_rule");
    config_free(config);
    /* A share that is only audited would be refused: so the login is told of, but goes on. */
    config = rules("rules:\n"
                   "- {name: public, to: {share: [public]}, then: audit}\n"
                   "- {name: no-ntlm, preset: no-ntlm, then: audit}\n");
    expect(config, bob(), RULE_AUDIT, "no-ntlm", "rule");
    config_free(config);
    config = rules("rules:\n"
                   "- {name: public, to: {share: [public]}, then: audit}\n"
                   "- {name: no-ntlm, preset: no-ntlm}\n");
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    config_free(config);
    /* What cannot be demanded yet is not. */
    config = rules("rules:\n"
                   "- {name: public, to: {share: [public]}, then: allow}\n"
                   "- {name: sealed, preset: encrypt}\n");
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    assert_false(judge(config, bob()).encryption);
    assert_true(judge(config, alice()).encryption);
    expect(config, at_share(bob(), "data"), RULE_REFUSE, "sealed", "encryption");
    config_free(config);
    /* A rule that stands later changes nothing. */
    config = rules("rules:\n"
                   "- {name: no-ntlm, preset: no-ntlm}\n"
                   "- {name: public, to: {share: [public]}, then: allow}\n");
    expect(config, bob(), RULE_REFUSE, "no-ntlm", "rule");
    config_free(config);
}

static void test_share_waits_for_the_pipe(void **state)
{
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: print, to: {pipe: [spoolss]}, then: allow}\n"
                                  "- {name: nothing, then: refuse}\n");
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "ipc$"), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "data"), RULE_REFUSE, "nothing", "rule");
    expect(config, at_pipe(bob(), "spoolss"), RULE_ALLOW, "print", NULL);
    expect(config, at_pipe(bob(), "srvsvc"), RULE_REFUSE, "nothing", "rule");
    config_free(config);
}

static void test_pipes(void **state)
{
    static const char *const ordinary[] = {"srvsvc", "WKSSVC", "lsarpc", "Samr"};
    static const char *const others[] = {"spoolss", "winreg", "svcctl", "netlogon", "",
                                         "srvsvc2", "rvsvc",  "samr:x", "samr "};
    (void)state;
    struct config *config = rules("");
    for (size_t i = 0; i < sizeof ordinary / sizeof ordinary[0]; i++)
        expect(config, at_pipe(bob(), ordinary[i]), RULE_ALLOW, NULL, NULL);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        expect(config, at_pipe(bob(), others[i]), RULE_REFUSE, NULL, "pipe");
    config_free(config);
    /* A rule that does not name pipes opens none. */
    config = rules("rules: [{name: all, then: allow}]\n");
    expect(config, at_pipe(bob(), "samr"), RULE_ALLOW, "all", NULL);
    expect(config, at_pipe(bob(), "spoolss"), RULE_REFUSE, "all", "pipe");
    config_free(config);
    config = rules("rules:\n"
                   "- {name: print, who: [bob], to: {pipe: [SPOOLSS]}, then: allow}\n"
                   "- {name: no-samr, to: {pipe: [samr]}, then: refuse}\n"
                   "- {name: who-else, who: [alice], to: {pipe: ['*']}, then: audit}\n");
    expect(config, at_pipe(bob(), "spoolss"), RULE_ALLOW, "print", NULL);
    expect(config, at_pipe(bob(), "samr"), RULE_REFUSE, "no-samr", "rule");
    expect(config, at_pipe(bob(), "winreg"), RULE_REFUSE, NULL, "pipe");
    expect(config, at_pipe(alice(), "winreg"), RULE_AUDIT, "who-else", "rule");
    config_free(config);
}

static void test_authentication_inside_pipes(void **state)
{
    (void)state;
    struct config *config =
        rules("rules:\n"
              "- {name: a, to: {pipe: [spoolss]}, then: allow, authenticated_rpc: allow}\n"
              "- {name: b, to: {pipe: [winreg]}, then: allow}\n"
              "- {name: c, to: {pipe: [svcctl]}, then: audit}\n"
              "- {name: d, to: {share: ['IPC$']}, then: allow}\n");
    struct rule_verdict verdict = judge(config, at_pipe(bob(), "spoolss"));
    assert_true(verdict.authenticated_rpc && !verdict.rpc_audit);
    verdict = judge(config, at_pipe(bob(), "winreg"));
    assert_false(verdict.authenticated_rpc || verdict.rpc_audit);
    verdict = judge(config, at_pipe(bob(), "svcctl"));
    assert_true(verdict.authenticated_rpc && verdict.rpc_audit);
    verdict = judge(config, at_pipe(bob(), "samr"));
    assert_false(verdict.authenticated_rpc || verdict.rpc_audit);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_match_decides),
        cmocka_unit_test(test_otherwise),
        cmocka_unit_test(test_demands),
        cmocka_unit_test(test_least_dialect_is_enough),
        cmocka_unit_test(test_what_holds_from_now_on),
        cmocka_unit_test(test_encryption_of_a_pipe_is_that_of_its_share),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_pin),
        cmocka_unit_test(test_login_waits_for_the_share),
        cmocka_unit_test(test_share_waits_for_the_pipe),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_authentication_inside_pipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
