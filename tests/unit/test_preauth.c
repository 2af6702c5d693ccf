/* The preauth hash over the published 3.1.1 session and its second channel. */
#include "tests/unit/packets.h"

#include "crypto/preauth.h"

struct link_of_chain {
    const char *packet;
    const char *hash;
};

static const struct link_of_chain session[] = {
    {"ch1_negotiate_req", "dd94efc5321bb618a2e208ba8920d2f422992526947a409b5037de1e0fe8c736"
                          "2b8c47122594cde0ce26aa9dfc8bcdbde0621957672623351a7540f1e54a0426"},
    {"ch1_negotiate_rsp", "324bfa92a4f3a190e466ebea08d9c110dc88bfed758d9846ecc6f541cc1d02ae"
                          "3c94a79f36011e997e13f841b91b50957ad07b19c8e2539c0b23fdae09d2c513"},
    {"ch1_session_setup1_req", "ac0b0f2b9986257700365e416d142a6edc96df03594a19e52a15f6bd0d041cd5"
                               "d432f8ed42c55e33197a50c9ec00f1462b50c592211b1471a04b56088fdfd5f9"},
    {"ch1_session_setup1_rsp", "2729e3440dfddd839e37193f6e8f20c20cefb3469e453a70cd980eec06b88357"
                               "40a73760085633364c8989895ece81bf102deeb14d4b7d48afa76901a7a38387"},
    {"ch1_session_setup2_req", "0dd13628cc3ed218ef9df9772d436d0887ab9814bfae63a80aa845f36909db79"
                               "28622dddad522d9751640a459762c5a9d6bb084cbb3ce6bdadef5d5bce3c6c01"},
};

static const struct link_of_chain channel[] = {
    {"ch2_negotiate_req", "f035c2b2bab116e0dcf6a74e26670604d1bf6dda065913af7c30e93c1f025ac3"
                          "ce2dd44d4de26524a785e5d8e06af0be1c74296fef05b045c3793a12b32c49df"},
    {"ch2_negotiate_rsp", "e267ab1aa0403082aa2a9feb0224af3ea92e53caa50a893a9635f0659f93591f"
                          "81391737e68db0c9ad878c56449c36a6895ebcf435a7d97072c7b596b8af3817"},
    {"ch2_bind1_req", "8346469934a59e951a3f2da7fa4c2c29f0f6b13a6b0951d4cd5279f8d40fd84f"
                      "f98157937613c6be9514582e44344b1710dd5bfce3bb023d28c6ea512e0adebd"},
    {"ch2_bind1_rsp", "6dad1ba61caf5fdfbb46d995463ff5780f7248d692e70ce87d8b58b2fbefd438"
                      "937e1bcbec3676f26f7ee374e169f8afb17671fb9a47ab88ee2c079db2b2c7d3"},
    {"ch2_bind2_req", "ea3bf912b11cbfec5b1889e8209614218687f82fa5294521ad3063425e49e88a"
                      "10bd022124ce25123bc9111f52d9566ba88bf46344e6063dc5e3ff0389026f6c"},
};

static void check_chain(const struct link_of_chain *links, size_t count)
{
    struct preauth_hash hash;
    preauth_start(&hash);
    for (size_t i = 0; i < count; i++) {
        struct packet packet = packet_named(links[i].packet);
        struct packet expected = packet_from_hex(links[i].hash);
        assert_true(preauth_add(&hash, packet_span(&packet)));
        assert_memory_equal(hash.value, expected.at, PREAUTH_HASH_SIZE);
        packet_free(&expected);
        packet_free(&packet);
    }
}

static void test_published_session(void **state)
{
    (void)state;
    check_chain(session, sizeof session / sizeof session[0]);
}

static void test_published_channel(void **state)
{
    (void)state;
    check_chain(channel, sizeof channel / sizeof channel[0]);
}

static void test_starts_with_zeros(void **state)
{
    (void)state;
    const uint8_t zeros[PREAUTH_HASH_SIZE] = {0};
    struct preauth_hash hash;
    memset(&hash, 0xff, sizeof hash);
    preauth_start(&hash);
    assert_memory_equal(hash.value, zeros, sizeof zeros);
}

/* Whatever a man in the middle changes in the negotiation changes the hash: a bit, or the order. */
static void test_every_byte_and_the_order_count(void **state)
{
    (void)state;
    struct packet request = packet_named("ch1_negotiate_req");
    struct packet response = packet_named("ch1_negotiate_rsp");
    struct preauth_hash right, wrong;
    preauth_start(&right);
    assert_true(preauth_add(&right, packet_span(&request)));
    for (size_t i = 0; i < request.size; i++) {
        request.at[i] ^= 1;
        preauth_start(&wrong);
        assert_true(preauth_add(&wrong, packet_span(&request)));
        assert_memory_not_equal(right.value, wrong.value, PREAUTH_HASH_SIZE);
        request.at[i] ^= 1;
    }
    assert_true(preauth_add(&right, packet_span(&response)));
    preauth_start(&wrong);
    assert_true(preauth_add(&wrong, packet_span(&response)));
    assert_true(preauth_add(&wrong, packet_span(&request)));
    assert_memory_not_equal(right.value, wrong.value, PREAUTH_HASH_SIZE);
    packet_free(&request);
    packet_free(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_session),
        cmocka_unit_test(test_published_channel),
        cmocka_unit_test(test_starts_with_zeros),
        cmocka_unit_test(test_every_byte_and_the_order_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
