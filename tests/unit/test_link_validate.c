/* The upstream negotiation is validated before a share is promised (MS-SMB2 3.2.5.5), and nobody
 * waits for that in vain. */
#include "tests/unit/link_traffic.h"

enum { AT_SERVER = 50, AT_CLIENT = 7, TREE = 5 };

/* Below 3.1.1 nothing protects the negotiation, so that it is validated whenever more was offered;
 * a 3.x server may always have been talked down from 3.1.1. */
static void test_when_it_is_needed(void **state)
{
    static const struct {
        uint16_t dialect, most;
        bool needed;
    } rows[] = {
        {SMB_2_0_2, SMB_2_0_2, false}, {SMB_2_0_2, SMB_2_1, true},   {SMB_2_0_2, SMB_3_1_1, true},
        {SMB_2_1, SMB_2_1, false},     {SMB_2_1, SMB_3_0, true},     {SMB_2_1, SMB_3_0_2, true},
        {SMB_2_1, SMB_3_1_1, true},    {SMB_3_0, SMB_3_0, true},     {SMB_3_0, SMB_3_1_1, true},
        {SMB_3_0_2, SMB_3_0_2, true},  {SMB_3_0_2, SMB_3_1_1, true}, {SMB_3_1_1, SMB_3_1_1, false},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->link.server.dialect = rows[i].dialect;
        fixture->upstream.max_dialect = (enum config_dialect)rows[i].most;
        assert_int_equal(validate_needed(&fixture->link), rows[i].needed);
    }
}

/* The file server accepts a TREE_CONNECT. */
static void tree_comes(struct fixture *fixture, uint64_t client_id, uint64_t upstream_id)
{
    static const uint8_t granted[16] = {16, 0, 1};
    struct pending *pending = add_pending(fixture, SMB2_TREE_CONNECT, upstream_id, client_id);
    struct smb2_header header = response_header(SMB2_TREE_CONNECT, upstream_id, STATUS_SUCCESS);
    pending->path = strdup("\\\\s\\d");
    pending->share = strdup("d");
    assert_true(pending->path && pending->share);
    header.tree_id = TREE;
    response_comes(fixture, fixture->session->upstream_signer, header,
                   (struct span){granted, sizeof granted});
    assert_int_equal(fixture->link.end, END_NONE);
}

/* A share has been connected at 2.1, and its response is held: the validation has gone upstream. */
static void hold_a_tree(struct fixture *fixture)
{
    traffic_begin(fixture);
    fixture->link.server.dialect = SMB_2_1;
    fixture->upstream.max_dialect = CONFIG_SMB_3_1_1;
    fixture->session->validated = !validate_needed(&fixture->link);
    tree_comes(fixture, AT_CLIENT, AT_SERVER);
    struct smb2_header header = expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(header.command, SMB2_IOCTL);
    assert_int_equal(header.tree_id, TREE);
    expect_nothing(fixture, LEG_CLIENT);
}

/* A 2.1 file server that knows no such request says so, signed. */
static void test_tree_is_released(void **state)
{
    struct fixture *fixture = *state;
    hold_a_tree(fixture);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_IOCTL, FIRST_UPSTREAM_ID, STATUS_INVALID_DEVICE_REQUEST),
                   error_body());
    struct smb2_header header = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(header.command, SMB2_TREE_CONNECT);
    assert_int_equal(header.status, STATUS_SUCCESS);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_validation_that_is_refused_otherwise(void **state)
{
    struct fixture *fixture = *state;
    hold_a_tree(fixture);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_IOCTL, FIRST_UPSTREAM_ID, STATUS_ACCESS_DENIED),
                   error_body());
    assert_int_equal(fixture->link.end, END_VALIDATE_MISMATCH);
    expect_nothing(fixture, LEG_CLIENT);
}

/* Each of the clients' requests has its answer, with the key that the session still has. */
static void test_session_ends_while_trees_are_held(void **state)
{
    static const uint8_t key[SIGNING_KEY_SIZE] = {1}; /* as in the fixture */
    struct fixture *fixture = *state;
    struct signer *signer = signer_new(SIGNING_AES_CMAC, key);
    uint8_t frame[TRAFFIC_ROOM];
    assert_non_null(signer);
    hold_a_tree(fixture);
    tree_comes(fixture, AT_CLIENT + 1, AT_SERVER + 1);
    session_end(fixture->session, false);
    fixture->session = NULL;
    for (uint64_t id = AT_CLIENT; id <= AT_CLIENT + 1; id++) {
        struct smb2_header header;
        size_t size = next_frame(fixture, LEG_CLIENT, frame);
        assert_true(smb2_header_read((struct span){frame, size}, &header));
        assert_int_equal(header.command, SMB2_TREE_CONNECT);
        assert_int_equal(header.status, STATUS_USER_SESSION_DELETED);
        assert_int_equal(header.message_id, id);
        assert_int_equal(header.tree_id, 0);
        assert_true(signer_verify(signer, frame, size));
    }
    expect_nothing(fixture, LEG_CLIENT);
    assert_int_equal(fixture->link.end, END_NONE);
    signer_free(signer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_when_it_is_needed),
        TEST(test_tree_is_released),
        TEST(test_validation_that_is_refused_otherwise),
        TEST(test_session_ends_while_trees_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
