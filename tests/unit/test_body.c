#include "tests/unit/packets.h"

#include "proxy/body.h"

enum { MESSAGE_MAX = 1024 };

/* Begins a message in `buffer`: its header, as every body expects it. */
static struct writer begin(uint8_t buffer[MESSAGE_MAX])
{
    struct writer writer = writer_over(buffer, MESSAGE_MAX);
    smb2_header_write(&writer, &(struct smb2_header){0});
    return writer;
}

static struct packet finish(struct writer *writer)
{
    assert_true(writer_done(writer));
    return packet_copy(writer->start, writer_size(writer));
}

static void same_bytes(struct span span, const void *bytes, size_t size)
{
    assert_int_equal(span.size, size);
    assert_memory_equal(span.at, bytes, size);
}

/* Each adapter tells whether one reader takes the message. */
static bool takes_setup_request(struct span message)
{
    struct session_setup_request body;
    return session_setup_request_read(message, &body);
}

static bool takes_setup_response(struct span message)
{
    struct session_setup_response body;
    return session_setup_response_read(message, &body);
}

static bool takes_tree_request(struct span message)
{
    struct tree_connect_request body;
    return tree_connect_request_read(message, SMB_3_1_1, &body);
}

static bool takes_tree_response(struct span message)
{
    struct tree_connect_response body;
    return tree_connect_response_read(message, &body);
}

static bool takes_ioctl_request(struct span message)
{
    struct ioctl_request body;
    return ioctl_request_read(message, &body);
}

static bool takes_ioctl_response(struct span message)
{
    struct ioctl_response body;
    return ioctl_response_read(message, &body);
}

static bool takes_notification(struct span message)
{
    struct break_body body;
    return break_notification_read(message, &body);
}

static bool takes_error(struct span message)
{
    struct span data;
    uint8_t contexts;
    return error_body_read(message, &contexts, &data);
}

/* The message is taken from `needed` bytes on and refused at every shorter length; so is one whose
 * StructureSize is another. Frees it. */
static void check_limits(bool (*takes)(struct span), struct packet packet, size_t needed)
{
    for (size_t size = 0; size <= packet.size; size++) {
        struct packet cut = packet_copy(packet.at, size);
        assert_int_equal(takes(packet_span(&cut)), size >= needed);
        packet_free(&cut);
    }
    uint16_t structure_size = get_le16(&packet.at[SMB2_HEADER_SIZE]);
    for (int change = -1; change <= 1; change += 2) {
        put_le16(&packet.at[SMB2_HEADER_SIZE], (uint16_t)(structure_size + change));
        assert_false(takes(packet_span(&packet)));
    }
    packet_free(&packet);
}

/* What the reader says when two bytes of the message are changed. */
static bool takes_changed(bool (*takes)(struct span), const struct packet *packet, size_t offset,
                          uint16_t value)
{
    struct packet copy = packet_copy(packet->at, packet->size);
    put_le16(&copy.at[offset], value);
    bool taken = takes(packet_span(&copy));
    packet_free(&copy);
    return taken;
}

static void test_session_setup_request(void **state)
{
    (void)state;
    struct session_setup_request body;
    struct packet packet = live_packet(4);
    assert_true(session_setup_request_read(packet_span(&packet), &body));
    assert_int_equal(body.flags, 0);
    assert_int_equal(body.security_mode, 3);
    assert_int_equal(body.capabilities, 1);
    assert_int_equal(body.previous_session_id, 0);
    same_bytes(body.token, &packet.at[88], 0x17c);
    /* the token reaches into the fixed part, or beyond the end */
    assert_false(takes_changed(takes_setup_request, &packet, 76, 87));
    assert_false(takes_changed(takes_setup_request, &packet, 76, 89));
    assert_false(takes_changed(takes_setup_request, &packet, 76, UINT16_MAX));
    assert_false(takes_changed(takes_setup_request, &packet, 78, 0x17d));
    assert_true(takes_changed(takes_setup_request, &packet, 78, 0x17b));
    check_limits(takes_setup_request, packet, 88 + 0x17c);

    packet = packet_named("ch2_bind1_req");
    assert_true(session_setup_request_read(packet_span(&packet), &body));
    assert_int_equal(body.flags, SMB2_SESSION_FLAG_BINDING);
    packet_free(&packet);
}

static void test_session_setup_request_round_trip(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct session_setup_request again;
    struct session_setup_request body = {.flags = 1,
                                         .security_mode = 3,
                                         .capabilities = 0x11223344,
                                         .channel = 0x55667788,
                                         .previous_session_id = 0x99aabbccddeeff00,
                                         .token = {(const uint8_t *)"token", 5}};
    struct writer writer = begin(buffer);
    session_setup_request_write(&writer, &body);
    struct packet packet = finish(&writer);
    assert_int_equal(packet.size, 88 + 5);
    assert_true(session_setup_request_read(packet_span(&packet), &again));
    assert_int_equal(again.flags, body.flags);
    assert_int_equal(again.security_mode, body.security_mode);
    assert_int_equal(again.capabilities, body.capabilities);
    assert_int_equal(again.channel, body.channel);
    assert_int_equal(again.previous_session_id, body.previous_session_id);
    same_bytes(again.token, "token", 5);
    packet_free(&packet);
}

static void test_session_setup_response(void **state)
{
    (void)state;
    struct session_setup_response body;
    struct packet packet = live_packet(3);
    assert_true(session_setup_response_read(packet_span(&packet), &body));
    assert_int_equal(body.session_flags, 0);
    same_bytes(body.token, &packet.at[72], 0x84);
    assert_false(takes_changed(takes_setup_response, &packet, 68, 71));
    assert_false(takes_changed(takes_setup_response, &packet, 70, 0x85));
    check_limits(takes_setup_response, packet, 72 + 0x84);

    /* An empty token may claim to be anywhere; nothing but the fixed part is needed then. */
    static const uint16_t offsets[] = {0, 64, 72, 73, UINT16_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        uint8_t buffer[MESSAGE_MAX];
        struct writer writer = begin(buffer);
        body = (struct session_setup_response){.session_flags = SMB2_SESSION_FLAG_IS_GUEST};
        session_setup_response_write(&writer, &body);
        write_le16_at(&writer, 68, offsets[i]);
        packet = finish(&writer);
        assert_int_equal(packet.size, 72);
        assert_true(session_setup_response_read(packet_span(&packet), &body));
        assert_int_equal(body.token.size, 0);
        assert_int_equal(body.session_flags, SMB2_SESSION_FLAG_IS_GUEST);
        check_limits(takes_setup_response, packet, 72);
    }
}

static void test_session_setup_response_written(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct session_setup_response again;
    struct session_setup_response body = {.session_flags = SMB2_SESSION_FLAG_ENCRYPT_DATA,
                                          .token = {(const uint8_t *)"answer", 6}};
    struct writer writer = begin(buffer);
    session_setup_response_write(&writer, &body);
    struct packet packet = finish(&writer);
    assert_int_equal(get_le16(&packet.at[68]), 64 + 8);
    assert_true(session_setup_response_read(packet_span(&packet), &again));
    assert_int_equal(again.session_flags, SMB2_SESSION_FLAG_ENCRYPT_DATA);
    same_bytes(again.token, "answer", 6);
    packet_free(&packet);
}

/* A length of 16 bits must not be cut from a longer one. */
static void test_too_long_to_write(void **state)
{
    (void)state;
    size_t size = UINT16_MAX + 1;
    struct packet bytes = {.at = calloc(1, size), .size = size};
    struct packet room = {.at = calloc(2, size), .size = 2 * size};
    assert_non_null(bytes.at);
    assert_non_null(room.at);
    struct span span = packet_span(&bytes);

    struct writer writer = writer_over(room.at, room.size);
    session_setup_request_write(&writer, &(struct session_setup_request){.token = span});
    assert_false(writer_done(&writer));
    writer = writer_over(room.at, room.size);
    session_setup_response_write(&writer, &(struct session_setup_response){.token = span});
    assert_false(writer_done(&writer));
    writer = writer_over(room.at, room.size);
    tree_connect_request_write(&writer, &(struct tree_connect_request){.path = span});
    assert_false(writer_done(&writer));
    span.size--;
    writer = writer_over(room.at, room.size);
    session_setup_request_write(&writer, &(struct session_setup_request){.token = span});
    assert_true(writer_done(&writer));
    packet_free(&bytes);
    packet_free(&room);
}

static void test_tree_connect_request(void **state)
{
    (void)state;
    struct tree_connect_request body;
    struct packet packet = live_packet(12);
    assert_true(tree_connect_request_read(packet_span(&packet), SMB_3_1_1, &body));
    assert_int_equal(body.flags, 0);
    same_bytes(body.path, &packet.at[72], 0x22);
    assert_false(takes_changed(takes_tree_request, &packet, 68, 71));
    assert_false(takes_changed(takes_tree_request, &packet, 68, 73));
    assert_false(takes_changed(takes_tree_request, &packet, 70, 0x23));
    check_limits(takes_tree_request, packet, 72 + 0x22);

    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = begin(buffer);
    body = (struct tree_connect_request){.flags = 2, .path = {(const uint8_t *)"p\0a\0", 4}};
    tree_connect_request_write(&writer, &body);
    packet = finish(&writer);
    memset(&body, 0xee, sizeof body);
    assert_true(tree_connect_request_read(packet_span(&packet), SMB_2_1, &body));
    assert_int_equal(body.flags, 2);
    same_bytes(body.path, "p\0a\0", 4);
    packet_free(&packet);
}

/* With the extension the path stands behind its sixteen bytes, at 3.1.1 only. */
static void test_tree_connect_extension(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct tree_connect_request body;
    struct writer writer = begin(buffer);
    write_le16(&writer, 9);
    write_le16(&writer, SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT);
    write_le16(&writer, 88);
    write_le16(&writer, 4);
    write_zeros(&writer, 16);
    write_bytes(&writer, "p\0a\0", 4);
    struct packet packet = finish(&writer);
    assert_true(tree_connect_request_read(packet_span(&packet), SMB_3_1_1, &body));
    same_bytes(body.path, "p\0a\0", 4);
    /* a path that is part of the extension; without the flag's meaning it is where it says */
    put_le16(&packet.at[68], 80);
    assert_false(tree_connect_request_read(packet_span(&packet), SMB_3_1_1, &body));
    assert_true(tree_connect_request_read(packet_span(&packet), SMB_3_0_2, &body));
    put_le16(&packet.at[68], 88);
    check_limits(takes_tree_request, packet, 92);
}

static void test_tree_connect_response(void **state)
{
    (void)state;
    struct tree_connect_response body;
    struct packet packet = live_packet(7);
    assert_true(tree_connect_response_read(packet_span(&packet), &body));
    assert_int_equal(body.share_type, SMB2_SHARE_TYPE_PIPE);
    assert_int_equal(body.share_flags, 0);
    assert_int_equal(body.capabilities, 0);
    assert_int_equal(body.maximal_access, 0x001f00a9);

    struct packet before = packet_copy(packet.at, packet.size);
    tree_connect_response_patch(packet.at, 0x11223344, 0x55667788);
    assert_true(tree_connect_response_read(packet_span(&packet), &body));
    assert_int_equal(body.share_type, SMB2_SHARE_TYPE_PIPE);
    assert_int_equal(body.share_flags, 0x11223344);
    assert_int_equal(body.capabilities, 0x55667788);
    assert_int_equal(body.maximal_access, 0x001f00a9);
    tree_connect_response_patch(packet.at, 0, 0);
    assert_memory_equal(packet.at, before.at, packet.size);
    packet_free(&before);
    check_limits(takes_tree_response, packet, 80);
}

static void test_ioctl_request(void **state)
{
    (void)state;
    static const uint8_t any[FILE_ID_SIZE] = {255, 255, 255, 255, 255, 255, 255, 255,
                                              255, 255, 255, 255, 255, 255, 255, 255};
    struct ioctl_request body;
    struct packet packet = live_packet(8);
    assert_true(ioctl_request_read(packet_span(&packet), &body));
    assert_int_equal(body.code, FSCTL_DFS_GET_REFERRALS);
    assert_memory_equal(body.file_id, any, FILE_ID_SIZE);
    assert_int_equal(body.flags, SMB2_IOCTL_IS_FSCTL);
    assert_int_equal(body.max_output, 65535);
    same_bytes(body.input, &packet.at[120], 0x24);
    assert_false(takes_changed(takes_ioctl_request, &packet, 88, 119));
    assert_false(takes_changed(takes_ioctl_request, &packet, 88, 121));
    assert_false(takes_changed(takes_ioctl_request, &packet, 90, 1));
    assert_false(takes_changed(takes_ioctl_request, &packet, 92, 0x25));
    assert_false(takes_changed(takes_ioctl_request, &packet, 94, 0xffff));
    check_limits(takes_ioctl_request, packet, 120 + 0x24);
}

static void test_ioctl_request_round_trip(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct ioctl_request again;
    struct ioctl_request body = {.code = FSCTL_VALIDATE_NEGOTIATE_INFO,
                                 .file_id = {1, [15] = 2},
                                 .flags = SMB2_IOCTL_IS_FSCTL,
                                 .max_output = 24,
                                 .input = {(const uint8_t *)"input", 5}};
    for (int empty = 0; empty < 2; empty++) {
        if (empty)
            body.input = (struct span){0};
        struct writer writer = begin(buffer);
        ioctl_request_write(&writer, &body);
        struct packet packet = finish(&writer);
        assert_int_equal(packet.size, empty ? 121 : 125);
        assert_true(ioctl_request_read(packet_span(&packet), &again));
        assert_int_equal(again.code, body.code);
        assert_memory_equal(again.file_id, body.file_id, FILE_ID_SIZE);
        assert_int_equal(again.flags, body.flags);
        assert_int_equal(again.max_output, body.max_output);
        same_bytes(again.input, "input", body.input.size);
        packet_free(&packet);
    }
}

static void test_ioctl_response(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct ioctl_response again;
    struct ioctl_response body = {.code = FSCTL_VALIDATE_NEGOTIATE_INFO,
                                  .file_id = {3, [15] = 4},
                                  .output = {(const uint8_t *)"output", 6}};
    struct writer writer = begin(buffer);
    ioctl_response_write(&writer, &body);
    struct packet packet = finish(&writer);
    assert_true(ioctl_response_read(packet_span(&packet), &again));
    assert_int_equal(again.code, body.code);
    assert_memory_equal(again.file_id, body.file_id, FILE_ID_SIZE);
    same_bytes(again.output, "output", 6);
    assert_ptr_equal(again.output.at, &packet.at[112]);
    assert_false(takes_changed(takes_ioctl_response, &packet, 96, 111));
    assert_false(takes_changed(takes_ioctl_response, &packet, 96, 113));
    assert_false(takes_changed(takes_ioctl_response, &packet, 100, 7));
    check_limits(takes_ioctl_response, packet, 118);

    body.output = (struct span){0};
    writer = begin(buffer);
    ioctl_response_write(&writer, &body);
    packet = finish(&writer);
    assert_true(takes_changed(takes_ioctl_response, &packet, 96, 0));
    check_limits(takes_ioctl_response, packet, 112);
}

static void test_break_oplock(void **state)
{
    (void)state;
    struct break_body body;
    struct packet packet = packet_special("break_notification_unsigned");
    assert_true(break_notification_read(packet_span(&packet), &body));
    assert_false(body.lease);
    assert_memory_equal(body.file_id, &packet.at[72], FILE_ID_SIZE);
    check_limits(takes_notification, packet, 88);
}

/* A lease break is 44 bytes as a notification; an acknowledgement, of 36, does not pass for one. */
static void test_break_lease(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {44, 36};
    for (size_t i = 0; i < 2; i++) {
        uint8_t buffer[MESSAGE_MAX];
        struct break_body body;
        struct writer writer = begin(buffer);
        write_le16(&writer, sizes[i]);
        write_le16(&writer, 5);
        write_le32(&writer, 1);
        write_bytes(&writer, "0123456789abcdef", LEASE_KEY_SIZE);
        write_zeros(&writer, sizes[i] - 24u);
        struct packet packet = finish(&writer);
        bool notification = sizes[i] == 44;
        assert_int_equal(break_notification_read(packet_span(&packet), &body), notification);
        if (!notification) {
            packet_free(&packet);
            continue;
        }
        assert_true(body.lease);
        assert_memory_equal(body.lease_key, "0123456789abcdef", LEASE_KEY_SIZE);
        check_limits(takes_notification, packet, SMB2_HEADER_SIZE + sizes[i]);
    }
}

static void test_empty_body(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = begin(buffer);
    empty_body_write(&writer);
    static const uint8_t body[] = {4, 0, 0, 0};
    assert_int_equal(writer_size(&writer), SMB2_HEADER_SIZE + sizeof body);
    assert_memory_equal(&buffer[SMB2_HEADER_SIZE], body, sizeof body);
}

static void test_error_body(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX], contexts = 7;
    struct span data;
    struct writer writer = begin(buffer);
    error_body_write(&writer);
    assert_int_equal(writer_size(&writer), SMB2_HEADER_SIZE + 9);
    check_limits(takes_error, finish(&writer), 72);
    check_limits(takes_error, live_packet(9), 72);

    struct packet packet = packet_special("pending_response_unsigned");
    assert_true(error_body_read(packet_span(&packet), &contexts, &data));
    assert_int_equal(contexts, 0);
    assert_int_equal(data.size, 0);
    packet_free(&packet);

    writer = begin(buffer);
    write_le16(&writer, 9);
    write_u8(&writer, 2);
    write_u8(&writer, 0);
    write_le32(&writer, 5);
    write_bytes(&writer, "error", 5);
    packet = finish(&writer);
    assert_true(error_body_read(packet_span(&packet), &contexts, &data));
    assert_int_equal(contexts, 2);
    same_bytes(data, "error", 5);
    assert_false(takes_changed(takes_error, &packet, 68, 6));
    assert_false(takes_changed(takes_error, &packet, 70, 0xffff));
    check_limits(takes_error, packet, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_setup_request),
        cmocka_unit_test(test_session_setup_request_round_trip),
        cmocka_unit_test(test_session_setup_response),
        cmocka_unit_test(test_session_setup_response_written),
        cmocka_unit_test(test_too_long_to_write),
        cmocka_unit_test(test_tree_connect_request),
        cmocka_unit_test(test_tree_connect_extension),
        cmocka_unit_test(test_tree_connect_response),
        cmocka_unit_test(test_ioctl_request),
        cmocka_unit_test(test_ioctl_request_round_trip),
        cmocka_unit_test(test_ioctl_response),
        cmocka_unit_test(test_break_oplock),
        cmocka_unit_test(test_break_lease),
        cmocka_unit_test(test_empty_body),
        cmocka_unit_test(test_error_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
