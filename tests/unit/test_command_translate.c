/* A request's header and what it costs, for every pair of dialects. */
#include "tests/unit/link_fixture.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const uint16_t all_dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};

static void set_legs(struct link *link, uint16_t client, uint16_t server, bool large_mtu)
{
    bool both = large_mtu && client >= SMB_2_1 && server >= SMB_2_1;
    link->client.dialect = client;
    link->client.server_capabilities = both ? SMB2_GLOBAL_CAP_LARGE_MTU : 0;
    link->server.dialect = server;
    link->server.server_capabilities =
        large_mtu && server >= SMB_2_1 ? SMB2_GLOBAL_CAP_LARGE_MTU : 0;
}

/* A request with everything that a dialect may know in its header. */
static struct request full_request(uint16_t command)
{
    const struct smb2_header header = {
        .credit_charge = 3,
        .status = 0xabcd1234, /* ChannelSequence and a reserved field */
        .command = command,
        .credits = 17,
        .flags = SMB2_FLAGS_SIGNED | SMB2_FLAGS_RELATED_OPERATIONS | SMB2_FLAGS_REPLAY_OPERATION |
                 SMB2_FLAGS_PRIORITY_MASK,
        .next_command = 128,
        .message_id = 5,
        .process_id = 0xfeff,
        .tree_id = 9,
        .session_id = FIXTURE_CLIENT_ID,
    };
    struct request request = make_request(&header, 100);
    memset(request.body, 0x77, 100);
    return request;
}

static void check_translation(struct link *link, uint16_t command, bool large_mtu)
{
    uint16_t client = link->client.dialect, server = link->server.dialect;
    bool both_3 = client >= SMB_3_0 && server >= SMB_3_0;
    bool both_311 = client == SMB_3_1_1 && server == SMB_3_1_1;
    bool multi = large_mtu && client >= SMB_2_1 && server >= SMB_2_1;
    struct request request = full_request(command), expected = full_request(command);
    smb2_set_credit_charge(expected.message.at, server == SMB_2_0_2 ? 0 : multi ? 3 : 1);
    smb2_set_status(expected.message.at, both_3 ? 0x1234 : 0);
    smb2_set_flags(expected.message.at, SMB2_FLAGS_SIGNED | SMB2_FLAGS_RELATED_OPERATIONS |
                                            (both_3 ? SMB2_FLAGS_REPLAY_OPERATION : 0) |
                                            (both_311 ? SMB2_FLAGS_PRIORITY_MASK : 0));
    if (command == SMB2_TREE_CONNECT && !both_311)
        put_le16(expected.body + 2, 0);
    command_translate(link, &request.message);
    assert_memory_equal(request.message.at, expected.message.at, request.message.size);
    free(request.message.at);
    free(expected.message.at);
}

static void test_translation_of_every_pair(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(all_dialects); i++) {
        for (size_t j = 0; j < COUNT_OF(all_dialects); j++) {
            for (int large_mtu = 0; large_mtu < 2; large_mtu++) {
                set_legs(&fixture->link, all_dialects[i], all_dialects[j], large_mtu);
                check_translation(&fixture->link, SMB2_WRITE, large_mtu);
                check_translation(&fixture->link, SMB2_CREATE, large_mtu);
                check_translation(&fixture->link, SMB2_TREE_CONNECT, large_mtu);
            }
        }
    }
}

/* What goes upstream is always signed, whatever the client's request was. */
static void test_translation_sets_the_signed_flag(void **state)
{
    struct fixture *fixture = *state;
    struct request request = simple_request(SMB2_READ, 49, 48);
    struct smb2_header header;
    assert_int_equal(request.message.header.flags, 0);
    command_translate(&fixture->link, &request.message);
    assert_true(smb2_header_read((struct span){request.message.at, request.message.size}, &header));
    assert_int_equal(header.flags, SMB2_FLAGS_SIGNED);
    free(request.message.at);
}

static void test_charges_of_every_pair(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    for (size_t i = 0; i < COUNT_OF(all_dialects); i++) {
        for (size_t j = 0; j < COUNT_OF(all_dialects); j++) {
            for (int large_mtu = 0; large_mtu < 2; large_mtu++) {
                uint16_t client = all_dialects[i], server = all_dialects[j];
                bool multi = large_mtu && client >= SMB_2_1 && server >= SMB_2_1;
                struct smb2_header header = {.command = SMB2_READ, .credit_charge = 16};
                set_legs(link, client, server, large_mtu);
                assert_int_equal(command_client_charge(link, &header), multi ? 16 : 1);
                assert_int_equal(command_upstream_charge(link, &header), multi ? 16 : 1);
                header.credit_charge = 0; /* costs one all the same */
                assert_int_equal(command_client_charge(link, &header), 1);
                assert_int_equal(command_upstream_charge(link, &header), 1);
                header = (struct smb2_header){.command = SMB2_CANCEL, .credit_charge = 16};
                assert_int_equal(command_client_charge(link, &header), 0);
                assert_int_equal(command_upstream_charge(link, &header), 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_translation_of_every_pair, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_translation_sets_the_signed_flag, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_charges_of_every_pair, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
