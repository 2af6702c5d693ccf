/* The table of AP-REQs that were accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/kerberos_replay.h"

enum { LIFETIME = 600 };
static const int64_t noon = 1700000000;

/* The number in the digest's last bytes: all in one chain when `crowded`. */
static enum replay add_number(struct replays *replays, uint32_t number, bool crowded, int64_t now)
{
    uint8_t digest[REPLAY_DIGEST_SIZE] = {0};
    if (!crowded)
        put_le32(digest, number);
    put_le32(&digest[28], number);
    return replays_add(replays, digest, number, now, LIFETIME);
}

static int make(void **state)
{
    void *memory = calloc(1, replays_size());
    *state = memory ? replays_init(memory) : NULL;
    return *state ? 0 : -1;
}

static int unmake(void **state)
{
    free(*state);
    return 0;
}

static void once_each(void **state)
{
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(add_number(*state, i, i % 2, noon), REPLAY_FIRST);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(add_number(*state, i, i % 2, noon + LIFETIME - 1), REPLAY_AGAIN);
    assert_int_equal(add_number(*state, 1000, true, noon), REPLAY_FIRST);
}

/* Entries go when their time is over, and their places are used again, round after round. */
static void forgets(void **state)
{
    for (uint32_t round = 0; round < 5; round++) {
        int64_t now = noon + round * LIFETIME;
        for (uint32_t i = 0; i < REPLAYS_MAX / 2 + 1; i++)
            assert_int_equal(add_number(*state, i, false, now), REPLAY_FIRST);
        assert_int_equal(add_number(*state, 7, false, now + LIFETIME - 1), REPLAY_AGAIN);
    }
}

static void full(void **state)
{
    for (uint32_t i = 0; i < REPLAYS_MAX; i++)
        assert_int_equal(add_number(*state, i, false, noon), REPLAY_FIRST);
    assert_int_equal(add_number(*state, REPLAYS_MAX, false, noon + 1), REPLAY_FULL);
    assert_int_equal(add_number(*state, 3, false, noon + 1), REPLAY_AGAIN);
    assert_int_equal(add_number(*state, REPLAYS_MAX, false, noon + LIFETIME), REPLAY_FIRST);
}

/* One client, however often it logs in, leaves room for the others, and has its own back later. */
static void one_client_alone(void **state)
{
    uint8_t digest[REPLAY_DIGEST_SIZE] = {0};
    for (uint32_t i = 0; i < REPLAYS_PER_CLIENT; i++) {
        put_le32(digest, i);
        assert_int_equal(replays_add(*state, digest, 5, noon, LIFETIME), REPLAY_FIRST);
    }
    put_le32(digest, REPLAYS_PER_CLIENT);
    assert_int_equal(replays_add(*state, digest, 5, noon, LIFETIME), REPLAY_FULL);
    struct replays *again = replays_init(*state); /* another keeper knows it too */
    assert_int_equal(replays_add(again, digest, 5, noon, LIFETIME), REPLAY_FULL);
    assert_int_equal(replays_add(again, digest, 6, noon, LIFETIME), REPLAY_FIRST);
    assert_int_equal(replays_add(again, digest, 5, noon, LIFETIME), REPLAY_AGAIN);
    put_le32(digest, REPLAYS_PER_CLIENT + 1);
    assert_int_equal(replays_add(again, digest, 5, noon + LIFETIME, LIFETIME), REPLAY_FIRST);
}

/* A keeper that begins where another one ended; also when that was in the middle of something. */
static void attached_again(void **state)
{
    uint8_t *memory = *state;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(add_number(*state, i, i % 3, noon), REPLAY_FIRST);
    for (uint32_t i = 0; i < 100; i++) {
        struct replays *again = replays_init(memory);
        assert_non_null(again);
        assert_int_equal(add_number(again, i, i % 3, noon + 1), REPLAY_AGAIN);
        assert_int_equal(add_number(again, 100 + i, i % 3, noon + 1), REPLAY_FIRST);
    }
}

/* Memory with anything else in it is not a table. */
static void garbage(void **state)
{
    memset(*state, 0xff, replays_size());
    struct replays *replays = replays_init(*state);
    assert_non_null(replays);
    assert_int_equal(add_number(replays, 1, false, noon), REPLAY_FIRST);
    assert_int_equal(add_number(replays, 1, false, noon), REPLAY_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(once_each, make, unmake),
        cmocka_unit_test_setup_teardown(forgets, make, unmake),
        cmocka_unit_test_setup_teardown(full, make, unmake),
        cmocka_unit_test_setup_teardown(one_client_alone, make, unmake),
        cmocka_unit_test_setup_teardown(attached_again, make, unmake),
        cmocka_unit_test_setup_teardown(garbage, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
