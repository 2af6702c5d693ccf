#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/pending.h"
#include "proxy/session.h"

struct fixture {
    struct pending_table table;
    struct session *one, *two;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    pending_table_init(&fixture->table);
    fixture->one = session_new(NULL);
    fixture->two = session_new(NULL);
    assert_non_null(fixture->one);
    assert_non_null(fixture->two);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    pending_table_free(&fixture->table);
    assert_null(fixture->one->pending_first);
    assert_null(fixture->two->pending_first);
    assert_null(fixture->table.held_first);
    session_free(fixture->one);
    session_free(fixture->two);
    free(fixture);
    return 0;
}

static struct pending *forward(struct fixture *fixture, struct session *session, uint64_t client_id)
{
    struct pending *pending =
        pending_add(&fixture->table, PENDING_FORWARDED, client_id + 1000, session);
    assert_non_null(pending);
    pending_add_client_id(&fixture->table, pending, client_id);
    return pending;
}

static void hold(struct fixture *fixture, struct pending *pending, uint64_t async_id)
{
    struct timeval until = {(time_t)async_id, 0};
    pending_set_async_id(&fixture->table, pending, async_id);
    pending->interim = INTERIM_HELD;
    pending_hold(&fixture->table, pending, &until);
}

/* The session's list is exactly these, whatever their order. */
static void check_session(const struct session *session, struct pending *const *expected,
                          size_t count)
{
    size_t length = 0;
    for (const struct pending *at = session->pending_first; at; at = at->session_next) {
        assert_ptr_equal(at->session, session);
        assert_ptr_equal(*at->session_link, at);
        length++;
    }
    assert_int_equal(length, count);
    for (size_t i = 0; i < count; i++) {
        const struct pending *at = session->pending_first;
        while (at && at != expected[i])
            at = at->session_next;
        assert_ptr_equal(at, expected[i]);
    }
}

/* The queue is exactly these, in this order, and its end is where the next one goes. */
static void check_queue(const struct pending_table *table, struct pending *const *expected,
                        size_t count)
{
    struct pending *const *at = &table->held_first;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(*at, expected[i]);
        at = &(*at)->held_next;
    }
    assert_null(*at);
    assert_ptr_equal(table->held_last, at);
}

static void test_three_indexes(void **state)
{
    struct fixture *fixture = *state;
    struct pending_table *table = &fixture->table;
    struct pending *first = forward(fixture, fixture->one, 5);
    struct pending *second = forward(fixture, fixture->one, 6);
    assert_ptr_equal(pending_by_upstream_id(table, 1005), first);
    assert_ptr_equal(pending_by_client_id(table, 5), first);
    assert_ptr_equal(pending_by_upstream_id(table, 1006), second);
    assert_ptr_equal(pending_by_client_id(table, 6), second);
    /* An id of one kind is none of another. */
    assert_null(pending_by_upstream_id(table, 5));
    assert_null(pending_by_client_id(table, 1005));
    assert_null(pending_by_async_id(table, 5));
    pending_set_async_id(table, first, 77);
    first->interim = INTERIM_SENT;
    assert_ptr_equal(pending_by_async_id(table, 77), first);
    assert_null(pending_by_async_id(table, 1005));

    pending_remove(table, first);
    assert_null(pending_by_upstream_id(table, 1005));
    assert_null(pending_by_client_id(table, 5));
    assert_null(pending_by_async_id(table, 77));
    assert_ptr_equal(pending_by_client_id(table, 6), second);
    check_session(fixture->one, &second, 1);
    pending_remove(table, second);
    check_session(fixture->one, NULL, 0);
    assert_int_equal(table->by_upstream_id.count, 0);
    assert_int_equal(table->by_client_id.count, 0);
    assert_int_equal(table->by_async_id.count, 0);
}

/* A request of our own has no client's id: one of the client's with that number is not it. */
static void test_own_requests(void **state)
{
    struct fixture *fixture = *state;
    struct pending_table *table = &fixture->table;
    struct pending *negotiate = pending_add(table, PENDING_NEGOTIATE, 0, NULL);
    struct pending *setup_request = pending_add(table, PENDING_SESSION_SETUP, 1, fixture->one);
    assert_non_null(negotiate);
    assert_non_null(setup_request);
    assert_null(pending_by_client_id(table, 0));
    assert_null(negotiate->session);
    assert_ptr_equal(pending_by_upstream_id(table, 0), negotiate);
    check_session(fixture->one, &setup_request, 1);
    pending_remove(table, negotiate);
    pending_remove(table, setup_request);
    assert_int_equal(table->by_upstream_id.count, 0);
}

static void test_sessions_keep_their_own(void **state)
{
    struct fixture *fixture = *state;
    struct pending *mine[3], *others[2];
    for (size_t i = 0; i < 3; i++)
        mine[i] = forward(fixture, fixture->one, i);
    for (size_t i = 0; i < 2; i++)
        others[i] = forward(fixture, fixture->two, 10 + i);
    check_session(fixture->one, mine, 3);
    check_session(fixture->two, others, 2);
    pending_remove(&fixture->table, mine[1]); /* from the middle */
    check_session(fixture->one, (struct pending *[]){mine[0], mine[2]}, 2);
    pending_remove(&fixture->table, mine[0]); /* the last */
    check_session(fixture->one, &mine[2], 1);
    pending_remove(&fixture->table, others[1]); /* the first */
    check_session(fixture->two, others, 1);
    pending_remove(&fixture->table, mine[2]);
    check_session(fixture->one, NULL, 0);
    check_session(fixture->two, others, 1);
}

/* Whatever is taken out, the others stay in order and a new one comes last. */
static void test_hold_queue(void **state)
{
    enum { COUNT = 4 };
    struct fixture *fixture = *state;
    struct pending_table *table = &fixture->table;
    check_queue(table, NULL, 0);
    for (size_t victim = 0; victim < COUNT; victim++) {
        struct pending *held[COUNT], *left[COUNT];
        size_t count = 0;
        for (size_t i = 0; i < COUNT; i++) {
            held[i] = forward(fixture, fixture->one, i);
            hold(fixture, held[i], 100 + i);
            assert_int_equal(held[i]->held_until.tv_sec, 100 + i);
        }
        check_queue(table, held, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            if (i != victim)
                left[count++] = held[i];
        pending_unhold(table, held[victim]);
        held[victim]->interim = INTERIM_SENT;
        check_queue(table, left, count);
        pending_unhold(table, held[victim]); /* one that is not there */
        check_queue(table, left, count);
        left[count] = forward(fixture, fixture->one, COUNT);
        hold(fixture, left[count], 200);
        check_queue(table, left, count + 1);
        pending_remove(table, held[victim]);
        for (size_t i = 0; i <= count; i++) {
            pending_remove(table, left[i]);
            check_queue(table, &left[i + 1], count - i);
        }
    }
}

/* Its final answer came before its interim response went out. */
static void test_removal_of_a_held_one(void **state)
{
    struct fixture *fixture = *state;
    struct pending *held[3];
    for (size_t i = 0; i < 3; i++) {
        held[i] = forward(fixture, fixture->one, i);
        hold(fixture, held[i], 100 + i);
    }
    pending_remove(&fixture->table, held[2]); /* the last */
    check_queue(&fixture->table, held, 2);
    pending_remove(&fixture->table, held[0]);
    check_queue(&fixture->table, &held[1], 1);
    assert_ptr_equal(pending_by_async_id(&fixture->table, 101), held[1]);
    assert_null(pending_by_async_id(&fixture->table, 100));
    pending_remove(&fixture->table, held[1]);
    check_queue(&fixture->table, NULL, 0);
}

static void test_answered_by_us(void **state)
{
    struct fixture *fixture = *state;
    struct pending_table *table = &fixture->table;
    struct pending *pending = forward(fixture, fixture->one, 5);
    struct pending *other = forward(fixture, fixture->one, 6);
    hold(fixture, pending, 50);
    pending_answered(table, pending);
    assert_true(pending->answered);
    assert_null(pending->session);
    assert_null(pending_by_client_id(table, 5)); /* no CANCEL finds it any more */
    check_queue(table, NULL, 0);                 /* nor does its interim response go out */
    check_session(fixture->one, &other, 1);
    assert_ptr_equal(pending_by_upstream_id(table, 1005), pending); /* its answer is awaited */
    /* Its AsyncId is still taken, for the file server has given it. */
    assert_ptr_equal(pending_by_async_id(table, 50), pending);
    pending_remove(table, pending);
    assert_null(pending_by_upstream_id(table, 1005));
    assert_null(pending_by_async_id(table, 50));
    assert_int_equal(table->by_client_id.count, 1);
}

static void test_answered_without_an_interim_response(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = forward(fixture, fixture->one, 5);
    pending_answered(&fixture->table, pending);
    assert_int_equal(pending->interim, INTERIM_NONE);
    pending_remove(&fixture->table, pending);
    assert_int_equal(fixture->table.by_upstream_id.count, 0);
    assert_int_equal(fixture->table.by_client_id.count, 0);
}

/* A session that ends answers all of its requests; its memory is free for use while theirs is not.
 */
static void test_session_ends_before_its_requests(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = session_new(NULL);
    assert_non_null(session);
    struct pending *own = pending_add(&fixture->table, PENDING_VALIDATE, 7, session);
    assert_non_null(own);
    for (uint64_t id = 0; id < 3; id++)
        (void)forward(fixture, session, id);
    while (session->pending_first) {
        struct pending *pending = session->pending_first;
        if (pending->kind == PENDING_FORWARDED)
            pending_answered(&fixture->table, pending);
        else
            pending_orphan(pending);
    }
    session_free(session);
    assert_int_equal(own->kind, PENDING_UNHEARD);
    assert_null(own->session);
    assert_ptr_equal(pending_by_upstream_id(&fixture->table, 7), own);
    for (uint64_t id = 0; id < 3; id++)
        pending_remove(&fixture->table, pending_by_upstream_id(&fixture->table, 1000 + id));
    pending_remove(&fixture->table, own);
    assert_int_equal(fixture->table.by_upstream_id.count, 0);
}

static void test_the_path_is_owned(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = forward(fixture, fixture->one, 1);
    pending->share = strdup("\\\\server\\share");
    assert_non_null(pending->share);
    pending_remove(&fixture->table, pending); /* LeakSanitizer sees a path that stays */
    assert_null(forward(fixture, fixture->one, 2)->share);
}

/* Entries are reused, and a reused one remembers nothing. */
static void test_reuse(void **state)
{
    struct fixture *fixture = *state;
    struct pending *first = forward(fixture, fixture->one, 1);
    first->command = 5;
    first->cancelled = true;
    first->credits_wanted = 9;
    hold(fixture, first, 70);
    pending_answered(&fixture->table, first);
    pending_remove(&fixture->table, first);
    assert_int_equal(fixture->table.spare_count, 1);
    struct pending *again = forward(fixture, fixture->two, 2);
    assert_ptr_equal(again, first);
    assert_int_equal(fixture->table.spare_count, 0);
    assert_int_equal(again->command, 0);
    assert_false(again->cancelled);
    assert_false(again->answered);
    assert_int_equal(again->interim, INTERIM_NONE);
    assert_int_equal(again->credits_wanted, 0);
    assert_null(again->held_next);
    check_session(fixture->two, &again, 1);
    check_session(fixture->one, NULL, 0);
}

static void test_many(void **state)
{
    enum { MANY = 3000 };
    struct fixture *fixture = *state;
    struct pending_table *table = &fixture->table;
    for (uint64_t i = 0; i < MANY; i++) {
        struct pending *pending = forward(fixture, i % 3 ? fixture->one : fixture->two, i);
        if (i % 5 == 0)
            hold(fixture, pending, 5000 + i);
    }
    for (uint64_t i = 0; i < MANY; i += 2)
        pending_remove(table, pending_by_client_id(table, i));
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(pending_by_client_id(table, i) != NULL, i % 2);
        assert_int_equal(pending_by_async_id(table, 5000 + i) != NULL, i % 2 && i % 5 == 0);
    }
    assert_true(table->spare_count < MANY / 2); /* the rest of the memory has gone back */
    for (const struct pending *at = table->held_first; at && at->held_next; at = at->held_next)
        assert_true(at->by_async_id.key < at->held_next->by_async_id.key);
    /* teardown() frees the table as a link's end does: with everything still in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three_indexes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sessions_keep_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removal_of_a_held_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answered_by_us, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answered_without_an_interim_response, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_ends_before_its_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_path_is_owned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
