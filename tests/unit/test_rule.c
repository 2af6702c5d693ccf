/*
 * Rules: each condition with what it matches and what it does not.
 */
#include "tests/unit/rule_text.h"

/* A rule with one condition, `text`, matches the one and not the other. */
static void assert_tells_apart(const char *text, struct rule_facts yes, struct rule_facts no)
{
    char whole[512];
    snprintf(whole, sizeof whole, "rules:\n- {name: r, %s, then: refuse}\n", text);
    struct config *config = rules(whole);
    expect(config, yes, RULE_REFUSE, "r", "rule");
    expect(config, no, RULE_ALLOW, NULL, NULL);
    config_free(config);
}

static void test_nothing_is_refused_without_rules(void **state)
{
    struct config *config = rules("");
    (void)state;
    assert_int_equal(config->rules_count, 0);
    assert_int_equal(config->otherwise, CONFIG_ALLOW);
    expect(config, alice(), RULE_ALLOW, NULL, NULL);
    expect(config, bob(), RULE_ALLOW, NULL, NULL);
    expect(config, at_share(bob(), "data"), RULE_ALLOW, NULL, NULL);
    struct rule_verdict verdict = judge(config, at_share(bob(), "data"));
    assert_false(verdict.encryption || verdict.read_only || verdict.read_only_audit);
    config_free(config);
}

static void test_who(void **state)
{
    (void)state;
    struct rule_facts other = alice();
    assert_tells_apart("who: [alice]", alice(), bob());
    assert_tells_apart("who: [x, ALICE]", alice(), bob());
    assert_tells_apart("who: ['Corp\\Alice']", alice(), bob());
    assert_tells_apart("who: [alice@corp.example.com]", alice(), bob());
    /* The same name, somewhere else; or in a domain that nobody vouches for. */
    other.domain = "ELSEWHERE";
    other.principal = "alice@ELSEWHERE";
    assert_tells_apart("who: ['CORP\\alice']", alice(), other);
    assert_tells_apart("who: [alice@CORP.EXAMPLE.COM]", alice(), other);
    /* The realm for the domain, whose NetBIOS name the ticket tells. */
    assert_tells_apart("who: ['corp.example.com\\Alice']", alice(), other);
    other.domain = other.principal = NULL;
    assert_tells_apart("who: ['CORP\\alice']", alice(), other);
    assert_tells_apart("who: [alice@CORP.EXAMPLE.COM]", alice(), other);
    other.user = "alice2";
    assert_tells_apart("who: [alice]", alice(), other);
    other.user = "lice";
    assert_tells_apart("who: [alice]", alice(), other);
}

static void test_groups(void **state)
{
    static const uint8_t first[1] = {1}, third[1] = {4}, none[1] = {0};
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- {name: a, who: ['@Finance'], then: refuse}\n"
                                  "- {name: b, who: [x, '@FINANCE', '@CORP\\hr'], then: refuse}\n"
                                  "- {name: c, who: ['@Operators'], then: audit}\n");
    assert_int_equal(config->groups_count, 3);
    assert_string_equal(config->groups[0], "Finance");
    assert_string_equal(config->groups[1], "CORP\\hr");
    assert_string_equal(config->groups[2], "Operators");
    struct rule_facts facts = alice();
    expect(config, facts, RULE_ALLOW, NULL, NULL);
    facts.groups = none;
    expect(config, facts, RULE_ALLOW, NULL, NULL);
    facts.groups = first;
    expect(config, facts, RULE_REFUSE, "a", "rule");
    facts.groups = third;
    expect(config, facts, RULE_AUDIT, "c", "rule");
    static const uint8_t second[1] = {2};
    facts.groups = second;
    expect(config, facts, RULE_REFUSE, "b", "rule");
    facts.user = "@Finance"; /* is no group */
    facts.groups = none;
    expect(config, facts, RULE_ALLOW, NULL, NULL);
    config_free(config);
}

static void test_from(void **state)
{
    struct rule_facts inside = alice(), outside = alice();
    (void)state;
    outside.address = "192.0.3.77";
    assert_tells_apart("from: {network: [192.0.2.0/24]}", inside, outside);
    assert_tells_apart("from: {network: [10.0.0.0/8, 192.0.2.77]}", inside, outside);
    inside.address = "::ffff:192.0.2.78";
    assert_tells_apart("from: {network: [192.0.2.0/24]}", inside, outside);
    inside.address = "fe80::1%eth0";
    assert_tells_apart("from: {network: ['fe80::/10']}", inside, outside);
    inside = outside = alice();
    outside.listener = "guest";
    assert_tells_apart("from: {listener: [lan]}", inside, outside);
    outside = inside;
    outside.address = "198.51.100.1"; /* both have to hold */
    assert_tells_apart("from: {listener: [lan], network: [192.0.2.0/24]}", inside, outside);
}

static void test_to(void **state)
{
    struct rule_facts old = alice();
    (void)state;
    old.upstream = "old";
    assert_tells_apart("to: {upstream: [old]}", old, alice());
    assert_tells_apart("to: {share: [data, Pay roll]}", at_share(bob(), "PAY ROLL"),
                       at_share(bob(), "payroll"));
    assert_tells_apart("to: {share: [data]}", at_share(bob(), "data"), bob());
    assert_tells_apart("to: {share: [data]}", at_share(bob(), "Data"), at_pipe(bob(), "srvsvc"));
    assert_tells_apart("to: {pipe: [samr]}", at_pipe(bob(), "SAMR"), at_pipe(bob(), "srvsvc"));
    assert_tells_apart("to: {pipe: [samr]}", at_pipe(bob(), "samr"), at_share(bob(), "samr"));
    assert_tells_apart("to: {pipe: [samr]}", at_pipe(bob(), "samr"), at_share(bob(), "IPC$"));
    assert_tells_apart("to: {pipe: ['*']}", at_pipe(bob(), "anything"), at_share(bob(), "IPC$"));
    assert_tells_apart("to: {share: [ipc$]}", at_share(bob(), "IPC$"), at_share(bob(), "data"));
}

static void test_when(void **state)
{
    struct rule_facts mismatched = alice();
    (void)state;
    mismatched.target_mismatch = true;
    assert_tells_apart("when: {mechanism: [ntlm]}", bob(), alice());
    assert_tells_apart("when: {mechanism: [kerberos]}", alice(), bob());
    assert_tells_apart("when: {dialect: [2.0.2, 2.1]}", bob(), alice());
    assert_tells_apart("when: {signing: [hmac-sha256]}", bob(), alice());
    assert_tells_apart("when: {signing: [aes-gmac, aes-cmac]}", alice(), bob());
    assert_tells_apart("when: {cipher: [none]}", bob(), alice());
    assert_tells_apart("when: {cipher: [aes-256-gcm, aes-128-gcm]}", alice(), bob());
    assert_tells_apart("when: {target_name: [absent]}", bob(), alice());
    assert_tells_apart("when: {target_name: [given]}", alice(), bob());
    assert_tells_apart("when: {target_name: [mismatch]}", mismatched, alice());
    assert_tells_apart("when: {target_name: [absent, mismatch]}", mismatched, alice());
    assert_tells_apart("when: {mechanism: [ntlm], dialect: [2.1], cipher: [none]}", bob(), alice());
}

static void test_all_conditions_have_to_hold(void **state)
{
    struct rule_facts other;
    (void)state;
    struct config *config = rules("rules:\n"
                                  "- name: r\n"
                                  "  who: [alice]\n"
                                  "  from: {network: [192.0.2.0/24], listener: [lan]}\n"
                                  "  to: {upstream: [nas], share: [data]}\n"
                                  "  when: {mechanism: [kerberos]}\n"
                                  "  then: refuse\n");
    expect(config, at_share(alice(), "data"), RULE_REFUSE, "r", "rule");
    other = at_share(alice(), "data");
    other.user = "bob";
    expect(config, other, RULE_ALLOW, NULL, NULL);
    other = at_share(alice(), "data");
    other.address = "198.51.100.1";
    expect(config, other, RULE_ALLOW, NULL, NULL);
    other = at_share(alice(), "data");
    other.listener = "guest";
    expect(config, other, RULE_ALLOW, NULL, NULL);
    other = at_share(alice(), "data");
    other.upstream = "old";
    expect(config, other, RULE_ALLOW, NULL, NULL);
    expect(config, at_share(alice(), "other"), RULE_ALLOW, NULL, NULL);
    other = at_share(alice(), "data");
    other.mechanism = CONFIG_MECHANISM_NTLM;
    expect(config, other, RULE_ALLOW, NULL, NULL);
    config_free(config);
}

static void test_user_and_source_network(void **state)
{
    struct rule_facts away = bob();
    (void)state;
    away.address = "198.51.100.1";
    struct config *config =
        rules("rules:\n"
              "- {name: at-home, who: [bob], from: {network: [192.0.2.0/24]}, then: allow}\n"
              "- {name: elsewhere, who: [bob], then: refuse}\n");
    expect(config, bob(), RULE_ALLOW, "at-home", NULL);
    expect(config, away, RULE_REFUSE, "elsewhere", "rule");
    expect(config, alice(), RULE_ALLOW, NULL, NULL);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_refused_without_rules),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_to),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_all_conditions_have_to_hold),
        cmocka_unit_test(test_user_and_source_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
