/* A request's header for every pair of dialects. */
#include "tests/unit/link_fixture.h"

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

/* MS-SMB2 2.2.1.2, 2.2.9, 2.2.19, 2.2.21, 2.2.26: what came with which dialect; told here once
 * more, so that the proxy's own table is held against something. */
static const struct {
    uint16_t command; /* SMB2_COMMAND_COUNT: all */
    uint16_t since;   /* 0xffff: of no dialect that is carried */
    size_t offset;
    uint8_t mask;
} newer[] = {
    {SMB2_COMMAND_COUNT, SMB_3_0, 8, 0xff}, /* ChannelSequence */
    {SMB2_COMMAND_COUNT, SMB_3_0, 9, 0xff},
    {SMB2_COMMAND_COUNT, 0xffff, 10, 0xff}, /* reserved */
    {SMB2_COMMAND_COUNT, 0xffff, 11, 0xff},
    {SMB2_COMMAND_COUNT, SMB_3_1_1, 16, 0x70}, /* priority */
    {SMB2_COMMAND_COUNT, SMB_3_0, 19, 0x20},   /* replay */
    {SMB2_TREE_CONNECT, SMB_3_1_1, 64 + 2, 0xff},
    {SMB2_TREE_CONNECT, SMB_3_1_1, 64 + 3, 0xff},
    {SMB2_READ, SMB_3_0_2, 64 + 3, 0x01}, /* unbuffered */
    {SMB2_READ, 0xffff, 64 + 3, 0x02},    /* compressed */
    {SMB2_READ, SMB_3_0, 64 + 36, 0xff},  /* Channel */
    {SMB2_READ, SMB_3_0, 64 + 37, 0xff},
    {SMB2_READ, SMB_3_0, 64 + 38, 0xff},
    {SMB2_READ, SMB_3_0, 64 + 39, 0xff},
    {SMB2_WRITE, SMB_3_0, 64 + 32, 0xff}, /* Channel */
    {SMB2_WRITE, SMB_3_0, 64 + 33, 0xff},
    {SMB2_WRITE, SMB_3_0, 64 + 34, 0xff},
    {SMB2_WRITE, SMB_3_0, 64 + 35, 0xff},
    {SMB2_WRITE, SMB_2_1, 64 + 44, 0x01},   /* write through */
    {SMB2_WRITE, SMB_3_0_2, 64 + 44, 0x02}, /* unbuffered */
    {SMB2_LOCK, SMB_2_1, 64 + 4, 0xff},     /* LockSequence */
    {SMB2_LOCK, SMB_2_1, 64 + 5, 0xff},
    {SMB2_LOCK, SMB_2_1, 64 + 6, 0xff},
    {SMB2_LOCK, SMB_2_1, 64 + 7, 0xff},
};

/* What only one of the two knows is gone; everything else is as it was. */
static void check_translation(struct link *link, uint16_t command, bool large_mtu)
{
    uint16_t client = link->client.dialect, server = link->server.dialect;
    uint16_t lower = client < server ? client : server;
    bool multi = large_mtu && lower >= SMB_2_1;
    struct request request = full_request(command), expected = full_request(command);
    smb2_set_credit_charge(expected.message.at, server == SMB_2_0_2 ? 0 : multi ? 3 : 1);
    for (size_t i = 0; i < COUNT_OF(newer); i++)
        if (lower < newer[i].since &&
            (newer[i].command == SMB2_COMMAND_COUNT || newer[i].command == command))
            expected.message.at[newer[i].offset] &= (uint8_t)~newer[i].mask;
    command_translate(link, &request.message);
    assert_memory_equal(request.message.at, expected.message.at, request.message.size);
    free(request.message.at);
    free(expected.message.at);
}

static void test_translation_of_every_pair(void **state)
{
    static const uint16_t commands[] = {SMB2_TREE_CONNECT, SMB2_CREATE, SMB2_READ,
                                        SMB2_WRITE,        SMB2_LOCK,   SMB2_IOCTL};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(all_dialects); i++) {
        for (size_t j = 0; j < COUNT_OF(all_dialects); j++) {
            for (size_t k = 0; k < 2 * COUNT_OF(commands); k++) {
                set_legs(&fixture->link, all_dialects[i], all_dialects[j], k % 2);
                check_translation(&fixture->link, commands[k / 2], k % 2);
            }
        }
    }
}

/* A body that ends before a field of its command is not written to behind its end. */
static void test_translation_of_a_short_body(void **state)
{
    struct fixture *fixture = *state;
    set_legs(&fixture->link, SMB_2_0_2, SMB_3_1_1, false);
    for (uint16_t command = SMB2_LOGOFF; command < SMB2_COMMAND_COUNT; command++) {
        for (size_t size = 0; size < 60; size++) {
            struct request request = simple_request(command, 0, size);
            command_translate(&fixture->link, &request.message); /* AddressSanitizer looks on */
            free(request.message.at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_translation_of_every_pair, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_translation_of_a_short_body, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
