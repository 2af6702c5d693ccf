/* A login that cannot be asked for, since there is no keeper now: its session is gone at once. */
#include <openssl/crypto.h>

#include "tests/unit/link_traffic.h"

/* In the place of OpenSSL's, which AddressSanitizer does not see into. */
void OPENSSL_cleanse(void *at, size_t size)
{
    volatile uint8_t *byte = at;
    for (size_t i = 0; i < size; i++)
        byte[i] = 0;
}

static void test_login_without_a_keeper(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    struct session *session = session_new(link);
    assert_non_null(session);
    session->state = SESSION_LOGGING_IN;
    session->setup_waiting = true;
    session->setup_message_id = 7;
    table_add(&link->sessions, &session->by_client_id, session->client_id);
    upstream_login_start(session);
    assert_int_equal(link->sessions.count, 1); /* the fixture's own */
    struct smb2_header answer = expect_message(fixture, LEG_CLIENT);
    assert_int_equal(answer.command, SMB2_SESSION_SETUP);
    assert_int_equal(answer.message_id, 7);
    assert_int_equal(answer.status, STATUS_NO_LOGON_SERVERS);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(link->end, END_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_login_without_a_keeper, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
