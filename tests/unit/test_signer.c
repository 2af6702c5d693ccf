/* Signatures against published, derived and recorded values, and against every way to be wrong. */
#include "tests/unit/packets.h"

#include "crypto/cmac.h"
#include "crypto/signer.h"

#define SESSION_ID 0x0000100000000019u

enum { COMMAND_CANCEL = 12, COMMAND_ECHO = 13 };
enum { FLAG_RESPONSE = 1, FLAG_ASYNC = 2, FLAG_RELATED = 4, FLAG_SIGNED = 8 };
enum { STATUS_AT = 8, FLAGS_AT = 16, MESSAGE_ID_AT = 24 };

static const enum signing_algorithm algorithms[] = {SIGNING_HMAC_SHA256, SIGNING_AES_CMAC,
                                                    SIGNING_AES_GMAC};

/* The signing key of the published 3.1.1 session; the derived values use it too. */
static const char published_key[] = "73FE7A9A77BEF0BDE49C650D8CCB5F76";

static struct signer *signer_for(enum signing_algorithm algorithm, const char *key_hex)
{
    struct packet key = packet_from_hex(key_hex);
    assert_int_equal(key.size, SIGNING_KEY_SIZE);
    struct signer *signer = signer_new(algorithm, key.at);
    assert_non_null(signer);
    packet_free(&key);
    return signer;
}

static bool verifies(enum signing_algorithm algorithm, const char *key, const struct packet *packet)
{
    struct signer *signer = signer_for(algorithm, key);
    bool right = signer_verify(signer, packet->at, packet->size);
    signer_free(signer);
    return right;
}

/* Signs a copy and compares: the whole message, so that nothing else has changed. */
static bool signs_as(enum signing_algorithm algorithm, const char *key, const struct packet *packet,
                     const char *signature_hex)
{
    struct packet copy = packet_copy(packet->at, packet->size);
    struct packet expected = packet_copy(packet->at, packet->size);
    struct packet signature = packet_from_hex(signature_hex);
    struct signer *signer = signer_for(algorithm, key);
    memcpy(&expected.at[SIGNATURE_OFFSET], signature.at, SIGNATURE_SIZE);
    memset(&copy.at[SIGNATURE_OFFSET], 0xee, SIGNATURE_SIZE);
    assert_true(signer_sign(signer, copy.at, copy.size));
    bool same = memcmp(copy.at, expected.at, copy.size) == 0;
    assert_true(signer_verify(signer, copy.at, copy.size));
    signer_free(signer);
    packet_free(&signature);
    packet_free(&expected);
    packet_free(&copy);
    return same;
}

/* A message with a 4-byte body, as ECHO and CANCEL have it, and `pad` zeros behind. */
static struct packet small_message(uint16_t command, uint32_t flags, uint64_t message_id,
                                   uint16_t credits, uint32_t next_command, size_t pad)
{
    uint8_t bytes[128];
    struct writer writer = writer_over(bytes, sizeof bytes);
    write_bytes(&writer, "\xfeSMB", 4);
    write_le16(&writer, SMB2_HEADER_SIZE);
    write_le16(&writer, credits); /* CreditCharge */
    write_le32(&writer, 0);
    write_le16(&writer, command);
    write_le16(&writer, credits);
    write_le32(&writer, flags);
    write_le32(&writer, next_command);
    write_le64(&writer, message_id);
    write_le32(&writer, 0xfeff);
    write_le32(&writer, 0);
    write_le64(&writer, SESSION_ID);
    write_zeros(&writer, SIGNATURE_SIZE);
    write_le32(&writer, 4); /* StructureSize, Reserved */
    write_zeros(&writer, pad);
    assert_true(writer_done(&writer));
    return packet_copy(bytes, writer_size(&writer));
}

static struct packet echo_request(uint64_t message_id)
{
    return small_message(COMMAND_ECHO, FLAG_SIGNED, message_id, 1, 0, 0);
}

/* RFC 4493, section 4. The head of cmac_compute() is whole blocks: every split must agree. */
static void check_cmac(size_t size, const char *expected_hex)
{
    struct packet key = packet_from_hex("2b7e151628aed2a6abf7158809cf4f3c");
    struct packet message = packet_from_hex("6bc1bee22e409f96e93d7e117393172a"
                                            "ae2d8a571e03ac9c9eb76fac45af8e51"
                                            "30c81c46a35ce411e5fbc1191a0a52ef"
                                            "f69f2445df4f9b17ad2b417be66c3710");
    struct packet expected = packet_from_hex(expected_hex);
    struct span whole = {message.at, size}, head, body;
    struct cmac *cmac = cmac_new(key.at);
    uint8_t mac[CMAC_SIZE];
    assert_non_null(cmac);
    for (size_t split = 0; split <= size; split += CMAC_SIZE) {
        memset(mac, 0, sizeof mac);
        assert_true(span_slice(whole, 0, split, &head));
        assert_true(span_slice(whole, split, size - split, &body));
        assert_true(cmac_compute(cmac, head, body, mac));
        assert_memory_equal(mac, expected.at, sizeof mac);
    }
    cmac_free(cmac);
    packet_free(&expected);
    packet_free(&message);
    packet_free(&key);
}

static void test_cmac_rfc_4493(void **state)
{
    (void)state;
    check_cmac(0, "bb1d6929e95937287fa37d129b756746");
    check_cmac(16, "070a16b46b4d4144f79bdd9dd04a287c");
    check_cmac(40, "dfa66747de9ae63030ca32611497c827");
    check_cmac(64, "51f0bebf7e3b9d92fc49741779363cfe");
}

static void test_cmac_head_must_be_blocks(void **state)
{
    (void)state;
    const uint8_t bytes[32] = {0};
    uint8_t mac[CMAC_SIZE];
    struct cmac *cmac = cmac_new(bytes);
    assert_false(cmac_compute(cmac, (struct span){bytes, 15}, (struct span){bytes, 1}, mac));
    assert_true(cmac_compute(cmac, (struct span){bytes, 16}, (struct span){bytes, 1}, mac));
    cmac_free(cmac);
    cmac_free(NULL);
}

static void test_published_signatures(void **state)
{
    (void)state;
    /* The channel's negotiation is signed by the master's key until the channel has its own. */
    static const struct {
        const char *packet, *key, *signature;
    } cases[] = {
        {"ch1_session_setup2_rsp", published_key, "EBE146DA120BA25FC3376A49DFE31BC1"},
        {"ch2_bind1_req", published_key, "68BD0C58F613CE1334B1EB51C68D39EA"},
        {"ch2_bind1_rsp", published_key, "014A71CAE724995E612430E2BE87578C"},
        {"ch2_bind2_req", published_key, "3CA64529ACAE57B26DCEC17B14E477D7"},
        {"ch2_bind2_rsp", "C962BCA1A9DD1697B030644199705431", "8D604217FFBACF40635BF9D872992150"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet packet = packet_named(cases[i].packet);
        assert_true(signs_as(SIGNING_AES_CMAC, cases[i].key, &packet, cases[i].signature));
        assert_true(verifies(SIGNING_AES_CMAC, cases[i].key, &packet));
        assert_false(verifies(SIGNING_AES_GMAC, cases[i].key, &packet));
        assert_false(verifies(SIGNING_HMAC_SHA256, cases[i].key, &packet));
        packet_free(&packet);
    }
    struct packet final = packet_named("ch2_bind2_rsp");
    assert_false(verifies(SIGNING_AES_CMAC, published_key, &final));
    packet_free(&final);
}

static void test_derived_signatures(void **state)
{
    (void)state;
    struct packet setup = packet_named("ch1_session_setup2_rsp");
    struct packet cancel = small_message(COMMAND_CANCEL, FLAG_SIGNED, 5, 0, 0, 0);
    struct packet request = echo_request(5);
    struct packet response = small_message(COMMAND_ECHO, FLAG_SIGNED | FLAG_RESPONSE, 5, 1, 0, 0);
    const struct {
        enum signing_algorithm algorithm;
        const struct packet *packet;
        const char *signature;
    } cases[] = {
        {SIGNING_AES_GMAC, &setup, "75d05bac99ff7fcc52a44c354381d559"},
        {SIGNING_AES_CMAC, &cancel, "59fc220489734d3aa8c78d11fdad637f"},
        {SIGNING_AES_GMAC, &cancel, "6230e0d3dab7842108620d2ce9833473"},
        {SIGNING_AES_CMAC, &request, "b6f9248d76b6268e1a723626520a152c"},
        {SIGNING_AES_GMAC, &request, "3e6250bda32c97d408de32e4f9027cca"},
        {SIGNING_HMAC_SHA256, &request, "187bae53e7c62d4708f24a3adb544d4b"},
        {SIGNING_AES_CMAC, &response, "efadf62af7435db9e1ab0f89de256e2a"},
        {SIGNING_AES_GMAC, &response, "83a5b7f48d22460d82d03980264ab37b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(
            signs_as(cases[i].algorithm, published_key, cases[i].packet, cases[i].signature));
    packet_free(&setup);
    packet_free(&cancel);
    packet_free(&request);
    packet_free(&response);
}

static void test_padding_of_a_compound_is_signed(void **state)
{
    (void)state;
    static const char without_padding[] = "398e47b2f1447b5253264e4de29a2eaa";
    static const char with_padding[] = "145b1eb192e5373c9d540f4f27fd9111";
    struct packet first = small_message(COMMAND_ECHO, FLAG_SIGNED, 6, 1, 72, 4);
    struct packet bare = small_message(COMMAND_ECHO, FLAG_SIGNED, 6, 1, 72, 0);
    struct packet second = small_message(COMMAND_ECHO, FLAG_SIGNED | FLAG_RELATED, 7, 1, 0, 0);
    assert_true(signs_as(SIGNING_AES_CMAC, published_key, &first, with_padding));
    assert_false(signs_as(SIGNING_AES_CMAC, published_key, &first, without_padding));
    assert_true(signs_as(SIGNING_AES_CMAC, published_key, &bare, without_padding));
    assert_true(
        signs_as(SIGNING_AES_CMAC, published_key, &second, "00917aa2cadf6da6c44bff9e18b1e7ce"));
    packet_free(&first);
    packet_free(&bare);
    packet_free(&second);
}

/* A recorded session of 44 messages: those with the flag verify, all 39, and sign to the same. */
static void test_live_gmac_session(void **state)
{
    (void)state;
    static const char key[] = "7E760FAB9AC5BB9D8F0052C1F56CC8DD";
    struct packet packet;
    size_t signed_frames = 0, frames = 0;
    for (; packet_live(frames, &packet); frames++) {
        if (get_le32(&packet.at[FLAGS_AT]) & FLAG_SIGNED) {
            struct signer *signer = signer_for(SIGNING_AES_GMAC, key);
            struct packet copy = packet_copy(packet.at, packet.size);
            assert_true(signer_verify(signer, packet.at, packet.size));
            memset(&copy.at[SIGNATURE_OFFSET], 0, SIGNATURE_SIZE);
            assert_false(signer_verify(signer, copy.at, copy.size));
            assert_true(signer_sign(signer, copy.at, copy.size));
            assert_memory_equal(copy.at, packet.at, packet.size);
            signed_frames++;
            packet_free(&copy);
            signer_free(signer);
        } else {
            assert_false(verifies(SIGNING_AES_GMAC, key, &packet));
        }
        packet_free(&packet);
    }
    assert_int_equal(frames, 44);
    assert_int_equal(signed_frames, 39);
}

static void test_live_cancel(void **state)
{
    (void)state;
    static const char key[] = "2324a08e75b0a88d6f2457907a9da1a5";
    struct packet cancel = packet_special("cancel_request");
    struct packet pending = packet_special("pending_response_unsigned");
    assert_true(verifies(SIGNING_AES_GMAC, key, &cancel));
    /* The nonce knows a CANCEL from its target, and a server from a client. */
    cancel.at[12] = COMMAND_ECHO;
    assert_false(verifies(SIGNING_AES_GMAC, key, &cancel));
    /* What an interim response carries is a copy of somebody's signature, not one. */
    assert_false(verifies(SIGNING_AES_GMAC, key, &pending));
    packet_free(&cancel);
    packet_free(&pending);
}

static void test_live_compound_parts(void **state)
{
    (void)state;
    struct packet compound = packet_special("compound_request");
    struct span rest = packet_span(&compound);
    struct signer *signer = signer_for(SIGNING_AES_GMAC, "2171ec93280a68864f1897e310644b49");
    size_t parts = 0;
    assert_false(signer_verify(signer, compound.at, compound.size));
    for (size_t next = 1; next; parts++) {
        struct span part;
        next = get_le32(&rest.at[20]);
        assert_true(span_slice(rest, 0, next ? next : rest.size, &part));
        assert_true(signer_verify(signer, part.at, part.size));
        /* Without the last byte, be it body or padding. */
        assert_false(signer_verify(signer, part.at, part.size - 1));
        assert_true(span_slice(rest, next, rest.size - next, &rest));
    }
    assert_in_range(parts, 2, 10);
    signer_free(signer);
    packet_free(&compound);
}

/* Samba answers some errors with the flag set and the request's signature: that is not signed. */
static void test_live_echoed_signature_does_not_verify(void **state)
{
    (void)state;
    struct packet error = packet_special("error_with_echoed_signature");
    assert_true(get_le32(&error.at[FLAGS_AT]) & FLAG_SIGNED);
    for (size_t i = 0; i < 3; i++)
        assert_false(verifies(algorithms[i], "b66d7ca204dd5c86677863b3dea4a520", &error));
    packet_free(&error);
}

static void test_live_break_notification_does_not_verify(void **state)
{
    (void)state;
    struct packet notification = packet_special("break_notification_unsigned");
    for (size_t i = 0; i < 3; i++)
        assert_false(verifies(algorithms[i], "5a87452f296f4c782e2f6e2554116f3a", &notification));
    packet_free(&notification);
}

static void put_status(struct packet *packet, uint32_t status)
{
    put_le32(&packet->at[STATUS_AT], status);
}

static void check_refused(enum signing_algorithm algorithm, struct packet *packet)
{
    struct packet before = packet_copy(packet->at, packet->size);
    struct signer *signer = signer_for(algorithm, published_key);
    assert_false(signer_sign(signer, packet->at, packet->size));
    assert_memory_equal(packet->at, before.at, before.size);
    signer_free(signer);
    packet_free(&before);
}

static void check_signed(enum signing_algorithm algorithm, const struct packet *packet)
{
    struct packet copy = packet_copy(packet->at, packet->size);
    struct signer *signer = signer_for(algorithm, published_key);
    assert_true(signer_sign(signer, copy.at, copy.size));
    assert_true(signer_verify(signer, copy.at, copy.size));
    signer_free(signer);
    packet_free(&copy);
}

static void test_what_must_never_be_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct packet message = echo_request(5);
        put_le64(&message.at[MESSAGE_ID_AT], 0);
        check_refused(algorithms[i], &message);
        put_le64(&message.at[MESSAGE_ID_AT], UINT64_MAX);
        check_refused(algorithms[i], &message);
        put_le64(&message.at[MESSAGE_ID_AT], UINT64_MAX - 1);
        check_signed(algorithms[i], &message);
        put_le64(&message.at[MESSAGE_ID_AT], 5);
        /* In a request the same bytes are ChannelSequence and Reserved. */
        put_status(&message, 0x103);
        check_signed(algorithms[i], &message);
        put_le32(&message.at[FLAGS_AT], FLAG_SIGNED | FLAG_RESPONSE | FLAG_ASYNC);
        check_refused(algorithms[i], &message);
        put_status(&message, 0);
        check_signed(algorithms[i], &message);
        packet_free(&message);

        struct packet cancel = small_message(COMMAND_CANCEL, FLAG_SIGNED, 5, 0, 0, 0);
        check_signed(algorithms[i], &cancel);
        put_le32(&cancel.at[FLAGS_AT], FLAG_SIGNED | FLAG_RESPONSE);
        check_refused(algorithms[i], &cancel);
        put_le32(&cancel.at[FLAGS_AT], FLAG_SIGNED);
        put_le64(&cancel.at[MESSAGE_ID_AT], UINT64_MAX);
        check_refused(algorithms[i], &cancel);
        packet_free(&cancel);
    }
}

static void test_cancel_of_message_0_has_no_gmac(void **state)
{
    (void)state;
    struct packet cancel = small_message(COMMAND_CANCEL, FLAG_SIGNED | FLAG_ASYNC, 0, 0, 0, 0);
    check_signed(SIGNING_HMAC_SHA256, &cancel);
    check_signed(SIGNING_AES_CMAC, &cancel);
    check_refused(SIGNING_AES_GMAC, &cancel);
    packet_free(&cancel);
}

static void test_shorter_than_a_header(void **state)
{
    (void)state;
    struct packet whole = echo_request(5);
    for (size_t i = 0; i < 3; i++) {
        struct signer *signer = signer_for(algorithms[i], published_key);
        for (size_t size = 0; size < SMB2_HEADER_SIZE; size++) {
            struct packet cut = packet_copy(whole.at, size);
            assert_false(signer_verify(signer, cut.at, cut.size));
            assert_false(signer_sign(signer, cut.at, cut.size));
            packet_free(&cut);
        }
        struct packet header = packet_copy(whole.at, SMB2_HEADER_SIZE);
        assert_true(signer_sign(signer, header.at, header.size));
        assert_true(signer_verify(signer, header.at, header.size));
        packet_free(&header);
        signer_free(signer);
    }
    packet_free(&whole);
}

/* Numbers that are the same in every run: a failure can be seen again. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct packet random_message(size_t size, uint32_t *seed)
{
    struct packet packet = echo_request(5);
    uint8_t *bytes = realloc(packet.at, size);
    assert_non_null(bytes);
    packet = (struct packet){bytes, size};
    for (size_t i = SMB2_HEADER_SIZE; i < size; i++)
        bytes[i] = (uint8_t)next_random(seed);
    return packet;
}

/* Sizes around blocks and around the chunks in which CMAC works. */
static void test_every_flipped_bit_is_seen(void **state)
{
    (void)state;
    static const size_t sizes[] = {64,   65,    79,         80,         81,         500,   4096,
                                   9999, 16384, 16384 + 64, 16384 + 65, 32768 + 63, 65536, 65600};
    uint32_t seed = 1;
    for (size_t a = 0; a < 3; a++) {
        struct signer *signer = signer_for(algorithms[a], published_key);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct packet packet = random_message(sizes[s], &seed);
            assert_true(signer_sign(signer, packet.at, packet.size));
            for (size_t i = 0; i < 200; i++) {
                /* The first rounds walk over the header, where every field has a meaning. */
                size_t bit = i < 64 ? i * 8 + next_random(&seed) % 8
                                    : next_random(&seed) % (8 * packet.size);
                packet.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(signer_verify(signer, packet.at, packet.size));
                packet.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            assert_true(signer_verify(signer, packet.at, packet.size));
            packet_free(&packet);
        }
        signer_free(signer);
    }
}

/* A signer keeps nothing of one message for the next, be that a failed one. */
static void test_a_signer_has_no_memory(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (size_t a = 0; a < 3; a++) {
        struct signer *one = signer_for(algorithms[a], published_key);
        struct packet small = random_message(100, &seed), large = random_message(40000, &seed);
        struct packet again = packet_copy(small.at, small.size);
        assert_true(signer_sign(one, small.at, small.size));
        assert_true(signer_sign(one, large.at, large.size));
        large.at[70] ^= 1;
        assert_false(signer_verify(one, large.at, large.size));
        assert_true(signer_sign(one, again.at, again.size));
        assert_memory_equal(again.at, small.at, small.size);
        packet_free(&small);
        packet_free(&large);
        packet_free(&again);
        signer_free(one);
    }
}

static void test_another_key_does_not_verify(void **state)
{
    (void)state;
    for (size_t a = 0; a < 3; a++) {
        struct packet message = echo_request(5);
        struct signer *signer = signer_for(algorithms[a], published_key);
        assert_true(signer_sign(signer, message.at, message.size));
        signer_free(signer);
        assert_true(verifies(algorithms[a], published_key, &message));
        assert_false(verifies(algorithms[a], "72FE7A9A77BEF0BDE49C650D8CCB5F76", &message));
        assert_false(verifies(algorithms[(a + 1) % 3], published_key, &message));
        packet_free(&message);
    }
}

static void test_names_and_unknown_algorithms(void **state)
{
    (void)state;
    const uint8_t key[SIGNING_KEY_SIZE] = {0};
    assert_string_equal(signing_algorithm_name(SIGNING_HMAC_SHA256), "HMAC-SHA256");
    assert_string_equal(signing_algorithm_name(SIGNING_AES_CMAC), "AES-128-CMAC");
    assert_string_equal(signing_algorithm_name(SIGNING_AES_GMAC), "AES-128-GMAC");
    assert_string_equal(signing_algorithm_name((enum signing_algorithm)3), "unknown");
    assert_null(signer_new((enum signing_algorithm)3, key));
    signer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmac_rfc_4493),
        cmocka_unit_test(test_cmac_head_must_be_blocks),
        cmocka_unit_test(test_published_signatures),
        cmocka_unit_test(test_derived_signatures),
        cmocka_unit_test(test_padding_of_a_compound_is_signed),
        cmocka_unit_test(test_live_gmac_session),
        cmocka_unit_test(test_live_cancel),
        cmocka_unit_test(test_live_compound_parts),
        cmocka_unit_test(test_live_echoed_signature_does_not_verify),
        cmocka_unit_test(test_live_break_notification_does_not_verify),
        cmocka_unit_test(test_what_must_never_be_signed),
        cmocka_unit_test(test_cancel_of_message_0_has_no_gmac),
        cmocka_unit_test(test_shorter_than_a_header),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_a_signer_has_no_memory),
        cmocka_unit_test(test_another_key_does_not_verify),
        cmocka_unit_test(test_names_and_unknown_algorithms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
