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

static const struct identity alice = {.mechanism = MECHANISM_NTLM, .user = "alice"};
static const char first_owner, second_owner;

static void make(struct handle_table *table, const void *owner, uint64_t link, uint64_t now,
                 uint8_t handle[KEEPER_HANDLE_SIZE])
{
    assert_int_equal(handles_make(table, owner, link, &alice, now, handle), HANDLE_MADE);
}

static void test_handle_is_good_once(void **state)
{
    struct handle_table table;
    struct identity identity = {0};
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    handles_init(&table);
    make(&table, &first_owner, 7, 1000, handle);
    assert_true(handles_take(&table, &first_owner, 7, handle, 1000, &identity));
    assert_string_equal(identity.user, "alice");
    assert_false(handles_take(&table, &first_owner, 7, handle, 1000, &identity));
    handles_free(&table);
}

static void test_handles_differ(void **state)
{
    struct handle_table table;
    uint8_t a[KEEPER_HANDLE_SIZE], b[KEEPER_HANDLE_SIZE];
    (void)state;
    handles_init(&table);
    make(&table, &first_owner, 7, 0, a);
    make(&table, &first_owner, 7, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    handles_free(&table);
}

static void test_handle_expires(void **state)
{
    struct handle_table table;
    struct identity identity;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    handles_init(&table);
    make(&table, &first_owner, 7, 1000, handle);
    assert_true(
        handles_take(&table, &first_owner, 7, handle, 1000 + HANDLE_LIFETIME_MS - 1, &identity));
    make(&table, &first_owner, 7, 1000, handle);
    assert_false(
        handles_take(&table, &first_owner, 7, handle, 1000 + HANDLE_LIFETIME_MS, &identity));
    assert_true(TAILQ_EMPTY(&table.by_age));
    make(&table, &first_owner, 7, 1000, handle);
    make(&table, &first_owner, 7, 2000, handle);
    handles_drop_expired(&table, 1000 + HANDLE_LIFETIME_MS);
    assert_true(handles_take(&table, &first_owner, 7, handle, 3000, &identity));
    assert_true(TAILQ_EMPTY(&table.by_age));
}

static void test_handle_in_wrong_hands(void **state)
{
    struct handle_table table;
    struct identity identity = {0};
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    handles_init(&table);
    make(&table, &first_owner, 7, 0, handle);
    assert_false(handles_take(&table, &second_owner, 7, handle, 0, &identity));
    assert_false(handles_take(&table, &first_owner, 7, handle, 0, &identity));
    make(&table, &first_owner, 7, 0, handle);
    assert_false(handles_take(&table, &first_owner, 8, handle, 0, &identity));
    assert_false(handles_take(&table, &first_owner, 7, handle, 0, &identity));
    assert_string_equal(identity.user, "");
    assert_true(TAILQ_EMPTY(&table.by_age));
}

static void test_handles_are_bounded(void **state)
{
    struct handle_table table;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    (void)state;
    handles_init(&table);
    for (int i = 0; i < HANDLES_PER_OWNER; i++)
        make(&table, &first_owner, 7, 0, handle);
    assert_int_equal(handles_make(&table, &first_owner, 7, &alice, 0, handle), HANDLE_TOO_MANY);
    make(&table, &second_owner, 7, 0, handle);
    /* Expired ones make room. */
    make(&table, &first_owner, 7, HANDLE_LIFETIME_MS, handle);
    handles_drop_owner(&table, &first_owner);
    assert_true(TAILQ_EMPTY(&table.by_age));
    make(&table, &first_owner, 7, 0, handle);
    make(&table, &second_owner, 7, 0, handle);
    handles_drop_owner(&table, &first_owner);
    assert_false(TAILQ_EMPTY(&table.by_age));
    handles_free(&table);
    assert_true(TAILQ_EMPTY(&table.by_age));
}

static void test_attempts_by_number(void **state)
{
    static struct attempt attempts[4] = {
        {.number = 5}, {.number = 5 + ATTEMPT_BUCKETS}, {.number = 0}, {.number = UINT64_MAX}};
    static struct attempt_table table;
    (void)state;
    attempts_init(&table);
    assert_null(attempts_any(&table));
    assert_null(attempts_find(&table, 5));
    for (int i = 0; i < 4; i++)
        attempts_add(&table, &attempts[i]);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(attempts_find(&table, attempts[i].number), &attempts[i]);
    attempts_remove(&table, &attempts[0]);
    assert_null(attempts_find(&table, 5));
    assert_ptr_equal(attempts_find(&table, 5 + ATTEMPT_BUCKETS), &attempts[1]);
    assert_ptr_equal(attempts_any(&table), &attempts[1]);
}

static void test_attempts_grow_old(void **state)
{
    static struct attempt attempts[3] = {{.number = 1, .begun = 1000, .busy = true},
                                         {.number = 2, .begun = 1000},
                                         {.number = 3, .begun = 2000}};
    static struct attempt_table table;
    const uint64_t late = 1000 + ATTEMPT_LIFETIME_MS;
    (void)state;
    attempts_init(&table);
    for (int i = 0; i < 3; i++)
        attempts_add(&table, &attempts[i]);
    assert_null(attempts_expired(&table, late - 1));
    /* One with a step in the pool is left until that is back. */
    assert_ptr_equal(attempts_expired(&table, late), &attempts[1]);
    attempts_remove(&table, &attempts[1]);
    assert_null(attempts_expired(&table, late));
    attempts[0].busy = false;
    assert_ptr_equal(attempts_expired(&table, late), &attempts[0]);
    attempts_remove(&table, &attempts[0]);
    assert_ptr_equal(attempts_expired(&table, late + 1000), &attempts[2]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handle_is_good_once), cmocka_unit_test(test_handles_differ),
        cmocka_unit_test(test_handle_expires),      cmocka_unit_test(test_handle_in_wrong_hands),
        cmocka_unit_test(test_handles_are_bounded), cmocka_unit_test(test_attempts_by_number),
        cmocka_unit_test(test_attempts_grow_old),   cmocka_unit_test(test_pool_does_every_job),
        cmocka_unit_test(test_pool_ends_with_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
