/* The file server's last SESSION_SETUP response when its key is only in the token that it carries:
 * nothing of it is believed before the keeper has made the key and the signature was found right.
 */
#include "tests/unit/link_keeper.h"

enum { UPSTREAM_ID = 0x7777, AT_CLIENT = 7 };

static struct session *session;  /* the new one */
static struct preauth_hash hash; /* as the file server has it */
static const struct session_key right_key = {.bytes = {1, 2, 3, 4, 5}, .size = 32};

/* The keeper's first token goes upstream. */
static int login_open(void **state)
{
    static const uint8_t client_key[SIGNING_KEY_SIZE] = {5};
    static const struct keeper_continue first = {
        .token = {some_token, sizeof some_token},
        .login = {(const uint8_t *)"ticket", 6},
    };
    assert_int_equal(keeper_open(state), 0);
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    link->purse.next_id = FIRST_UPSTREAM_ID;
    link->server.signing = SIGNING_AES_GMAC;
    session = session_new(link);
    assert_non_null(session);
    session->identity = calloc(1, sizeof *session->identity);
    session->client_signer = signer_new(SIGNING_AES_CMAC, client_key);
    assert_true(session->identity && session->client_signer);
    session->state = SESSION_LOGGING_IN;
    session->setup_waiting = true;
    session->setup_message_id = AT_CLIENT;
    table_add(&link->sessions, &session->by_client_id, session->client_id);
    upstream_login_start(session);
    expect_told(fixture, KEEPER_LOGIN);
    hash = link->server.preauth;
    upstream_login_continue(session, &first);
    assert_string_equal(session->login, "ticket");
    return 0;
}

static int login_close(void **state)
{
    if (session)
        session_end(session, false);
    return keeper_close(state);
}

/* The request as the file server gets it; its MessageId. */
static uint64_t request_arrives(struct fixture *fixture)
{
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    size_t size = next_frame(fixture, LEG_UPSTREAM, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.command, SMB2_SESSION_SETUP);
    assert_false(header.flags & SMB2_FLAGS_SIGNED);
    assert_true(preauth_add(&hash, (struct span){frame, size}));
    return header.message_id;
}

static struct smb2_header setup_header(uint64_t message_id, uint32_t status)
{
    struct smb2_header header = response_header(SMB2_SESSION_SETUP, message_id, status);
    header.session_id = UPSTREAM_ID;
    return header;
}

static struct signer *signer_of(const struct fixture *fixture, const struct session_key *key)
{
    struct session_keys keys;
    assert_true(session_keys_derive(fixture->link.server.dialect, CIPHER_NONE, key, &hash, &keys));
    return signer_new(fixture->link.server.signing, keys.signing);
}

static void final_comes(struct fixture *fixture, struct signer *signer, uint16_t flags)
{
    uint8_t body[64];
    uint64_t id = request_arrives(fixture);
    struct signer *own = signer ? NULL : signer_of(fixture, &right_key);
    response_comes(fixture, signer ? signer : own, setup_header(id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, flags));
    signer_free(own);
}

static void keeper_is_done(const struct session_key *key)
{
    struct keeper_logged_in reply = {.key = *key};
    upstream_login_done(session, &reply);
}

static void expect_kept(struct fixture *fixture)
{
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(session->step, STEP_KEEPER_KEY);
    assert_null(session->upstream_signer);
    expect_told(fixture, KEEPER_STEP);
    expect_nothing(fixture, LEG_CLIENT);
}

static void expect_logged_in(struct fixture *fixture)
{
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.message_id, AT_CLIENT);
    assert_int_equal(answer.status, STATUS_SUCCESS);
    assert_true(answer.flags & SMB2_FLAGS_SIGNED);
    assert_int_equal(session->state, SESSION_VALID);
    assert_null(session->last_response.at);
    assert_int_equal(session->upstream_key.size, 0);
}

static void expect_refused(struct fixture *fixture, uint64_t events)
{
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.sessions.count, 1); /* the fixture's own */
    assert_int_equal(fixture->link.upstream_sessions.count, 1);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->worker.events_lost, events);
    session = NULL;
}

static void test_one_round_trip(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    keeper_is_done(&right_key);
    expect_logged_in(fixture);
}

static void test_one_round_trip_without_preauth(void **state)
{
    struct fixture *fixture = *state;
    fixture->link.server.dialect = SMB_3_0;
    fixture->link.server.signing = SIGNING_AES_CMAC;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    keeper_is_done(&right_key);
    expect_logged_in(fixture);
}

/* The hash has the response between and the second request, but not the last response. */
static void test_two_round_trips(void **state)
{
    struct fixture *fixture = *state;
    struct traffic traffic = {.size = 0};
    uint8_t body[64];
    traffic_add(&traffic, NULL,
                setup_header(request_arrives(fixture), STATUS_MORE_PROCESSING_REQUIRED),
                setup_response_body(body, sizeof body, 0), false);
    assert_true(preauth_add(&hash, (struct span){traffic.bytes, traffic.size}));
    from_server(fixture, &traffic);
    expect_told(fixture, KEEPER_STEP);
    upstream_login_continue(session, &(const struct keeper_continue){.token = some_token_span()});
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    keeper_is_done(&right_key);
    expect_logged_in(fixture);
}

/* A longer exchange can have its key before the last response, as with NTLM: no waiting then. */
static void test_key_before_the_last_response(void **state)
{
    struct fixture *fixture = *state;
    session->upstream_key = right_key;
    final_comes(fixture, NULL, 0);
    assert_int_equal(session->step, STEP_KEEPER_CONFIRM);
    assert_non_null(session->upstream_signer);
    expect_told(fixture, KEEPER_STEP);
    keeper_is_done(&(const struct session_key){.size = 0});
    expect_logged_in(fixture);
}

static void test_wrong_key(void **state)
{
    static const struct session_key wrong = {.bytes = {9}, .size = 32};
    struct fixture *fixture = *state;
    struct signer *stranger = signer_of(fixture, &wrong);
    final_comes(fixture, stranger, 0);
    expect_kept(fixture);
    keeper_is_done(&right_key);
    expect_refused(fixture, 1);
    signer_free(stranger);
}

static void test_kept_response_was_changed(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    session->last_response.at[SMB2_HEADER_SIZE + 2] ^= SMB2_SESSION_FLAG_ENCRYPT_DATA;
    keeper_is_done(&right_key);
    expect_refused(fixture, 1);
}

/* Before anybody is asked. */
static void test_unsigned(void **state)
{
    struct fixture *fixture = *state;
    struct traffic traffic = {.size = 0};
    uint8_t body[64];
    traffic_add(&traffic, NULL, setup_header(request_arrives(fixture), STATUS_SUCCESS),
                setup_response_body(body, sizeof body, 0), false);
    from_server(fixture, &traffic);
    expect_refused(fixture, 1);
    expect_told(fixture, KEEPER_FORGET);
}

static void test_guest(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, SMB2_SESSION_FLAG_IS_GUEST);
    expect_refused(fixture, 1);
    expect_told(fixture, KEEPER_FORGET);
}

static void test_anonymous(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, SMB2_SESSION_FLAG_IS_NULL);
    expect_refused(fixture, 1);
    expect_told(fixture, KEEPER_FORGET);
}

/* NTLM's first answer as the last one: the keeper would go on, and nothing more goes upstream. */
static void test_keeper_would_go_on(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    upstream_login_continue(
        session, &(const struct keeper_continue){.token = some_token_span(), .key = right_key});
    expect_refused(fixture, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
}

static void test_keeper_has_no_key(void **state)
{
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    keeper_is_done(&(const struct session_key){.size = 0});
    expect_refused(fixture, 1);
}

static void test_keeper_refuses_the_token(void **state)
{
    static const struct keeper_refused reply = {.reason = KEEPER_REASON_REFUSAL,
                                                .refusal = REFUSAL_KERBEROS};
    struct fixture *fixture = *state;
    final_comes(fixture, NULL, 0);
    expect_kept(fixture);
    upstream_login_refused(session, &reply);
    expect_refused(fixture, 1);
}

/* A second answer to the same request takes the place of nothing. */
static void test_another_response_behind_it(void **state)
{
    struct fixture *fixture = *state;
    uint8_t body[64];
    uint64_t id = request_arrives(fixture);
    struct signer *signer = signer_of(fixture, &right_key);
    response_comes(fixture, signer, setup_header(id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, 0));
    expect_kept(fixture);
    size_t size = session->last_response.size;
    response_comes(fixture, NULL, setup_header(id, STATUS_MORE_PROCESSING_REQUIRED),
                   setup_response_body(body, sizeof body, 0));
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
    assert_int_equal(session->last_response.size, size);
    assert_int_equal(session->step, STEP_KEEPER_KEY);
    expect_not_told(fixture);
    signer_free(signer);
}

/* What the flags demand holds once the signature was found right, and not before. */
static void test_encryption_is_decided_last(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    static const uint8_t key[32] = {3};
    link->client.cipher = link->server.cipher = CIPHER_AES_128_GCM;
    session->client_seal = sealer_new(CIPHER_AES_128_GCM, key, session->client_id, true);
    assert_non_null(session->client_seal);
    final_comes(fixture, NULL, SMB2_SESSION_FLAG_ENCRYPT_DATA);
    expect_kept(fixture);
    assert_false(session->upstream_encrypts || session->client_encrypts);
    keeper_is_done(&right_key);
    expect_logged_in(fixture);
    assert_true(session->upstream_encrypts && session->client_encrypts);
    assert_true(session->upstream_seal && session->upstream_open);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, login_open, login_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_round_trip),
        TEST(test_one_round_trip_without_preauth),
        TEST(test_two_round_trips),
        TEST(test_key_before_the_last_response),
        TEST(test_wrong_key),
        TEST(test_kept_response_was_changed),
        TEST(test_unsigned),
        TEST(test_guest),
        TEST(test_anonymous),
        TEST(test_keeper_would_go_on),
        TEST(test_keeper_has_no_key),
        TEST(test_keeper_refuses_the_token),
        TEST(test_another_response_behind_it),
        TEST(test_encryption_is_decided_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
