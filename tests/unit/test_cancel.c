/* CANCEL: built here, sent once for a request, and only for one of the session's own. */
#include "tests/unit/link_fixture.h"

enum { MESSAGE_MAX = 256 };

static void decide(struct fixture *fixture, struct request *request)
{
    struct verdict verdict = command_decide(&fixture->link, fixture->session, &request->message);
    assert_int_equal(verdict.what, VERDICT_ANSWERED);
    free(request->message.at);
}

static struct pending *add_pending(struct fixture *fixture)
{
    struct pending *pending =
        pending_add(&fixture->link.pending, PENDING_FORWARDED, 1000, fixture->session);
    assert_non_null(pending);
    pending_add_client_id(&fixture->link.pending, pending, 7);
    return pending;
}

static void cancel(struct fixture *fixture, uint64_t message_id, uint64_t async_id)
{
    const struct smb2_header header = {
        .command = SMB2_CANCEL,
        .flags = async_id ? SMB2_FLAGS_ASYNC_COMMAND : 0,
        .message_id = message_id,
        .async_id = async_id,
        .session_id = FIXTURE_CLIENT_ID,
    };
    struct request request = make_request(&header, 4);
    put_le16(request.body, 4);
    decide(fixture, &request);
    assert_int_equal(fixture->link.client.stream.out_bytes, 0); /* never answered */
}

/* Exactly one CANCEL went to the file server; it names the target as the file server knows it. */
static void check_cancelled(struct fixture *fixture, uint64_t async_id)
{
    struct leg *server = &fixture->link.server;
    uint8_t sent[MESSAGE_MAX];
    struct smb2_header header;
    size_t size = fixture_sent(server, fixture->server_peer, sent, sizeof sent);
    assert_int_equal(size, SMB2_HEADER_SIZE + 4);
    assert_true(smb2_header_read((struct span){sent, size}, &header));
    assert_int_equal(header.command, SMB2_CANCEL);
    assert_int_equal(header.message_id, 1000);
    assert_int_equal(header.session_id, FIXTURE_UPSTREAM_ID);
    assert_int_equal(header.async_id, async_id);
    assert_int_equal(header.flags, SMB2_FLAGS_SIGNED | (async_id ? SMB2_FLAGS_ASYNC_COMMAND : 0));
    assert_true(signer_verify(fixture->session->upstream_signer, sent, size));
    assert_int_equal(fixture_sent(server, fixture->server_peer, sent, sizeof sent), 0);
}

static void check_not_cancelled(struct fixture *fixture)
{
    uint8_t sent[MESSAGE_MAX];
    assert_int_equal(fixture_sent(&fixture->link.server, fixture->server_peer, sent, sizeof sent),
                     0);
}

static void test_cancel_by_message_id_once(void **state)
{
    (void)add_pending(*state);
    cancel(*state, 8, 0);    /* nobody's */
    cancel(*state, 1000, 0); /* the file server's number means nothing here */
    check_not_cancelled(*state);
    cancel(*state, 7, 0);
    check_cancelled(*state, 0);
    cancel(*state, 7, 0); /* a second one would repeat a nonce */
    check_not_cancelled(*state);
}

static void test_cancel_by_async_id_once(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = add_pending(fixture);
    cancel(fixture, 0, 55); /* not asynchronous yet */
    check_not_cancelled(fixture);
    pending_set_async_id(&fixture->link.pending, pending, 55);
    pending->interim = INTERIM_SENT;
    cancel(fixture, 7, 56);
    check_not_cancelled(fixture);
    cancel(fixture, 0, 55);
    check_cancelled(fixture, 55);
    cancel(fixture, 7, 0); /* nor by its other name */
    cancel(fixture, 7, 55);
    check_not_cancelled(fixture);
}

static void test_cancel_of_what_is_not_theirs(void **state)
{
    struct fixture *fixture = *state;
    struct session *other = session_new(&fixture->link);
    assert_non_null(other);
    struct pending *pending = pending_add(&fixture->link.pending, PENDING_FORWARDED, 1000, other);
    assert_non_null(pending);
    pending_add_client_id(&fixture->link.pending, pending, 7);
    cancel(fixture, 7, 0);
    check_not_cancelled(fixture);
    pending_remove(&fixture->link.pending, pending);
    session_free(other);

    pending = add_pending(fixture);
    pending_answered(&fixture->link.pending, pending);
    cancel(fixture, 7, 0);
    check_not_cancelled(fixture);
}

static void check_malformed(struct fixture *fixture, uint16_t structure_size, size_t body_size)
{
    struct request request = simple_request(SMB2_CANCEL, structure_size, body_size);
    decide(fixture, &request);
    check_not_cancelled(fixture);
    assert_int_equal(fixture->link.client.stream.out_bytes, 0);
}

/* A malformed CANCEL has no answer either. */
static void test_malformed_cancel(void **state)
{
    (void)add_pending(*state);
    check_malformed(*state, 5, 4);
    check_malformed(*state, 4, 2);
    check_not_cancelled(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancel_by_message_id_once, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_cancel_by_async_id_once, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_cancel_of_what_is_not_theirs, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_malformed_cancel, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
