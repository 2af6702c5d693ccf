#include "tests/unit/packets.h"

#include "proxy/smb2.h"

/* A message of nothing but a header, in `message`. */
static void make_header(uint8_t message[SMB2_HEADER_SIZE], uint32_t next_command)
{
    struct writer writer = writer_over(message, SMB2_HEADER_SIZE);
    struct smb2_header header = {.command = SMB2_ECHO, .next_command = next_command};
    smb2_header_write(&writer, &header);
    assert_true(writer_done(&writer));
}

static void test_fields_of_a_request(void **state)
{
    (void)state;
    struct packet packet = packet_named("ch1_session_setup2_rsp");
    struct smb2_header header;
    assert_true(smb2_header_read(packet_span(&packet), &header));
    assert_int_equal(header.credit_charge, 1);
    assert_int_equal(header.status, STATUS_SUCCESS);
    assert_int_equal(header.command, SMB2_SESSION_SETUP);
    assert_int_equal(header.credits, 128);
    assert_int_equal(header.flags, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_SIGNED);
    assert_int_equal(header.next_command, 0);
    assert_int_equal(header.message_id, 3);
    assert_int_equal(header.async_id, 0);
    assert_int_equal(header.process_id, 0xfeff);
    assert_int_equal(header.tree_id, 0);
    assert_int_equal(header.session_id, 0x0000100000000019);
    packet_free(&packet);
}

static void test_fields_of_an_asynchronous_response(void **state)
{
    (void)state;
    struct packet packet = packet_special("pending_response_unsigned");
    struct smb2_header header;
    assert_true(smb2_header_read(packet_span(&packet), &header));
    assert_int_equal(header.status, STATUS_PENDING);
    assert_int_equal(header.command, SMB2_CHANGE_NOTIFY);
    assert_true(header.flags & SMB2_FLAGS_ASYNC_COMMAND);
    assert_int_equal(header.async_id, 7);
    assert_int_equal(header.process_id, 0);
    assert_int_equal(header.tree_id, 0);
    packet_free(&packet);
}

/* Writing what was read gives the bytes again, but for the signature. */
static void check_round_trip(struct packet packet)
{
    uint8_t written[SMB2_HEADER_SIZE];
    struct writer writer = writer_over(written, sizeof written);
    struct smb2_header header;
    assert_true(smb2_header_read(packet_span(&packet), &header));
    smb2_header_write(&writer, &header);
    assert_true(writer_done(&writer));
    assert_int_equal(writer_size(&writer), SMB2_HEADER_SIZE);
    smb2_clear_signature(packet.at);
    assert_memory_equal(written, packet.at, SMB2_HEADER_SIZE);
}

static void test_round_trip_of_recorded_headers(void **state)
{
    (void)state;
    static const char *const special[] = {"compound_request", "cancel_request",
                                          "pending_response_unsigned",
                                          "break_notification_unsigned"};
    struct packet packet;
    size_t count = 0;
    for (; packet_live(count, &packet); count++) {
        check_round_trip(packet);
        packet_free(&packet);
    }
    assert_int_equal(count, 44);
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        packet = packet_special(special[i]);
        check_round_trip(packet);
        packet_free(&packet);
    }
}

static void test_header_too_short(void **state)
{
    (void)state;
    uint8_t whole[SMB2_HEADER_SIZE];
    struct smb2_header header;
    make_header(whole, 0);
    for (size_t size = 0; size < SMB2_HEADER_SIZE; size++) {
        struct packet cut = packet_copy(whole, size);
        assert_false(smb2_header_read(packet_span(&cut), &header));
        packet_free(&cut);
    }
    assert_true(smb2_header_read((struct span){whole, sizeof whole}, &header));
}

static void test_header_of_another_protocol(void **state)
{
    (void)state;
    static const uint8_t first[] = {0xff, 0xfd, 0xfc, 0x00};
    uint8_t message[SMB2_HEADER_SIZE];
    struct smb2_header header;
    for (size_t i = 0; i < sizeof first; i++) {
        make_header(message, 0);
        message[0] = first[i];
        assert_false(smb2_header_read((struct span){message, sizeof message}, &header));
    }
}

static void test_header_structure_size(void **state)
{
    (void)state;
    uint8_t message[SMB2_HEADER_SIZE];
    struct smb2_header header;
    static const uint16_t sizes[] = {0, 63, 65, 0x4000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        make_header(message, 0);
        put_le16(&message[4], sizes[i]);
        assert_false(smb2_header_read((struct span){message, sizeof message}, &header));
    }
}

/* Each setter changes its own field and no other bit. */
static void test_setters(void **state)
{
    (void)state;
    uint8_t message[SMB2_HEADER_SIZE], expected[SMB2_HEADER_SIZE];
    struct smb2_header header = {
        .credit_charge = 0x1122,
        .status = 0x33445566,
        .command = SMB2_READ,
        .credits = 0x7788,
        .flags = SMB2_FLAGS_SIGNED,
        .next_command = 0x99aabbc8,
        .message_id = 0x0102030405060708,
        .process_id = 0xfeff,
        .tree_id = 0xa1a2a3a4,
        .session_id = 0xb1b2b3b4b5b6b7b8,
    };
    struct writer writer = writer_over(expected, sizeof expected);
    smb2_header_write(&writer, &header);
    assert_true(writer_done(&writer));

    writer = writer_over(message, sizeof message);
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_READ, .process_id = 0xfeff});
    assert_true(writer_done(&writer));
    smb2_set_credit_charge(message, header.credit_charge);
    smb2_set_status(message, header.status);
    smb2_set_credits(message, header.credits);
    smb2_set_flags(message, header.flags);
    smb2_set_next_command(message, header.next_command);
    smb2_set_message_id(message, header.message_id);
    smb2_set_tree_id(message, header.tree_id);
    smb2_set_session_id(message, header.session_id);
    assert_memory_equal(message, expected, sizeof message);

    memset(message, 0xee, sizeof message);
    memset(expected, 0xee, sizeof expected);
    memset(&expected[SIGNATURE_OFFSET], 0, SIGNATURE_SIZE);
    smb2_clear_signature(message);
    assert_memory_equal(message, expected, sizeof message);
}

static void test_chain_of_one(void **state)
{
    (void)state;
    struct packet packet = packet_named("ch1_negotiate_req");
    struct chain rest = {packet.at, packet.size};
    struct smb2_message message;
    assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
    assert_ptr_equal(message.at, packet.at);
    assert_int_equal(message.size, packet.size);
    assert_int_equal(chain_next(&rest, &message), CHAIN_END);
    packet_free(&packet);
}

/* The first part ends where its NextCommand says: its padding belongs to it. */
static void test_chain_recorded(void **state)
{
    (void)state;
    struct packet packet = packet_special("compound_request");
    struct chain rest = {packet.at, packet.size};
    struct smb2_message message;
    assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
    assert_int_equal(message.header.command, SMB2_CREATE);
    assert_int_equal(message.header.next_command, 168);
    assert_int_equal(message.size, 168);
    assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
    assert_int_equal(message.header.command, SMB2_CLOSE);
    assert_true(message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS);
    assert_ptr_equal(message.at, &packet.at[168]);
    assert_int_equal(message.size, packet.size - 168);
    assert_int_equal(chain_next(&rest, &message), CHAIN_END);
    packet_free(&packet);

    packet = packet_special("error_with_echoed_signature");
    rest = (struct chain){packet.at, packet.size};
    for (int part = 0; part < 3; part++) {
        assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
        assert_int_equal(message.size, 80);
    }
    assert_int_equal(chain_next(&rest, &message), CHAIN_END);
    packet_free(&packet);
}

/* What chain_next() makes of a first message with this NextCommand in a frame of `size` bytes, with
 * a good header wherever there is room for one. */
static enum chain_step step_with(uint32_t next, size_t size)
{
    struct packet packet = {.at = calloc(1, size), .size = size};
    assert_non_null(packet.at);
    for (size_t at = 0; at + SMB2_HEADER_SIZE <= size; at += SMB2_HEADER_SIZE)
        make_header(&packet.at[at], 0);
    smb2_set_next_command(packet.at, next);
    struct chain rest = {packet.at, size};
    struct smb2_message message = {.size = 0};
    enum chain_step step = chain_next(&rest, &message);
    if (step == CHAIN_MESSAGE) {
        assert_int_equal(message.size, next ? next : size);
        assert_int_equal(rest.size, size - message.size);
    } else {
        assert_ptr_equal(rest.at, packet.at);
        assert_int_equal(rest.size, size);
    }
    packet_free(&packet);
    return step;
}

static void test_chain_rules(void **state)
{
    (void)state;
    assert_int_equal(step_with(0, 64), CHAIN_MESSAGE);
    assert_int_equal(step_with(0, 192), CHAIN_MESSAGE);
    assert_int_equal(step_with(64, 128), CHAIN_MESSAGE);
    assert_int_equal(step_with(128, 192), CHAIN_MESSAGE);
    assert_int_equal(step_with(72, 136), CHAIN_MESSAGE);
    /* not a multiple of eight */
    for (uint32_t off = 1; off < 8; off++)
        assert_int_equal(step_with(64 + off, 256), CHAIN_BROKEN);
    /* inside the first header */
    for (uint32_t next = 8; next < 64; next += 8)
        assert_int_equal(step_with(next, 256), CHAIN_BROKEN);
    /* no whole header behind it */
    assert_int_equal(step_with(64, 64), CHAIN_BROKEN);
    assert_int_equal(step_with(64, 127), CHAIN_BROKEN);
    assert_int_equal(step_with(72, 128), CHAIN_BROKEN);
    assert_int_equal(step_with(128, 128), CHAIN_BROKEN);
    /* beyond the end, and where an addition would wrap */
    assert_int_equal(step_with(136, 128), CHAIN_BROKEN);
    assert_int_equal(step_with(0x80000000, 128), CHAIN_BROKEN);
    assert_int_equal(step_with(0xfffffff8, 128), CHAIN_BROKEN);
}

static void test_chain_with_a_broken_part(void **state)
{
    (void)state;
    uint8_t frame[2 * SMB2_HEADER_SIZE];
    struct smb2_message message;
    make_header(frame, SMB2_HEADER_SIZE);
    make_header(&frame[SMB2_HEADER_SIZE], 0);
    frame[SMB2_HEADER_SIZE] = 0xff;
    struct chain rest = {frame, sizeof frame};
    assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
    assert_int_equal(chain_next(&rest, &message), CHAIN_BROKEN);

    rest = (struct chain){NULL, 0};
    assert_int_equal(chain_next(&rest, &message), CHAIN_END);
}

/* However a recorded chain is cut, nothing outside is read and a lost part is noticed. */
static void test_chain_truncated(void **state)
{
    (void)state;
    struct packet whole = packet_special("compound_request");
    for (size_t size = 0; size < whole.size; size++) {
        struct packet cut = packet_copy(whole.at, size);
        struct chain rest = {cut.at, cut.size};
        struct smb2_message message;
        enum chain_step first = chain_next(&rest, &message);
        if (size == 0)
            assert_int_equal(first, CHAIN_END);
        else if (size < 168 + SMB2_HEADER_SIZE)
            assert_int_equal(first, CHAIN_BROKEN);
        else
            assert_int_equal(chain_next(&rest, &message), CHAIN_MESSAGE);
        packet_free(&cut);
    }
    packet_free(&whole);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(smb2_command_name(SMB2_NEGOTIATE), "NEGOTIATE");
    assert_string_equal(smb2_command_name(SMB2_CANCEL), "CANCEL");
    assert_string_equal(smb2_command_name(SMB2_OPLOCK_BREAK), "OPLOCK_BREAK");
    assert_string_equal(smb2_command_name(SMB2_COMMAND_COUNT), "unknown");
    assert_string_equal(smb2_command_name(UINT16_MAX), "unknown");
    for (uint16_t command = 0; command < SMB2_COMMAND_COUNT; command++)
        assert_string_not_equal(smb2_command_name(command), "unknown");
    assert_string_equal(smb2_dialect_name(SMB_2_0_2), "2.0.2");
    assert_string_equal(smb2_dialect_name(SMB_2_1), "2.1");
    assert_string_equal(smb2_dialect_name(SMB_3_0), "3.0");
    assert_string_equal(smb2_dialect_name(SMB_3_0_2), "3.0.2");
    assert_string_equal(smb2_dialect_name(SMB_3_1_1), "3.1.1");
    assert_string_equal(smb2_dialect_name(0x0310), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_a_request),
        cmocka_unit_test(test_fields_of_an_asynchronous_response),
        cmocka_unit_test(test_round_trip_of_recorded_headers),
        cmocka_unit_test(test_header_too_short),
        cmocka_unit_test(test_header_of_another_protocol),
        cmocka_unit_test(test_header_structure_size),
        cmocka_unit_test(test_setters),
        cmocka_unit_test(test_chain_of_one),
        cmocka_unit_test(test_chain_recorded),
        cmocka_unit_test(test_chain_rules),
        cmocka_unit_test(test_chain_with_a_broken_part),
        cmocka_unit_test(test_chain_truncated),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
