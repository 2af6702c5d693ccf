/* A session whose client's ticket has run out: what is refused, what goes on, and until when. */
#include <time.h>

#include "tests/unit/link_keeper.h"

static uint64_t next_id; /* the client's MessageId */

static int expiry_open(void **state)
{
    assert_int_equal(keeper_open(state), 0);
    struct fixture *fixture = *state;
    fixture->session->identity->mechanism = MECHANISM_NONE; /* like what the keeper proves here */
    fixture->session->identity->expires = (int64_t)time(NULL) - 1;
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
    next_id = 1;
    return 0;
}

/* A request of `size` bytes of body. */
static void ask(struct fixture *fixture, uint16_t command, uint8_t *body, size_t size)
{
    uint8_t none[64] = {0};
    request_comes(fixture, request_header(command, next_id, PLAIN_TREE),
                  (struct span){body ? body : none, size});
    if (command != SMB2_CANCEL)
        next_id++;
}

static void expect_expired(struct fixture *fixture, uint16_t command)
{
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, command);
    assert_int_equal(answer.status, STATUS_NETWORK_SESSION_EXPIRED);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void expect_forwarded(struct fixture *fixture, uint16_t command)
{
    struct smb2_header header = expect_signed(fixture, LEG_UPSTREAM);
    assert_int_equal(header.command, command);
    expect_nothing(fixture, LEG_CLIENT);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* Signed, and recorded once. */
static void test_requests_are_refused(void **state)
{
    static const uint16_t commands[] = {SMB2_READ,           SMB2_WRITE, SMB2_FLUSH,
                                        SMB2_QUERY_INFO,     SMB2_IOCTL, SMB2_CHANGE_NOTIFY,
                                        SMB2_TREE_DISCONNECT};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ask(fixture, commands[i], NULL, 56);
        expect_expired(fixture, commands[i]);
    }
    assert_int_equal(fixture->worker.events_lost, 1);
}

static void test_what_ends_something_goes_on(void **state)
{
    struct fixture *fixture = *state;
    uint8_t close[24] = {24}, echo[4] = {4}, logoff[4] = {4};
    ask(fixture, SMB2_CLOSE, close, sizeof close);
    expect_forwarded(fixture, SMB2_CLOSE);
    ask(fixture, SMB2_ECHO, echo, sizeof echo);
    struct smb2_header header = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(header.status, STATUS_SUCCESS);
    ask(fixture, SMB2_LOGOFF, logoff, sizeof logoff);
    expect_forwarded(fixture, SMB2_LOGOFF);
    assert_int_equal(fixture->worker.events_lost, 0);
}

static void test_locks_are_released_and_not_taken(void **state)
{
    enum { SIZE = 48, FLAGS = 40 };
    struct fixture *fixture = *state;
    uint8_t lock[SIZE] = {SIZE, 0, 1};
    lock[FLAGS] = 2; /* exclusive */
    ask(fixture, SMB2_LOCK, lock, sizeof lock);
    expect_expired(fixture, SMB2_LOCK);
    lock[FLAGS] = 4; /* unlock */
    ask(fixture, SMB2_LOCK, lock, sizeof lock);
    expect_forwarded(fixture, SMB2_LOCK);
    ask(fixture, SMB2_LOCK, lock, FLAGS); /* too short to say */
    expect_expired(fixture, SMB2_LOCK);
}

/* A request that waits can be cancelled, and its answer is passed on. */
static void test_what_waits_is_not_touched(void **state)
{
    struct fixture *fixture = *state;
    uint8_t cancel[4] = {4};
    add_pending(fixture, SMB2_CHANGE_NOTIFY, 900, 50);
    add_pending(fixture, SMB2_CHANGE_NOTIFY, 901, 51);
    ask(fixture, SMB2_READ, NULL, 49);
    expect_expired(fixture, SMB2_READ);
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(SMB2_CHANGE_NOTIFY, 900, STATUS_CANCELLED), error_body());
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.message_id, 50);
    assert_int_equal(answer.status, STATUS_CANCELLED);
    next_id = 51;
    ask(fixture, SMB2_CANCEL, cancel, sizeof cancel);
    expect_forwarded(fixture, SMB2_CANCEL);
}

/* Whose signature is wrong learns nothing about the session. */
static void test_unsigned_request_ends_the_link(void **state)
{
    struct fixture *fixture = *state;
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, NULL, request_header(SMB2_FLUSH, 1, PLAIN_TREE), flush_body(), false);
    from_client(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_UNSIGNED);
    expect_nothing(fixture, LEG_CLIENT);
}

static void test_before_the_end(void **state)
{
    struct fixture *fixture = *state;
    uint8_t flush[24] = {24};
    fixture->session->identity->mechanism = MECHANISM_NONE; /* like what the keeper proves here */
    fixture->session->identity->expires = (int64_t)time(NULL) + 100;
    ask(fixture, SMB2_FLUSH, flush, sizeof flush);
    expect_forwarded(fixture, SMB2_FLUSH);
    fixture->session->identity->mechanism = MECHANISM_NONE; /* like what the keeper proves here */
    fixture->session->identity->expires = 0;
    ask(fixture, SMB2_FLUSH, flush, sizeof flush);
    expect_forwarded(fixture, SMB2_FLUSH);
}

/* The client's new ticket; `user` is who it is for. */
static void client_renews(struct fixture *fixture, const char *principal, int64_t expires)
{
    struct session *session = fixture->session;
    struct keeper_proven proven = {.token = some_token_span(), .identity = *session->identity};
    memcpy(proven.identity.principal, principal, strlen(principal) + 1);
    proven.identity.expires = expires;
    memset(proven.handle, 7, sizeof proven.handle);
    session->state = SESSION_RENEWING;
    session->step = STEP_KEEPER_ACCEPT;
    session->setup_waiting = true;
    session->setup_message_id = next_id++;
    client_login_proven(session, &proven);
}

static void expect_renewed(struct fixture *fixture)
{
    struct smb2_header answer = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.status, STATUS_SUCCESS);
    assert_int_equal(fixture->session->state, SESSION_VALID);
}

static void test_client_renews(void **state)
{
    struct fixture *fixture = *state;
    int64_t later = (int64_t)time(NULL) + 100;
    uint8_t flush[24] = {24};
    ask(fixture, SMB2_FLUSH, flush, sizeof flush);
    expect_expired(fixture, SMB2_FLUSH);
    client_renews(fixture, "", later);
    expect_not_told(fixture); /* nothing runs out upstream */
    expect_renewed(fixture);
    assert_int_equal(fixture->session->identity->expires, later);
    ask(fixture, SMB2_FLUSH, flush, sizeof flush);
    expect_forwarded(fixture, SMB2_FLUSH);
    fixture->session->identity->mechanism = MECHANISM_NONE; /* like what the keeper proves here */
    fixture->session->identity->expires = 1;
    ask(fixture, SMB2_FLUSH, flush, sizeof flush);
    expect_expired(fixture, SMB2_FLUSH);
    assert_int_equal(fixture->worker.events_lost, 2);
}

/* With what the client shows, the file server is shown something new too, before the client's
 * SUCCESS: `ticket`, `delegate`. */
static void test_client_renews_on_both_legs(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->session;
    int64_t later = (int64_t)time(NULL) + 100;
    session->upstream_expires = session->identity->expires;
    client_renews(fixture, "", later);
    expect_told(fixture, KEEPER_LOGIN);
    expect_nothing(fixture, LEG_CLIENT);
    upstream_login_continue(session, &(const struct keeper_continue){.token = some_token_span()});
    struct smb2_header setup = expect_signed(fixture, LEG_UPSTREAM);
    uint8_t body[64];
    response_comes(fixture, session->upstream_signer,
                   response_header(SMB2_SESSION_SETUP, setup.message_id, STATUS_SUCCESS),
                   setup_response_body(body, sizeof body, 0));
    expect_told(fixture, KEEPER_STEP);
    expect_nothing(fixture, LEG_CLIENT);
    upstream_login_done(session, &(const struct keeper_logged_in){.expires = later});
    expect_renewed(fixture);
    assert_int_equal(session->upstream_expires, later);
}

/* Another realm's user of the same name is somebody else. */
static void test_somebody_else_renews(void **state)
{
    struct fixture *fixture = *state;
    memcpy(fixture->session->identity->principal, "a@ONE", 6);
    client_renews(fixture, "a@TWO", (int64_t)time(NULL) + 100);
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.status, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.sessions.count, 0);
    fixture->session = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, expiry_open, keeper_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_are_refused),
        TEST(test_what_ends_something_goes_on),
        TEST(test_locks_are_released_and_not_taken),
        TEST(test_what_waits_is_not_touched),
        TEST(test_unsigned_request_ends_the_link),
        TEST(test_before_the_end),
        TEST(test_client_renews),
        TEST(test_client_renews_on_both_legs),
        TEST(test_somebody_else_renews),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
