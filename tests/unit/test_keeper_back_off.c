/* How long an account rests whose credential was refused, with times of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>

#include "crypto/keeper_back_off.h"

static const struct back_off_account alice = {"nas:445", LOGIN_SAME, "NAS\\alice", 7};
static struct back_off_table table;

static int set_up(void **state)
{
    (void)state;
    back_offs_init(&table);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    back_offs_clear(&table);
    return 0;
}

static enum back_off_answer ask(const struct back_off_account *account, uint64_t now)
{
    return back_offs_ask(&table, account, now);
}

static void refuse(const struct back_off_account *account, bool trial, uint64_t now)
{
    assert_true(back_offs_refused(&table, account, trial, now));
}

static void test_nothing_is_known_at_first(void **state)
{
    (void)state;
    assert_int_equal(ask(&alice, 0), BACK_OFF_NONE);
    assert_int_equal(ask(&alice, UINT64_MAX), BACK_OFF_NONE);
    back_offs_accepted(&table, &alice);
    assert_int_equal(table.count, 0);
}

static void test_rests_for_half_a_minute(void **state)
{
    (void)state;
    assert_int_equal(BACK_OFF_FIRST_MS, 30000);
    refuse(&alice, false, 1000);
    assert_int_equal(ask(&alice, 1000), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 30999), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 31000), BACK_OFF_TRIAL);
}

/* 30 s, 1, 2, 4, 8 minutes, and 15 from then on. */
static void test_rest_doubles_up_to_a_limit(void **state)
{
    static const uint64_t seconds[] = {30, 60, 120, 240, 480, 900, 900, 900};
    uint64_t now = 5000;
    (void)state;
    for (unsigned i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        refuse(&alice, i > 0, now);
        now += 1000 * seconds[i];
        assert_int_equal(ask(&alice, now - 1), BACK_OFF_RESTS);
        assert_int_equal(ask(&alice, now), BACK_OFF_TRIAL);
    }
}

/* Else as many logins as wait would fail at once. */
static void test_one_trial_at_a_time(void **state)
{
    (void)state;
    refuse(&alice, false, 0);
    assert_int_equal(ask(&alice, 40000), BACK_OFF_TRIAL);
    assert_int_equal(ask(&alice, 40000), BACK_OFF_RESTS);
    /* Its outcome is never told: another one may try. */
    assert_int_equal(ask(&alice, 40000 + BACK_OFF_FIRST_MS - 1), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 40000 + BACK_OFF_FIRST_MS), BACK_OFF_TRIAL);
    /* It is refused while it is the only one: the rest is a minute now. */
    refuse(&alice, true, 80000);
    assert_int_equal(ask(&alice, 139999), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 140000), BACK_OFF_TRIAL);
}

/* Ten connections of a client that came together are one mistake, not ten. */
static void test_logins_side_by_side_count_once(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        refuse(&alice, false, 1000 + i);
    assert_int_equal(ask(&alice, 30999), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 31000), BACK_OFF_TRIAL);
}

static void test_success_forgets(void **state)
{
    (void)state;
    refuse(&alice, false, 0);
    refuse(&alice, true, 30000);
    back_offs_accepted(&table, &alice);
    assert_int_equal(table.count, 0);
    assert_int_equal(ask(&alice, 30001), BACK_OFF_NONE);
    /* And what comes later begins anew. */
    refuse(&alice, false, 40000);
    assert_int_equal(ask(&alice, 70000), BACK_OFF_TRIAL);
}

static void test_accounts_are_told_apart(void **state)
{
    static const struct back_off_account others[] = {
        {"nas:1445", LOGIN_SAME, "NAS\\alice", 7},   {"nas:445", LOGIN_MAPPED, "NAS\\alice", 7},
        {"nas:445", LOGIN_SAME, "alice", 7},         {"nas:445", LOGIN_SAME, "OTHER\\alice", 7},
        {"nas:445", LOGIN_SAME, "NAS\\alic", 7},     {"nas:445", LOGIN_SAME, "", 7},
        {"nas:445", LOGIN_SAME, "NAS\\alice\\x", 7}, {"nas:445", LOGIN_SAME, "NAS\\alice", 8},
    };
    static const struct back_off_account spelled[] = {{"nas:445", LOGIN_SAME, "nas\\ALICE", 7},
                                                      {"nas:445", LOGIN_SAME, "Nas\\Alice", 7}};
    (void)state;
    refuse(&alice, false, 0);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(ask(&others[i], 1), BACK_OFF_NONE);
    for (unsigned i = 0; i < sizeof spelled / sizeof spelled[0]; i++)
        assert_int_equal(ask(&spelled[i], 1), BACK_OFF_RESTS);
    back_offs_accepted(&table, &others[0]);
    assert_int_equal(ask(&alice, 1), BACK_OFF_RESTS);
    back_offs_accepted(&table, &spelled[0]);
    assert_int_equal(ask(&alice, 1), BACK_OFF_NONE);
}

static void test_clear_forgets_everybody(void **state)
{
    static const struct back_off_account bob = {"nas:445", LOGIN_MAPPED, "bob", 9};
    (void)state;
    refuse(&alice, false, 0);
    refuse(&bob, false, 0);
    back_offs_clear(&table);
    assert_int_equal(ask(&alice, 1), BACK_OFF_NONE);
    assert_int_equal(ask(&bob, 1), BACK_OFF_NONE);
    refuse(&bob, false, 2);
    assert_int_equal(ask(&bob, 3), BACK_OFF_RESTS);
}

static struct back_off_account numbered(char name[16], int number)
{
    (void)snprintf(name, 16, "user%d", number);
    return (struct back_off_account){"nas:445", LOGIN_SAME, name, 7};
}

/* The account that nobody asked for longest makes room, not the one refused first. */
static void test_table_is_bounded(void **state)
{
    char name[16];
    struct back_off_account account;
    (void)state;
    for (int i = 0; i < BACK_OFFS_MAX; i++) {
        account = numbered(name, i);
        refuse(&account, false, 0);
    }
    account = numbered(name, 0);
    assert_int_equal(ask(&account, 1), BACK_OFF_RESTS);
    refuse(&alice, false, 1);
    assert_int_equal(table.count, BACK_OFFS_MAX);
    assert_int_equal(ask(&account, 1), BACK_OFF_RESTS);
    assert_int_equal(ask(&alice, 1), BACK_OFF_RESTS);
    account = numbered(name, 2);
    assert_int_equal(ask(&account, 1), BACK_OFF_RESTS);
    account = numbered(name, 1);
    assert_int_equal(ask(&account, 1), BACK_OFF_NONE);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(test_nothing_is_known_at_first),
        WITH_TABLE(test_rests_for_half_a_minute),
        WITH_TABLE(test_rest_doubles_up_to_a_limit),
        WITH_TABLE(test_one_trial_at_a_time),
        WITH_TABLE(test_logins_side_by_side_count_once),
        WITH_TABLE(test_success_forgets),
        WITH_TABLE(test_accounts_are_told_apart),
        WITH_TABLE(test_clear_forgets_everybody),
        WITH_TABLE(test_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
