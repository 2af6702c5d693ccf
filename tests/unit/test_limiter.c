/*
 * The authentication limiter and what workers hold of it: who waits how long, and who does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/limit_board.h"

static const struct siphash_key key = {1, 2};

/* A limiter and one worker's board, told by messages as in life. */
struct scene {
    struct config_authentication config;
    struct limiter *limiter;
    struct limit_board board;
    uint64_t now;
    unsigned told;
};

static void post(void *context, const struct limit *limit)
{
    struct scene *scene = context;
    struct limit read;
    uint8_t body[LIMIT_MESSAGE_MAX];
    struct writer writer = writer_over(body, sizeof body);
    limit_write(&writer, limit);
    assert_true(writer_done(&writer));
    assert_true(limit_read(writer_span(&writer), &read));
    limit_board_post(&scene->board, &read, scene->now);
    scene->told++;
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->now = 1000000;
    scene->config = (struct config_authentication){
        .failures = 5, .failures_per_source = 50, .failures_per_user = 50, .delay_max = 300000};
    scene->limiter = limiter_new(&scene->config, LIMITER_MAX, post, scene);
    assert_non_null(scene->limiter);
    limit_board_init(&scene->board);
    limit_board_key(&scene->board, &key);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    limiter_free(scene->limiter);
    limit_board_free(&scene->board);
    free(scene);
    return 0;
}

static const char *refusal_of(const struct scene *scene, const char *address, const char *user)
{
    struct attempt_key attempt;
    attempt_key_make(&key, address, user, &attempt);
    return limit_board_refuses(&scene->board, &attempt, scene->now);
}

/* An attempt, if the worker lets it be one; false when it was refused. */
static bool attempt(struct scene *scene, const char *address, const char *user, bool proven)
{
    struct attempt_key attempt;
    if (limit_board_closes(&scene->board, address, scene->now) || refusal_of(scene, address, user))
        return false;
    attempt_key_make(&key, address, user, &attempt);
    limiter_note(scene->limiter, &attempt, proven, scene->now);
    return true;
}

/* How long the pair waits from now on, in seconds. */
static unsigned wait_of(struct scene *scene, const char *address, const char *user)
{
    uint64_t begin = scene->now;
    unsigned seconds = 0;
    for (; refusal_of(scene, address, user) && seconds < 10000; seconds++)
        scene->now = begin + 1000 * (uint64_t)(seconds + 1);
    scene->now = begin;
    return seconds;
}

static void test_delay_grows_and_has_an_end(void **state)
{
    static const unsigned expected[] = {0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
        assert_int_equal(wait_of(scene, "192.0.2.1", "ada"), expected[i]);
        if (expected[i])
            assert_string_equal(refusal_of(scene, "192.0.2.1", "ADA"), "user_from_source");
        /* What is tried meanwhile is refused, and makes it no longer. */
        if (expected[i])
            assert_false(attempt(scene, "192.0.2.1", "ada", true));
        scene->now += 1000 * (uint64_t)expected[i];
    }
}

static void test_others_are_not_delayed(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 6; i++) {
        attempt(scene, "192.0.2.1", "ada", false);
        scene->now += i == 5 ? 0 : 1000;
    }
    assert_non_null(refusal_of(scene, "192.0.2.1", "ada"));
    assert_null(refusal_of(scene, "192.0.2.1", "bob"));
    assert_null(refusal_of(scene, "192.0.2.2", "ada"));
    assert_false(limit_board_closes(&scene->board, "192.0.2.1", scene->now));
}

static void test_success_forgives_the_pair(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 4; i++)
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
    assert_true(attempt(scene, "192.0.2.1", "ada", true));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
        assert_null(refusal_of(scene, "192.0.2.1", "ada"));
    }
}

static void test_failures_are_forgotten(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 5; i++)
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
    assert_int_equal(wait_of(scene, "192.0.2.1", "ada"), 1);
    scene->now += 2 * 300000; /* one is forgotten */
    assert_true(attempt(scene, "192.0.2.1", "ada", false));
    assert_int_equal(wait_of(scene, "192.0.2.1", "ada"), 1);
    scene->now += 10 * 2 * 300000;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
        assert_null(refusal_of(scene, "192.0.2.1", "ada"));
    }
}

/* However many came before anybody could be told to wait: as if there had been some thirty. */
static void test_failures_have_an_end(void **state)
{
    struct scene *scene = *state;
    struct attempt_key attempt_of;
    attempt_key_make(&key, "192.0.2.1", "ada", &attempt_of);
    for (unsigned i = 0; i < 5000; i++)
        limiter_note(scene->limiter, &attempt_of, false, scene->now);
    assert_int_equal(wait_of(scene, "192.0.2.1", "ada"), 300);
    scene->now += 40 * 2 * 300000;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
        assert_null(refusal_of(scene, "192.0.2.1", "ada"));
    }
}

/* Guesses one password each at names that nobody has tried before; how many were let through. */
static unsigned spray(struct scene *scene, const char *address, unsigned names)
{
    unsigned through = 0;
    for (unsigned i = 0; i < names; i++) {
        char user[24];
        snprintf(user, sizeof user, "name%u", i);
        through += attempt(scene, address, user, false);
    }
    return through;
}

static void test_spraying_closes_the_source(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(spray(scene, "192.0.2.1", 10000), 50);
    assert_true(limit_board_closes(&scene->board, "192.0.2.1", scene->now));
    assert_false(limit_board_closes(&scene->board, "192.0.2.2", scene->now));
    scene->now += 1000;
    assert_false(limit_board_closes(&scene->board, "192.0.2.1", scene->now));
}

/* Behind one NAT: who has logged in goes on, whatever his neighbour does. */
static void test_neighbours_of_a_sprayer(void **state)
{
    struct scene *scene = *state;
    assert_true(attempt(scene, "192.0.2.1", "ada", true));
    assert_true(spray(scene, "192.0.2.1", 10000) <= 60);
    assert_false(limit_board_closes(&scene->board, "192.0.2.1", scene->now));
    assert_string_equal(refusal_of(scene, "192.0.2.1", "name20000"), "source");
    assert_true(attempt(scene, "192.0.2.1", "Ada", true));
}

/* Logins that succeed count in favour of their source. */
static void test_busy_nat_is_not_delayed(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 1000; i++) {
        char user[24];
        snprintf(user, sizeof user, "user%u", i);
        assert_true(attempt(scene, "192.0.2.1", user, false));
        assert_true(attempt(scene, "192.0.2.1", user, false));
        assert_true(attempt(scene, "192.0.2.1", user, true));
    }
    assert_int_equal(scene->told, 0);
}

static void test_one_user_from_everywhere(void **state)
{
    struct scene *scene = *state;
    unsigned through = 0;
    assert_true(attempt(scene, "198.51.100.7", "ada", true));
    for (unsigned i = 0; i < 250; i++) {
        char address[32];
        snprintf(address, sizeof address, "192.0.2.%u", i);
        through += attempt(scene, address, "ada", false);
    }
    assert_int_equal(through, 50);
    assert_string_equal(refusal_of(scene, "203.0.113.1", "ada"), "user");
    assert_null(refusal_of(scene, "203.0.113.1", "bob"));
    assert_null(refusal_of(scene, "198.51.100.7", "ada")); /* from where she logs in */
}

static void test_an_ipv6_network_is_one_source(void **state)
{
    struct scene *scene = *state;
    unsigned through = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char address[64];
        snprintf(address, sizeof address, "2001:db8:0:1::%x", i + 1);
        through += attempt(scene, address, "ada", false);
    }
    assert_int_equal(through, 5);
    assert_null(refusal_of(scene, "2001:db8:0:2::1", "ada"));
}

static void test_memory_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct limiter *limiter = limiter_new(&scene->config, 100, post, scene);
    assert_non_null(limiter);
    for (unsigned i = 0; i < 10000; i++) {
        struct attempt_key attempt_of;
        char user[24];
        snprintf(user, sizeof user, "name%u", i);
        attempt_key_make(&key, "192.0.2.1", user, &attempt_of);
        limiter_note(limiter, &attempt_of, false, scene->now);
        assert_true(limiter_count(limiter) <= 100);
    }
    /* The source is in use all the time and is not what was forgotten. */
    assert_true(limit_board_closes(&scene->board, "192.0.2.1", scene->now));
    limiter_free(limiter);
    limiter_free(NULL);
}

static void test_board_is_bounded(void **state)
{
    struct scene *scene = *state;
    for (uint64_t i = 0; i < 2 * LIMIT_BOARD_MAX; i++) {
        const struct limit limit = {LIMIT_PAIR, i, scene->now + 1000, {0}, 0};
        limit_board_post(&scene->board, &limit, scene->now);
    }
    assert_int_equal(scene->board.limits.count, LIMIT_BOARD_MAX);
    scene->now += 2000;
    const struct limit limit = {LIMIT_PAIR, 1, scene->now + 1000, {0}, 0};
    limit_board_post(&scene->board, &limit, scene->now);
    assert_int_equal(scene->board.limits.count, 1);
}

static void test_a_new_worker_is_told(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 5; i++)
        attempt(scene, "192.0.2.1", "ada", false);
    limit_board_key(&scene->board, &key);
    assert_null(refusal_of(scene, "192.0.2.1", "ada"));
    limiter_tell_all(scene->limiter, scene->now, post, scene);
    assert_non_null(refusal_of(scene, "192.0.2.1", "ada"));
}

static void test_switched_off(void **state)
{
    struct scene *scene = *state;
    scene->config.delay_max = 0;
    for (unsigned i = 0; i < 1000; i++)
        assert_true(attempt(scene, "192.0.2.1", "ada", false));
    assert_int_equal(limiter_count(scene->limiter), 0);
}

static void test_messages(void **state)
{
    struct attempt_key one, other;
    struct limit limit = {LIMIT_USER, 7, 8, {9, 10}, 2}, read_limit;
    uint8_t body[LIMIT_MESSAGE_MAX + 1];
    bool proven;
    (void)state;
    struct writer writer = writer_over(body, sizeof body);
    attempt_key_make(&key, "192.0.2.1", "ada", &one);
    outcome_write(&writer, &one, true);
    assert_true(writer_done(&writer));
    size_t size = writer_size(&writer);
    assert_true(outcome_read((struct span){body, size}, &other, &proven));
    assert_true(proven && memcmp(&one, &other, sizeof one) == 0);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(outcome_read((struct span){body, cut}, &other, &proven));
    assert_false(outcome_read((struct span){body, size + 1}, &other, &proven));
    body[0] = 2;
    assert_false(outcome_read((struct span){body, size}, &other, &proven));
    writer = writer_over(body, sizeof body);
    limit_write(&writer, &limit);
    size = writer_size(&writer);
    assert_true(limit_read((struct span){body, size}, &read_limit));
    assert_memory_equal(&limit, &read_limit, sizeof limit);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(limit_read((struct span){body, cut}, &read_limit));
    assert_false(limit_read((struct span){body, size + 1}, &read_limit));
    body[0] = LIMIT_SCOPES;
    assert_false(limit_read((struct span){body, size}, &read_limit));
    body[0] = LIMIT_USER;
    body[17] = LIMIT_EXEMPT_MAX + 1;
    assert_false(limit_read((struct span){body, sizeof body}, &read_limit));
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(test_delay_grows_and_has_an_end),
        WITH_SCENE(test_others_are_not_delayed),
        WITH_SCENE(test_success_forgives_the_pair),
        WITH_SCENE(test_failures_are_forgotten),
        WITH_SCENE(test_failures_have_an_end),
        WITH_SCENE(test_spraying_closes_the_source),
        WITH_SCENE(test_neighbours_of_a_sprayer),
        WITH_SCENE(test_busy_nat_is_not_delayed),
        WITH_SCENE(test_one_user_from_everywhere),
        WITH_SCENE(test_an_ipv6_network_is_one_source),
        WITH_SCENE(test_memory_is_bounded),
        WITH_SCENE(test_board_is_bounded),
        WITH_SCENE(test_a_new_worker_is_told),
        WITH_SCENE(test_switched_off),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
