/* What the keeper's process rests on: handles, attempts and the pool, with times of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "crypto/keeper_attempt.h"
#include "crypto/keeper_handle.h"

static const struct identity alice = {
    .mechanism = MECHANISM_KERBEROS,
    .authority = AUTHORITY_KERBEROS,
    .target_absence = TARGET_EMPTY,
    .user = "alice",
    .domain = "EXAMPLE",
    .principal = "alice@EXAMPLE.COM",
    .mutual = true,
    .expires = 4711,
    .groups = {[3] = 8},
};
static const char first_owner, second_owner;

static struct handle_table table;

static int begin_table(void **state)
{
    (void)state;
    handles_init(&table);
    return 0;
}

static int end_table(void **state)
{
    (void)state;
    handles_free(&table);
    return TAILQ_EMPTY(&table.proofs) && TAILQ_EMPTY(&table.renewals) && LIST_EMPTY(&table.owners)
               ? 0
               : -1;
}

static void make(const void *owner, uint64_t link, uint64_t now, uint8_t handle[KEEPER_HANDLE_SIZE])
{
    const struct grant grant = {.identity = alice};
    assert_int_equal(
        handles_make(&table, owner, link, &grant, now + HANDLE_LIFETIME_MS, now, handle),
        HANDLE_MADE);
}

static enum handle_made make_renewal(const void *owner, uint64_t expires, uint64_t now,
                                     uint8_t handle[KEEPER_HANDLE_SIZE])
{
    const struct grant grant = {
        .identity = alice, .renewal = true, .upstream = 3, .login = LOGIN_DELEGATE};
    return handles_make(&table, owner, 7, &grant, expires, now, handle);
}

static void test_handle_is_good_once(void **state)
{
    struct grant grant = {.renewal = true};
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    make(&first_owner, 7, 1000, handle);
    assert_true(handles_take(&table, &first_owner, 7, handle, 1000, &grant));
    assert_false(grant.renewal);
    assert_null(grant.evidence);
    assert_true(identity_same(&grant.identity, &alice));
    assert_string_equal(grant.identity.principal, alice.principal);
    assert_string_equal(grant.identity.target_name, "");
    assert_int_equal(grant.identity.authority, alice.authority);
    assert_int_equal(grant.identity.target_absence, alice.target_absence);
    assert_int_equal(grant.identity.expires, alice.expires);
    assert_true(grant.identity.mutual);
    assert_memory_equal(grant.identity.groups, alice.groups, sizeof alice.groups);
    assert_false(handles_take(&table, &first_owner, 7, handle, 1000, &grant));
}

static void test_handles_differ(void **state)
{
    uint8_t a[KEEPER_HANDLE_SIZE], b[KEEPER_HANDLE_SIZE];
    (void)state;
    make(&first_owner, 7, 0, a);
    make(&first_owner, 7, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_handle_expires(void **state)
{
    struct grant grant;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    const uint64_t end = 1000 + HANDLE_LIFETIME_MS;
    (void)state;
    make(&first_owner, 7, 1000, handle);
    assert_true(handles_take(&table, &first_owner, 7, handle, end - 1, &grant));
    make(&first_owner, 7, 1000, handle);
    assert_false(handles_take(&table, &first_owner, 7, handle, end, &grant));
    assert_true(TAILQ_EMPTY(&table.proofs));
    make(&first_owner, 7, 1000, handle);
    make(&first_owner, 7, 2000, handle);
    handles_drop_expired(&table, end);
    assert_true(handles_take(&table, &first_owner, 7, handle, 3000, &grant));
    assert_true(TAILQ_EMPTY(&table.proofs));
}

static void test_handle_in_wrong_hands(void **state)
{
    struct grant grant = {.upstream = 9};
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    make(&first_owner, 7, 0, handle);
    assert_false(handles_take(&table, &second_owner, 7, handle, 0, &grant));
    assert_false(handles_take(&table, &first_owner, 7, handle, 0, &grant));
    make(&first_owner, 7, 0, handle);
    assert_false(handles_take(&table, &first_owner, 8, handle, 0, &grant));
    assert_false(handles_take(&table, &first_owner, 7, handle, 0, &grant));
    assert_string_equal(grant.identity.user, "");
    assert_int_equal(grant.upstream, 9);
    assert_true(TAILQ_EMPTY(&table.proofs));
}

static void test_handles_are_bounded(void **state)
{
    const struct grant grant = {.identity = alice};
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    for (int i = 0; i < HANDLES_PER_OWNER; i++)
        make(&first_owner, 7, 0, handle);
    assert_int_equal(handles_make(&table, &first_owner, 7, &grant, 1000, 0, handle),
                     HANDLE_TOO_MANY);
    make(&second_owner, 7, 0, handle);
    /* Those for renewals are counted apart. */
    assert_int_equal(make_renewal(&first_owner, 1000, 0, handle), HANDLE_MADE);
    /* Expired ones make room. */
    make(&first_owner, 7, HANDLE_LIFETIME_MS, handle);
    handles_drop_owner(&table, &first_owner);
    assert_true(TAILQ_EMPTY(&table.proofs) && TAILQ_EMPTY(&table.renewals));
    make(&first_owner, 7, 0, handle);
    make(&second_owner, 7, 0, handle);
    handles_drop_owner(&table, &first_owner);
    assert_false(TAILQ_EMPTY(&table.proofs));
}

/* A renewal is for its upstream and login, as often as any handle, for as long as it was made. */
static void test_renewal_is_good_once(void **state)
{
    struct grant grant;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    assert_int_equal(make_renewal(&first_owner, UINT64_MAX, 0, handle), HANDLE_MADE);
    handles_drop_expired(&table, UINT64_MAX - 1);
    assert_true(handles_take(&table, &first_owner, 7, handle, UINT64_MAX - 1, &grant));
    assert_true(grant.renewal);
    assert_int_equal(grant.upstream, 3);
    assert_int_equal(grant.login, LOGIN_DELEGATE);
    assert_false(handles_take(&table, &first_owner, 7, handle, 1, &grant));
    assert_int_equal(make_renewal(&first_owner, 500000, 0, handle), HANDLE_MADE);
    assert_false(handles_take(&table, &first_owner, 7, handle, 500000, &grant));
}

/* The sweep finds those that end, wherever they are in the list. */
static void test_renewals_expire(void **state)
{
    struct grant grant;
    uint8_t lasting[KEEPER_HANDLE_SIZE], ending[KEEPER_HANDLE_SIZE];
    (void)state;
    assert_int_equal(make_renewal(&first_owner, UINT64_MAX, 0, lasting), HANDLE_MADE);
    assert_int_equal(make_renewal(&first_owner, 5000, 0, ending), HANDLE_MADE);
    handles_drop_expired(&table, 1000000);
    assert_non_null(TAILQ_FIRST(&table.renewals));
    assert_true(handles_take(&table, &first_owner, 7, lasting, 1000000, &grant));
    assert_true(TAILQ_EMPTY(&table.renewals));
}

static void test_renewals_are_bounded(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    for (int i = 0; i < RENEWALS_PER_OWNER; i++)
        assert_int_equal(make_renewal(&first_owner, UINT64_MAX, 0, handle), HANDLE_MADE);
    assert_int_equal(make_renewal(&first_owner, UINT64_MAX, 0, handle), HANDLE_TOO_MANY);
    assert_int_equal(make_renewal(&second_owner, UINT64_MAX, 0, handle), HANDLE_MADE);
}

static void test_handle_is_released(void **state)
{
    struct grant grant;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    assert_int_equal(make_renewal(&first_owner, UINT64_MAX, 0, handle), HANDLE_MADE);
    assert_false(handles_release(&table, &second_owner, handle));
    assert_true(handles_release(&table, &first_owner, handle));
    assert_true(TAILQ_EMPTY(&table.renewals));
    assert_true(handles_release(&table, &first_owner, handle));
    assert_false(handles_take(&table, &first_owner, 7, handle, 0, &grant));
}

static void test_attempts_by_number(void **state)
{
    static struct attempt attempts[4] = {
        {.number = 5}, {.number = 5 + ATTEMPT_BUCKETS}, {.number = 0}, {.number = UINT64_MAX}};
    static struct attempt_table attempts_open;
    (void)state;
    attempts_init(&attempts_open);
    assert_null(attempts_any(&attempts_open));
    assert_null(attempts_find(&attempts_open, 5));
    for (int i = 0; i < 4; i++)
        attempts_add(&attempts_open, &attempts[i]);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(attempts_find(&attempts_open, attempts[i].number), &attempts[i]);
    attempts_remove(&attempts_open, &attempts[0]);
    assert_null(attempts_find(&attempts_open, 5));
    assert_ptr_equal(attempts_find(&attempts_open, 5 + ATTEMPT_BUCKETS), &attempts[1]);
    assert_ptr_equal(attempts_any(&attempts_open), &attempts[1]);
}

static void test_attempts_grow_old(void **state)
{
    static struct attempt attempts[3] = {{.number = 1, .begun = 1000, .busy = true},
                                         {.number = 2, .begun = 1000},
                                         {.number = 3, .begun = 2000}};
    static struct attempt_table attempts_open;
    const uint64_t late = 1000 + ATTEMPT_LIFETIME_MS;
    (void)state;
    attempts_init(&attempts_open);
    for (int i = 0; i < 3; i++)
        attempts_add(&attempts_open, &attempts[i]);
    assert_null(attempts_expired(&attempts_open, late - 1));
    /* One with a step in the pool is left until that is back. */
    assert_ptr_equal(attempts_expired(&attempts_open, late), &attempts[1]);
    attempts_remove(&attempts_open, &attempts[1]);
    assert_null(attempts_expired(&attempts_open, late));
    attempts[0].busy = false;
    assert_ptr_equal(attempts_expired(&attempts_open, late), &attempts[0]);
    attempts_remove(&attempts_open, &attempts[0]);
    assert_ptr_equal(attempts_expired(&attempts_open, late + 1000), &attempts[2]);
}

struct sum {
    struct pool_job job;
    struct event_base *base;
    unsigned *done, all;
    pthread_t loop, worked;
    bool was_worked;
};

static void add_up(void *context)
{
    struct sum *sum = context;
    sum->worked = pthread_self();
    sum->was_worked = true;
}

static void add_done(void *context)
{
    struct sum *sum = context;
    assert_true(pthread_equal(pthread_self(), sum->loop));
    if (sum->was_worked)
        assert_false(pthread_equal(sum->worked, sum->loop));
    if (++*sum->done == sum->all)
        assert_int_equal(event_base_loopbreak(sum->base), 0);
}

enum { JOBS = 500 };

static void submit_all(struct pool *pool, struct event_base *base, struct sum *sums, unsigned *done)
{
    for (unsigned i = 0; i < JOBS; i++) {
        sums[i] = (struct sum){.base = base, .done = done, .all = JOBS};
        sums[i].loop = pthread_self();
        sums[i].job = (struct pool_job){.work = add_up, .done = add_done, .context = &sums[i]};
        pool_submit(pool, &sums[i].job);
    }
}

static void test_pool_does_every_job(void **state)
{
    static struct sum sums[JOBS];
    unsigned done = 0;
    struct event_base *base = event_base_new();
    struct pool *pool = pool_new(base, 3);
    (void)state;
    assert_non_null(pool);
    submit_all(pool, base, sums, &done);
    assert_true(event_base_dispatch(base) >= 0);
    assert_int_equal(done, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(sums[i].was_worked);
    pool_free(pool);
    assert_int_equal(done, JOBS);
    event_base_free(base);
}

/* Whoever frees a pool hears of every job, worked on or not. */
static void test_pool_ends_with_jobs(void **state)
{
    static struct sum sums[JOBS];
    unsigned done = 0;
    struct event_base *base = event_base_new();
    struct pool *pool = pool_new(base, 2);
    (void)state;
    assert_non_null(pool);
    submit_all(pool, base, sums, &done);
    pool_free(pool);
    assert_int_equal(done, JOBS);
    pool_free(NULL);
    event_base_free(base);
}

#define HANDLES(test) cmocka_unit_test_setup_teardown(test, begin_table, end_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HANDLES(test_handle_is_good_once),
        HANDLES(test_handles_differ),
        HANDLES(test_handle_expires),
        HANDLES(test_handle_in_wrong_hands),
        HANDLES(test_handles_are_bounded),
        HANDLES(test_renewal_is_good_once),
        HANDLES(test_renewals_expire),
        HANDLES(test_renewals_are_bounded),
        HANDLES(test_handle_is_released),
        cmocka_unit_test(test_attempts_by_number),
        cmocka_unit_test(test_attempts_grow_old),
        cmocka_unit_test(test_pool_does_every_job),
        cmocka_unit_test(test_pool_ends_with_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
