/* What a request costs, for every pair of dialects, and whether that pays for its payload. */
#include "tests/unit/link_fixture.h"

#include "proxy/charge.h"

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
                assert_int_equal(charge_client(link, &header), multi ? 16 : 1);
                assert_int_equal(charge_upstream(link, &header), multi ? 16 : 1);
                header.credit_charge = 0; /* costs one all the same */
                assert_int_equal(charge_client(link, &header), 1);
                assert_int_equal(charge_upstream(link, &header), 1);
                header = (struct smb2_header){.command = SMB2_CANCEL, .credit_charge = 16};
                assert_int_equal(charge_client(link, &header), 0);
                assert_int_equal(charge_upstream(link, &header), 0);
            }
        }
    }
}

/* MS-SMB2 2.2.19 to 2.2.39: the lengths of what each request sends, and of what it may get; told
 * here once more, so that the proxy's own table is held against something. */
static const struct {
    uint16_t command, structure_size;
    size_t length_at, with; /* `with`: a length that is added to it, or 0 */
} lengths[] = {
    {SMB2_READ, 49, 4, 0},          {SMB2_WRITE, 49, 4, 0},
    {SMB2_IOCTL, 57, 28, 40},       {SMB2_IOCTL, 57, 40, 28},
    {SMB2_IOCTL, 57, 32, 44},       {SMB2_IOCTL, 57, 44, 32},
    {SMB2_QUERY_INFO, 41, 4, 0},    {SMB2_QUERY_INFO, 41, 12, 0},
    {SMB2_SET_INFO, 33, 4, 0},      {SMB2_QUERY_DIRECTORY, 33, 28, 0},
    {SMB2_CHANGE_NOTIFY, 32, 4, 0},
};

static bool pays(struct link *link, size_t row, uint16_t charge, uint32_t length, uint32_t with)
{
    struct request request = simple_request(lengths[row].command, lengths[row].structure_size, 64);
    request.message.header.credit_charge = charge;
    put_le32(request.body + lengths[row].length_at, length);
    if (lengths[row].with)
        put_le32(request.body + lengths[row].with, with);
    bool result = charge_pays(link, &request.message);
    free(request.message.at);
    return result;
}

static void test_charge_pays_for_the_payload(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    set_legs(link, SMB_3_1_1, SMB_3_1_1, true);
    for (size_t row = 0; row < COUNT_OF(lengths); row++) {
        assert_true(pays(link, row, 0, 65536, 0));
        assert_false(pays(link, row, 0, 65537, 0));
        assert_true(pays(link, row, 1, 65536, 0));
        assert_false(pays(link, row, 1, 65537, 0));
        assert_true(pays(link, row, 16, 1048576, 0));
        assert_false(pays(link, row, 15, 1048576, 0));
        assert_false(pays(link, row, 0xffff, UINT32_MAX, 0));
        if (lengths[row].with) {
            assert_true(pays(link, row, 1, 65535, 1));
            assert_false(pays(link, row, 1, 65536, 1));
            assert_false(pays(link, row, 1, 1, UINT32_MAX));
        }
    }
}

/* Where requests of several credits were not negotiated, the most that is carried is the limit. */
static void test_charge_is_not_asked_for_without_large_mtu(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(all_dialects); i++) {
        for (int large_mtu = 0; large_mtu < 2; large_mtu++) {
            set_legs(&fixture->link, all_dialects[i], SMB_3_1_1, large_mtu);
            bool multi = large_mtu && all_dialects[i] >= SMB_2_1;
            for (size_t row = 0; row < COUNT_OF(lengths); row++)
                assert_int_equal(pays(&fixture->link, row, 1, 65537, 0), !multi);
        }
    }
}

/* What has no payload of a size of its own choosing pays with any charge. */
static void test_charge_of_other_commands(void **state)
{
    struct fixture *fixture = *state;
    set_legs(&fixture->link, SMB_3_1_1, SMB_3_1_1, true);
    static const uint16_t commands[] = {
        SMB2_LOGOFF, SMB2_TREE_CONNECT, SMB2_CREATE, SMB2_CLOSE,           SMB2_FLUSH,
        SMB2_LOCK,   SMB2_ECHO,         SMB2_CANCEL, SMB2_TREE_DISCONNECT, SMB2_OPLOCK_BREAK};
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        struct request request = simple_request(commands[i], 24, 64);
        memset(request.body, 0xff, 64);
        assert_true(charge_pays(&fixture->link, &request.message));
        free(request.message.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_charges_of_every_pair, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_charge_pays_for_the_payload, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_charge_is_not_asked_for_without_large_mtu,
                                        fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_charge_of_other_commands, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
