#include "tests/unit/packets.h"

#include "proxy/negotiate.h"

static void test_validate_request(void **state)
{
    (void)state;
    uint8_t buffer[128];
    struct validate_request request = {.capabilities = 0x7f,
                                       .client_guid = {1, [15] = 2},
                                       .security_mode = 1,
                                       .dialects = {SMB_2_0_2, SMB_3_0_2},
                                       .dialects_count = 2};
    struct validate_request again;
    struct writer writer = writer_over(buffer, sizeof buffer);
    validate_request_write(&writer, &request);
    assert_true(writer_done(&writer));
    assert_int_equal(writer_size(&writer), 28);
    for (size_t size = 0; size <= 28; size++) {
        struct packet cut = packet_copy(buffer, size);
        assert_int_equal(validate_request_read(packet_span(&cut), &again), size == 28);
        packet_free(&cut);
    }
    assert_int_equal(again.capabilities, request.capabilities);
    assert_memory_equal(again.client_guid, request.client_guid, GUID_SIZE);
    assert_int_equal(again.security_mode, request.security_mode);
    assert_int_equal(again.dialects_count, 2);
    assert_memory_equal(again.dialects, request.dialects, 4);
    /* a longer array than it says */
    assert_true(validate_request_read((struct span){buffer, 32}, &again));
    assert_int_equal(again.dialects_count, 2);
    put_le16(&buffer[22], 0);
    assert_false(validate_request_read((struct span){buffer, 28}, &again));
    put_le16(&buffer[22], NEGOTIATE_DIALECTS_MAX + 1);
    assert_false(validate_request_read((struct span){buffer, sizeof buffer}, &again));
}

static void test_validate_response(void **state)
{
    (void)state;
    uint8_t buffer[VALIDATE_RESPONSE_SIZE + 1] = {0};
    struct validate_response response = {
        .capabilities = 0x2f, .server_guid = {3, [15] = 4}, .security_mode = 3, .dialect = SMB_3_0};
    struct validate_response again;
    struct writer writer = writer_over(buffer, sizeof buffer);
    validate_response_write(&writer, &response);
    assert_int_equal(writer_size(&writer), VALIDATE_RESPONSE_SIZE);
    for (size_t size = 0; size <= sizeof buffer; size++) {
        struct packet cut = packet_copy(buffer, size);
        assert_int_equal(validate_response_read(packet_span(&cut), &again),
                         size == VALIDATE_RESPONSE_SIZE);
        packet_free(&cut);
    }
    assert_int_equal(again.capabilities, response.capabilities);
    assert_memory_equal(again.server_guid, response.server_guid, GUID_SIZE);
    assert_int_equal(again.security_mode, response.security_mode);
    assert_int_equal(again.dialect, response.dialect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validate_request),
        cmocka_unit_test(test_validate_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
