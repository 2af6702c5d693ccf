/* What ends a channel: each kind of malformed message, with no descriptor left behind. */
#include "tests/unit/channel_ear.h"

/* Each is sent raw: `malformed` and `gone` once, no message, no descriptor left open, and what
 * comes after it is not listened to. */
static void expect_malformed(const void *bytes, size_t size, size_t descriptors)
{
    static const uint8_t good[] = {1, 0, 0, 0, 8, 0, 0, 0};
    struct heard b;
    int passed[16];
    unsigned before = open_descriptors();
    int raw = raw_pair(&b);
    for (size_t i = 0; i < descriptors; i++)
        passed[i] = raw;
    raw_send(raw, bytes, size, passed, descriptors);
    raw_send(raw, good, sizeof good, NULL, 0);
    settle();
    assert_int_equal(b.messages, 0);
    assert_int_equal(b.gone, 1);
    assert_true(b.malformed);
    assert_int_equal(send(raw, good, sizeof good, MSG_NOSIGNAL), -1);
    forget(&b);
    close(raw);
    assert_int_equal(open_descriptors(), before);
}

static void test_malformed_heads(void **state)
{
    static const uint8_t heads[][12] = {
        {1, 0, 0, 0, 7, 0, 0, 0},          /* too short a length */
        {1, 0, 0, 0, 9, 0, 0, 0},          /* too long */
        {1, 0, 0, 0, 8, 0, 0, 1},          /* far too long */
        {1, 0, 0, 0, 0, 0, 0, 0},          /* none */
        {1, 0, 1, 0, 8, 0, 0, 0},          /* the zero is not zero */
        {1, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3}, /* more bytes than announced */
    };
    (void)state;
    for (size_t i = 0; i < 5; i++)
        expect_malformed(heads[i], 8, 0);
    expect_malformed(heads[5], 11, 0);
    for (size_t size = 1; size < CHANNEL_HEAD_SIZE; size++)
        expect_malformed(heads[0], size, 0);
    /* A descriptor with a broken head is closed, not leaked. */
    expect_malformed(heads[0], 8, 1);
}

static void test_message_cut_off(void **state)
{
    static uint8_t bytes[CHANNEL_MESSAGE_MAX + 1] = {1, 0, 0, 0};
    (void)state;
    put_le32(bytes + 4, sizeof bytes);
    expect_malformed(bytes, sizeof bytes, 0);
    /* Also when it announces just what fits. */
    put_le32(bytes + 4, sizeof bytes - 1);
    expect_malformed(bytes, sizeof bytes, 0);
    expect_malformed(bytes, sizeof bytes, 1);
}

static void test_more_than_one_descriptor(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 8, 0, 0, 0};
    (void)state;
    expect_malformed(good, sizeof good, 2);
    expect_malformed(good, sizeof good, 4);
    expect_malformed(good, sizeof good, 5); /* more than there is room for: control data cut off */
    expect_malformed(good, sizeof good, 16);
}

static void test_empty_packet_ends(void **state)
{
    struct heard b;
    unsigned before = open_descriptors();
    int raw = raw_pair(&b);
    (void)state;
    raw_send(raw, "", 0, &raw, 1);
    settle();
    assert_int_equal(b.gone, 1);
    assert_true(b.malformed);
    forget(&b);
    close(raw);
    assert_int_equal(open_descriptors(), before);
}

static void test_owner_says_no(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 8, 0, 0, 0};
    struct heard b;
    int raw = raw_pair(&b);
    (void)state;
    b.answer = false;
    raw_send(raw, good, sizeof good, NULL, 0);
    raw_send(raw, good, sizeof good, NULL, 0);
    settle();
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.gone, 1);
    assert_true(b.malformed);
    forget(&b);
    close(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_heads),
        cmocka_unit_test(test_message_cut_off),
        cmocka_unit_test(test_more_than_one_descriptor),
        cmocka_unit_test(test_empty_packet_ends),
        cmocka_unit_test(test_owner_says_no),
    };
    return cmocka_run_group_tests(tests, make_base, drop_base);
}
