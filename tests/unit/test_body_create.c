#include "tests/unit/packets.h"

#include "proxy/body.h"

enum { MESSAGE_MAX = 1024, CONTEXTS_AT_IN_REQUEST = 112, CONTEXTS_SIZE_IN_REQUEST = 116 };

static bool takes_request(const struct packet *packet)
{
    struct create_request body;
    return create_request_read(packet_span(packet), &body);
}

static bool takes_response(const struct packet *packet)
{
    struct create_response body;
    return create_response_read(packet_span(packet), &body);
}

static void check_truncated(bool (*takes)(const struct packet *), const struct packet *packet,
                            size_t needed)
{
    for (size_t size = 0; size <= packet->size; size++) {
        struct packet cut = packet_copy(packet->at, size);
        assert_int_equal(takes(&cut), size >= needed);
        packet_free(&cut);
    }
}

static void test_request_recorded(void **state)
{
    (void)state;
    struct create_request body;
    struct packet packet = live_packet(28);
    assert_true(create_request_read(packet_span(&packet), &body));
    assert_int_equal(body.oplock_level, 0);
    assert_int_equal(body.desired_access, 0x00120089);
    assert_int_equal(body.disposition, 1);
    assert_int_equal(body.options, 0x40);
    assert_int_equal(body.name.size, 2);
    assert_memory_equal(body.name.at, "f\0", 2);
    assert_int_equal(body.contexts.size, 0);
    check_truncated(takes_request, &packet, 122);
    packet_free(&packet);

    packet = packet_special("compound_request");
    assert_true(create_request_read((struct span){packet.at, 168}, &body));
    assert_int_equal(body.options, 0x00200064);
    assert_int_equal(body.name.size, 42);
    packet_free(&packet);

    packet = live_packet(14); /* the root of the share: no name */
    assert_true(create_request_read(packet_span(&packet), &body));
    assert_int_equal(body.name.size, 0);
    check_truncated(takes_request, &packet, 120);
    packet_free(&packet);
}

static void test_request_ranges(void **state)
{
    (void)state;
    enum { NAME_AT = 108, NAME_SIZE = 110 };
    static const struct {
        size_t at;
        uint16_t value;
        bool taken;
    } cases[] = {
        {64, 56, false},
        {64, 58, false},
        {NAME_AT, 119, false},
        {NAME_AT, 120, true},
        {NAME_AT, 0xffff, false},
        {NAME_SIZE, 200, false},
        {NAME_SIZE, 0xffff, false},
    };
    struct packet packet = live_packet(28);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet copy = packet_copy(packet.at, packet.size);
        put_le16(&copy.at[cases[i].at], cases[i].value);
        assert_int_equal(takes_request(&copy), cases[i].taken);
        packet_free(&copy);
    }
    packet_free(&packet);
}

/* The range of the contexts: aligned, behind the fixed part, inside; an empty one anywhere. */
static void test_request_contexts_range(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, size;
        bool taken;
    } cases[] = {
        {136, 8, true},        {136, 16, true},         {136, 24, false},         {132, 8, false},
        {112, 8, false},       {0, 8, false},           {160, 8, false},          {3, 0, true},
        {0xfffffff8, 0, true}, {0xfffffff8, 16, false}, {136, 0xfffffff8, false},
    };
    struct packet packet = live_packet(28);
    struct packet longer = {.at = calloc(1, 152), .size = 152};
    assert_non_null(longer.at);
    memcpy(longer.at, packet.at, packet.size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_le32(&longer.at[CONTEXTS_AT_IN_REQUEST], cases[i].offset);
        put_le32(&longer.at[CONTEXTS_SIZE_IN_REQUEST], cases[i].size);
        assert_int_equal(takes_request(&longer), cases[i].taken);
    }
    packet_free(&longer);
    packet_free(&packet);
}

static void test_response_recorded(void **state)
{
    (void)state;
    struct create_response body;
    struct packet packet = live_packet(15);
    assert_true(create_response_read(packet_span(&packet), &body));
    assert_int_equal(body.oplock_level, 0);
    assert_memory_equal(body.file_id, &packet.at[128], FILE_ID_SIZE);
    assert_int_equal(body.file_id[0], 0x39);
    assert_int_equal(body.contexts.size, 0);
    check_truncated(takes_response, &packet, 152);
    put_le16(&packet.at[64], 88);
    assert_false(takes_response(&packet));
    packet_free(&packet);
}

static void test_response_contexts_range(void **state)
{
    (void)state;
    struct packet packet = live_packet(15);
    struct packet longer = {.at = calloc(1, 176), .size = 176};
    struct create_response body;
    assert_non_null(longer.at);
    memcpy(longer.at, packet.at, packet.size);
    put_le32(&longer.at[144], 152);
    put_le32(&longer.at[148], 24);
    assert_true(create_response_read(packet_span(&longer), &body));
    assert_ptr_equal(body.contexts.at, &longer.at[152]);
    assert_int_equal(body.contexts.size, 24);
    put_le32(&longer.at[148], 25);
    assert_false(takes_response(&longer));
    put_le32(&longer.at[148], 8);
    put_le32(&longer.at[144], 144);
    assert_false(takes_response(&longer));
    put_le32(&longer.at[144], 156);
    assert_false(takes_response(&longer));
    packet_free(&longer);
    packet_free(&packet);
}

/* Two contexts: "MxAc" without data, padded to 24 bytes, and "DHnQ" with 16 bytes, 40 in all. */
static struct packet two_contexts(void)
{
    return packet_from_hex("18000000100004000000000000000000"
                           "4d78416300000000"
                           "00000000100004000000180010000000"
                           "44486e5100000000"
                           "000102030405060708090a0b0c0d0e0f");
}

static void test_contexts(void **state)
{
    (void)state;
    struct packet packet = two_contexts();
    struct span rest = packet_span(&packet);
    struct create_context context;
    bool broken = true;
    assert_true(create_context_next(&rest, &context, &broken));
    assert_false(broken);
    assert_int_equal(context.name.size, 4);
    assert_memory_equal(context.name.at, "MxAc", 4);
    assert_int_equal(context.data.size, 0);
    assert_true(create_context_next(&rest, &context, &broken));
    assert_memory_equal(context.name.at, "DHnQ", 4);
    assert_int_equal(context.data.size, 16);
    assert_ptr_equal(context.data.at, &packet.at[48]);
    assert_false(create_context_next(&rest, &context, &broken));
    assert_false(broken);
    packet_free(&packet);

    rest = (struct span){0};
    assert_false(create_context_next(&rest, &context, &broken));
    assert_false(broken);
}

/* How many contexts come before the list turns out to be broken; 10 more when it is not. */
static unsigned walk(const struct packet *packet)
{
    struct span rest = packet_span(packet);
    struct create_context context;
    bool broken;
    unsigned count = 0;
    while (create_context_next(&rest, &context, &broken))
        count++;
    return broken ? count : count + 10;
}

static void test_contexts_broken(void **state)
{
    (void)state;
    enum { NEXT = 0, NAME_AT = 4, NAME_SIZE = 6, DATA_AT = 10, DATA_SIZE = 12, SECOND = 24 };
    static const struct {
        size_t at;
        uint16_t value;
        unsigned walked;
    } cases[] = {
        {NEXT, 24, 12},
        {NEXT, 0, 11}, /* the rest is padding then */
        {NEXT, 20, 0},
        {NEXT, 8, 0},
        {NEXT, 64, 0},
        {NEXT, 72, 0},
        {NEXT, 56, 1}, /* only eight bytes left for the second */
        {NEXT + 2, 0x8000, 0},
        {NAME_AT, 15, 0},
        {NAME_AT, 20, 12}, /* a name in the padding is inside */
        {NAME_AT, 21, 0},  /* ends in the next context */
        {NAME_SIZE, 9, 0},
        {NAME_SIZE, 0xffff, 0},
        {SECOND + NEXT, 8, 1},
        {SECOND + NEXT, 40, 1},
        {SECOND + NAME_SIZE, 25, 1},
        {SECOND + DATA_AT, 8, 1},
        {SECOND + DATA_AT, 20, 1},
        {SECOND + DATA_AT, 32, 1},
        {SECOND + DATA_SIZE, 17, 1},
        {SECOND + DATA_SIZE + 2, 0xffff, 1},
        {SECOND + DATA_SIZE, 0, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet packet = two_contexts();
        put_le16(&packet.at[cases[i].at], cases[i].value);
        assert_int_equal(walk(&packet), cases[i].walked);
        packet_free(&packet);
    }
}

static void test_contexts_truncated(void **state)
{
    (void)state;
    struct packet whole = two_contexts();
    assert_int_equal(walk(&whole), 12);
    for (size_t size = 0; size < whole.size; size++) {
        struct packet cut = packet_copy(whole.at, size);
        unsigned walked = walk(&cut);
        if (size == 0)
            assert_int_equal(walked, 10);
        else
            assert_in_range(walked, 0, 1);
        packet_free(&cut);
    }
    packet_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_recorded),        cmocka_unit_test(test_request_ranges),
        cmocka_unit_test(test_request_contexts_range),  cmocka_unit_test(test_response_recorded),
        cmocka_unit_test(test_response_contexts_range), cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_contexts_broken),         cmocka_unit_test(test_contexts_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
