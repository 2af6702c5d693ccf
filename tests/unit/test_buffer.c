#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/buffer.h"

enum { GENEROUS = 1 << 30, LARGEST = FRAME_MAX + BUFFER_HEADROOM + 4 };

/* Sizes around every limit of a class. */
static const size_t sizes[] = {
    0,
    1,
    16 * 1024,
    16 * 1024 + 1,
    64 * 1024,
    144 * 1024,
    144 * 1024 + 1,
    1024 * 1024,
    1024 * 1024 + 16 * 1024,
    1024 * 1024 + 16 * 1024 + 1,
    8 * 1024 * 1024,
    8 * 1024 * 1024 + 128 * 1024 + 1,
    LARGEST,
};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void test_classes(void **state)
{
    struct buffer_pool pool;
    size_t last = 0;
    (void)state;
    buffer_pool_init(&pool, GENEROUS);
    for (size_t i = 0; i < SIZES; i++) {
        struct buffer *buffer = buffer_get(&pool, sizes[i]);
        assert_non_null(buffer);
        assert_true(buffer->capacity >= sizes[i]);
        assert_true(buffer->capacity >= last);
        assert_true(buffer->size_class < BUFFER_CLASSES);
        assert_int_equal(buffer->references, 1);
        assert_int_equal(pool.in_use, buffer->capacity);
        memset(buffer->bytes, 0xa5, buffer->capacity); /* all of it is there */
        last = buffer->capacity;
        buffer_release(buffer);
        assert_int_equal(pool.in_use, 0);
    }
    buffer_pool_free(&pool);
}

static void test_too_large(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, GENEROUS);
    assert_null(buffer_get(&pool, 16 * 1024 * 1024));
    assert_null(buffer_get(&pool, SIZE_MAX));
    assert_int_equal(pool.in_use, 0);
    buffer_pool_free(&pool);
}

static void test_budget(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, 3 * 16 * 1024 + 100);
    struct buffer *held[3];
    for (size_t i = 0; i < 3; i++) {
        held[i] = buffer_get(&pool, 100);
        assert_non_null(held[i]);
    }
    assert_null(buffer_get(&pool, 100));
    assert_int_equal(pool.in_use, 3 * 16 * 1024);
    buffer_release(held[1]);
    assert_null(buffer_get(&pool, 16 * 1024 + 1)); /* a larger class does not fit any more */
    held[1] = buffer_get(&pool, 100);
    assert_non_null(held[1]);
    for (size_t i = 0; i < 3; i++)
        buffer_release(held[i]);
    assert_int_equal(pool.in_use, 0);
    buffer_pool_free(&pool);
}

/* What lies in the free lists is nobody's: it does not count against the budget. */
static void test_budget_counts_what_is_handed_out(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, 144 * 1024);
    for (int i = 0; i < 9; i++) {
        struct buffer *small[9];
        for (int j = 0; j < 9; j++) {
            small[j] = buffer_get(&pool, 1);
            assert_non_null(small[j]);
        }
        assert_null(buffer_get(&pool, 1));
        for (int j = 0; j < 9; j++)
            buffer_release(small[j]);
        struct buffer *wide = buffer_get(&pool, 144 * 1024);
        assert_non_null(wide);
        assert_null(buffer_get(&pool, 1));
        buffer_release(wide);
    }
    buffer_pool_free(&pool);
}

static void test_no_budget_at_all(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, 0);
    assert_null(buffer_get(&pool, 1));
    buffer_pool_free(&pool);
}

static void test_sharing(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, GENEROUS);
    struct buffer *buffer = buffer_get(&pool, 1);
    assert_non_null(buffer);
    assert_ptr_equal(buffer_share(buffer), buffer);
    assert_ptr_equal(buffer_share(buffer), buffer);
    buffer_release(buffer);
    buffer_release(buffer);
    assert_int_equal(buffer->references, 1);
    assert_int_equal(pool.in_use, buffer->capacity);
    assert_int_equal(pool.free_count[0], 0);
    buffer_release(buffer);
    assert_int_equal(pool.in_use, 0);
    assert_int_equal(pool.free_count[0], 1);
    buffer_release(NULL);
    buffer_pool_free(&pool);
}

static void test_reuse(void **state)
{
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, GENEROUS);
    struct buffer *first = buffer_get(&pool, 1), *second = buffer_get(&pool, 1);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    buffer_release(first);
    buffer_release(second);
    assert_int_equal(pool.free_count[0], 2);
    assert_ptr_equal(buffer_get(&pool, 16 * 1024), second);
    assert_ptr_equal(buffer_get(&pool, 0), first);
    assert_int_equal(first->references, 1);
    assert_int_equal(pool.free_count[0], 0);
    struct buffer *wide = buffer_get(&pool, 16 * 1024 + 1); /* never out of another class */
    assert_non_null(wide);
    assert_true(wide != first && wide != second);
    buffer_release(first);
    buffer_release(second);
    buffer_release(wide);
    buffer_pool_free(&pool);
}

/* After a burst memory goes back: only so many are kept. */
static void test_keeps_few(void **state)
{
    enum { BURST = 400 };
    static struct buffer *held[BURST];
    struct buffer_pool pool;
    (void)state;
    buffer_pool_init(&pool, GENEROUS);
    for (size_t i = 0; i < BURST; i++) {
        held[i] = buffer_get(&pool, 1);
        assert_non_null(held[i]);
    }
    for (size_t i = 0; i < BURST; i++)
        buffer_release(held[i]);
    assert_true(pool.free_count[0] > 0 && pool.free_count[0] < BURST);
    assert_int_equal(pool.in_use, 0);
    for (size_t i = 0; i < 8; i++) {
        held[i] = buffer_get(&pool, LARGEST);
        assert_non_null(held[i]);
    }
    for (size_t i = 0; i < 8; i++)
        buffer_release(held[i]);
    assert_true(pool.free_count[BUFFER_CLASSES - 1] < 8);
    buffer_pool_free(&pool);
    for (unsigned i = 0; i < BUFFER_CLASSES; i++)
        assert_int_equal(pool.free_count[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_counts_what_is_handed_out),
        cmocka_unit_test(test_no_budget_at_all),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_keeps_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
