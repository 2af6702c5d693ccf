/*
 * Events: packed and unpacked, printed as JSON whatever their texts are, and the catalogue in
 * docs/events.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/event_json.h"
#include "policy/plain.h"

#define TIME_NS   INT64_C(1714979289123456789)
#define TIME_TEXT "2024-05-06T07:08:09.123456Z"

static const struct audit_event sample = {
    .kind = EVENT_UNSIGNED_REFUSED,
    .field[FIELD_LEG] = "client",
    .field[FIELD_REASON] = "",
    .field[FIELD_CLIENT_ADDRESS] = "2001:db8::7",
    .field[FIELD_CLIENT_PORT] = "49152",
    .field[FIELD_USER] = "J\xc3\xbcrgen",
    .field[FIELD_LINK] = "18446744073709551615",
    .field[FIELD_PID] = "0",
};

static void assert_same(const struct audit_event *a, const struct audit_event *b)
{
    assert_int_equal(a->kind, b->kind);
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        assert_int_equal(a->field[i] != NULL, b->field[i] != NULL);
        if (a->field[i])
            assert_string_equal(a->field[i], b->field[i]);
    }
}

/* Packs and unpacks; the texts live in `storage`. */
static struct audit_event through(const struct audit_event *event, struct event_storage *storage)
{
    uint8_t buffer[EVENT_PACKED_MAX];
    struct audit_event got;
    size_t size = event_pack(event, buffer, sizeof buffer);
    assert_true(size > 0);
    assert_true(event_unpack(buffer, size, &got, storage));
    return got;
}

static void test_round_trip(void **state)
{
    struct event_storage storage;
    (void)state;
    struct audit_event got = through(&sample, &storage);
    assert_same(&got, &sample);
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        struct audit_event event = {.kind = kind};
        got = through(&event, &storage);
        assert_same(&got, &event);
    }
}

static void test_every_field(void **state)
{
    struct event_storage storage;
    struct audit_event event = {.kind = EVENT_LOGIN};
    (void)state;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        event.field[i] = event_field_is_number(i) ? "12345" : "a text";
    struct audit_event got = through(&event, &storage);
    assert_same(&got, &event);
}

static void test_truncated(void **state)
{
    uint8_t buffer[512];
    struct event_storage storage;
    struct audit_event got;
    (void)state;
    size_t size = event_pack(&sample, buffer, sizeof buffer);
    assert_true(size > 0 && size < sizeof buffer);
    for (size_t i = 0; i < size; i++) {
        uint8_t *exact = malloc(i ? i : 1); /* so that reading beyond is seen */
        memcpy(exact, buffer, i);
        assert_false(event_unpack(exact, i, &got, &storage));
        free(exact);
    }
    buffer[size] = 0;
    assert_false(event_unpack(buffer, size + 1, &got, &storage));
    assert_false(event_unpack(NULL, 0, &got, &storage));
}

static void test_too_small_a_buffer(void **state)
{
    uint8_t buffer[512];
    (void)state;
    size_t size = event_pack(&sample, buffer, sizeof buffer);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(event_pack(&sample, buffer, i), 0);
    assert_int_equal(event_pack(&sample, buffer, size), size);
}

struct malformed {
    const char *what;
    size_t size;
    uint8_t bytes[16];
};

static void test_malformed(void **state)
{
    static const struct malformed good[] = {
        {"no field", 4, {EVENT_LOGIN, 0, 4, 0}},
        {"one field", 9, {EVENT_LOGIN, 0, 9, 0, FIELD_USER, 2, 0, 'a', 'b'}},
        {"a number", 9, {EVENT_LOGIN, 0, 9, 0, FIELD_PID, 2, 0, '1', '0'}},
    };
    static const struct malformed bad[] = {
        {"unknown kind", 4, {EVENT_KIND_COUNT, 0, 4, 0}},
        {"unknown kind, high byte", 4, {EVENT_LOGIN, 1, 4, 0}},
        {"size too small", 4, {EVENT_LOGIN, 0, 3, 0}},
        {"size too great", 4, {EVENT_LOGIN, 0, 5, 0}},
        {"unknown field", 7, {EVENT_LOGIN, 0, 7, 0, FIELD_COUNT, 0, 0}},
        {"field beyond the end", 8, {EVENT_LOGIN, 0, 8, 0, FIELD_USER, 2, 0, 'a'}},
        {"bytes after the last", 8, {EVENT_LOGIN, 0, 8, 0, FIELD_USER, 0, 0, 0}},
        {"twice", 10, {EVENT_LOGIN, 0, 10, 0, FIELD_USER, 0, 0, FIELD_USER, 0, 0}},
        {"out of order", 10, {EVENT_LOGIN, 0, 10, 0, FIELD_USER, 0, 0, FIELD_LEG, 0, 0}},
        {"NUL in a text", 9, {EVENT_LOGIN, 0, 9, 0, FIELD_USER, 2, 0, 'a', 0}},
        {"text in a number", 9, {EVENT_LOGIN, 0, 9, 0, FIELD_PID, 2, 0, '1', 'x'}},
        {"leading zero in a number", 9, {EVENT_LOGIN, 0, 9, 0, FIELD_LINK, 2, 0, '0', '1'}},
        {"empty number", 7, {EVENT_LOGIN, 0, 7, 0, FIELD_WORKER, 0, 0}},
    };
    struct event_storage storage;
    struct audit_event got;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!event_unpack(good[i].bytes, good[i].size, &got, &storage))
            fail_msg("%s", good[i].what);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (event_unpack(bad[i].bytes, bad[i].size, &got, &storage))
            fail_msg("taken: %s", bad[i].what);
}

static void test_sizes_beyond_limits(void **state)
{
    static uint8_t buffer[65536];
    struct event_storage storage;
    struct audit_event got;
    (void)state;
    for (size_t text = EVENT_FIELD_MAX; text <= EVENT_FIELD_MAX + 1; text++) {
        size_t size = 4 + 3 + text;
        memset(buffer, 'x', sizeof buffer);
        memcpy(buffer,
               (uint8_t[]){EVENT_LOGIN, 0, (uint8_t)size, (uint8_t)(size >> 8), FIELD_USER,
                           (uint8_t)text, (uint8_t)(text >> 8)},
               7);
        assert_int_equal(event_unpack(buffer, size, &got, &storage), text == EVENT_FIELD_MAX);
    }
    /* Ten fields of the greatest size are more than an event may have. */
    size_t at = 4;
    for (unsigned field = FIELD_USER; at <= EVENT_PACKED_MAX; field++, at += 3 + EVENT_FIELD_MAX)
        memcpy(&buffer[at], (uint8_t[]){(uint8_t)field, 0, EVENT_FIELD_MAX >> 8}, 3);
    memcpy(&buffer[2], (uint8_t[]){(uint8_t)at, (uint8_t)(at >> 8)}, 2);
    assert_false(event_unpack(buffer, at, &got, &storage));
}

static char *repeated(const char *unit, size_t count)
{
    char *text = malloc(strlen(unit) * count + 1);
    assert_non_null(text);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        memcpy(&text[i * strlen(unit)], unit, strlen(unit) + 1);
    return text;
}

/* A text of `count` units keeps `kept` of them, and the ellipsis. */
static void assert_cut(const char *unit, size_t count, size_t kept)
{
    char *text = repeated(unit, count), *left = repeated(unit, kept);
    struct event_storage storage;
    struct audit_event event = {.kind = EVENT_LOGIN, .field[FIELD_USER] = text};
    struct audit_event got = through(&event, &storage);
    const char *cut = got.field[FIELD_USER];
    assert_true(strlen(cut) <= EVENT_FIELD_MAX);
    assert_memory_equal(cut, left, strlen(left));
    assert_string_equal(&cut[strlen(left)], count == kept ? "" : EVENT_ELLIPSIS);
    free(text);
    free(left);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    assert_cut("x", 2048, 2048);
    assert_cut("x", 2049, 2045);
    assert_cut("x", 100000, 2045);
    assert_cut("\xc3\xa4", 1024, 1024);
    assert_cut("\xc3\xa4", 1025, 1022); /* 2044 bytes; 2045 would split one */
    assert_cut("\xe2\x82\xac", 683, 681);
    assert_cut("\xf0\x9f\x98\x80", 513, 511);
    assert_cut("\x80", 3000, 2045); /* no UTF-8 at all */
}

/* Whoever chooses the texts must not be able to keep an event out of the log. */
static void test_many_long_texts_still_fit(void **state)
{
    char *text = repeated("\xc3\xa4", 5000);
    struct event_storage storage;
    struct audit_event event = {.kind = EVENT_LOGIN_REFUSED};
    (void)state;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        event.field[i] = event_field_is_number(i) ? "18446744073709551615" : text;
    struct audit_event got = through(&event, &storage);
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        assert_non_null(got.field[i]);
        size_t size = strlen(got.field[i]);
        assert_true(event_field_is_number(i) || (size > 200 && size <= 512));
    }
    free(text);
}

static void test_no_numbers_are_left_out(void **state)
{
    struct event_storage storage;
    struct audit_event event = {
        .kind = EVENT_LINK,
        .field[FIELD_CLIENT_PORT] = "-1",
        .field[FIELD_UPSTREAM_PORT] = "0x1bd",
        .field[FIELD_LINK] = "18446744073709551616",
        .field[FIELD_WORKER] = "",
        .field[FIELD_PID] = "17",
    };
    (void)state;
    struct audit_event got = through(&event, &storage);
    assert_null(got.field[FIELD_CLIENT_PORT]);
    assert_null(got.field[FIELD_UPSTREAM_PORT]);
    assert_null(got.field[FIELD_LINK]);
    assert_null(got.field[FIELD_WORKER]);
    assert_string_equal(got.field[FIELD_PID], "17");
    char *line = event_json(&event, TIME_NS);
    assert_string_equal(line, "{\"time\":\"" TIME_TEXT
                              "\",\"event\":\"link\",\"severity\":\"info\",\"pid\":17}");
    free(line);
}

static void test_json(void **state)
{
    char *line = event_json(&sample, TIME_NS);
    (void)state;
    assert_string_equal(line, "{\"time\":\"" TIME_TEXT "\",\"event\":\"unsigned_refused\","
                              "\"severity\":\"warning\",\"windows_event_id\":3021,"
                              "\"windows_channel\":\"SMBServer/Audit\",\"leg\":\"client\","
                              "\"reason\":\"\",\"client_address\":\"2001:db8::7\","
                              "\"client_port\":49152,\"user\":\"J\xc3\xbcrgen\","
                              "\"link\":18446744073709551615,\"pid\":0}");
    free(line);
}

static void assert_time(int64_t time_ns, const char *text)
{
    const struct audit_event event = {.kind = EVENT_LINK};
    char *line = event_json(&event, time_ns);
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_memory_equal(&line[9], text, strlen(text));
    free(line);
}

static void test_time(void **state)
{
    (void)state;
    assert_time(0, "1970-01-01T00:00:00.000000Z\"");
    assert_time(999, "1970-01-01T00:00:00.000000Z\"");
    assert_time(999999999, "1970-01-01T00:00:00.999999Z\"");
    assert_time(-1, "1969-12-31T23:59:59.999999Z\"");
    assert_time(INT64_C(951782400000000000), "2000-02-29T00:00:00.000000Z\"");
    assert_time(INT64_MAX, "2262-04-11T23:47:16.854775Z\"");
}

struct escaped {
    const char *text;
    const char *json; /* between the quotes */
};

#define FFFD "\xef\xbf\xbd"

static void test_hostile_texts(void **state)
{
    static const struct escaped texts[] = {
        {"\"},{\"event\":\"login", "\\\"},{\\\"event\\\":\\\"login"},
        {"a\\b/c", "a\\\\b/c"},
        {"a\nb\r\nc\td", "a\\nb\\r\\nc\\td"},
        {"\x01\x1b[2J\x1f", "\\u0001\\u001b[2J\\u001f"},
        {"a\x7f"
         "b",
         "a" FFFD "b"},
        {"\xc2\x9b"
         "31m",
         FFFD "31m"},                                           /* a C1 control character */
        {"a\xe2\x80\xa8{\xe2\x80\xa9}", "a" FFFD "{" FFFD "}"}, /* ends of lines, to some */
        {"\xe2\x80\xae"
         "exe\xe2\x81\xa6",
         FFFD "exe" FFFD}, /* turns text around */
        {"\xe2\x80\x8d\xe2\x81\xaa", "\xe2\x80\x8d\xe2\x81\xaa"},
        {"\xff\xfe", FFFD FFFD},
        {"\xc3", FFFD},
        {"\xc3(", FFFD "("},
        {"\xc0\xaf", FFFD FFFD},          /* not the shortest form */
        {"\xed\xa0\x80", FFFD FFFD FFFD}, /* a surrogate */
        {"\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xf0\x9f\x98", FFFD FFFD FFFD},
        {"%s%n", "%s%n"},
        {"</script>", "</script>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct audit_event event = {.kind = EVENT_LINK, .field[FIELD_USER] = texts[i].text};
        char expected[256];
        snprintf(expected, sizeof expected,
                 "{\"time\":\"" TIME_TEXT "\",\"event\":\"link\",\"severity\":\"info\","
                 "\"user\":\"%s\"}",
                 texts[i].json);
        char *line = event_json(&event, TIME_NS);
        assert_string_equal(line, expected);
        free(line);
    }
}

/* Every byte value, at every field: always one line, always JSON, always the same text again. */
static void test_every_byte(void **state)
{
    (void)state;
    for (unsigned byte = 1; byte < 256; byte++) {
        const char text[] = {'a', (char)byte, 'b', 0};
        const struct audit_event event = {.kind = EVENT_LINK, .field[FIELD_SHARE] = text};
        char *line = event_json(&event, TIME_NS);
        assert_null(strpbrk(line, "\n\r"));
        struct json_object *object = json_tokener_parse(line), *share;
        assert_true(json_object_object_get_ex(object, "share", &share));
        assert_string_equal(json_object_get_string(share), byte < 0x7f ? text : "a" FFFD "b");
        json_object_put(object);
        free(line);
    }
}

static void test_long_text_in_json(void **state)
{
    char *text = repeated("\xff", 10000);
    const struct audit_event event = {.kind = EVENT_LINK, .field[FIELD_USER] = text};
    struct json_object *user;
    (void)state;
    struct json_object *object = event_json_object(&event, TIME_NS);
    assert_true(json_object_object_get_ex(object, "user", &user));
    assert_int_equal(json_object_get_string_len(user), 3 * 2045 + 3);
    assert_string_equal(&json_object_get_string(user)[3 * 2045], EVENT_ELLIPSIS);
    json_object_put(object);
    free(text);
}

static void test_plain(void **state)
{
    uint64_t number = 7;
    (void)state;
    assert_true(plain_printable("Gr\xc3\xb6\xc3\x9f"
                                "e 1"));
    assert_false(plain_printable("a\nb"));
    assert_false(plain_printable("a\x7f"));
    assert_false(plain_printable("\xc2\x85"));
    assert_false(plain_printable("\xe2\x80\xae"));
    assert_false(plain_printable("\xef\xbb\xbf"
                                 "a"));
    assert_false(plain_printable("\xff"));
    assert_true(plain_number("0", &number) && number == 0);
    assert_true(plain_number("18446744073709551615", &number) && number == UINT64_MAX);
    assert_false(plain_number("18446744073709551616", &number));
    assert_false(plain_number("00", &number));
    assert_false(plain_number("", &number));
    assert_false(plain_number(" 1", &number));
    assert_false(plain_number("+1", &number));
    assert_false(plain_number("1a", &number));
}

static void test_same_without_regard_to_case(void **state)
{
    static const char *const same[][2] = {
        {"", ""},
        {"Payroll 2$", "pAYROLL 2$"},
        {"Gr\xc3\xb6\xc3\x9f"
         "e",
         "GR\xc3\x96\xc3\x9f"
         "E"},
        {"\xce\xa3\xce\x91\xce\xa3", "\xcf\x83\xce\xb1\xcf\x82"}, /* sigma and final sigma */
        {"\xd0\x91\xd1\x83\xd1\x85", "\xd0\xb1\xd0\xa3\xd0\xa5"}, /* Cyrillic */
        {"\xe2\x84\xaa", "k"},                                    /* the sign of kelvin */
        {"\xc5\xbf", "S"},                                        /* long s */
        {"\xf0\x90\x90\x80", "\xf0\x90\x90\xa8"},                 /* beyond 16 bits */
        {"a\xff", "A\xff"},
    };
    static const char *const different[][2] = {
        {"", "a"},        {"a", "ab"},          {"ab", "a"},
        {"a", "b"},       {"[", "{"}, /* 0x20 apart as letters are, and no letters */
        {"@", "`"},       {"\xc3\xb6", "o"},    {"\xc3\xb6", "\xc3\xa4"},
        {"\xff", "\xfe"}, {"\xff", "\xc3\xbf"}, {"\xc3", "\xc3\xb6"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (!plain_same(same[i][0], same[i][1]) || !plain_same(same[i][1], same[i][0]))
            fail_msg("\"%s\" is not \"%s\"", same[i][0], same[i][1]);
    for (size_t i = 0; i < sizeof different / sizeof different[0]; i++)
        if (plain_same(different[i][0], different[i][1]) ||
            plain_same(different[i][1], different[i][0]))
            fail_msg("\"%s\" is \"%s\"", different[i][0], different[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_too_small_a_buffer),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_sizes_beyond_limits),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_many_long_texts_still_fit),
        cmocka_unit_test(test_no_numbers_are_left_out),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_long_text_in_json),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_same_without_regard_to_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
