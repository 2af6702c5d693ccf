/*
 * Rules that are refused, each with its line: LEAST has 8, so the first rule stands in line 10.
 */
#include "tests/unit/config_text.h"

#include <stdio.h>

#define RULES LEAST "rules:\n"

struct refused {
    const char *rules;
    unsigned line;
    const char *told;
};

static void assert_refused(const struct refused *refused, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[2048];
        struct config_error error = {.line = 9999};
        assert_true(snprintf(text, sizeof text, "%s%s", RULES, refused[i].rules) <
                    (int)sizeof text);
        struct config *config = config_parse(text, strlen(text), &error);
        if (config)
            fail_msg("taken:\n%s", text);
        if (error.line != refused[i].line || !strstr(error.text, refused[i].told))
            fail_msg("told line %u: %s\nnot line %u: %s\nin:\n%s", error.line, error.text,
                     refused[i].line, refused[i].told, text);
    }
}

#define ASSERT_REFUSED(list) assert_refused(list, sizeof list / sizeof list[0])

static void test_incomplete(void **state)
{
    static const struct refused refused[] = {
        {"- then: allow\n", 10, "rules[0].name: is missing"},
        {"- {name: a b, then: allow}\n", 10, "rules[0].name: \"a b\" has spaces"},
        {"- name: a\n", 10, "rules[0]: does not say what happens; add \"then: allow\""},
        {"- name: a\n  demand: {encryption: true}\n", 10, "rules[0]: does not say what happens"},
        {"- {name: a, then: allow, who: [x]}\n- {name: A, then: allow}\n", 11,
         "rules[1].name: \"A\" is the name of rules[0] too"},
        {"- {name: a, then: perhaps}\n", 10, "rules[0].then: must be one of allow, refuse, audit"},
        {"- {name: a, preset: hardened}\n", 10,
         "rules[0].preset: must be one of hardened-unc, no-ntlm, encrypt"},
        {"- {name: a, then: allow, whom: [x]}\n", 10, "\"whom\" is no option; there are: name"},
        {"- name: a\n  then: allow\n  from:\n    networks: [10.0.0.0/8]\n", 13,
         "rules[0].from: \"networks\" is no option; there are: network, listener"},
        {"- {name: a, then: allow, demand: {kerberos: yes}}\n", 10,
         "rules[0].demand.kerberos: must be one of true, false"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_conditions(void **state)
{
    static const struct refused refused[] = {
        {"- name: a\n  then: allow\n  who: []\n", 12, "rules[0].who: is empty"},
        {"- name: a\n  then: allow\n  who: [x, '']\n", 12, "rules[0].who[1]: is empty"},
        {"- name: a\n  then: allow\n  who: ['@']\n", 12, "rules[0].who[0]: \"@\" is no name"},
        {"- name: a\n  then: allow\n  who: ['CORP\\']\n", 12, "is no name; write alice"},
        {"- name: a\n  then: allow\n  who: ['\\x']\n", 12, "is no name; write alice"},
        {"- name: a\n  then: allow\n  who: [@x]\n", 12, "is not YAML"},
        {"- name: a\n  then: allow\n  from:\n    network: [10.0.0.0/8, 10.0.0]\n", 13,
         "rules[0].from.network[1]: \"10.0.0\" is no network"},
        {"- name: a\n  then: allow\n  from:\n    network: [192.0.2.7/24]\n", 13,
         "has bits set beyond its prefix"},
        {"- name: a\n  then: allow\n  from: {listener: [wan]}\n", 12,
         "rules[0].from.listener[0]: there is no listener named \"wan\""},
        {"- name: a\n  then: allow\n  to: {upstream: [lan]}\n", 12,
         "rules[0].to.upstream[0]: there is no upstream named \"lan\""},
        {"- name: a\n  then: allow\n  to: {share: ['\\\\nas\\data']}\n", 12,
         "must not contain \"\\\"; give the share's name only"},
        {"- name: a\n  then: allow\n  to: {pipe: [\"pipe\\\\samr\"]}\n", 12,
         "rules[0].to.pipe[0]: \"pipe\\samr\" must not contain"},
        {"- name: a\n  then: allow\n  when: {dialect: [4.0]}\n", 12,
         "rules[0].when.dialect[0]: must be one of 2.0.2"},
        {"- name: a\n  then: allow\n  when: {mechanism: []}\n", 12,
         "rules[0].when.mechanism: is empty"},
        {"- name: a\n  then: allow\n  to: {share: [data], pipe: [samr]}\n", 12,
         "rules[0].to.share: \"data\" has no pipes"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_contradictions(void **state)
{
    static const struct refused refused[] = {
        {"- {name: a, then: refuse, demand: {encryption: true}}\n", 10,
         "rules[0].demand: demands something of what is refused"},
        {"- {name: a, preset: encrypt, then: refuse}\n", 10,
         "rules[0].then: demands something of what is refused"},
        {"- {name: a, then: refuse, demand: {pin: true}}\n", 10,
         "rules[0].demand: demands something of what is refused"},
        {"- {name: a, preset: no-ntlm, then: allow}\n", 10, "rules[0].then: is allow, and"},
        {"- {name: a, preset: no-ntlm, when: {mechanism: [kerberos]}}\n", 10,
         "rules[0].when.mechanism: is what \"preset: no-ntlm\" says"},
        {"- {name: a, preset: no-ntlm, demand: {encryption: true}}\n", 10,
         "rules[0].demand: demands something"},
        {"- {name: a, then: allow, when: {mechanism: [ntlm]}, demand: {kerberos: true}}\n", 10,
         "asks for Kerberos of logins that are NTLM"},
        {"- {name: a, preset: hardened-unc, when: {mechanism: [ntlm]}}\n", 10,
         "asks for Kerberos of logins that are NTLM"},
        {"- {name: a, preset: encrypt, when: {cipher: [none]}}\n", 10,
         "asks for encryption of clients that cannot encrypt"},
        {"- {name: a, preset: encrypt, when: {dialect: [2.1, 2.0.2]}}\n", 10,
         "asks for encryption of clients that cannot encrypt"},
        {"- {name: a, then: audit, when: {dialect: [3.0, 2.1]}, demand: {min_dialect: 3.1.1}}\n",
         10, "rules[0].demand.min_dialect: 3.1.1 is above every dialect under \"when\""},
        {"- {name: a, then: allow, authenticated_rpc: allow}\n", 10,
         "rules[0].authenticated_rpc: is about pipes"},
        {"- {name: a, to: {pipe: [x]}, then: refuse, authenticated_rpc: allow}\n", 10,
         "rules[0].authenticated_rpc: is allow, and the pipe is refused"},
        {"- {name: a, to: {pipe: [x]}, then: allow, demand: {read_only: true}}\n", 10,
         "rules[0].demand.read_only: has no meaning for pipes"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

static void test_never_reached(void **state)
{
    static const struct refused refused[] = {
        {"- {name: a, then: allow}\n- {name: b, who: [x], then: refuse}\n", 11,
         "rules[1]: is never reached: rule \"a\" in line 10 matches all that it does"},
        {"- {name: a, who: [x, y], then: allow}\n- {name: b, who: [Y], then: refuse}\n", 11,
         "rules[1]: is never reached"},
        {"- {name: a, who: [x], then: allow}\n- {name: b, who: ['C\\x'], then: refuse}\n", 11,
         "rules[1]: is never reached"},
        {"- {name: a, from: {network: [10.0.0.0/8]}, then: allow}\n"
         "- {name: b, from: {network: [10.1.0.0/16, 10.2.0.1]}, then: refuse}\n",
         11, "rules[1]: is never reached"},
        {"- {name: a, to: {share: [Data]}, then: allow}\n"
         "- {name: b, who: [x], to: {share: [data]}, then: refuse}\n",
         11, "rules[1]: is never reached"},
        {"- {name: a, then: allow, to: {upstream: [nas]}}\n- {name: b, preset: no-ntlm}\n"
         "- {name: c, to: {upstream: [nas], pipe: [x]}, then: allow}\n",
         12, "rules[2]: is never reached: rule \"a\" in line 10"},
        {"- {name: a, to: {share: [Gro\xc3\x9f]}, then: allow}\n"
         "- {name: b, to: {share: [GROSS]}, then: refuse}\n",
         11, "is never reached"},
        {"- {name: a, to: {share: [IPC$]}, then: allow}\n- {name: b, to: {pipe: [x]}, then: "
         "allow}\n",
         11, "rules[1]: is never reached"},
        {"- {name: a, to: {pipe: ['*']}, then: allow}\n- {name: b, to: {pipe: [x]}, then: "
         "allow}\n",
         11, "rules[1]: is never reached"},
        {"- {name: a, when: {dialect: [2.1, 3.0]}, then: allow}\n"
         "- {name: b, when: {dialect: [3.0]}, then: allow}\n",
         11, "rules[1]: is never reached"},
    };
    (void)state;
    ASSERT_REFUSED(refused);
}

/* What looks alike and is not: each of these can be reached. */
static void test_reached(void **state)
{
    static const char *const texts[] = {
        "- {name: a, who: [x], then: allow}\n- {name: b, then: refuse}\n",
        "- {name: a, who: [x], then: allow}\n- {name: b, who: [x, y], then: refuse}\n",
        "- {name: a, who: ['C\\x'], then: allow}\n- {name: b, who: [x], then: refuse}\n",
        "- {name: a, who: [x], then: allow}\n- {name: b, who: ['@x'], then: refuse}\n",
        "- {name: a, from: {network: [10.1.0.0/16]}, then: allow}\n"
        "- {name: b, from: {network: [10.0.0.0/8]}, then: refuse}\n",
        "- {name: a, to: {share: [data]}, then: allow}\n"
        "- {name: b, to: {pipe: [x]}, then: allow}\n",
        "- {name: a, to: {pipe: [x]}, then: allow}\n- {name: b, to: {share: [IPC$]}, then: "
        "allow}\n",
        "- {name: a, who: [x], when: {mechanism: [ntlm]}, then: allow}\n"
        "- {name: b, who: [x], then: refuse}\n",
        "- {name: a, preset: no-ntlm, then: refuse}\n- {name: b, then: allow}\n",
        "- {name: a, preset: hardened-unc, to: {share: [SYSVOL]}}\n- {name: b, preset: encrypt}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text, "%s%s", RULES, texts[i]);
        config_free(parse(text));
    }
}

static void test_too_many(void **state)
{
    enum { MOST = 256 };
    static char text[64 * 1024];
    struct config_error error;
    (void)state;
    for (unsigned count = MOST; count <= MOST + 1; count++) {
        size_t used = (size_t)sprintf(text, "%s", RULES);
        for (unsigned i = 0; i < count; i++)
            used += (size_t)sprintf(&text[used], "- {name: r%u, who: [u%u], then: allow}\n", i, i);
        struct config *config = config_parse(text, used, &error);
        assert_int_equal(config != NULL, count == MOST);
        config_free(config);
    }
    assert_non_null(strstr(error.text, "rules[256]: is one too many; at most 256"));
    assert_int_equal(error.line, 10 + MOST);
}

static void test_encryption_is_off(void **state)
{
    static const char off[] = LISTENER "  encryption: off\n" UPSTREAM CREDENTIALS
                                       "rules:\n- {name: e, preset: encrypt}\n";
    static const char posture[] =
        LISTENER "  posture: signing\n  encryption: required\n" UPSTREAM CREDENTIALS;
    static const char posture_off[] =
        LISTENER "  posture: signing\n  encryption: off\n" UPSTREAM CREDENTIALS;
    struct config_error error;
    (void)state;
    assert_null(config_parse(off, strlen(off), &error));
    assert_int_equal(error.line, 11);
    assert_non_null(strstr(error.text, "the listeners have \"encryption: off\""));
    assert_null(config_parse(posture, strlen(posture), &error));
    assert_int_equal(error.line, 5);
    assert_non_null(strstr(error.text, "listeners[0].posture: says another thing than"));
    assert_null(config_parse(posture_off, strlen(posture_off), &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incomplete),        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_contradictions),    cmocka_unit_test(test_never_reached),
        cmocka_unit_test(test_reached),           cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_encryption_is_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
