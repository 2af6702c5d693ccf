/* UTF-16LE of the wire and UTF-8 of logs: what is valid goes both ways, what is not never gets in.
 */
#include "tests/unit/packets.h"

#include "crypto/text.h"

#define REPLACEMENT "\xef\xbf\xbd"

static struct span utf16(const void *bytes, size_t size)
{
    return (struct span){bytes, size};
}

static void test_characters_of_every_length_round_trip(void **state)
{
    (void)state;
    /* One, two, three and four bytes of UTF-8; the last is a surrogate pair. */
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91";
    static const uint8_t units[] = {0x61, 0, 0xe4, 0, 0xac, 0x20, 0x3d, 0xd8, 0x11, 0xdd};
    uint8_t out[sizeof units];
    char back[sizeof text];
    struct writer writer = writer_over(out, sizeof out);
    assert_true(text_write_utf16(&writer, text, false));
    assert_true(writer_done(&writer));
    assert_int_equal(writer_size(&writer), sizeof units);
    assert_memory_equal(out, units, sizeof units);
    assert_true(text_from_utf16_strict(utf16(units, sizeof units), back, sizeof back));
    assert_string_equal(back, text);
}

static void check_bad_utf16(const void *bytes, size_t size, const char *lax)
{
    char text[32];
    struct packet packet = packet_copy(bytes, size);
    assert_false(text_from_utf16_strict(packet_span(&packet), text, sizeof text));
    text_from_utf16(packet_span(&packet), text, sizeof text);
    assert_string_equal(text, lax);
    packet_free(&packet);
}

static void test_invalid_utf16_is_replaced_or_refused(void **state)
{
    (void)state;
    check_bad_utf16("a\0b", 3, "a" REPLACEMENT);        /* half a unit */
    check_bad_utf16("\x3d\xd8", 2, REPLACEMENT);        /* high surrogate at the end */
    check_bad_utf16("\x3d\xd8z\0", 4, REPLACEMENT "z"); /* … before a letter */
    check_bad_utf16("\x11\xddz\0", 4, REPLACEMENT "z"); /* low surrogate first */
    check_bad_utf16("\x3d\xd8\x3d\xd8\x11\xdd", 6, REPLACEMENT "\xf0\x9f\x94\x91");
    check_bad_utf16("a\0\0\0b\0", 6, "a" REPLACEMENT "b"); /* embedded NUL */
    check_bad_utf16("\n\0x\0", 4, REPLACEMENT "x");        /* a forged line of a log */
    check_bad_utf16("\x1b\0\x7f\0", 4, REPLACEMENT REPLACEMENT);
}

static void test_text_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[4];
    struct span euro = utf16("\xac\x20\xac\x20", 4);
    text_from_utf16(euro, text, sizeof text);
    assert_string_equal(text, "\xe2\x82\xac");
    assert_false(text_from_utf16_strict(euro, text, sizeof text));
    text_from_utf16(euro, text, 3);
    assert_string_equal(text, "");
    assert_true(text_from_utf16_strict(utf16(NULL, 0), text, 1));
    assert_string_equal(text, "");
}

static void test_invalid_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xc0\x80",         /* NUL in two bytes */
        "\xc1\xa1",         /* 'a' in two bytes */
        "\xe0\x80\xaf",     /* '/' in three */
        "\xf0\x80\x80\xaf", /* '/' in four */
        "\xed\xa0\xbd",     /* a surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf8\x88\x80\x80\x80",
        "\xff",
        "\x80",
        "a\xc3",     /* cut */
        "a\xe2\x82", /* cut */
        "\xc3z",
    };
    uint8_t out[32];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct writer writer = writer_over(out, sizeof out);
        assert_false(text_write_utf16(&writer, bad[i], false));
        assert_false(text_same_name(bad[i], bad[i]));
    }
}

static void test_upper_case(void **state)
{
    (void)state;
    uint8_t out[16];
    struct writer writer = writer_over(out, sizeof out);
    assert_true(text_write_utf16(&writer, "aZ9\xc3\xa4\xd0\xb6\xc3\x9f", true));
    /* Ä and Ж; the sharp s has no upper case of one character, and stays. */
    assert_memory_equal(out,
                        "A\0Z\0"
                        "9\0\xc4\0\x16\x04\xdf\0",
                        12);
    assert_int_equal(writer_size(&writer), 12);
}

static void test_a_full_writer_is_told(void **state)
{
    (void)state;
    uint8_t out[3];
    struct writer writer = writer_over(out, sizeof out);
    assert_true(text_write_utf16(&writer, "ab", false));
    assert_false(writer_done(&writer));
}

static void test_same_name(void **state)
{
    (void)state;
    assert_true(text_same_name("Alice", "aLICE"));
    assert_true(text_same_name("\xc3\x84rger", "\xc3\xa4RGER"));
    assert_true(text_same_name("", ""));
    assert_false(text_same_name("alice", "alic"));
    assert_false(text_same_name("alic", "alice"));
    assert_false(text_same_name("alice", "alicf"));
    assert_false(text_same_name("", "a"));
    /* Not case, and not the same account to Windows either. */
    assert_false(text_same_name("a", "\xc3\xa4"));
    assert_false(text_same_name("stra\xc3\x9f"
                                "e",
                                "STRASSE"));
    assert_false(text_same_name("k", "\xe2\x84\xaa"));     /* KELVIN SIGN is its own upper case */
    assert_false(text_same_name("adm\xc4\xb1n", "ADMIN")); /* dotless i */
    assert_false(text_same_name("\xc5\xbf"
                                "am",
                                "SAM")); /* long s */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_of_every_length_round_trip),
        cmocka_unit_test(test_invalid_utf16_is_replaced_or_refused),
        cmocka_unit_test(test_text_is_cut_at_a_character),
        cmocka_unit_test(test_invalid_utf8_is_refused),
        cmocka_unit_test(test_upper_case),
        cmocka_unit_test(test_a_full_writer_is_told),
        cmocka_unit_test(test_same_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
