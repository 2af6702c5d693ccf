/* Every read of the cursor is checked, and moves only when there was enough. */
#include "tests/unit/packets.h"

static void test_reads_move_over_values(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                             0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
    struct reader reader = reader_over(bytes, sizeof bytes);
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    assert_true(read_u8(&reader, &u8));
    assert_true(read_le16(&reader, &u16));
    assert_true(read_le32(&reader, &u32));
    assert_true(read_le64(&reader, &u64));
    assert_int_equal(u8, 0x01);
    assert_int_equal(u16, 0x0302);
    assert_int_equal(u32, 0x07060504);
    assert_true(u64 == 0x0f0e0d0c0b0a0908u);
    assert_int_equal(reader_left(&reader), 0);
    assert_false(read_u8(&reader, &u8));
}

static void test_too_short_moves_nothing(void **state)
{
    (void)state;
    struct packet packet = packet_copy("1234567", 7);
    struct reader reader = reader_over_span(packet_span(&packet));
    struct span span = {NULL, 99};
    uint64_t u64 = 42;
    uint8_t copy[8] = {0};
    assert_false(read_le64(&reader, &u64));
    assert_false(read_copy(&reader, copy, 8));
    assert_false(read_span(&reader, 8, &span));
    assert_false(read_span(&reader, SIZE_MAX, &span));
    assert_false(read_skip(&reader, 8));
    assert_true(u64 == 42);
    assert_int_equal(span.size, 99);
    assert_int_equal(copy[0], 0);
    assert_int_equal(reader_left(&reader), 7);
    assert_true(read_skip(&reader, 4));
    uint32_t u32 = 42;
    assert_false(read_le32(&reader, &u32));
    uint16_t u16 = 0;
    assert_true(read_le16(&reader, &u16));
    assert_false(read_le16(&reader, &u16));
    assert_int_equal(u32, 42);
    assert_int_equal(u16, 0x3635);
    assert_int_equal(reader_left(&reader), 1);
    packet_free(&packet);
}

static void test_an_empty_reader_gives_empty_spans(void **state)
{
    (void)state;
    struct reader reader = reader_over(NULL, 0);
    struct span span;
    assert_true(read_span(&reader, 0, &span));
    assert_int_equal(span.size, 0);
    assert_true(read_skip(&reader, 0));
    assert_false(read_skip(&reader, 1));
    assert_int_equal(reader_rest(&reader).size, 0);
    assert_false(read_until(&reader, 0, &span));
}

static void test_read_until(void **state)
{
    (void)state;
    struct reader reader = reader_over("a::bc", 5);
    struct span span = {NULL, 99};
    assert_true(read_until(&reader, ':', &span));
    assert_true(span_is(span, "a"));
    assert_true(read_until(&reader, ':', &span));
    assert_int_equal(span.size, 0);
    span.size = 99;
    assert_false(read_until(&reader, ':', &span));
    assert_int_equal(span.size, 99);
    assert_true(span_is(reader_rest(&reader), "bc"));
    assert_true(read_until(&reader, 'c', &span));
    assert_int_equal(reader_left(&reader), 0);
}

static void test_read_literal(void **state)
{
    (void)state;
    struct reader reader = reader_over("user:x", 6);
    assert_false(read_literal(&reader, "users"));
    assert_false(read_literal(&reader, "user:xy"));
    assert_int_equal(reader_left(&reader), 6);
    assert_true(read_literal(&reader, ""));
    assert_true(read_literal(&reader, "user:"));
    assert_true(span_is(reader_rest(&reader), "x"));
    assert_false(span_is(reader_rest(&reader), ""));
    assert_true(read_literal(&reader, "x"));
    assert_false(read_literal(&reader, "x"));
    assert_true(span_is(reader_rest(&reader), ""));
}

static void test_read_align(void **state)
{
    (void)state;
    const uint8_t bytes[16] = {0};
    struct reader reader = reader_over(bytes, 13);
    assert_true(read_align(&reader, bytes, 8));
    assert_int_equal(reader_left(&reader), 13);
    assert_true(read_skip(&reader, 1));
    assert_true(read_align(&reader, bytes, 8));
    assert_int_equal(reader_left(&reader), 5);
    assert_true(read_skip(&reader, 1));
    assert_false(read_align(&reader, bytes, 8));
    assert_int_equal(reader_left(&reader), 4);
    assert_true(read_align(&reader, bytes, 4));
    assert_int_equal(reader_left(&reader), 1);
}

static void test_slices_stay_inside(void **state)
{
    (void)state;
    const uint8_t bytes[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct span whole = {bytes, sizeof bytes}, slice;
    assert_true(span_slice(whole, 2, 3, &slice));
    assert_int_equal(slice.size, 3);
    assert_int_equal(slice.at[0], 2);
    assert_true(span_slice(whole, 10, 0, &slice));
    assert_int_equal(slice.size, 0);
    assert_false(span_slice(whole, 11, 0, &slice));
    assert_false(span_slice(whole, 10, 1, &slice));
    assert_false(span_slice(whole, 0, 11, &slice));
    assert_false(span_slice(whole, SIZE_MAX, 2, &slice));
    assert_false(span_slice(whole, 2, SIZE_MAX, &slice));
    assert_true(span_slice((struct span){NULL, 0}, 0, 0, &slice));
}

static void test_span_equal(void **state)
{
    (void)state;
    const uint8_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
    assert_true(span_equal((struct span){a, 2}, (struct span){b, 2}));
    assert_false(span_equal((struct span){a, 3}, (struct span){b, 3}));
    assert_false(span_equal((struct span){a, 2}, (struct span){a, 3}));
    assert_true(span_equal((struct span){NULL, 0}, (struct span){a, 0}));
}

static void test_writer_fills_exactly(void **state)
{
    (void)state;
    struct packet room = packet_copy("xxxxxxxxxxxxxxxxxxxx", 20);
    struct writer writer = writer_over(room.at, room.size);
    write_u8(&writer, 0x11);
    write_align(&writer, 4);
    write_le16(&writer, 0x2233);
    write_zeros(&writer, 2);
    write_le32(&writer, 0x44556677);
    write_le64(&writer, 0x8899aabbccddeeffu);
    const uint8_t expected[20] = {0x11, 0,    0,    0,    0x33, 0x22, 0,    0,    0x77, 0x66,
                                  0x55, 0x44, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88};
    assert_true(writer_done(&writer));
    assert_int_equal(writer_size(&writer), 20);
    assert_memory_equal(room.at, expected, sizeof expected);
    write_le16_at(&writer, 18, 0x0102);
    write_le32_at(&writer, 0, 0x03040506);
    assert_true(writer_done(&writer));
    assert_int_equal(get_le16(&room.at[18]), 0x0102);
    assert_int_equal(get_le32(room.at), 0x03040506);
    packet_free(&room);
}

static void test_overflow_is_remembered(void **state)
{
    (void)state;
    struct packet room = packet_copy("abc", 3);
    struct writer writer = writer_over(room.at, room.size);
    write_le32(&writer, 1);
    assert_false(writer_done(&writer));
    assert_memory_equal(room.at, "abc", 3);
    /* Once full, always full: a later small field must not make a message with a hole. */
    write_u8(&writer, 1);
    assert_int_equal(writer_size(&writer), 0);
    assert_false(writer_done(&writer));

    struct writer patched = writer_over(room.at, room.size);
    write_u8(&patched, 7);
    write_le16_at(&patched, 0, 1);
    assert_false(writer_done(&patched));
    packet_free(&room);
}

static void test_fixed_places_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[8];
    put_le64(bytes, 0x8000000000000001u);
    assert_true(get_le64(bytes) == 0x8000000000000001u);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(bytes[7], 0x80);
    put_le32(bytes, 0xfffffffeu);
    assert_true(get_le32(bytes) == 0xfffffffeu);
    put_le16(bytes, 0xff00);
    assert_int_equal(get_le16(bytes), 0xff00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_move_over_values),
        cmocka_unit_test(test_too_short_moves_nothing),
        cmocka_unit_test(test_an_empty_reader_gives_empty_spans),
        cmocka_unit_test(test_read_until),
        cmocka_unit_test(test_read_literal),
        cmocka_unit_test(test_read_align),
        cmocka_unit_test(test_slices_stay_inside),
        cmocka_unit_test(test_span_equal),
        cmocka_unit_test(test_writer_fills_exactly),
        cmocka_unit_test(test_overflow_is_remembered),
        cmocka_unit_test(test_fixed_places_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
