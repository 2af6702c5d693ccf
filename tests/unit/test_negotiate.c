#include "tests/unit/packets.h"

#include "proxy/negotiate.h"

enum { MESSAGE_MAX = 2048 };

static const uint8_t salt[PREAUTH_SALT_SIZE] = {0x5a, 1, 2, 3};

/* A request that is built field by field, so that each can be wrong. */
struct raw_context {
    uint16_t type;
    const char *data; /* hexadecimal */
};

#define PREAUTH_GOOD "0100040001000a0b0c0d"
#define CIPHERS_GOOD "020002000100"
#define SIGNING_GOOD "0300020001000000"
#define NETNAME_NAS  "6e0061007300"

struct raw_request {
    uint16_t structure_size;
    uint16_t dialect_count;
    uint16_t dialects[4];    /* up to the first 0 */
    uint32_t context_offset; /* 0: where they are */
    uint16_t context_count;
    struct raw_context contexts[4]; /* up to the first without data */
};

static struct packet build_request(const struct raw_request *raw)
{
    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_NEGOTIATE});
    write_le16(&writer, raw->structure_size);
    write_le16(&writer, raw->dialect_count);
    write_le16(&writer, 1);
    write_le16(&writer, 0);
    write_le32(&writer, 0x7f);
    write_bytes(&writer, "0123456789abcdef", GUID_SIZE);
    size_t place = writer_size(&writer);
    write_le32(&writer, raw->context_offset);
    write_le16(&writer, raw->context_count);
    write_le16(&writer, 0);
    for (size_t i = 0; i < 4 && raw->dialects[i]; i++)
        write_le16(&writer, raw->dialects[i]);
    for (size_t i = 0; i < 4 && raw->contexts[i].data; i++) {
        write_align(&writer, 8);
        if (i == 0 && raw->context_offset == 0)
            write_le32_at(&writer, place, (uint32_t)writer_size(&writer));
        struct packet data = packet_from_hex(raw->contexts[i].data);
        write_le16(&writer, raw->contexts[i].type);
        write_le16(&writer, (uint16_t)data.size);
        write_le32(&writer, 0);
        write_span(&writer, packet_span(&data));
        packet_free(&data);
    }
    assert_true(writer_done(&writer));
    return packet_copy(buffer, writer_size(&writer));
}

static uint32_t status_of(const struct raw_request *raw, struct negotiate_request *request)
{
    struct packet packet = build_request(raw);
    uint32_t status = negotiate_request_read(packet_span(&packet), request);
    packet_free(&packet);
    return status;
}

static struct raw_request good_request(void)
{
    return (struct raw_request){
        .structure_size = 36,
        .dialect_count = 2,
        .dialects = {SMB_2_1, SMB_3_1_1},
        .context_count = 3,
        .contexts = {{1, PREAUTH_GOOD}, {2, CIPHERS_GOOD}, {8, SIGNING_GOOD}},
    };
}

static void test_request_of_windows(void **state)
{
    (void)state;
    struct packet packet = packet_named("ch1_negotiate_req");
    struct negotiate_request request;
    assert_int_equal(negotiate_request_read(packet_span(&packet), &request), STATUS_SUCCESS);
    assert_int_equal(request.dialects_count, 5);
    assert_int_equal(request.dialects[0], SMB_2_0_2);
    assert_int_equal(request.dialects[4], SMB_3_1_1);
    assert_int_equal(request.security_mode, 0);
    assert_int_equal(request.capabilities, 0x3f);
    assert_memory_equal(request.client_guid, &packet.at[76], GUID_SIZE);
    assert_true(request.has_preauth);
    assert_true(request.preauth_sha512);
    assert_int_equal(request.ciphers_count, 2);
    assert_int_equal(request.ciphers[0], CIPHER_AES_128_GCM);
    assert_int_equal(request.ciphers[1], CIPHER_AES_128_CCM);
    assert_false(request.has_signing);
    assert_string_equal(request.netname, "");
    packet_free(&packet);
}

static void test_request_of_smbclient(void **state)
{
    (void)state;
    struct packet packet;
    struct negotiate_request request;
    assert_true(packet_live(0, &packet));
    assert_int_equal(negotiate_request_read(packet_span(&packet), &request), STATUS_SUCCESS);
    assert_int_equal(request.dialects_count, 1);
    assert_int_equal(request.dialects[0], SMB_3_1_1);
    assert_int_equal(request.security_mode, 3);
    assert_int_equal(request.ciphers_count, 4);
    assert_int_equal(request.signing_count, 1);
    assert_int_equal(request.signing[0], SIGNING_AES_GMAC);
    assert_string_equal(request.netname, "127.0.0.1");
    packet_free(&packet);
}

/* Every cut of a recorded request is refused: its last context ends with the message. */
static void check_request_truncated(struct packet packet)
{
    struct negotiate_request request;
    for (size_t size = 0; size < packet.size; size++) {
        struct packet cut = packet_copy(packet.at, size);
        assert_int_equal(negotiate_request_read(packet_span(&cut), &request),
                         STATUS_INVALID_PARAMETER);
        packet_free(&cut);
    }
    assert_int_equal(negotiate_request_read(packet_span(&packet), &request), STATUS_SUCCESS);
}

static void test_request_truncated(void **state)
{
    (void)state;
    struct packet packet = packet_named("ch1_negotiate_req");
    check_request_truncated(packet);
    packet_free(&packet);
    assert_true(packet_live(0, &packet));
    check_request_truncated(packet);
    packet_free(&packet);
}

static void test_request_structure_size(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = good_request();
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    static const uint16_t wrong[] = {0, 35, 37, 0x2400};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        raw.structure_size = wrong[i];
        assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    }
}

static void test_request_dialect_count(void **state)
{
    (void)state;
    struct negotiate_request request = {.dialects_count = 77};
    struct raw_request raw = {.structure_size = 36, .dialect_count = 0};
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    raw.dialect_count = 1;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    assert_int_equal(request.dialects_count, 77); /* untouched when refused */
    raw.dialects[0] = SMB_2_0_2;
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_int_equal(request.dialects_count, 1);
    raw.dialect_count = 2;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    raw.dialect_count = UINT16_MAX;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
}

static void test_request_many_dialects(void **state)
{
    (void)state;
    uint8_t buffer[MESSAGE_MAX];
    struct negotiate_request request;
    for (unsigned count = NEGOTIATE_DIALECTS_MAX; count <= NEGOTIATE_DIALECTS_MAX + 1; count++) {
        struct raw_request raw = {.structure_size = 36, .dialect_count = (uint16_t)count};
        struct packet head = build_request(&raw);
        struct writer writer = writer_over(buffer, sizeof buffer);
        write_span(&writer, packet_span(&head));
        for (unsigned i = 0; i < count; i++)
            write_le16(&writer, SMB_2_1);
        uint32_t status = negotiate_request_read(writer_span(&writer), &request);
        assert_int_equal(status, count == NEGOTIATE_DIALECTS_MAX ? STATUS_SUCCESS
                                                                 : STATUS_INVALID_PARAMETER);
        packet_free(&head);
    }
}

/* Below 3.1.1 the place of the contexts is a time of the client's. */
static void test_request_start_time(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = {.structure_size = 36,
                              .dialect_count = 2,
                              .dialects = {SMB_2_0_2, SMB_3_0_2},
                              .context_offset = 0xffffffff,
                              .context_count = 0xffff};
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_false(request.has_preauth);
    raw.dialects[1] = SMB_3_1_1;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
}

static void test_request_preauth_rules(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = good_request();

    raw.context_count = 0;
    raw.contexts[0].data = NULL;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);

    raw = good_request();
    raw.contexts[0] = (struct raw_context){2, CIPHERS_GOOD};
    raw.contexts[1] = (struct raw_context){8, SIGNING_GOOD};
    raw.context_count = 2;
    raw.contexts[2].data = NULL;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);

    raw = good_request();
    raw.contexts[1] = (struct raw_context){1, PREAUTH_GOOD};
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);

    /* other hash algorithms only; SHA-512 as the second */
    raw = good_request();
    raw.contexts[0].data = "0100000002000000";
    assert_int_equal(status_of(&raw, &request), STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP);
    raw.contexts[0].data = "0200000002000100";
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);

    /* no algorithm; fewer than it says; a salt beyond its end; no salt at all is fine */
    static const char *const broken[] = {"00000000", "020000000100", "010005000100aabbccdd",
                                         "0100"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        raw.contexts[0].data = broken[i];
        assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    }
    raw.contexts[0].data = "010000000100";
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
}

static void test_request_algorithm_lists(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "00", "0000", "0100", "0200020000", "ffff02000100"};
    struct negotiate_request request;
    for (unsigned context = 1; context <= 2; context++) {
        struct raw_request raw = good_request();
        for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
            raw.contexts[context].data = broken[i];
            assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
        }
        raw.contexts[context].data = "01000200";
        assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    }
    /* one twice: which would count? */
    struct raw_request raw = good_request();
    raw.contexts[2] = raw.contexts[1];
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    raw = good_request();
    raw.contexts[1] = raw.contexts[2];
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    /* more algorithms than are kept */
    raw = good_request();
    raw.contexts[1].data =
        "120001000200030004000500060007000800090010001100120013001400150016001700"
        "1800";
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_int_equal(request.ciphers_count, NEGOTIATE_ALGORITHMS_MAX);
    assert_int_equal(request.ciphers[15], 0x16);
}

static void test_request_unknown_contexts(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = {
        .structure_size = 36,
        .dialect_count = 1,
        .dialects = {SMB_3_1_1},
        .context_count = 4,
        .contexts = {{0x100, "0102030405"}, {3, ""}, {0x100, "ff"}, {1, PREAUTH_GOOD}},
    };
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_true(request.preauth_sha512);
    assert_false(request.has_encryption);
}

static void test_request_context_place(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = good_request();
    /* dialects end at 104, where the contexts begin */
    static const struct {
        uint32_t offset;
        uint32_t status;
    } cases[] = {
        {104, STATUS_SUCCESS},           {0x60, STATUS_INVALID_PARAMETER},
        {103, STATUS_INVALID_PARAMETER}, {105, STATUS_INVALID_PARAMETER},
        {64, STATUS_INVALID_PARAMETER},  {0x7ffffff8, STATUS_INVALID_PARAMETER},
        {8, STATUS_INVALID_PARAMETER},   {0xfffffff8, STATUS_INVALID_PARAMETER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raw.context_offset = cases[i].offset;
        assert_int_equal(status_of(&raw, &request), cases[i].status);
    }
    /* more contexts than there are, and more than anybody needs */
    raw.context_offset = 0;
    raw.context_count = 4;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    raw.context_count = NEGOTIATE_CONTEXTS_MAX + 1;
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);
    /* fewer: the rest is not looked at */
    raw.context_count = 1;
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_false(request.has_encryption);
}

static void test_request_context_beyond_the_end(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = good_request();
    struct packet packet = build_request(&raw);
    /* the last context begins 16 bytes before the end; its length is two bytes into it */
    put_le16(&packet.at[packet.size - 14], 9);
    assert_int_equal(negotiate_request_read(packet_span(&packet), &request),
                     STATUS_INVALID_PARAMETER);
    put_le16(&packet.at[packet.size - 14], 8);
    assert_int_equal(negotiate_request_read(packet_span(&packet), &request), STATUS_SUCCESS);
    packet_free(&packet);
}

/* One 3.1.1 dialect, which ends at 102, then `gap` bytes, `others` contexts of an unknown type and
 * a PREAUTH context. */
static uint32_t status_of_many(size_t gap, unsigned others)
{
    struct raw_request raw = {.structure_size = 36, .dialect_count = 1, .dialects = {SMB_3_1_1}};
    struct packet head = build_request(&raw);
    struct packet preauth = packet_from_hex(PREAUTH_GOOD);
    struct negotiate_request request;
    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    write_span(&writer, packet_span(&head));
    write_zeros(&writer, gap);
    write_le32_at(&writer, 92, (uint32_t)writer_size(&writer));
    write_le16_at(&writer, 96, (uint16_t)(others + 1));
    for (unsigned i = 0; i < others; i++) {
        write_le16(&writer, 0x100);
        write_zeros(&writer, 6);
    }
    write_le16(&writer, 1);
    write_le16(&writer, (uint16_t)preauth.size);
    write_zeros(&writer, 4);
    write_span(&writer, packet_span(&preauth));
    assert_true(writer_done(&writer));
    packet_free(&preauth);
    packet_free(&head);
    return negotiate_request_read(writer_span(&writer), &request);
}

static void test_request_contexts_unaligned(void **state)
{
    (void)state;
    for (size_t gap = 0; gap <= 10; gap++)
        assert_int_equal(status_of_many(gap, 0),
                         (gap == 2 || gap == 10) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER);
}

static void test_request_many_contexts(void **state)
{
    (void)state;
    assert_int_equal(status_of_many(2, NEGOTIATE_CONTEXTS_MAX - 1), STATUS_SUCCESS);
    assert_int_equal(status_of_many(2, NEGOTIATE_CONTEXTS_MAX), STATUS_INVALID_PARAMETER);
}

static void test_request_netname(void **state)
{
    (void)state;
    struct negotiate_request request;
    struct raw_request raw = good_request();
    raw.contexts[3] = (struct raw_context){5, NETNAME_NAS};
    raw.context_count = 4;
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_string_equal(request.netname, "nas");
    raw.contexts[3].data = "";
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_string_equal(request.netname, "");
    raw.contexts[3].data = "0a006e00"; /* a control character must not reach a log */
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_string_equal(request.netname, "\xef\xbf\xbdn");
    raw.contexts[1] = (struct raw_context){5, NETNAME_NAS};
    assert_int_equal(status_of(&raw, &request), STATUS_INVALID_PARAMETER);

    char longest[2 * 2 * NETNAME_MAX + 1];
    for (size_t i = 0; i < 2 * NETNAME_MAX; i++)
        memcpy(&longest[2 * i], i % 2 ? "00" : "61", 3);
    raw = good_request();
    raw.contexts[1] = (struct raw_context){5, longest};
    assert_int_equal(status_of(&raw, &request), STATUS_SUCCESS);
    assert_int_equal(strlen(request.netname), NETNAME_MAX - 1);
}

static void check_request_round_trip(const struct negotiate_request *request)
{
    uint8_t buffer[MESSAGE_MAX];
    struct negotiate_request again;
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){.command = SMB2_NEGOTIATE});
    negotiate_request_write(&writer, request, salt);
    assert_true(writer_done(&writer));
    struct packet packet = packet_copy(buffer, writer_size(&writer));
    memset(&again, 0xee, sizeof again);
    assert_int_equal(negotiate_request_read(packet_span(&packet), &again), STATUS_SUCCESS);
    assert_int_equal(again.dialects_count, request->dialects_count);
    assert_memory_equal(again.dialects, request->dialects, 2 * request->dialects_count);
    assert_int_equal(again.security_mode, request->security_mode);
    assert_int_equal(again.capabilities, request->capabilities);
    assert_memory_equal(again.client_guid, request->client_guid, GUID_SIZE);
    assert_int_equal(again.has_preauth, request->has_preauth);
    assert_int_equal(again.preauth_sha512, request->preauth_sha512);
    assert_int_equal(again.ciphers_count, request->ciphers_count);
    assert_memory_equal(again.ciphers, request->ciphers, 2 * request->ciphers_count);
    assert_int_equal(again.signing_count, request->signing_count);
    assert_memory_equal(again.signing, request->signing, 2 * request->signing_count);
    assert_string_equal(again.netname, request->netname);
    packet_free(&packet);
}

static void test_request_round_trip(void **state)
{
    (void)state;
    struct negotiate_request request = {
        .dialects = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1},
        .dialects_count = 5,
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED,
        .capabilities = SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU,
        .client_guid = {1, 2, 3, 15, [15] = 16},
        .has_preauth = true,
        .preauth_sha512 = true,
    };
    check_request_round_trip(&request);
    request.signing_count = 3;
    memcpy(request.signing, (uint16_t[]){2, 1, 0}, 6);
    check_request_round_trip(&request);
    strcpy(request.netname, "n\xc3\xa4s.example");
    check_request_round_trip(&request);
    request.ciphers_count = 4;
    memcpy(request.ciphers, (uint16_t[]){4, 3, 2, 1}, 8);
    check_request_round_trip(&request);
    request.dialects_count = 4; /* without 3.1.1 there are no contexts */
    request.has_preauth = request.preauth_sha512 = false;
    request.signing_count = request.ciphers_count = 0;
    request.netname[0] = '\0';
    check_request_round_trip(&request);
}

static void test_request_write_without_room(void **state)
{
    (void)state;
    struct negotiate_request request = {
        .dialects = {SMB_3_1_1}, .dialects_count = 1, .signing = {2}, .signing_count = 1};
    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){0});
    negotiate_request_write(&writer, &request, salt);
    assert_true(writer_done(&writer));
    size_t needed = writer_size(&writer);
    for (size_t size = 0; size < needed; size++) {
        struct packet room = packet_copy(buffer, size);
        writer = writer_over(room.at, room.size);
        smb2_header_write(&writer, &(struct smb2_header){0});
        negotiate_request_write(&writer, &request, salt);
        assert_false(writer_done(&writer));
        packet_free(&room);
    }
    strcpy(request.netname, "\xff not UTF-8");
    writer = writer_over(buffer, sizeof buffer);
    smb2_header_write(&writer, &(struct smb2_header){0});
    negotiate_request_write(&writer, &request, salt);
    assert_false(writer_done(&writer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_of_windows),
        cmocka_unit_test(test_request_of_smbclient),
        cmocka_unit_test(test_request_truncated),
        cmocka_unit_test(test_request_structure_size),
        cmocka_unit_test(test_request_dialect_count),
        cmocka_unit_test(test_request_many_dialects),
        cmocka_unit_test(test_request_start_time),
        cmocka_unit_test(test_request_preauth_rules),
        cmocka_unit_test(test_request_algorithm_lists),
        cmocka_unit_test(test_request_unknown_contexts),
        cmocka_unit_test(test_request_context_place),
        cmocka_unit_test(test_request_context_beyond_the_end),
        cmocka_unit_test(test_request_contexts_unaligned),
        cmocka_unit_test(test_request_many_contexts),
        cmocka_unit_test(test_request_netname),
        cmocka_unit_test(test_request_round_trip),
        cmocka_unit_test(test_request_write_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
