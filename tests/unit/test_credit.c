#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/credit.h"

static bool take(struct credit_window *window, uint64_t id, uint32_t charge)
{
    return credit_window_take(window, id, charge);
}

/* A refused id leaves the window as it was. */
static void check_refused(struct credit_window *window, uint64_t id, uint32_t charge)
{
    struct credit_window before = *window;
    assert_false(take(window, id, charge));
    assert_memory_equal(window, &before, sizeof before);
}

/* What is available is what was granted and not used. */
static void check_available(const struct credit_window *window)
{
    uint64_t unused = 0;
    for (uint64_t id = window->low; id < window->high; id++)
        unused += !(window->used[id / 64 % (CREDIT_WINDOW / 64)] >> id % 64 & 1);
    assert_int_equal(window->available, unused);
    assert_true(window->high - window->low <= CREDIT_WINDOW);
}

static void test_the_first_id_only(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    check_refused(&window, 1, 1);
    check_refused(&window, 0, 2);
    check_refused(&window, 0, 0);
    check_refused(&window, UINT64_MAX, 1);
    check_refused(&window, UINT64_MAX, 2); /* where an id and its charge go round */
    assert_true(take(&window, 0, 1));
    assert_int_equal(window.available, 0);
    check_refused(&window, 0, 1);
    check_refused(&window, 1, 1);
}

/* Which ids have been used, in any order; what was never granted has not been. */
static void test_used_ids(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    assert_false(credit_window_used(&window, 0));
    assert_true(take(&window, 0, 1));
    assert_int_equal(credit_window_grant(&window, 4), 4);
    assert_true(take(&window, 2, 2));
    assert_true(credit_window_used(&window, 0));
    assert_false(credit_window_used(&window, 1));
    assert_true(credit_window_used(&window, 2) && credit_window_used(&window, 3));
    assert_false(credit_window_used(&window, 4));
    assert_false(credit_window_used(&window, 5) || credit_window_used(&window, UINT64_MAX));
    assert_false(credit_window_used(&window, 2 + CREDIT_WINDOW));
}

static void test_in_order(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    for (uint64_t id = 0; id < 3 * CREDIT_WINDOW; id++) {
        assert_true(take(&window, id, 1));
        check_refused(&window, id, 1);
        assert_int_equal(credit_window_grant(&window, 1), 1);
        assert_int_equal(window.available, 1);
        assert_int_equal(window.low, id + 1);
    }
    check_available(&window);
}

static void test_out_of_order(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    assert_true(take(&window, 0, 1));
    assert_int_equal(credit_window_grant(&window, 10), 10); /* 1 … 10 */
    static const uint64_t order[] = {10, 3, 1, 2, 9, 8, 4, 7, 6, 5};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_true(take(&window, order[i], 1));
        for (size_t j = 0; j <= i; j++)
            check_refused(&window, order[j], 1);
        check_refused(&window, 11, 1);
        check_available(&window);
    }
    assert_int_equal(window.available, 0);
    assert_int_equal(window.low, 11);
}

static void test_multi_charge(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    assert_true(take(&window, 0, 1));
    assert_int_equal(credit_window_grant(&window, 20), 20); /* 1 … 20 */
    check_refused(&window, 1, 21);                          /* one beyond what was granted */
    check_refused(&window, 20, 2);
    check_refused(&window, 1, UINT32_MAX);
    assert_true(take(&window, 5, 4)); /* 5 … 8 */
    assert_int_equal(window.available, 16);
    check_refused(&window, 8, 1);
    check_refused(&window, 4, 2); /* its last is used */
    check_refused(&window, 8, 2); /* its first is used */
    check_refused(&window, 3, 8); /* those within are used */
    assert_true(take(&window, 1, 4));
    assert_int_equal(window.low, 9);
    assert_true(take(&window, 9, 12));
    assert_int_equal(window.low, 21);
    assert_int_equal(window.available, 0);
}

static void test_grants_end_at_the_width_of_the_window(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    assert_int_equal(credit_window_grant(&window, 0), 0);
    assert_int_equal(credit_window_grant(&window, UINT32_MAX), CREDIT_WINDOW - 1);
    assert_int_equal(window.available, CREDIT_WINDOW);
    assert_int_equal(credit_window_grant(&window, 1), 0);
    check_refused(&window, CREDIT_WINDOW, 1);
    check_refused(&window, 0, CREDIT_WINDOW + 1);
    /* Using a later id makes no room: the client keeps the first one back. */
    assert_true(take(&window, 1, 1));
    assert_int_equal(credit_window_grant(&window, 1), 0);
    assert_true(take(&window, 0, 1));
    assert_int_equal(credit_window_grant(&window, 5), 2);
    check_available(&window);
    assert_true(take(&window, 2, CREDIT_WINDOW));
    assert_int_equal(window.available, 0);
    assert_int_equal(window.low, window.high);
}

/* The marks are a ring: an id that falls on an old one's place is fresh. */
static void test_across_the_end_of_the_ring(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    assert_true(take(&window, 0, 1));
    for (uint64_t low = 1; low < 5 * CREDIT_WINDOW; low += 1000) {
        assert_int_equal(credit_window_grant(&window, 1000), 1000);
        assert_true(take(&window, low + 500, 500));
        check_refused(&window, low + 999, 1);
        check_refused(&window, low + 499, 2);
        assert_true(take(&window, low, 500));
        assert_int_equal(window.low, low + 1000);
        assert_int_equal(window.available, 0);
        check_refused(&window, low, 1); /* long gone */
    }
    for (size_t i = 0; i < CREDIT_WINDOW / 64; i++)
        assert_int_equal(window.used[i], 0);
}

static void test_near_the_last_id(void **state)
{
    struct credit_window window;
    (void)state;
    credit_window_init(&window);
    window.low = UINT64_MAX - 10;
    window.high = UINT64_MAX - 5;
    window.available = 5;
    check_refused(&window, UINT64_MAX - 5, 1);
    check_refused(&window, UINT64_MAX, 1);
    check_refused(&window, UINT64_MAX - 6, 8); /* past the last number */
    assert_true(take(&window, UINT64_MAX - 10, 5));
    assert_int_equal(window.available, 0);
}

/* Against the plainest of models, with a client that uses what it likes. */
static void test_against_a_model(void **state)
{
    enum { IDS = 40000 };
    static uint8_t ids[IDS]; /* 0: not granted, 1: granted, 2: used */
    struct credit_window window;
    uint64_t high = 1;
    (void)state;
    srand(17);
    memset(ids, 0, sizeof ids);
    ids[0] = 1;
    credit_window_init(&window);
    for (int i = 0; i < 60000 && high < IDS - CREDIT_WINDOW; i++) {
        uint64_t id = window.low + (uint64_t)rand() % (window.high - window.low + 2);
        uint32_t charge = (uint32_t)rand() % 5;
        bool right = charge > 0;
        if (rand() % 8 == 0) /* what keeps the window moving */
            id = window.low, charge = 1, right = true;
        for (uint32_t j = 0; j < charge; j++)
            right = right && ids[id + j] == 1;
        assert_int_equal(take(&window, id, charge), right);
        for (uint32_t j = 0; right && j < charge; j++)
            ids[id + j] = 2;
        uint16_t granted = credit_window_grant(&window, (uint32_t)rand() % 6);
        for (uint16_t j = 0; j < granted; j++)
            ids[high++] = 1;
        assert_int_equal(window.high, high);
    }
    check_available(&window);
    assert_true(high > 2 * CREDIT_WINDOW); /* or it has tried little */
}

static void test_purse(void **state)
{
    struct credit_purse purse;
    (void)state;
    credit_purse_init(&purse);
    assert_int_equal(purse.available, 1);
    assert_int_equal(credit_purse_spend(&purse, 1), 0);
    assert_int_equal(purse.available, 0);
    assert_int_equal(purse.outstanding, 1);
    credit_purse_settle(&purse, 1, 10);
    assert_int_equal(purse.available, 10);
    assert_int_equal(purse.outstanding, 0);
    assert_int_equal(credit_purse_spend(&purse, 4), 1);
    assert_int_equal(credit_purse_spend(&purse, 1), 5); /* after the four ids of the one before */
    assert_int_equal(credit_purse_spend(&purse, 5), 6);
    assert_int_equal(purse.available, 0);
    assert_int_equal(purse.outstanding, 10);
    credit_purse_settle(&purse, 5, 0); /* in any order; a server may take credits back */
    credit_purse_settle(&purse, 0, 3); /* an interim response grants and settles nothing */
    assert_int_equal(purse.available, 3);
    assert_int_equal(purse.outstanding, 5);
    assert_int_equal(credit_purse_spend(&purse, 1), 11);
}

/* A server may grant as much as it likes; the count does not go round. */
static void test_purse_holds_only_so_much(void **state)
{
    struct credit_purse purse;
    (void)state;
    credit_purse_init(&purse);
    for (int i = 0; i < 100000; i++)
        credit_purse_settle(&purse, 0, UINT16_MAX);
    assert_true(purse.available >= CREDIT_WINDOW && purse.available <= 1u << 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_id_only),
        cmocka_unit_test(test_used_ids),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_multi_charge),
        cmocka_unit_test(test_grants_end_at_the_width_of_the_window),
        cmocka_unit_test(test_across_the_end_of_the_ring),
        cmocka_unit_test(test_near_the_last_id),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_purse),
        cmocka_unit_test(test_purse_holds_only_so_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
