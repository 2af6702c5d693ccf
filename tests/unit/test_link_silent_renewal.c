/* Renewal of a session upstream that its client does not see. */
#include <time.h>

#include "crypto/clock.h"
#include "proxy/renewal.h"
#include "tests/unit/link_keeper.h"

enum { AT_CLIENT = 7 };

static struct keeper_logged_in grant(int64_t seconds)
{
    struct keeper_logged_in reply = {.expires = seconds ? (int64_t)time(NULL) + seconds : 0};
    memset(reply.renewal, 9, sizeof reply.renewal);
    return reply;
}

/* The keeper gave a handle when the session was logged in. */
static int renewal_open(void **state)
{
    const struct keeper_logged_in reply = grant(0);
    assert_int_equal(keeper_open(state), 0);
    struct fixture *fixture = *state;
    fixture->session->identity->mechanism = MECHANISM_NONE; /* like what the keeper proves here */
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
    renewal_take(fixture->session, &reply);
    assert_true(fixture->session->renewable);
    return 0;
}

static void file_server_says_expired(struct fixture *fixture)
{
    add_pending(fixture, SMB2_READ, 900, 50);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_READ, 900, STATUS_NETWORK_SESSION_EXPIRED), error_body());
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.status, STATUS_NETWORK_SESSION_EXPIRED);
}

/* Up to the file server's answer; its MessageId. */
static uint64_t begin(struct fixture *fixture)
{
    file_server_says_expired(fixture);
    expect_told(fixture, KEEPER_LOGIN);
    upstream_login_continue(fixture->session,
                            &(const struct keeper_continue){.token = some_token_span()});
    struct smb2_header setup = expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(setup.command, SMB2_SESSION_SETUP);
    assert_int_equal(setup.session_id, FIXTURE_UPSTREAM_ID);
    return setup.message_id;
}

static void success_comes(struct fixture *fixture, uint64_t message_id)
{
    uint8_t body[64];
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_SESSION_SETUP, message_id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, 0));
    expect_told(fixture, KEEPER_STEP);
}

static void keeper_is_done(struct fixture *fixture)
{
    const struct keeper_logged_in reply = grant(0);
    upstream_login_done(fixture->session, &reply);
}

static void expect_whole(struct fixture *fixture)
{
    const struct session *session = fixture->session;
    assert_int_equal(session->state, SESSION_VALID);
    assert_int_equal(session->step, STEP_IDLE);
    assert_false(session->renews_alone);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.sessions.count, 1);
}

static void flush_goes_through(struct fixture *fixture, uint64_t id)
{
    request_comes(fixture, request_header(SMB2_FLUSH, id, PLAIN_TREE), flush_body());
    struct smb2_header header = expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(header.command, SMB2_FLUSH);
}

static void test_file_server_says_expired(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = begin(fixture);
    flush_goes_through(fixture, 1); /* meanwhile */
    success_comes(fixture, id);
    keeper_is_done(fixture);
    expect_nothing(fixture, LEG_CLIENT);
    expect_whole(fixture);
    assert_false(fixture->session->upstream_expired);
    assert_true(fixture->session->renewable);
    assert_int_equal(fixture->worker.events_lost, 2); /* expired, renewed */
    flush_goes_through(fixture, 2);
}

/* Two requests were on their way: one renewal. */
static void test_once_for_all_requests(void **state)
{
    struct fixture *fixture = *state;
    add_pending(fixture, SMB2_READ, 901, 51);
    uint64_t id = begin(fixture);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_READ, 901, STATUS_NETWORK_SESSION_EXPIRED), error_body());
    expect_signed(fixture, LEG_CLIENT);
    expect_not_told(fixture);
    success_comes(fixture, id);
    keeper_is_done(fixture);
    expect_whole(fixture);
}

/* The keys of the session stay as they are, whatever the new login's would be. */
static void test_keys_stay(void **state)
{
    static const struct session_key other = {.bytes = {8}, .size = 32};
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    struct signer *before = session->upstream_signer;
    uint64_t id = begin(fixture);
    uint8_t body[64];
    response_comes(fixture, before,
                   response_header(SMB2_SESSION_SETUP, id, STATUS_MORE_PROCESSING_REQUIRED),
                   setup_response_body(body, sizeof body, 0));
    expect_told(fixture, KEEPER_STEP);
    upstream_login_continue(
        session, &(const struct keeper_continue){.token = some_token_span(), .key = other});
    assert_int_equal(session->upstream_key.size, 0);
    success_comes(fixture, expect_signed(fixture, LEG_UPSTREAM).message_id);
    keeper_is_done(fixture);
    assert_ptr_equal(session->upstream_signer, before);
    expect_whole(fixture);
}

/* An encrypted session's requests are encrypted, this one too (MS-SMB2 3.2.4.1.8). */
static void test_encrypted_session(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    fixture->session->upstream_encrypts = true;
    fixture->session->renewal_shown = false;
    renewal_expired(fixture->session);
    expect_told(fixture, KEEPER_LOGIN);
    upstream_login_continue(fixture->session,
                            &(const struct keeper_continue){.token = some_token_span()});
    struct smb2_header setup = expect_sealed(fixture, LEG_UPSTREAM, &keys);
    assert_int_equal(setup.command, SMB2_SESSION_SETUP);
    uint8_t body[64];
    /* Only signed: not what was asked. */
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_SESSION_SETUP, setup.message_id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, 0));
    assert_int_equal(fixture->link.end, END_UPSTREAM_SIGNATURE);
    free_keys(&keys);
}

/* In time, before anybody says so: when is told by the timer, which is not waited for here. */
static void test_before_the_end(void **state)
{
    static const struct {
        int64_t life, earliest, latest; /* seconds before the end */
    } cases[] = {{3, 2, 1}, {100, 10, 5}, {36000, 300, 150}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct timeval when;
        const struct keeper_logged_in reply = grant(cases[i].life);
        renewal_take(fixture->session, &reply);
        expect_told(fixture, KEEPER_RELEASE); /* of the handle before */
        assert_true(evtimer_pending(fixture->session->renewal_timer, &when));
        /* A second more or less, for the clocks are not read at the same moment. */
        assert_true(when.tv_sec >= reply.expires - cases[i].earliest - 1);
        assert_true(when.tv_sec <= reply.expires - cases[i].latest + 1);
    }
    event_active(fixture->session->renewal_timer, EV_TIMEOUT, 0);
    expect_told(fixture, KEEPER_LOGIN);
    expect_nothing(fixture, LEG_CLIENT);
}

/* It is the client's turn in a re-authentication of its own, and has been since so long ago. */
static void client_renews_since(struct fixture *fixture, uint64_t milliseconds)
{
    fixture->config.limits.login_timeout = 60000;
    fixture->session->state = SESSION_RENEWING;
    fixture->session->step = STEP_CLIENT;
    fixture->session->challenged_ms = clock_ms() - milliseconds;
}

/* No second renewal beside the client's own. */
static void test_not_while_the_client_renews(void **state)
{
    struct fixture *fixture = *state;
    client_renews_since(fixture, 0);
    file_server_says_expired(fixture);
    expect_not_told(fixture);
    assert_true(fixture->session->upstream_expired);
}

/* A client that does not go on with its own does not keep the session from being renewed. */
static void test_client_leaves_its_renewal(void **state)
{
    struct fixture *fixture = *state;
    client_renews_since(fixture, 60000);
    file_server_says_expired(fixture);
    expect_told(fixture, KEEPER_LOGIN);
    assert_int_equal(fixture->session->state, SESSION_VALID);
}

static void client_setup_comes(struct fixture *fixture)
{
    uint8_t room[128];
    struct session_setup_request body = {.security_mode = 3, .token = some_token_span()};
    struct writer writer = writer_over(room, sizeof room);
    session_setup_request_write(&writer, &body);
    request_comes(fixture, request_header(SMB2_SESSION_SETUP, AT_CLIENT, 0), writer_span(&writer));
}

/* The client's own renewal waits for ours, and needs nothing from the file server then. */
static void test_client_renews_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = begin(fixture);
    client_setup_comes(fixture);
    expect_not_told(fixture);
    expect_nothing(fixture, LEG_CLIENT);
    success_comes(fixture, id);
    keeper_is_done(fixture);
    expect_told(fixture, KEEPER_ACCEPT);
    assert_int_equal(fixture->session->state, SESSION_RENEWING);
    const struct keeper_proven proven = {.identity = *fixture->session->identity};
    client_login_proven(fixture->session, &proven);
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.message_id, AT_CLIENT);
    assert_int_equal(answer.status, STATUS_SUCCESS);
    expect_not_told(fixture);
    expect_whole(fixture);
}

static void test_client_renews_twice_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    uint8_t room[128];
    (void)begin(fixture);
    client_setup_comes(fixture);
    struct session_setup_request body = {.security_mode = 3, .token = some_token_span()};
    struct writer writer = writer_over(room, sizeof room);
    session_setup_request_write(&writer, &body);
    request_comes(fixture, request_header(SMB2_SESSION_SETUP, AT_CLIENT + 1, 0),
                  writer_span(&writer));
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.message_id, AT_CLIENT + 1);
    assert_int_equal(answer.status, STATUS_REQUEST_NOT_ACCEPTED);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* What is not signed does not wait either. */
static void test_unsigned_setup_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct traffic traffic = {.size = 0};
    uint8_t room[128];
    (void)begin(fixture);
    struct session_setup_request body = {.security_mode = 3, .token = some_token_span()};
    struct writer writer = writer_over(room, sizeof room);
    session_setup_request_write(&writer, &body);
    traffic_add(&traffic, NULL, request_header(SMB2_SESSION_SETUP, AT_CLIENT, 0),
                writer_span(&writer), false);
    from_client(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_UNSIGNED);
    assert_null(fixture->session->kept_setup.at);
}

/* A KDC that does not answer: the session goes on, and the client will be asked. */
static void test_keeper_cannot(void **state)
{
    static const struct keeper_refused reply = {.reason = KEEPER_REASON_REFUSAL,
                                                .refusal = REFUSAL_KDC_UNREACHABLE};
    struct fixture *fixture = *state;
    file_server_says_expired(fixture);
    expect_told(fixture, KEEPER_LOGIN);
    upstream_login_refused(fixture->session, &reply);
    expect_whole(fixture);
    assert_false(fixture->session->renewable);
    assert_true(fixture->session->upstream_expired);
    expect_nothing(fixture, LEG_CLIENT);
    flush_goes_through(fixture, 1);
    assert_int_equal(fixture->worker.events_lost, 2); /* expired, unreachable */
}

static void continue_as(struct fixture *fixture, const char *account)
{
    upstream_login_continue(fixture->session,
                            &(const struct keeper_continue){
                                .token = some_token_span(),
                                .account = {(const uint8_t *)account, strlen(account)},
                            });
}

/* The credentials file maps the user to somebody else by now. */
static void test_renewal_as_another_account(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    (void)snprintf(session->account, sizeof session->account, "reader@MIT.TEST");
    file_server_says_expired(fixture);
    expect_told(fixture, KEEPER_LOGIN);
    continue_as(fixture, "writer@MIT.TEST");
    expect_told(fixture, KEEPER_FORGET);
    expect_nothing(fixture, LEG_UPSTREAM);
    expect_whole(fixture);
    assert_string_equal(session->account, "reader@MIT.TEST");
    assert_int_equal(fixture->worker.events_lost, 2); /* expired, identity changed */
}

static void test_renewal_as_the_same_account(void **state)
{
    struct fixture *fixture = *state;
    (void)snprintf(fixture->session->account, sizeof fixture->session->account, "CORP\\reader");
    file_server_says_expired(fixture);
    expect_told(fixture, KEEPER_LOGIN);
    continue_as(fixture, "corp\\Reader");
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_SESSION_SETUP);
}

/* When the client renews too: another login of the list than the one that the session began with.
 */
static void test_clients_renewal_as_another_account(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    (void)snprintf(session->account, sizeof session->account, "alice@MIT.TEST");
    renewal_forget(session);
    expect_told(fixture, KEEPER_RELEASE);
    session->state = SESSION_RENEWING;
    session->setup_waiting = true;
    session->setup_message_id = AT_CLIENT;
    upstream_login_start(session);
    expect_told(fixture, KEEPER_LOGIN);
    continue_as(fixture, "writer@MIT.TEST");
    fixture->session = NULL;
    expect_told(fixture, KEEPER_FORGET);
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.sessions.count, 0);
}

static void test_keeper_is_gone(void **state)
{
    struct fixture *fixture = *state;
    channel_free(fixture->worker.keeper);
    fixture->worker.keeper = NULL;
    file_server_says_expired(fixture);
    expect_whole(fixture);
    flush_goes_through(fixture, 1);
}

/* The file server does not take it: for it the session is over, so it is over here. */
static void test_file_server_refuses(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = begin(fixture);
    client_setup_comes(fixture);
    add_pending(fixture, SMB2_CHANGE_NOTIFY, 901, 51);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_SESSION_SETUP, id, STATUS_LOGON_FAILURE), error_body());
    fixture->session = NULL;
    assert_int_equal(fixture->link.sessions.count, 0);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_NOTIFY_CLEANUP);
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.status, STATUS_USER_SESSION_DELETED);
}

static void test_unsigned_answer(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = begin(fixture);
    uint8_t body[64];
    response_comes(fixture, NULL, response_header(SMB2_SESSION_SETUP, id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, 0));
    assert_int_equal(fixture->link.end, END_UPSTREAM_SIGNATURE);
    expect_not_told(fixture);
}

/* The session ends while it is renewed, and when it is not: the keeper need not remember it. */
static void test_session_ends(void **state)
{
    struct fixture *fixture = *state;
    session_end(fixture->session, false);
    fixture->session = NULL;
    expect_told(fixture, KEEPER_RELEASE);
}

static void test_session_ends_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    (void)begin(fixture);
    session_end(fixture->session, false);
    fixture->session = NULL;
    expect_told(fixture, KEEPER_FORGET);
}

static void test_no_handle_no_renewal(void **state)
{
    struct fixture *fixture = *state;
    renewal_take(fixture->session, &(const struct keeper_logged_in){.expires = 0});
    expect_told(fixture, KEEPER_RELEASE);
    file_server_says_expired(fixture);
    expect_not_told(fixture);
    assert_true(fixture->session->upstream_expired);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, renewal_open, keeper_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_server_says_expired),
        TEST(test_once_for_all_requests),
        TEST(test_keys_stay),
        TEST(test_encrypted_session),
        TEST(test_before_the_end),
        TEST(test_not_while_the_client_renews),
        TEST(test_client_leaves_its_renewal),
        TEST(test_client_renews_meanwhile),
        TEST(test_client_renews_twice_meanwhile),
        TEST(test_unsigned_setup_meanwhile),
        TEST(test_keeper_cannot),
        TEST(test_renewal_as_another_account),
        TEST(test_renewal_as_the_same_account),
        TEST(test_clients_renewal_as_another_account),
        TEST(test_keeper_is_gone),
        TEST(test_file_server_refuses),
        TEST(test_unsigned_answer),
        TEST(test_session_ends),
        TEST(test_session_ends_meanwhile),
        TEST(test_no_handle_no_renewal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
