/* The last SESSION_SETUP response of a session that is encrypted, or that is being renewed, on both
 * legs. */
#include "tests/unit/link_traffic.h"

enum { AT_SERVER = 50, AT_CLIENT = 7 };

static int keeper_end; /* it is told, and does not answer */

static bool told(void *context, uint16_t type, struct span body, int fd)
{
    (void)context, (void)type, (void)body, (void)fd;
    return true;
}

static void gone(void *context, bool malformed)
{
    (void)context, (void)malformed;
}

static struct span setup_body(uint8_t *room, size_t size, uint16_t session_flags)
{
    static const uint8_t token[] = {1, 2, 3};
    struct session_setup_response body = {.session_flags = session_flags,
                                          .token = {token, sizeof token}};
    struct writer writer = writer_over(room, size);
    session_setup_response_write(&writer, &body);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

/* The file server's last response is awaited; a keeper is there to be asked about its token. */
static int renewal_open(void **state)
{
    static const struct channel_handler handler = {told, gone};
    int fds[2];
    assert_int_equal(fixture_open(state), 0);
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    struct session *session = fixture->session;
    assert_true(channel_pair(fds));
    keeper_end = fds[0];
    fixture->worker.keeper = channel_new(fixture->worker.base, fds[1], &handler, NULL);
    assert_non_null(fixture->worker.keeper);
    session->state = SESSION_RENEWING;
    session->step = STEP_UPSTREAM;
    session->attempt = 1;
    session->upstream_key.size = 16;
    session->upstream_expired = true;
    session->setup_waiting = true;
    session->setup_message_id = AT_CLIENT;
    struct pending *pending =
        pending_add(&link->pending, PENDING_SESSION_SETUP, AT_SERVER, session);
    assert_non_null(pending);
    pending->command = SMB2_SESSION_SETUP;
    pending->upstream_charge = 1;
    link->purse.outstanding = 1;
    return 0;
}

static int renewal_close(void **state)
{
    struct fixture *fixture = *state;
    channel_free(fixture->worker.keeper);
    close(keeper_end);
    return fixture_close(state);
}

static void success_comes(struct fixture *fixture, struct signer *signer, uint16_t session_flags)
{
    uint8_t body[32];
    response_comes(fixture, signer, response_header(SMB2_SESSION_SETUP, AT_SERVER, STATUS_SUCCESS),
                   setup_body(body, sizeof body, session_flags));
}

static void sealed_success_comes(struct fixture *fixture, struct sealer *sealer)
{
    enum { BEFORE = TRANSFORM_HEADER_SIZE };
    uint8_t body[32];
    struct traffic inside = {.size = 0}, traffic = {.size = 0};
    traffic_add(&inside, NULL, response_header(SMB2_SESSION_SETUP, AT_SERVER, STATUS_SUCCESS),
                setup_body(body, sizeof body, 0), false);
    memcpy(traffic.bytes + BEFORE, inside.bytes, inside.size);
    assert_true(sealer_seal(sealer, traffic.bytes + BEFORE, inside.size));
    traffic.size = BEFORE + inside.size;
    from_server(fixture, &traffic);
}

static void check_believed(struct fixture *fixture)
{
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->session->step, STEP_KEEPER_CONFIRM);
    assert_int_equal(fixture->worker.events_lost, 0);
    expect_nothing(fixture, LEG_CLIENT);
}

static void check_not_believed(struct fixture *fixture)
{
    assert_int_equal(fixture->link.end, END_UPSTREAM_SIGNATURE);
    assert_int_equal(fixture->session->step, STEP_UPSTREAM);
    assert_int_equal(fixture->worker.events_lost, 1);
}

/* What is encrypted with the session's key needs no signature. */
static void test_encrypted_renewal(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    sealed_success_comes(fixture, keys.server_seals);
    check_believed(fixture);
    free_keys(&keys);
}

static void test_wrongly_encrypted_renewal(void **state)
{
    static const uint8_t wrong[32] = {77};
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    struct sealer *stranger = sealer_new(CIPHER_AES_128_GCM, wrong, FIXTURE_UPSTREAM_ID, true);
    assert_non_null(stranger);
    sealed_success_comes(fixture, stranger);
    check_not_believed(fixture);
    sealer_free(stranger);
    free_keys(&keys);
}

/* The session keeps the keys that it has. */
static void test_signed_renewal(void **state)
{
    struct fixture *fixture = *state;
    struct signer *before = fixture->session->upstream_signer;
    success_comes(fixture, before, 0);
    check_believed(fixture);
    assert_ptr_equal(fixture->session->upstream_signer, before);
}

static void test_unsigned_renewal(void **state)
{
    struct fixture *fixture = *state;
    success_comes(fixture, NULL, 0);
    check_not_believed(fixture);
}

static void test_renewal_signed_with_another_key(void **state)
{
    struct fixture *fixture = *state;
    success_comes(fixture, fixture->session->client_signer, 0);
    check_not_believed(fixture);
}

/* Whether a session is encrypted has been settled when it began. */
static void test_renewal_leaves_encryption_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    struct peer_keys keys = add_keys(fixture);
    session->upstream_encrypts = session->client_encrypts = true;
    sealed_success_comes(fixture, keys.server_seals);
    check_believed(fixture);
    assert_true(session->upstream_encrypts);
    assert_true(session->client_encrypts);
    free_keys(&keys);
}

static void test_renewal_asks_for_no_encryption(void **state)
{
    struct fixture *fixture = *state; /* neither leg could */
    success_comes(fixture, fixture->session->upstream_signer, SMB2_SESSION_FLAG_ENCRYPT_DATA);
    check_believed(fixture);
    assert_false(fixture->session->upstream_encrypts);
    assert_false(fixture->session->client_encrypts);
}

static void check_success(const struct smb2_header *header)
{
    assert_int_equal(header->command, SMB2_SESSION_SETUP);
    assert_int_equal(header->message_id, AT_CLIENT);
    assert_int_equal(header->status, STATUS_SUCCESS);
}

/* The client's SESSION_SETUP is answered with the key that the session still has. */
static void test_session_ends_while_it_is_renewed(void **state)
{
    static const uint8_t key[SIGNING_KEY_SIZE] = {1}; /* as in the fixture */
    struct fixture *fixture = *state;
    struct signer *signer = signer_new(SIGNING_AES_CMAC, key);
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    assert_non_null(signer);
    session_end(fixture->session, false);
    fixture->session = NULL;
    size_t size = next_frame(fixture, LEG_CLIENT, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.command, SMB2_SESSION_SETUP);
    assert_int_equal(header.message_id, AT_CLIENT);
    assert_int_equal(header.status, STATUS_USER_SESSION_DELETED);
    assert_true(signer_verify(signer, frame, size));
    expect_nothing(fixture, LEG_CLIENT);
    signer_free(signer);
}

/* Towards the client: encrypted when its request was. */
static void test_client_that_renews_encrypted(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    fixture->session->client_encrypts = fixture->session->setup_encrypted = true;
    client_login_renewed(fixture->session);
    struct smb2_header header = expect_sealed(fixture, LEG_CLIENT, &keys);
    check_success(&header);
    assert_int_equal(fixture->session->state, SESSION_VALID);
    free_keys(&keys);
}

/* Only signed when the request was only signed: the client would not look for a TRANSFORM. */
static void test_client_that_renews_signed(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    fixture->session->client_encrypts = true;
    client_login_renewed(fixture->session);
    struct smb2_header header = expect_signed(fixture, LEG_CLIENT);
    check_success(&header);
    free_keys(&keys);
}

/* The response that tells a client that its session is encrypted comes in the clear, signed. */
static void test_first_response_of_an_encrypted_session(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    struct peer_keys keys = add_keys(fixture);
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    struct session_setup_response body;
    session->state = SESSION_LOGGING_IN;
    session->client_encrypts = true;
    client_login_done(session);
    size_t size = next_frame(fixture, LEG_CLIENT, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    check_success(&header);
    assert_true(signer_verify(session->client_signer, frame, size));
    assert_true(session_setup_response_read((struct span){frame, size}, &body));
    assert_int_equal(body.session_flags, SMB2_SESSION_FLAG_ENCRYPT_DATA);
    free_keys(&keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, renewal_open, renewal_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_encrypted_renewal),
        TEST(test_wrongly_encrypted_renewal),
        TEST(test_signed_renewal),
        TEST(test_unsigned_renewal),
        TEST(test_renewal_signed_with_another_key),
        TEST(test_renewal_leaves_encryption_as_it_is),
        TEST(test_renewal_asks_for_no_encryption),
        TEST(test_session_ends_while_it_is_renewed),
        TEST(test_client_that_renews_encrypted),
        TEST(test_client_that_renews_signed),
        TEST(test_first_response_of_an_encrypted_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
