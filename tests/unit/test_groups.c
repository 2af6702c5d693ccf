/* Who is in which group: by SIDs, and by the groups of the credentials file. What winbind says of
 * names is tested against a real one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/groups.h"

#define HASH "0102030405060708090a0b0c0d0e0f10"

static const char file[] = "user:alice:" HASH "\n"
                           "user:CORP\\bob:" HASH "\n"
                           "user:bob:" HASH "\n"
                           "group:team:alice,CORP\\bob,J\xc3\xb6rg\n"
                           "group:domain:corp\\alice,Carol@CORP.TEST,CORP.TEST\\frank\n"
                           "group:nobody:\n";

static const char *const names[] = {
    "team", "domain", "nobody", "missing", "S-1-5-21-1-2-3-1106", "CORP\\finance"};
enum { TEAM = 1, DOMAIN = 2, BY_SID = 16, NAMES = sizeof names / sizeof *names };

struct fixture {
    struct credentials *credentials;
    struct groups *groups;
    struct sids sids;
};

static int set_up(void **state)
{
    struct credentials_error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->credentials =
        credentials_parse((struct span){(const uint8_t *)file, sizeof file - 1}, &error);
    assert_non_null(fixture->credentials);
    fixture->groups = groups_new(names, NAMES, fixture->credentials, NULL);
    assert_non_null(fixture->groups);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    sids_free(&fixture->sids);
    groups_free(fixture->groups);
    credentials_free(fixture->credentials);
    free(fixture);
    return 0;
}

static void check(struct fixture *fixture, struct identity identity, unsigned groups)
{
    memset(identity.groups, 0xff, sizeof identity.groups);
    assert_int_equal(groups_mark(fixture->groups, &fixture->sids, &identity), GROUPS_MARKED);
    assert_int_equal(identity.groups[0], groups);
    for (unsigned i = 0; i <= IDENTITY_GROUPS_MAX; i++)
        assert_int_equal(identity_in_group(&identity, i), i < 8 && groups >> i & 1);
}

static void add_sid(struct fixture *fixture, const char *text)
{
    struct sid sid;
    assert_true(sid_parse(text, &sid));
    assert_true(sids_add(&fixture->sids, &sid));
}

static struct identity local(const char *user, const char *domain)
{
    struct identity identity = {.mechanism = MECHANISM_NTLM, .authority = AUTHORITY_LOCAL};
    strcpy(identity.user, user);
    strcpy(identity.domain, domain);
    return identity;
}

static struct identity vouched(enum authority authority, const char *user, const char *domain)
{
    struct identity identity = local(user, domain);
    identity.authority = authority;
    return identity;
}

static void test_local_users_are_in_local_groups(void **state)
{
    check(*state, local("ALICE", ""), TEAM);
    check(*state, local("j\xc3\x96rg", ""), TEAM);
    check(*state, local("carol", ""), 0);
    check(*state, local("bob", ""), 0);
    check(*state, local("bob", "corp"), TEAM);
}

/* A local user may say that he is of any domain. */
static void test_what_a_client_says_of_its_domain_makes_no_member(void **state)
{
    check(*state, local("alice", "CORP"), TEAM);
    check(*state, local("alice", "ELSEWHERE"), TEAM);
    check(*state, local("CORP\\alice", ""), 0);
    check(*state, local("alice", "CORP\\"), TEAM);
}

static void test_a_plain_name_means_a_local_user(void **state)
{
    check(*state, vouched(AUTHORITY_DOMAIN, "alice", "CORP"), DOMAIN);
    check(*state, vouched(AUTHORITY_DOMAIN, "alice", "OTHER"), 0);
    check(*state, vouched(AUTHORITY_DOMAIN, "alice", ""), 0);
    check(*state, vouched(AUTHORITY_DOMAIN, "CORP\\alice", ""), 0);
    check(*state, vouched(AUTHORITY_DOMAIN, "bob", "CORP"), TEAM);
    check(*state, vouched(AUTHORITY_KERBEROS, "alice", "corp"), DOMAIN);
}

static void test_principals_are_members(void **state)
{
    struct identity carol = vouched(AUTHORITY_KERBEROS, "carol", "X");
    strcpy(carol.principal, "carol@CORP.TEST");
    check(*state, carol, DOMAIN);
    strcpy(carol.principal, "carol@OTHER.TEST");
    check(*state, carol, 0);
    strcpy(carol.principal, "alice");
    carol.authority = AUTHORITY_LOCAL;
    check(*state, carol, 0);
}

/* A ticket without a PAC is of some alice, who may be CORP\alice and may be somebody else. */
static void test_without_a_pac_nobody_knows(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *user;
        enum groups_marked marked;
    } cases[] = {
        {"alice", GROUPS_PAC_MISSING}, {"ALICE", GROUPS_PAC_MISSING}, {"bob", GROUPS_PAC_MISSING},
        {"carol", GROUPS_MARKED},      {"lice", GROUPS_MARKED},       {"dave", GROUPS_MARKED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity identity = vouched(AUTHORITY_KERBEROS, cases[i].user, "CORP.TEST");
        (void)snprintf(identity.principal, sizeof identity.principal, "%s@CORP.TEST",
                       cases[i].user);
        assert_int_equal(groups_mark(fixture->groups, &fixture->sids, &identity), cases[i].marked);
        /* … with one it is known whether he is */
        strcpy(identity.domain, "OTHER");
        assert_true(sid_parse("S-1-5-21-7-7-7-1000", &identity.sid));
        assert_int_equal(groups_mark(fixture->groups, &fixture->sids, &identity), GROUPS_MARKED);
    }
    assert_int_equal(groups_refusal(GROUPS_PAC_MISSING), REFUSAL_PAC_MISSING);
    assert_int_equal(groups_refusal(GROUPS_NOT_ASKED), REFUSAL_DOMAIN_UNAVAILABLE);
    assert_int_equal(groups_refusal(GROUPS_MARKED), REFUSAL_NONE);
}

/* A member written with the realm is one by any ticket of it. */
static void test_members_by_their_realm(void **state)
{
    struct fixture *fixture = *state;
    struct identity frank = vouched(AUTHORITY_KERBEROS, "frank", "CORP.TEST");
    strcpy(frank.principal, "frank@CORP.TEST");
    check(fixture, frank, DOMAIN);
    strcpy(frank.domain, "CORP");
    assert_true(sid_parse("S-1-5-21-7-7-7-1000", &frank.sid));
    check(fixture, frank, DOMAIN);
}

static void test_sids_count(void **state)
{
    struct fixture *fixture = *state;
    add_sid(fixture, "S-1-5-21-1-2-3-513");
    check(fixture, vouched(AUTHORITY_DOMAIN, "zed", "CORP"), 0);
    add_sid(fixture, "S-1-5-21-1-2-3-1106");
    check(fixture, vouched(AUTHORITY_DOMAIN, "zed", "CORP"), BY_SID);
    check(fixture, vouched(AUTHORITY_DOMAIN, "alice", "CORP"), BY_SID | DOMAIN);
}

static void test_without_winbind_a_domains_name_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    assert_false(groups_ask_domain(fixture->groups));
    add_sid(fixture, "S-1-5-21-1-2-3-512");
    check(fixture, vouched(AUTHORITY_DOMAIN, "zed", "CORP"), 0);
}

/* Winbind is to be asked and is not there: to say "not a member" might let somebody in whom a rule
 * for that group keeps out. Who has no SIDs is in no group of a domain, whatever winbind says. */
static void test_no_answer_is_no_membership_and_no_absence(void **state)
{
    struct fixture *fixture = *state;
    struct domain *domain = domain_new();
    assert_non_null(domain);
    static const char *const one[] = {"CORP\\finance"};
    struct groups *groups = groups_new(one, 1, fixture->credentials, domain);
    assert_non_null(groups);
    struct identity identity = local("alice", "");
    assert_int_equal(groups_mark(groups, &fixture->sids, &identity), GROUPS_MARKED);
    assert_true(groups_ask_domain(groups));
    if (!domain_refresh(domain)) {
        add_sid(fixture, "S-1-5-21-1-2-3-1106");
        identity = vouched(AUTHORITY_DOMAIN, "alice", "CORP");
        assert_int_equal(groups_mark(groups, &fixture->sids, &identity), GROUPS_NOT_ASKED);
        assert_true(groups_ask_domain(groups));
    }
    groups_free(groups);
    domain_free(domain);
}

static void test_problems_with_names(void **state)
{
    const struct fixture *fixture = *state;
    assert_null(groups_problem("TEAM", fixture->credentials, false));
    assert_null(groups_problem("S-1-5-32-544", fixture->credentials, false));
    assert_null(groups_problem("CORP\\x", fixture->credentials, true));
    assert_non_null(strstr(groups_problem("CORP\\x", fixture->credentials, false), "winbind"));
    assert_non_null(strstr(groups_problem("x", fixture->credentials, true), "group add"));
    assert_non_null(groups_problem("team", NULL, true));
}

static void test_there_may_be_so_many(void **state)
{
    const struct fixture *fixture = *state;
    static const char *many[IDENTITY_GROUPS_MAX + 1];
    struct identity alice = local("alice", "");
    for (size_t i = 0; i <= IDENTITY_GROUPS_MAX; i++)
        many[i] = i == IDENTITY_GROUPS_MAX - 1 ? "team" : "nobody";
    assert_null(groups_new(many, IDENTITY_GROUPS_MAX + 1, fixture->credentials, NULL));
    struct groups *groups = groups_new(many, IDENTITY_GROUPS_MAX, fixture->credentials, NULL);
    assert_non_null(groups);
    assert_int_equal(groups_mark(groups, &fixture->sids, &alice), GROUPS_MARKED);
    for (unsigned i = 0; i < IDENTITY_GROUPS_MAX; i++)
        assert_int_equal(identity_in_group(&alice, i), i == IDENTITY_GROUPS_MAX - 1);
    groups_free(groups);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_local_users_are_in_local_groups),
        WITH_FILE(test_what_a_client_says_of_its_domain_makes_no_member),
        WITH_FILE(test_a_plain_name_means_a_local_user),
        WITH_FILE(test_principals_are_members),
        WITH_FILE(test_without_a_pac_nobody_knows),
        WITH_FILE(test_members_by_their_realm),
        WITH_FILE(test_sids_count),
        WITH_FILE(test_without_winbind_a_domains_name_is_nobodys),
        WITH_FILE(test_no_answer_is_no_membership_and_no_absence),
        WITH_FILE(test_problems_with_names),
        WITH_FILE(test_there_may_be_so_many),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
