#include "tests/unit/packets.h"

#include "proxy/negotiate.h"

enum { MESSAGE_MAX = 2048 };

/* An SMB1 NEGOTIATE with these dialects (each with its 0x02), NULL-terminated. */
static struct packet smb1_request(const char *const *dialects)
{
    uint8_t buffer[MESSAGE_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    write_le32(&writer, SMB1_PROTOCOL_ID);
    write_u8(&writer, 0x72);
    write_zeros(&writer, 4);
    write_u8(&writer, 0x18);
    write_zeros(&writer, 22);
    write_u8(&writer, 0); /* WordCount */
    size_t count = writer_size(&writer);
    write_le16(&writer, 0);
    for (; *dialects; dialects++) {
        write_u8(&writer, 2);
        write_bytes(&writer, *dialects, strlen(*dialects) + 1);
    }
    write_le16_at(&writer, count, (uint16_t)(writer_size(&writer) - count - 2));
    assert_true(writer_done(&writer));
    return packet_copy(buffer, writer_size(&writer));
}

static enum smb1_offer offer_of(const char *const *dialects, char *offered, size_t size)
{
    struct packet packet = smb1_request(dialects);
    enum smb1_offer offer = smb1_negotiate_read(packet_span(&packet), offered, size);
    packet_free(&packet);
    return offer;
}

#define OFFER(...) offer_of((const char *const[]){__VA_ARGS__, NULL}, offered, sizeof offered)

static void test_smb1_offers(void **state)
{
    (void)state;
    char offered[64];
    assert_int_equal(OFFER("PC NETWORK PROGRAM 1.0", "NT LM 0.12"), SMB1_OFFER_NONE);
    assert_string_equal(offered, "PC NETWORK PROGRAM 1.0,NT LM 0.12");
    assert_int_equal(OFFER("NT LM 0.12", "SMB 2.002"), SMB1_OFFER_2_002);
    assert_int_equal(OFFER("NT LM 0.12", "SMB 2.002", "SMB 2.???"), SMB1_OFFER_WILDCARD);
    assert_string_equal(offered, "NT LM 0.12,SMB 2.002,SMB 2.???");
    assert_int_equal(OFFER("SMB 2.???", "SMB 2.002"), SMB1_OFFER_WILDCARD);
    /* only whole names count */
    assert_int_equal(OFFER("SMB 2.0021"), SMB1_OFFER_NONE);
    assert_int_equal(OFFER("SMB 2.00"), SMB1_OFFER_NONE);
    assert_int_equal(OFFER("smb 2.002"), SMB1_OFFER_NONE);
    assert_int_equal(OFFER("\n\x1b[31m\xe4"), SMB1_OFFER_NONE);
    assert_string_equal(offered, "??[31m?");
}

static void test_smb1_list_is_cut(void **state)
{
    (void)state;
    static const char *const dialects[] = {"NT LM 0.12", "SMB 2.002", NULL};
    char offered[16];
    for (size_t size = 0; size <= sizeof offered; size++) {
        memset(offered, 'x', sizeof offered);
        assert_int_equal(offer_of(dialects, offered, size), SMB1_OFFER_2_002);
        if (size > 0)
            assert_memory_equal(offered, "NT LM 0.12,SMB 2", size - 1);
        if (size > 0)
            assert_int_equal(offered[size - 1], '\0');
        if (size < sizeof offered)
            assert_int_equal(offered[size], 'x');
    }
}

static void test_smb1_malformed(void **state)
{
    (void)state;
    static const char *const dialects[] = {"SMB 2.???", NULL};
    char offered[64];
    /* each byte that must be what it is */
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {0, 0xfe}, {4, 0x73}, /* another command */
        {9, 0x98},            /* a response */
        {32, 1},   {33, 12},  /* WordCount; ByteCount beyond the end */
        {33, 10},  {35, 3},   /* the NUL is cut off; another buffer format */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct packet packet = smb1_request(dialects);
        packet.at[wrong[i].at] = wrong[i].value;
        assert_int_equal(smb1_negotiate_read(packet_span(&packet), offered, sizeof offered),
                         SMB1_OFFER_NONE);
        packet_free(&packet);
    }
    struct packet whole = smb1_request(dialects);
    for (size_t size = 0; size < whole.size; size++) {
        struct packet cut = packet_copy(whole.at, size);
        assert_int_equal(smb1_negotiate_read(packet_span(&cut), offered, sizeof offered),
                         SMB1_OFFER_NONE);
        packet_free(&cut);
    }
    packet_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smb1_offers),
        cmocka_unit_test(test_smb1_list_is_cut),
        cmocka_unit_test(test_smb1_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
