/* Logins that cannot go on: the client is told so, and the session is gone at once. */
#include <openssl/crypto.h>

#include "tests/unit/link_traffic.h"

/* In the place of OpenSSL's, which AddressSanitizer does not see into. */
void OPENSSL_cleanse(void *at, size_t size)
{
    volatile uint8_t *byte = at;
    for (size_t i = 0; i < size; i++)
        byte[i] = 0;
}

/* A second session, whose client waits for the answer to its SESSION_SETUP. */
static struct session *add_session(struct fixture *fixture)
{
    struct session *session = session_new(&fixture->link);
    assert_non_null(session);
    session->state = SESSION_LOGGING_IN;
    session->setup_waiting = true;
    session->setup_message_id = 7;
    table_add(&fixture->link.sessions, &session->by_client_id, session->client_id);
    return session;
}

static void check_refused(struct fixture *fixture, uint32_t status)
{
    assert_int_equal(fixture->link.sessions.count, 1); /* the fixture's own */
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.message_id, 7);
    assert_int_equal(answer.status, status);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->link.end, END_NONE);
}

static void test_login_without_a_keeper(void **state)
{
    upstream_login_start(add_session(*state));
    check_refused(*state, STATUS_NO_LOGON_SERVERS);
}

/* The file server has said SUCCESS, and the keeper would go on: nothing more goes upstream. */
static void test_keeper_goes_on_after_success(void **state)
{
    static const uint8_t token[] = {1, 2, 3};
    const struct keeper_continue reply = {.token = {token, sizeof token}};
    struct fixture *fixture = *state;
    struct session *session = add_session(fixture);
    session->step = STEP_KEEPER_CONFIRM;
    upstream_login_continue(session, &reply);
    check_refused(fixture, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->worker.events_lost, 1);
}

/* The same token when it is the keeper's turn. */
static void test_keeper_goes_on(void **state)
{
    static const uint8_t token[] = {1, 2, 3};
    const struct keeper_continue reply = {.token = {token, sizeof token}};
    struct fixture *fixture = *state;
    struct session *session = add_session(fixture);
    session->step = STEP_KEEPER_LOGIN;
    upstream_login_continue(session, &reply);
    assert_int_equal(expect_message(fixture, LEG_UPSTREAM).command, SMB2_SESSION_SETUP);
    assert_int_equal(session->step, STEP_UPSTREAM);
    expect_nothing(fixture, LEG_CLIENT);
    session_end(session, false);
}

/* The keeper is content, and the file server has not said SUCCESS yet. */
static void test_keeper_is_done_before_success(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = add_session(fixture);
    session->step = STEP_KEEPER_LOGIN;
    upstream_login_done(session, NULL);
    check_refused(fixture, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->worker.events_lost, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_login_without_a_keeper),
        TEST(test_keeper_goes_on_after_success),
        TEST(test_keeper_goes_on),
        TEST(test_keeper_is_done_before_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
