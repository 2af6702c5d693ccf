/* Frames of several requests or responses: what is in them that may not disturb its neighbours, and
 * what must not get through. */
#include "tests/unit/link_traffic.h"

/* \\s\d */
static const uint8_t path[] = {'\\', 0, '\\', 0, 's', 0, '\\', 0, 'd', 0};

static struct span tree_connect_body(void)
{
    static uint8_t body[8 + sizeof path];
    struct writer writer = writer_over(body, sizeof body);
    write_le16(&writer, 9);
    write_le16(&writer, 0);
    write_le16(&writer, SMB2_HEADER_SIZE + 8);
    write_le16(&writer, sizeof path);
    write_bytes(&writer, path, sizeof path);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

static struct span create_body(void)
{
    static uint8_t body[56] = {57};
    put_le16(body + 44, SMB2_HEADER_SIZE + sizeof body);
    return (struct span){body, sizeof body};
}

static void open_traffic(struct fixture *fixture)
{
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
    add_tree(fixture, SEALED_TREE, true);
    fixture->upstream.server_name = (char *)(uintptr_t) "s"; /* so a path keeps its length */
}

static void flushes_come(struct fixture *fixture, uint32_t first_tree, uint32_t second_tree)
{
    struct signer *signer = fixture->session->client_signer;
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, signer, request_header(SMB2_FLUSH, 1, first_tree), flush_body(), true);
    traffic_add(&traffic, signer, request_header(SMB2_FLUSH, 2, second_tree), flush_body(), false);
    from_client(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* Each is remembered as long as it is connected: there is an end to that. */
static void test_trees_of_a_link(void **state)
{
    struct fixture *fixture = *state;
    uint8_t granted[16] = {16, 0, 1};
    struct smb2_header done = response_header(SMB2_TREE_CONNECT, 0, STATUS_SUCCESS);
    open_traffic(fixture);
    fixture->session->validated = true;
    unsigned before = fixture->link.trees;
    request_comes(fixture, request_header(SMB2_TREE_CONNECT, 1, 0), tree_connect_body());
    done.message_id = expect_signed(fixture, LEG_UPSTREAM).message_id;
    done.tree_id = 4711;
    response_comes(fixture, fixture->session->upstream_signer, done,
                   (struct span){granted, sizeof granted});
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_SUCCESS);
    assert_int_equal(fixture->link.trees, before + 1);

    fixture->link.trees += TREES_MAX - before - 1;
    unsigned events = fixture->worker.events_lost;
    request_comes(fixture, request_header(SMB2_TREE_CONNECT, 2, 0), tree_connect_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_INSUFFICIENT_RESOURCES);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->worker.events_lost, events + 1);

    request_comes(fixture, request_header(SMB2_TREE_DISCONNECT, 3, 4711), short_body());
    done = response_header(SMB2_TREE_DISCONNECT, expect_signed(fixture, LEG_UPSTREAM).message_id,
                           STATUS_SUCCESS);
    response_comes(fixture, fixture->session->upstream_signer, done, short_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_SUCCESS);
    request_comes(fixture, request_header(SMB2_TREE_CONNECT, 4, 0), tree_connect_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_TREE_CONNECT);
}

/* A TREE_CONNECT goes in a frame of its own, whose header must not overwrite what goes before it.
 */
static void test_tree_connect_behind_another_request(void **state)
{
    struct fixture *fixture = *state;
    struct signer *signer = fixture->session->client_signer;
    struct traffic traffic = {.size = 0};
    open_traffic(fixture);
    traffic_add(&traffic, signer, request_header(SMB2_FLUSH, 1, PLAIN_TREE), flush_body(), true);
    traffic_add(&traffic, signer, request_header(SMB2_TREE_CONNECT, 2, 0), tree_connect_body(),
                false);
    from_client(fixture, &traffic);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_FLUSH);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_TREE_CONNECT);
    expect_nothing(fixture, LEG_UPSTREAM);
}

static void test_encrypted_and_plain_requests(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    open_traffic(fixture);
    flushes_come(fixture, SEALED_TREE, PLAIN_TREE);
    assert_int_equal(expect_sealed(fixture, LEG_UPSTREAM, &keys).tree_id, SEALED_TREE);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).tree_id, PLAIN_TREE);
    expect_nothing(fixture, LEG_UPSTREAM);
    free_keys(&keys);
}

static void test_plain_and_encrypted_requests(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    open_traffic(fixture);
    flushes_come(fixture, PLAIN_TREE, SEALED_TREE);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).tree_id, PLAIN_TREE);
    assert_int_equal(expect_sealed(fixture, LEG_UPSTREAM, &keys).tree_id, SEALED_TREE);
    expect_nothing(fixture, LEG_UPSTREAM);
    free_keys(&keys);
}

/* Two answers in one frame, of which the client wants the first encrypted or the second. */
static void answers_come(struct fixture *fixture, bool first_encrypts)
{
    struct signer *signer = fixture->session->upstream_signer;
    struct traffic traffic = {.size = 0};
    add_pending(fixture, SMB2_FLUSH, 50, 7)->client_encrypts = first_encrypts;
    add_pending(fixture, SMB2_FLUSH, 51, 8)->client_encrypts = !first_encrypts;
    traffic_add(&traffic, signer, response_header(SMB2_FLUSH, 50, STATUS_SUCCESS), short_body(),
                true);
    traffic_add(&traffic, signer, response_header(SMB2_FLUSH, 51, STATUS_SUCCESS), short_body(),
                false);
    from_server(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_encrypted_and_plain_responses(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    answers_come(fixture, true);
    assert_int_equal(expect_sealed(fixture, LEG_CLIENT, &keys).message_id, 7);
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).message_id, 8);
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

static void test_plain_and_encrypted_responses(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    answers_come(fixture, false);
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).message_id, 7);
    assert_int_equal(expect_sealed(fixture, LEG_CLIENT, &keys).message_id, 8);
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

/* The flag would put an AsyncId where the TreeId is looked for. */
static void test_asynchronous_request_ends_the_link(void **state)
{
    struct fixture *fixture = *state;
    struct smb2_header header = request_header(SMB2_FLUSH, 1, 0);
    open_traffic(fixture);
    header.flags = SMB2_FLAGS_ASYNC_COMMAND;
    header.async_id = (uint64_t)SEALED_TREE << 32;
    request_comes(fixture, header, flush_body());
    assert_int_equal(fixture->link.end, END_CLIENT_PROTOCOL);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
}

static void test_asynchronous_cancel_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct smb2_header header = request_header(SMB2_CANCEL, 7, 0);
    open_traffic(fixture);
    struct pending *pending = add_pending(fixture, SMB2_READ, 50, 7);
    pending_set_async_id(&fixture->link.pending, pending, 99);
    pending->interim = INTERIM_SENT;
    header.flags = SMB2_FLAGS_ASYNC_COMMAND;
    header.async_id = 99;
    request_comes(fixture, header, short_body());
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_CANCEL);
}

static void check_no_such_tree(struct fixture *fixture, uint64_t message_id)
{
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.status, STATUS_NETWORK_NAME_DELETED);
    assert_int_equal(answer.message_id, message_id);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_unknown_tree(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    request_comes(fixture, request_header(SMB2_FLUSH, 1, 3), flush_body());
    check_no_such_tree(fixture, 1);
    request_comes(fixture, request_header(SMB2_FLUSH, 2, PLAIN_TREE), flush_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_FLUSH);
}

/* Neither leg can encrypt the share: the file server's TreeId for it is no way in. */
static void test_tree_that_was_refused(void **state)
{
    static char name[] = "d";
    static char *shares[] = {name};
    static const uint8_t granted[16] = {16, 0, 1};
    struct fixture *fixture = *state;
    open_traffic(fixture);
    fixture->listener.encrypted_shares = shares;
    fixture->listener.encrypted_shares_count = 1;
    request_comes(fixture, request_header(SMB2_TREE_CONNECT, 1, 0), tree_connect_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).message_id, FIRST_UPSTREAM_ID);
    struct smb2_header header =
        response_header(SMB2_TREE_CONNECT, FIRST_UPSTREAM_ID, STATUS_SUCCESS);
    header.tree_id = 5;
    response_comes(fixture, fixture->session->upstream_signer, header,
                   (struct span){granted, sizeof granted});
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    struct smb2_header back = expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(back.command, SMB2_TREE_DISCONNECT);
    assert_int_equal(back.tree_id, 5);
    assert_int_equal(back.session_id, FIXTURE_UPSTREAM_ID);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_TREE_DISCONNECT, back.message_id, STATUS_SUCCESS),
                   short_body());
    expect_nothing(fixture, LEG_CLIENT);
    request_comes(fixture, request_header(SMB2_FLUSH, 2, 5), flush_body());
    check_no_such_tree(fixture, 2);
}

/* With the TreeId that the TREE_CONNECT carries, which says nothing. */
static void tree_and_file_come(struct fixture *fixture, uint32_t tree_id)
{
    struct signer *signer = fixture->session->client_signer;
    struct traffic traffic = {.size = 0};
    struct smb2_header create = request_header(SMB2_CREATE, 2, UINT32_MAX);
    create.flags = SMB2_FLAGS_RELATED_OPERATIONS;
    create.session_id = SMB2_SESSION_ID_RELATED;
    traffic_add(&traffic, signer, request_header(SMB2_TREE_CONNECT, 1, tree_id),
                tree_connect_body(), true);
    traffic_add(&traffic, signer, create, create_body(), false);
    from_client(fixture, &traffic);
}

/* A tree has no id yet in the chain that connects it. */
static void test_file_behind_its_tree(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    open_traffic(fixture);
    tree_and_file_come(fixture, 0);
    size_t size = next_frame(fixture, LEG_UPSTREAM, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.command, SMB2_TREE_CONNECT);
    assert_true(header.next_command && header.next_command < size);
    assert_int_equal(frame[header.next_command + 12], SMB2_CREATE);
    expect_nothing(fixture, LEG_CLIENT);
}

/* The file is of that tree then, and goes with it. */
static void test_file_is_of_the_tree_before_it(void **state)
{
    static const uint8_t granted[16] = {16, 0, 1};
    static const uint8_t file_id[FILE_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint8_t opened[88] = {89};
    struct fixture *fixture = *state;
    struct signer *signer = fixture->session->upstream_signer;
    struct smb2_header header =
        response_header(SMB2_TREE_CONNECT, FIRST_UPSTREAM_ID, STATUS_SUCCESS);
    open_traffic(fixture);
    tree_and_file_come(fixture, 0);
    header.tree_id = 5;
    response_comes(fixture, signer, header, (struct span){granted, sizeof granted});
    memcpy(opened + 64, file_id, sizeof file_id);
    header = interim_header(SMB2_CREATE, FIRST_UPSTREAM_ID + 1, 99);
    header.status = STATUS_SUCCESS;
    response_comes(fixture, signer, header, (struct span){opened, sizeof opened});
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).command, SMB2_TREE_CONNECT);
    header = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(header.command, SMB2_CREATE);
    assert_int_equal(header.flags & SMB2_FLAGS_ASYNC_COMMAND, 0);
    assert_int_equal(header.tree_id, 5);
    assert_non_null(open_find(&fixture->link, file_id));
    open_close_tree(&fixture->link, fixture->session, 5);
    assert_null(open_find(&fixture->link, file_id));
}

static void check_file_goes_nowhere(struct fixture *fixture, uint32_t tree_id)
{
    static char name[] = "other";
    static char *shares[] = {name};
    open_traffic(fixture);
    fixture->upstream.encrypted_shares = shares;
    fixture->upstream.encrypted_shares_count = 1;
    tree_and_file_come(fixture, tree_id);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_TREE_CONNECT);
    check_no_such_tree(fixture, 2);
}

/* But where shares have rules nobody knows them before the tree is there. */
static void test_file_behind_a_tree_with_rules(void **state)
{
    check_file_goes_nowhere(*state, 0);
}

/* Those of a tree that its TREE_CONNECT names are not its own. */
static void test_file_behind_a_tree_that_names_another(void **state)
{
    check_file_goes_nowhere(*state, PLAIN_TREE);
}

/* What comes behind a TREE_DISCONNECT might be another tree's, with the same TreeId; a log off is
 * in none. */
static void test_tree_that_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct signer *signer = fixture->session->upstream_signer;
    open_traffic(fixture);
    request_comes(fixture, request_header(SMB2_TREE_DISCONNECT, 1, PLAIN_TREE), short_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_TREE_DISCONNECT);
    request_comes(fixture, request_header(SMB2_FLUSH, 2, PLAIN_TREE), flush_body());
    check_no_such_tree(fixture, 2);
    response_comes(fixture, signer,
                   response_header(SMB2_TREE_DISCONNECT, FIRST_UPSTREAM_ID, STATUS_ACCESS_DENIED),
                   error_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    request_comes(fixture, request_header(SMB2_FLUSH, 3, PLAIN_TREE), flush_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_FLUSH);
    request_comes(fixture, request_header(SMB2_TREE_DISCONNECT, 4, PLAIN_TREE), short_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_TREE_DISCONNECT);
    request_comes(fixture, request_header(SMB2_LOGOFF, 5, PLAIN_TREE), short_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_LOGOFF);
}

static void setup_chain_comes(struct fixture *fixture)
{
    static const uint8_t setup[24] = {25};
    struct signer *signer = fixture->session->client_signer;
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, signer, request_header(SMB2_SESSION_SETUP, 1, 0),
                (struct span){setup, sizeof setup}, true);
    for (uint64_t id = 2; id <= 4; id++)
        traffic_add(&traffic, signer, request_header(SMB2_FLUSH, id, PLAIN_TREE), flush_body(),
                    id < 4);
    from_client(fixture, &traffic);
}

/* A SESSION_SETUP need not wait for the file server's credits, but what is chained to it must. */
static void test_chain_behind_a_session_setup_waits_for_credits(void **state)
{
    struct fixture *fixture = *state;
    struct credit_purse *purse = &fixture->link.purse;
    open_traffic(fixture);
    purse->available = 1;
    purse->outstanding = 3;
    setup_chain_comes(fixture);
    assert_true(fixture->link.frame_is_held);
    assert_int_equal(purse->available, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
    credit_purse_settle(purse, 3, 3);
    request_retry(&fixture->link);
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(purse->available, 1); /* of 4: the SESSION_SETUP is refused in a chain */
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_INVALID_PARAMETER);
    expect_nothing(fixture, LEG_CLIENT);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_chain_behind_a_session_setup_that_nothing_can_pay(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    fixture->link.purse.available = 1;
    setup_chain_comes(fixture);
    assert_int_equal(fixture->link.end, END_CLIENT_PROTOCOL);
    assert_int_equal(fixture->link.purse.available, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_trees_of_a_link),
        TEST(test_tree_connect_behind_another_request),
        TEST(test_encrypted_and_plain_requests),
        TEST(test_plain_and_encrypted_requests),
        TEST(test_encrypted_and_plain_responses),
        TEST(test_plain_and_encrypted_responses),
        TEST(test_asynchronous_request_ends_the_link),
        TEST(test_asynchronous_cancel_is_none),
        TEST(test_unknown_tree),
        TEST(test_tree_that_was_refused),
        TEST(test_file_behind_its_tree),
        TEST(test_file_is_of_the_tree_before_it),
        TEST(test_file_behind_a_tree_with_rules),
        TEST(test_file_behind_a_tree_that_names_another),
        TEST(test_tree_that_is_left),
        TEST(test_chain_behind_a_session_setup_waits_for_credits),
        TEST(test_chain_behind_a_session_setup_that_nothing_can_pay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
