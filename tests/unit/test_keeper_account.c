/* Which account of the credentials file is whose: above all, whose it is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/keeper_account.h"

#define HASH "0102030405060708090a0b0c0d0e0f10"

static const char file[] = "user:CORP\\dora:" HASH "\n"
                           "mapped:CORP\\alice:limited:" HASH "\n"
                           "mapped:bob:local:" HASH "\n"
                           "mapped:CORP\\bob:limited:" HASH "\n"
                           "mapped:CORP\\carol:limited:" HASH "\n"
                           "mapped:CORP.TEST\\carol:limited:" HASH "\n"
                           "mapped:OTHER.TEST\\erin:limited:" HASH "\n"
                           "mapped:*:everybody:" HASH "\n";

static struct credentials *credentials;

static int set_up(void **state)
{
    struct credentials_error error;
    (void)state;
    credentials = credentials_parse((struct span){(const uint8_t *)file, sizeof file - 1}, &error);
    return credentials ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    credentials_free(credentials);
    return 0;
}

/* Of CORP.TEST; `domain` NULL: by a ticket without a PAC. */
static struct identity with_ticket(const char *user, const char *domain)
{
    struct identity identity = {.mechanism = MECHANISM_KERBEROS, .authority = AUTHORITY_KERBEROS};
    strcpy(identity.user, user);
    strcpy(identity.domain, domain ? domain : "CORP.TEST");
    strcat(strcpy(identity.principal, user), "@CORP.TEST");
    if (domain)
        assert_true(sid_parse("S-1-5-21-1-2-3-1000", &identity.sid));
    return identity;
}

static void expect(const struct identity *identity, bool at_home, bool same_first,
                   const char *expected)
{
    struct account account;
    enum account_mapping mapping =
        account_mapped(credentials, identity, at_home, same_first, &account);
    assert_int_equal(mapping, expected ? ACCOUNT_MAPPED : ACCOUNT_UNTOLD);
    if (expected)
        assert_string_equal(account.user, expected);
}

static void ticket_that_tells_the_domain(void **state)
{
    (void)state;
    static const struct {
        const char *user, *domain, *account;
    } cases[] = {
        {"alice", "CORP", "limited"},    {"ALICE", "corp", "limited"},
        {"alice", "OTHER", "everybody"}, {"bob", "CORP", "limited"},
        {"bob", "OTHER", "local"},       {"dora", "CORP", "everybody"},
        {"carol", "OTHER", "limited"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity identity = with_ticket(cases[i].user, cases[i].domain);
        expect(&identity, true, true, cases[i].account);
    }
}

/* Leaving out the PAC leads to no other account than the one that is meant. */
static void ticket_that_tells_no_domain(void **state)
{
    (void)state;
    static const struct {
        const char *user, *account; /* NULL: untold */
    } cases[] = {
        {"alice", NULL},      {"ALICE", NULL},       {"bob", NULL},
        {"carol", "limited"}, {"lice", "everybody"}, {"erin", "everybody"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity identity = with_ticket(cases[i].user, NULL);
        expect(&identity, true, false, cases[i].account);
        expect(&identity, false, false, cases[i].account);
    }
}

/* … nor past an entry that would have been used as it is. */
static void entries_of_users_count_where_they_go_first(void **state)
{
    (void)state;
    const struct identity dora = with_ticket("dora", NULL);
    expect(&dora, true, true, NULL);
    expect(&dora, true, false, "everybody");
}

/* Of those who come with NTLM it is always known. */
static void without_kerberos(void **state)
{
    (void)state;
    struct identity alice = {.mechanism = MECHANISM_NTLM, .authority = AUTHORITY_LOCAL};
    strcpy(alice.user, "alice");
    expect(&alice, false, true, "everybody");
    alice.authority = AUTHORITY_DOMAIN;
    strcpy(alice.domain, "OTHER");
    expect(&alice, false, true, "everybody");
    strcpy(alice.domain, "CORP");
    expect(&alice, false, true, "limited");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticket_that_tells_the_domain),
        cmocka_unit_test(ticket_that_tells_no_domain),
        cmocka_unit_test(entries_of_users_count_where_they_go_first),
        cmocka_unit_test(without_kerberos),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
