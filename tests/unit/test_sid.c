/* Security identifiers as text and as bytes, both ways; whatever is not one is refused. */
#include "tests/unit/packets.h"

#include "crypto/sid.h"

#include <stdio.h>
#include <string.h>

#define LONGEST                                                                                    \
    "S-1-0xffffffffffff-4294967295-4294967295-4294967295-4294967295-4294967295-4294967295"
#define NINE_MORE                                                                                  \
    "-4294967295-4294967295-4294967295-4294967295-4294967295-4294967295-4294967295-4294967295"     \
    "-4294967295"

struct sample {
    const char *text;
    size_t size;
    uint8_t bytes[SID_SIZE_MAX];
};

static const struct sample samples[] = {
    {"S-1-1-0", 12, {1, 1, 0, 0, 0, 0, 0, 1}},
    {"S-1-5-32-544", 16, {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2}},
    {"S-1-5-21-4294967295-305419896-1-513", 28, {1,    5,    0, 0,    0,   0,   0,   5,    21,
                                                 0,    0,    0, 0xff, 255, 255, 255, 0x78, 0x56,
                                                 0x34, 0x12, 1, 0,    0,   0,   1,   2}},
    {"S-1-4294967295-7", 12, {1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 7}},
    {"S-1-0x000100000000-7", 12, {1, 1, 0, 1, 0, 0, 0, 0, 7}},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static void test_text_and_bytes_are_the_same_identifier(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sid from_text, from_bytes;
        char text[SID_TEXT_MAX];
        struct packet packet = packet_copy(samples[i].bytes, samples[i].size);
        assert_true(sid_parse(samples[i].text, &from_text));
        assert_int_equal(from_text.size, samples[i].size);
        assert_memory_equal(from_text.bytes, samples[i].bytes, samples[i].size);
        assert_true(sid_read(packet_span(&packet), &from_bytes));
        assert_true(sid_equal(&from_text, &from_bytes));
        assert_true(sid_text(&from_bytes, text, sizeof text));
        assert_string_equal(text, samples[i].text);
        packet_free(&packet);
    }
}

static void test_text_that_is_no_identifier(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "S",
        "S-1",
        "S-1-",
        "S-1-5",
        "S-1-5-",
        "S-1--5-1",
        "S-2-5-32-544",
        "S-01-5-32-544",
        " S-1-5-32-544",
        "S-1-5-32-544 ",
        "S-1-5-32-544-",
        "S-1-5-32-0544",
        "S-1-5-32-00",
        "S-1-05-32",
        "S-1-5-32-4294967296",
        "S-1-5-32-99999999999999999999",
        "S-1-4294967296-1",
        "S-1-5-+1",
        "S-1-5--1",
        "S-1-5-0x10",
        "S-1-0x5-1",
        "S-1-0x000000000005-1",
        "S-1-0x0000000000005-1",
        "S-1-0x00010000000g-1",
        "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        "CORP\\finance",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sid sid = {.size = 1};
        assert_false(sid_parse(bad[i], &sid));
        assert_int_equal(sid.size, 0);
    }
}

static void check_bad_bytes(const void *bytes, size_t size)
{
    struct sid sid = {.size = 1};
    struct packet packet = packet_copy(bytes, size);
    assert_false(sid_read(packet_span(&packet), &sid));
    assert_int_equal(sid.size, 0);
    packet_free(&packet);
}

static void test_bytes_that_are_no_identifier(void **state)
{
    (void)state;
    uint8_t bytes[SID_SIZE_MAX + 4] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2};
    for (size_t size = 0; size < sizeof bytes; size++)
        if (size != 16)
            check_bad_bytes(bytes, size);
    bytes[0] = 2;
    check_bad_bytes(bytes, 16);
    bytes[0] = 1;
    bytes[1] = 0;
    check_bad_bytes(bytes, 8);
    bytes[1] = 16; /* one more than there may be, and all there */
    check_bad_bytes(bytes, sizeof bytes);
}

static void test_the_longest_fits_and_needs_its_room(void **state)
{
    (void)state;
    struct sid sid, longer = {.size = 1};
    char text[SID_TEXT_MAX];
    assert_true(sid_parse(LONGEST NINE_MORE, &sid));
    assert_int_equal(sid.size, SID_SIZE_MAX);
    assert_true(sid_text(&sid, text, sizeof text));
    assert_string_equal(text, LONGEST NINE_MORE);
    assert_false(sid_append(&sid, 1, &longer));
    assert_int_equal(longer.size, 0);
    assert_true(sid_text(&sid, text, sizeof LONGEST NINE_MORE));
    assert_false(sid_text(&sid, text, sizeof LONGEST NINE_MORE - 1));
    assert_string_equal(text, "");
    assert_false(sid_text(&sid, text, 0));
    assert_false(sid_text(&longer, text, sizeof text));
}

static void test_a_number_is_appended(void **state)
{
    (void)state;
    struct sid sid, want, none = {0};
    assert_true(sid_parse("S-1-5-21-1-2-3", &sid));
    assert_true(sid_parse("S-1-5-21-1-2-3-4294967295", &want));
    assert_true(sid_append(&sid, UINT32_MAX, &sid));
    assert_true(sid_equal(&sid, &want));
    assert_false(sid_append(&none, 1, &sid));
    assert_int_equal(sid.size, 0);
}

static void test_a_list_holds_so_many_and_no_more(void **state)
{
    (void)state;
    struct sid domain, sid, none = {0};
    struct sids sids = {0};
    assert_true(sid_parse("S-1-5-21-1-2-3", &domain));
    for (uint32_t rid = 0; rid < SIDS_MAX; rid++) {
        assert_true(sid_append(&domain, rid, &sid));
        assert_false(sids_contain(&sids, &sid));
        assert_false(sids_add(&sids, &none));
        assert_true(sids_add(&sids, &sid));
        assert_true(sids_contain(&sids, &sid));
    }
    assert_true(sid_append(&domain, SIDS_MAX, &sid));
    assert_false(sids_add(&sids, &sid));
    assert_int_equal(sids.count, SIDS_MAX);
    assert_true(sid_append(&domain, 0, &sid));
    assert_true(sids_contain(&sids, &sid));
    assert_false(sids_contain(&sids, &domain));
    sids_free(&sids);
    assert_int_equal(sids.count, 0);
    assert_false(sids_contain(&sids, &sid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_bytes_are_the_same_identifier),
        cmocka_unit_test(test_text_that_is_no_identifier),
        cmocka_unit_test(test_bytes_that_are_no_identifier),
        cmocka_unit_test(test_the_longest_fits_and_needs_its_room),
        cmocka_unit_test(test_a_number_is_appended),
        cmocka_unit_test(test_a_list_holds_so_many_and_no_more),
    };
    return cmocka_run_group_tests_name("sid", tests, NULL, NULL);
}
