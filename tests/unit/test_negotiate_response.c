#include "tests/unit/packets.h"

#include "proxy/negotiate.h"

enum { MESSAGE_MAX = 2048 };

static const uint8_t salt[PREAUTH_SALT_SIZE] = {0x5a, 1, 2, 3};

static void test_response_of_windows(void **state)
{
    (void)state;
    struct packet packet = packet_named("ch1_negotiate_rsp");
    struct negotiate_response response;
    assert_true(negotiate_response_read(packet_span(&packet), &response));
    assert_int_equal(response.security_mode, SMB2_NEGOTIATE_SIGNING_ENABLED);
    assert_int_equal(response.dialect, SMB_3_1_1);
    assert_int_equal(response.capabilities, 0x2f);
    assert_int_equal(response.max_transact_size, 8388608);
    assert_int_equal(response.max_read_size, 8388608);
    assert_int_equal(response.max_write_size, 8388608);
    assert_int_equal(response.token.size, 0x140);
    assert_ptr_equal(response.token.at, &packet.at[128]);
    assert_true(response.has_preauth);
    assert_true(response.preauth_sha512);
    assert_true(response.has_cipher);
    assert_int_equal(response.cipher, CIPHER_AES_128_GCM);
    assert_false(response.has_signing);
    packet_free(&packet);
}

static void test_response_of_smbd(void **state)
{
    (void)state;
    struct packet packet;
    struct negotiate_response response;
    assert_true(packet_live(1, &packet));
    assert_true(negotiate_response_read(packet_span(&packet), &response));
    assert_int_equal(response.security_mode, 3);
    assert_int_equal(response.token.size, 0x4a);
    assert_true(response.has_signing);
    assert_int_equal(response.signing, SIGNING_AES_GMAC);
    packet_free(&packet);
}

static void test_response_truncated(void **state)
{
    (void)state;
    struct packet packet;
    struct negotiate_response response;
    for (int peer = 0; peer < 2; peer++) {
        if (peer == 0)
            packet = packet_named("ch1_negotiate_rsp");
        else
            assert_true(packet_live(1, &packet));
        for (size_t size = 0; size <= packet.size; size++) {
            struct packet cut = packet_copy(packet.at, size);
            assert_int_equal(negotiate_response_read(packet_span(&cut), &response),
                             size == packet.size);
            packet_free(&cut);
        }
        packet_free(&packet);
    }
}

/* The response of smbd with two bytes at `offset` changed. */
static bool accepts_changed(size_t offset, uint16_t value)
{
    struct packet packet;
    struct negotiate_response response;
    assert_true(packet_live(1, &packet));
    put_le16(&packet.at[offset], value);
    bool accepted = negotiate_response_read(packet_span(&packet), &response);
    packet_free(&packet);
    return accepted;
}

static void test_response_lies(void **state)
{
    (void)state;
    enum { DIALECT = 68, COUNT = 70, TOKEN_AT = 120, TOKEN_SIZE = 122, CONTEXTS_AT = 124 };
    enum { PREAUTH_AT = 208, ENCRYPTION_AT = 256, SIGNING_AT = 272 };
    assert_true(accepts_changed(64, 65));
    assert_false(accepts_changed(64, 64));
    assert_false(accepts_changed(64, 66));
    /* the number of contexts, and where they are */
    assert_true(accepts_changed(COUNT, 2));
    assert_false(accepts_changed(COUNT, 4));
    assert_false(accepts_changed(COUNT, 33));
    assert_false(accepts_changed(CONTEXTS_AT, 0));
    assert_false(accepts_changed(CONTEXTS_AT, 200)); /* inside the token */
    assert_false(accepts_changed(CONTEXTS_AT, 204));
    assert_false(accepts_changed(CONTEXTS_AT, 0xfff8));
    assert_false(accepts_changed(CONTEXTS_AT + 2, 1));
    /* the token */
    assert_false(accepts_changed(TOKEN_AT, 127));
    assert_false(accepts_changed(TOKEN_AT, 0xffff));
    assert_false(accepts_changed(TOKEN_SIZE, 0xffff));
    assert_true(accepts_changed(TOKEN_SIZE, 0));
    /* contexts: two of one type, an unknown one, none or two selected */
    assert_false(accepts_changed(ENCRYPTION_AT, 1));
    assert_false(accepts_changed(ENCRYPTION_AT, 8));
    assert_true(accepts_changed(ENCRYPTION_AT, 0x77));
    assert_false(accepts_changed(PREAUTH_AT + 8, 0));
    assert_false(accepts_changed(PREAUTH_AT + 8, 2));
    assert_false(accepts_changed(ENCRYPTION_AT + 8, 0));
    assert_false(accepts_changed(ENCRYPTION_AT + 8, 2));
    assert_false(accepts_changed(SIGNING_AT + 8, 0));
    assert_false(accepts_changed(SIGNING_AT + 8, 2));
    assert_false(accepts_changed(SIGNING_AT + 2, 0));
    assert_false(accepts_changed(SIGNING_AT + 2, 100));
    /* below 3.1.1 these bytes mean nothing */
    struct packet packet;
    struct negotiate_response response;
    assert_true(packet_live(1, &packet));
    put_le16(&packet.at[DIALECT], SMB_3_0_2);
    put_le16(&packet.at[CONTEXTS_AT], 0xffff);
    assert_true(negotiate_response_read(packet_span(&packet), &response));
    assert_false(response.has_preauth);
    packet_free(&packet);
}

static void test_response_two_algorithms(void **state)
{
    (void)state;
    /* A signing context with two algorithms that are really there. */
    uint8_t buffer[MESSAGE_MAX];
    struct negotiate_response response = {.dialect = SMB_3_1_1, .has_signing = true, .signing = 2};
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){0});
    negotiate_response_write(&writer, &response, salt);
    size_t size = writer_size(&writer);
    write_le16(&writer, 1);
    assert_true(writer_done(&writer));
    assert_true(negotiate_response_read((struct span){buffer, size}, &response));
    assert_false(response.has_preauth);
    write_le16_at(&writer, size - 10, 6); /* DataLength */
    assert_true(negotiate_response_read(writer_span(&writer), &response));
    write_le16_at(&writer, size - 4, 2);
    assert_false(negotiate_response_read(writer_span(&writer), &response));
}

/* Two hash algorithms, with a salt that leaves room for the second. */
static void test_response_two_hashes(void **state)
{
    (void)state;
    enum { PREAUTH_DATA = 208 + 8 };
    struct packet packet;
    struct negotiate_response response;
    assert_true(packet_live(1, &packet));
    put_le16(&packet.at[PREAUTH_DATA + 2], PREAUTH_SALT_SIZE - 2);
    assert_true(negotiate_response_read(packet_span(&packet), &response));
    put_le16(&packet.at[PREAUTH_DATA], 2);
    assert_false(negotiate_response_read(packet_span(&packet), &response));
    packet_free(&packet);
}

static void check_response_round_trip(const struct negotiate_response *response)
{
    uint8_t buffer[MESSAGE_MAX];
    struct negotiate_response again;
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){.flags = SMB2_FLAGS_SERVER_TO_REDIR});
    negotiate_response_write(&writer, response, salt);
    assert_true(writer_done(&writer));
    struct packet packet = packet_copy(buffer, writer_size(&writer));
    assert_true(negotiate_response_read(packet_span(&packet), &again));
    assert_int_equal(again.security_mode, response->security_mode);
    assert_int_equal(again.dialect, response->dialect);
    assert_memory_equal(again.server_guid, response->server_guid, GUID_SIZE);
    assert_int_equal(again.capabilities, response->capabilities);
    assert_int_equal(again.max_transact_size, response->max_transact_size);
    assert_int_equal(again.max_read_size, response->max_read_size);
    assert_int_equal(again.max_write_size, response->max_write_size);
    assert_int_equal(again.system_time, response->system_time);
    assert_int_equal(again.start_time, response->start_time);
    assert_true(span_equal(again.token, response->token));
    assert_int_equal(again.has_preauth, response->has_preauth);
    assert_int_equal(again.preauth_sha512, response->preauth_sha512);
    assert_int_equal(again.has_cipher, response->has_cipher);
    assert_int_equal(again.cipher, response->cipher);
    assert_int_equal(again.has_signing, response->has_signing);
    assert_int_equal(again.signing, response->signing);
    packet_free(&packet);
}

static void test_response_round_trip(void **state)
{
    (void)state;
    struct negotiate_response response = {
        .security_mode = 3,
        .dialect = SMB_3_1_1,
        .server_guid = {9, 8, 7, [15] = 1},
        .capabilities = SMB2_GLOBAL_CAP_LARGE_MTU,
        .max_transact_size = 0x100000,
        .max_read_size = 0x200000,
        .max_write_size = 0x300000,
        .system_time = 0x01dd7a0be4137e5c,
        .start_time = 5,
        .token = {(const uint8_t *)"some token", 10},
        .has_preauth = true,
        .preauth_sha512 = true,
        .has_cipher = true,
        .cipher = CIPHER_AES_256_GCM,
        .has_signing = true,
        .signing = SIGNING_AES_CMAC,
    };
    check_response_round_trip(&response);
    response.has_cipher = false;
    response.cipher = 0;
    check_response_round_trip(&response);
    response.token = (struct span){0};
    check_response_round_trip(&response);
    response.dialect = SMB_2_1;
    response.has_preauth = response.preauth_sha512 = response.has_signing = false;
    response.signing = 0;
    check_response_round_trip(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_of_windows),     cmocka_unit_test(test_response_of_smbd),
        cmocka_unit_test(test_response_truncated),      cmocka_unit_test(test_response_lies),
        cmocka_unit_test(test_response_two_algorithms), cmocka_unit_test(test_response_two_hashes),
        cmocka_unit_test(test_response_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
