/* Requests that wait for the file server's credits: only what is valid waits, nothing of it is done
 * twice, and what has ended meanwhile is not carried out. */
#include "tests/unit/link_traffic.h"

enum { OUTSTANDING = 3 };

/* The file server takes nothing now, but will. */
static void open_traffic(struct fixture *fixture)
{
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
    fixture->link.purse.available = 0;
    fixture->link.purse.outstanding = OUTSTANDING;
}

static void credits_come(struct fixture *fixture)
{
    credit_purse_settle(&fixture->link.purse, OUTSTANDING, OUTSTANDING);
    request_retry(&fixture->link);
}

static void flush_comes(struct fixture *fixture, struct signer *signer, struct smb2_header header)
{
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, signer, header, flush_body(), false);
    from_client(fixture, &traffic);
}

static void hold_a_flush(struct fixture *fixture)
{
    open_traffic(fixture);
    flush_comes(fixture, fixture->session->client_signer,
                request_header(SMB2_FLUSH, 1, PLAIN_TREE));
    assert_true(fixture->link.frame_is_held);
    assert_int_equal(fixture->link.end, END_NONE);
    expect_nothing(fixture, LEG_CLIENT);
    expect_nothing(fixture, LEG_UPSTREAM);
}

static void check_ended(struct fixture *fixture, enum link_end reason)
{
    assert_int_equal(fixture->link.end, reason);
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
}

static void test_held_request_goes_on_once(void **state)
{
    struct fixture *fixture = *state;
    hold_a_flush(fixture);
    credits_come(fixture);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).message_id, FIRST_UPSTREAM_ID);
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(fixture->link.purse.available, OUTSTANDING - 1);
    assert_int_equal(fixture->link.end, END_NONE);
    request_retry(&fixture->link);
    expect_nothing(fixture, LEG_UPSTREAM);
    expect_nothing(fixture, LEG_CLIENT);
}

/* Its MessageId has been used since it came. */
static void test_message_id_of_a_held_request(void **state)
{
    struct fixture *fixture = *state;
    struct signer *signer = fixture->session->client_signer;
    hold_a_flush(fixture);
    assert_false(credit_window_take(&fixture->link.window, 1, 1));
    credits_come(fixture);
    (void)expect_signed(fixture, LEG_UPSTREAM);
    flush_comes(fixture, signer, request_header(SMB2_FLUSH, 1, PLAIN_TREE));
    check_ended(fixture, END_CLIENT_PROTOCOL);
}

static void test_unsigned_request_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    flush_comes(fixture, NULL, request_header(SMB2_FLUSH, 1, PLAIN_TREE));
    check_ended(fixture, END_UNSIGNED);
}

static void test_wrongly_signed_request_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    flush_comes(fixture, fixture->session->upstream_signer,
                request_header(SMB2_FLUSH, 1, PLAIN_TREE));
    check_ended(fixture, END_BAD_SIGNATURE);
}

static void test_request_out_of_the_window_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    flush_comes(fixture, fixture->session->client_signer,
                request_header(SMB2_FLUSH, TRAFFIC_CREDITS + 1, PLAIN_TREE));
    check_ended(fixture, END_CLIENT_PROTOCOL);
}

/* A stranger's CreditCharge is more than it was granted; what it claims to need does not matter. */
static void test_charge_out_of_the_window_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct smb2_header header = request_header(SMB2_FLUSH, 1, PLAIN_TREE);
    open_traffic(fixture);
    fixture->link.client.server_capabilities = SMB2_GLOBAL_CAP_LARGE_MTU;
    fixture->link.server.server_capabilities = SMB2_GLOBAL_CAP_LARGE_MTU;
    header.session_id = FIXTURE_CLIENT_ID + 1;
    header.credit_charge = UINT16_MAX;
    flush_comes(fixture, NULL, header);
    check_ended(fixture, END_CLIENT_PROTOCOL);
}

static void test_request_of_no_session_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct smb2_header header = request_header(SMB2_FLUSH, 1, PLAIN_TREE);
    open_traffic(fixture);
    fixture->link.purse.outstanding = 0;
    header.session_id = FIXTURE_CLIENT_ID + 1;
    flush_comes(fixture, NULL, header);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_USER_SESSION_DELETED);
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* It is answered here. */
static void test_echo_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    open_traffic(fixture);
    request_comes(fixture, request_header(SMB2_ECHO, 1, 0), short_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_SUCCESS);
    assert_false(fixture->link.frame_is_held);
}

/* What the held request will cost is not promised to the client once more. */
static void test_no_credits_for_the_client_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    open_traffic(fixture);
    link->purse.available = TRAFFIC_CREDITS + 3; /* all that the client has, the reserve, and 1 */
    link->purse.outstanding = 1;
    link->durable.state = DURABLE_ASKED;
    link->durable.session_id = FIXTURE_CLIENT_ID;
    flush_comes(fixture, fixture->session->client_signer,
                request_header(SMB2_FLUSH, 1, PLAIN_TREE));
    assert_true(link->frame_is_held);
    assert_int_equal(link->window.available, TRAFFIC_CREDITS);
    assert_int_equal(answer_credits(link, 10, false), 1);
    link->durable.state = DURABLE_ANSWERED;
    request_retry(link);
    (void)expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(answer_credits(link, 10, false), 0);
}

/* An event about a request is written once, when something becomes of it. */
static void test_unencrypted_request_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->session->client_encrypts = true;
    hold_a_flush(fixture);
    assert_int_equal(fixture->worker.events_lost, 0);
    fixture->session->client_encrypts = false; /* so that the answer can be read */
    struct tree *tree = session_tree(fixture->session, PLAIN_TREE);
    assert_non_null(tree);
    tree->client_encrypts = true;
    credits_come(fixture);
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
}

/* The client is told so, signed with the key that the session had. */
static void test_held_request_of_a_session_that_has_ended(void **state)
{
    static const uint8_t key[SIGNING_KEY_SIZE] = {1}; /* as in the fixture */
    struct fixture *fixture = *state;
    struct signer *signer = signer_new(SIGNING_AES_CMAC, key);
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header answer;
    assert_non_null(signer);
    hold_a_flush(fixture);
    session_end(fixture->session, false);
    fixture->session = NULL;
    credits_come(fixture);
    size_t size = next_frame(fixture, LEG_CLIENT, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &answer));
    assert_int_equal(answer.status, STATUS_USER_SESSION_DELETED);
    assert_int_equal(answer.message_id, 1);
    assert_true(signer_verify(signer, frame, size));
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.purse.available, OUTSTANDING);
    expect_nothing(fixture, LEG_UPSTREAM);
    signer_free(signer);
}

static void sealed_flush_comes(struct fixture *fixture, uint64_t message_id, const uint8_t key[32])
{
    enum { BEFORE = TRANSFORM_HEADER_SIZE };
    struct sealer *client = sealer_new(CIPHER_AES_128_GCM, key, FIXTURE_CLIENT_ID, true);
    struct traffic inside = {.size = 0}, traffic = {.size = BEFORE};
    assert_non_null(client);
    traffic_add(&inside, NULL, request_header(SMB2_FLUSH, message_id, PLAIN_TREE), flush_body(),
                false);
    memcpy(traffic.bytes + BEFORE, inside.bytes, inside.size);
    assert_true(sealer_seal(client, traffic.bytes + BEFORE, inside.size));
    traffic.size += inside.size;
    from_client(fixture, &traffic);
    sealer_free(client);
}

static void hold_a_sealed_flush(struct fixture *fixture)
{
    static const uint8_t key[32] = {10};
    open_traffic(fixture);
    fixture->link.client.cipher = CIPHER_AES_128_GCM;
    fixture->session->client_open = sealer_new(CIPHER_AES_128_GCM, key, FIXTURE_CLIENT_ID, false);
    assert_non_null(fixture->session->client_open);
    sealed_flush_comes(fixture, 1, key);
    assert_true(fixture->link.frame_is_held);
}

/* It has been opened; it is as good as encrypted when it goes on. */
static void test_held_frame_of_an_encrypted_session(void **state)
{
    struct fixture *fixture = *state;
    hold_a_sealed_flush(fixture);
    credits_come(fixture);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_FLUSH);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void hold_over_the_end(struct fixture *fixture)
{
    hold_a_sealed_flush(fixture);
    session_end(fixture->session, false);
    fixture->session = NULL;
    credits_come(fixture);
}

/* It was opened with a key that is gone: nothing of it is taken for a request in the clear. */
static void test_held_frame_of_an_encrypted_session_that_has_ended(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    hold_over_the_end(fixture);
    assert_int_equal(expect_sealed(fixture, LEG_CLIENT, &keys).status, STATUS_USER_SESSION_DELETED);
    assert_int_equal(fixture->link.end, END_NONE);
    expect_nothing(fixture, LEG_UPSTREAM);
    free_keys(&keys);
}

/* Not under its key: there is no session any more that could be told of it. */
static void test_wrong_frame_of_an_encrypted_session_that_has_ended(void **state)
{
    static const uint8_t other_key[32] = {11};
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    hold_over_the_end(fixture);
    (void)expect_sealed(fixture, LEG_CLIENT, &keys);
    sealed_flush_comes(fixture, 2, other_key);
    check_ended(fixture, END_BAD_SIGNATURE);
    free_keys(&keys);
}

/* What the recorder said of a handle was about that frame alone. */
static void test_answer_goes_with_its_frame(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    hold_a_sealed_flush(fixture);
    fixture->link.durable.state = DURABLE_ANSWERED;
    session_end(fixture->session, false);
    fixture->session = NULL;
    credits_come(fixture);
    assert_int_equal(fixture->link.durable.state, DURABLE_NOTHING);
    free_keys(&keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_held_request_goes_on_once),
        TEST(test_message_id_of_a_held_request),
        TEST(test_unsigned_request_does_not_wait),
        TEST(test_wrongly_signed_request_does_not_wait),
        TEST(test_request_out_of_the_window_does_not_wait),
        TEST(test_charge_out_of_the_window_does_not_wait),
        TEST(test_request_of_no_session_does_not_wait),
        TEST(test_echo_does_not_wait),
        TEST(test_no_credits_for_the_client_meanwhile),
        TEST(test_unencrypted_request_is_told_once),
        TEST(test_held_request_of_a_session_that_has_ended),
        TEST(test_held_frame_of_an_encrypted_session),
        TEST(test_held_frame_of_an_encrypted_session_that_has_ended),
        TEST(test_wrong_frame_of_an_encrypted_session_that_has_ended),
        TEST(test_answer_goes_with_its_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
