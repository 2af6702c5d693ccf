#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/table.h"

struct item {
    struct table_entry entry;
    uint64_t key;
    unsigned seen;
};

enum { MANY = 10000 };

static struct item *item_of(struct table_entry *entry)
{
    return entry ? CONTAINER_OF(entry, struct item, entry) : NULL;
}

static struct item *find(const struct table *table, uint64_t key)
{
    return item_of(table_find(table, key));
}

static void count_item(struct table_entry *entry, void *context)
{
    item_of(entry)->seen++;
    ++*(unsigned *)context;
}

/* The table holds exactly those of `items` that are wanted, each found and each visited once. */
static void check_holds(struct table *table, struct item *items, size_t count,
                        bool (*wanted)(size_t i))
{
    unsigned expected = 0, visited = 0;
    for (size_t i = 0; i < count; i++) {
        bool here = wanted(i);
        items[i].seen = 0;
        expected += here;
        assert_ptr_equal(find(table, items[i].key), here ? &items[i] : NULL);
    }
    assert_int_equal(table->count, expected);
    table_each(table, count_item, &visited);
    assert_int_equal(visited, expected);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i].seen, wanted(i) ? 1 : 0);
    assert_int_equal(table_any(table) != NULL, expected > 0);
}

static bool all(size_t i)
{
    (void)i;
    return true;
}

static bool none(size_t i)
{
    (void)i;
    return false;
}

static bool odd(size_t i)
{
    return i % 2;
}

static void test_empty(void **state)
{
    struct table table;
    struct item item = {.key = 0};
    (void)state;
    table_init(&table);
    check_holds(&table, &item, 1, none);
    assert_null(table_find(&table, UINT64_MAX));
    table_free(&table);
    table_free(&table); /* twice is as good as once */
}

static void fill(struct table *table, struct item *items, size_t count, uint64_t (*key)(size_t i))
{
    table_init(table);
    for (size_t i = 0; i < count; i++) {
        items[i].key = key(i);
        table_add(table, &items[i].entry, items[i].key);
        assert_int_equal(table->count, i + 1);
    }
}

static uint64_t in_order(size_t i)
{
    return i;
}

/* Equal in their low half, as SessionIds of a server that counts in the high one. */
static uint64_t high_only(size_t i)
{
    return (uint64_t)i << 32;
}

static uint64_t from_the_end(size_t i)
{
    return UINT64_MAX - i;
}

static void check_life(uint64_t (*key)(size_t i))
{
    struct table table;
    struct item *items = calloc(MANY, sizeof *items);
    assert_non_null(items);
    fill(&table, items, MANY, key);
    assert_true(table.mask + 1 > TABLE_FIRST_BUCKETS);
    check_holds(&table, items, MANY, all);
    for (size_t i = 0; i < MANY; i += 2)
        table_remove(&table, &items[i].entry);
    check_holds(&table, items, MANY, odd);
    for (size_t i = 0; i < MANY; i += 2)
        table_add(&table, &items[i].entry, items[i].key);
    check_holds(&table, items, MANY, all);
    struct table_entry *entry;
    while ((entry = table_any(&table)))
        table_remove(&table, entry);
    check_holds(&table, items, MANY, none);
    table_free(&table);
    free(items);
}

static void test_growing_loses_nothing(void **state)
{
    (void)state;
    check_life(in_order);
    check_life(high_only);
    check_life(from_the_end);
}

/* However the keys are chosen, no bucket becomes a long list. */
static void check_spread(uint64_t (*key)(size_t i))
{
    struct table table;
    struct item *items = calloc(MANY, sizeof *items);
    size_t longest = 0;
    assert_non_null(items);
    fill(&table, items, MANY, key);
    for (size_t i = 0; i <= table.mask; i++) {
        size_t length = 0;
        for (struct table_entry *at = table.buckets[i]; at; at = at->next)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest <= 16);
    table_free(&table);
    free(items);
}

static void test_keys_are_spread(void **state)
{
    (void)state;
    check_spread(in_order);
    check_spread(high_only);
    check_spread(from_the_end);
}

/* First, middle and last of one bucket's list: enough entries that every bucket has several. */
static void test_removal_anywhere_in_a_bucket(void **state)
{
    enum { COUNT = 16 };
    (void)state;
    for (size_t victim = 0; victim < COUNT; victim++) {
        struct table table;
        struct item items[COUNT];
        fill(&table, items, COUNT, in_order);
        table_remove(&table, &items[victim].entry);
        assert_null(items[victim].entry.next);
        for (size_t i = 0; i < COUNT; i++)
            assert_ptr_equal(find(&table, i), i == victim ? NULL : &items[i]);
        assert_int_equal(table.count, COUNT - 1);
        table_free(&table);
    }
}

static void remove_odd_key(struct table_entry *entry, void *context)
{
    if (entry->key % 2)
        table_remove(context, entry);
}

static void free_item(struct table_entry *entry, void *context)
{
    table_remove(context, entry);
    free(item_of(entry));
}

static void test_each_may_remove_what_it_is_given(void **state)
{
    enum { COUNT = 100 };
    struct table table;
    struct item items[COUNT];
    (void)state;
    fill(&table, items, COUNT, in_order);
    table_each(&table, remove_odd_key, &table);
    assert_int_equal(table.count, COUNT / 2);
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(find(&table, i), i % 2 ? NULL : &items[i]);
    table_free(&table);

    table_init(&table);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct item *item = calloc(1, sizeof *item);
        assert_non_null(item);
        table_add(&table, &item->entry, i);
    }
    table_each(&table, free_item, &table); /* AddressSanitizer sees a step onto a freed one */
    assert_int_equal(table.count, 0);
    table_free(&table);
}

/* While it is small its buckets lie inside it, and it may be copied to another place. */
static void test_a_small_table_may_be_moved(void **state)
{
    struct item items[3];
    struct table *old = malloc(sizeof *old);
    (void)state;
    assert_non_null(old);
    fill(old, items, 3, in_order);
    struct table moved = *old;
    free(old);
    check_holds(&moved, items, 3, all);
    table_remove(&moved, &items[1].entry);
    assert_null(table_find(&moved, 1));
    table_free(&moved);
}

static void test_a_key_may_come_back(void **state)
{
    struct table table;
    struct item first = {.key = 7}, second = {.key = 7};
    (void)state;
    table_init(&table);
    table_add(&table, &first.entry, 7);
    table_remove(&table, &first.entry);
    table_add(&table, &second.entry, 7);
    assert_ptr_equal(find(&table, 7), &second);
    assert_null(find(&table, 8));
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_growing_loses_nothing),
        cmocka_unit_test(test_keys_are_spread),
        cmocka_unit_test(test_removal_anywhere_in_a_bucket),
        cmocka_unit_test(test_each_may_remove_what_it_is_given),
        cmocka_unit_test(test_a_small_table_may_be_moved),
        cmocka_unit_test(test_a_key_may_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
