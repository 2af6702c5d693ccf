/* What the file server answers late, early, twice or in the open: what of it is believed, and what
 * ends the link. */
#include "tests/unit/link_traffic.h"

enum { AT_SERVER = 50, AT_CLIENT = 7, ASYNC_ID = 99 };

static struct signer *server_signer(struct fixture *fixture)
{
    return fixture->session->upstream_signer;
}

/* The file server's last word on a request whose interim response has come: its credit is back. */
static void check_final(struct fixture *fixture, uint16_t command, uint32_t status)
{
    struct smb2_header header = response_header(command, AT_SERVER, status);
    header.flags |= SMB2_FLAGS_ASYNC_COMMAND;
    header.async_id = ASYNC_ID;
    response_comes(fixture, server_signer(fixture), header, error_body());
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.pending.by_upstream_id.count, 0);
    assert_int_equal(fixture->link.purse.outstanding, 0);
    expect_nothing(fixture, LEG_CLIENT);
}

static void check_late_interim(struct fixture *fixture, uint16_t command)
{
    response_comes(fixture, NULL, interim_header(command, AT_SERVER, ASYNC_ID), error_body());
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.pending.by_upstream_id.count, 1);
    assert_int_equal(fixture->link.purse.outstanding, 1);
    expect_nothing(fixture, LEG_CLIENT);
}

static void test_interim_for_an_answered_request(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    pending_answered(&fixture->link.pending, pending);
    check_late_interim(fixture, SMB2_READ);
    check_final(fixture, SMB2_READ, STATUS_NOTIFY_CLEANUP);
}

/* A CREATE that nobody waits for any more still counts until its final response. */
static void test_interim_for_an_answered_create(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = add_pending(fixture, SMB2_CREATE, AT_SERVER, AT_CLIENT);
    fixture->link.creates_pending = 1;
    pending_answered(&fixture->link.pending, pending);
    check_late_interim(fixture, SMB2_CREATE);
    assert_int_equal(fixture->link.creates_pending, 1);
    check_final(fixture, SMB2_CREATE, STATUS_ACCESS_DENIED);
    assert_int_equal(fixture->link.creates_pending, 0);
}

static void test_interim_for_our_own_request(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = pending_add(&fixture->link.pending, PENDING_UNHEARD, AT_SERVER, NULL);
    assert_non_null(pending);
    pending->command = SMB2_LOGOFF;
    pending->upstream_charge = 1;
    fixture->link.purse.outstanding = 1;
    check_late_interim(fixture, SMB2_LOGOFF);
    check_final(fixture, SMB2_LOGOFF, STATUS_SUCCESS);
}

/* A second answer to the same request is forged, late or not. */
static void test_late_answer_twice(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    pending_answered(&fixture->link.pending, pending);
    check_final(fixture, SMB2_READ, STATUS_NOTIFY_CLEANUP);
    response_comes(fixture, server_signer(fixture),
                   response_header(SMB2_READ, AT_SERVER, STATUS_NOTIFY_CLEANUP), error_body());
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
}

/* Two answers to one request in one frame: neither goes on, for both would be signed under one
 * MessageId. */
static void twice_in_a_frame(struct fixture *fixture, struct smb2_header first,
                             struct signer *first_signer)
{
    struct traffic traffic = {.size = 0};
    struct smb2_header last = response_header(SMB2_READ, AT_SERVER, STATUS_END_OF_FILE);
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    traffic_add(&traffic, first_signer, first, error_body(), true);
    traffic_add(&traffic, server_signer(fixture), last, error_body(), false);
    from_server(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_CLIENT);
}

static void test_two_answers_in_a_frame(void **state)
{
    struct fixture *fixture = *state;
    twice_in_a_frame(fixture, response_header(SMB2_READ, AT_SERVER, STATUS_END_OF_FILE),
                     server_signer(fixture));
}

static void test_interim_and_answer_in_a_frame(void **state)
{
    struct fixture *fixture = *state;
    twice_in_a_frame(fixture, interim_header(SMB2_READ, AT_SERVER, ASYNC_ID), NULL);
}

static void sealed_response_comes(struct fixture *fixture, struct sealer *sealer,
                                  struct smb2_header header)
{
    enum { BEFORE = TRANSFORM_HEADER_SIZE };
    struct traffic inside = {.size = 0}, traffic = {.size = 0};
    traffic_add(&inside, NULL, header, short_body(), false);
    memcpy(traffic.bytes + BEFORE, inside.bytes, inside.size);
    assert_true(sealer_seal(sealer, traffic.bytes + BEFORE, inside.size));
    traffic.size = BEFORE + inside.size;
    from_server(fixture, &traffic);
}

/* The session ends here and a LOGOFF goes up encrypted: so will its answer come. */
static void end_session(struct fixture *fixture, const struct peer_keys *keys)
{
    fixture->link.purse.next_id = FIRST_UPSTREAM_ID;
    fixture->session->upstream_encrypts = true;
    session_end(fixture->session, true);
    fixture->session = NULL;
    assert_int_equal(expect_sealed(fixture, LEG_UPSTREAM, keys).command, SMB2_LOGOFF);
}

static void test_encrypted_answer_in_an_ended_session(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    end_session(fixture, &keys);
    sealed_response_comes(fixture, keys.server_seals,
                          response_header(SMB2_LOGOFF, FIRST_UPSTREAM_ID, STATUS_SUCCESS));
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.pending.by_upstream_id.count, 0);
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

/* Only with that session's key. */
static void test_wrongly_encrypted_answer_in_an_ended_session(void **state)
{
    static const uint8_t wrong[32] = {77};
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    struct sealer *stranger = sealer_new(CIPHER_AES_128_GCM, wrong, FIXTURE_UPSTREAM_ID, true);
    assert_non_null(stranger);
    end_session(fixture, &keys);
    sealed_response_comes(fixture, stranger,
                          response_header(SMB2_LOGOFF, FIRST_UPSTREAM_ID, STATUS_SUCCESS));
    assert_int_equal(fixture->link.end, END_UPSTREAM_SIGNATURE);
    sealer_free(stranger);
    free_keys(&keys);
}

static void test_plain_interim_for_an_encrypted_request(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    pending->upstream_encrypts = true;
    response_comes(fixture, NULL, interim_header(SMB2_READ, AT_SERVER, ASYNC_ID), error_body());
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
    assert_int_equal(pending->interim, INTERIM_NONE);
    assert_int_equal(fixture->worker.events_lost, 1);
}

static void test_encrypted_interim_for_an_encrypted_request(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    struct pending *pending = add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    struct traffic inside = {.size = 0}, traffic = {.size = TRANSFORM_HEADER_SIZE};
    pending->upstream_encrypts = true;
    traffic_add(&inside, NULL, interim_header(SMB2_READ, AT_SERVER, ASYNC_ID), error_body(), false);
    memcpy(traffic.bytes + traffic.size, inside.bytes, inside.size);
    assert_true(sealer_seal(keys.server_seals, traffic.bytes + traffic.size, inside.size));
    traffic.size += inside.size;
    from_server(fixture, &traffic);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(pending->interim, INTERIM_HELD);
    free_keys(&keys);
}

/* Nobody signs it, so it may say nothing but that it is one: `more` bytes stand behind its body, or
 * belong to it. */
static bool interim_is_taken(struct fixture *fixture, size_t more, bool as_data)
{
    uint8_t body[9 + 64] = {9};
    struct pending *pending = add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    put_le32(body + 4, as_data ? (uint32_t)more : 0);
    response_comes(fixture, NULL, interim_header(SMB2_READ, AT_SERVER, ASYNC_ID),
                   (struct span){body, 9 + more});
    bool taken = fixture->link.end == END_NONE;
    assert_int_equal(pending->interim, taken ? INTERIM_HELD : INTERIM_NONE);
    assert_int_equal(fixture->link.end, taken ? END_NONE : END_UPSTREAM_PROTOCOL);
    assert_int_equal(fixture->worker.events_lost, !taken);
    return taken;
}

static void test_interim_that_is_aligned(void **state)
{
    assert_true(interim_is_taken(*state, 7, false));
}

static void test_interim_with_trailing_bytes(void **state)
{
    assert_false(interim_is_taken(*state, 8, false));
}

static void test_interim_with_data(void **state)
{
    assert_false(interim_is_taken(*state, 1, true));
}

/* A file server that has lost a session cannot sign: the session ends with an event of its own. */
static void test_end_of_a_session_that_nobody_signed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    response_comes(fixture, NULL,
                   response_header(SMB2_READ, AT_SERVER, STATUS_USER_SESSION_DELETED),
                   error_body());
    fixture->session = NULL;
    assert_int_equal(fixture->link.sessions.count, 0);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->worker.events_lost, 2); /* that, and the logoff */
    size_t size = next_frame(fixture, LEG_CLIENT, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.status, STATUS_USER_SESSION_DELETED);
    assert_true(header.flags & SMB2_FLAGS_SIGNED);
}

/* Two requests wait, and the file server gives both of them an interim response. */
static void interims_come(struct fixture *fixture, uint64_t second_async_id, bool one_frame)
{
    struct traffic traffic = {.size = 0};
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    add_pending(fixture, SMB2_READ, AT_SERVER + 1, AT_CLIENT + 1);
    traffic_add(&traffic, NULL, interim_header(SMB2_READ, AT_SERVER, ASYNC_ID), error_body(),
                one_frame);
    if (!one_frame) {
        from_server(fixture, &traffic);
        traffic.size = 0;
    }
    assert_int_equal(fixture->link.end, END_NONE);
    traffic_add(&traffic, NULL, interim_header(SMB2_READ, AT_SERVER + 1, second_async_id),
                error_body(), false);
    from_server(fixture, &traffic);
}

static void check_forged(struct fixture *fixture)
{
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
    assert_int_equal(fixture->link.pending.by_async_id.count, 1);
    assert_int_equal(fixture->worker.events_lost, 1);
}

static void test_one_async_id_for_two_requests(void **state)
{
    interims_come(*state, ASYNC_ID, false);
    check_forged(*state);
}

static void test_one_async_id_for_two_requests_in_one_frame(void **state)
{
    interims_come(*state, ASYNC_ID, true);
    check_forged(*state);
}

static void test_two_async_ids_in_one_frame(void **state)
{
    struct fixture *fixture = *state;
    interims_come(fixture, ASYNC_ID + 1, true);
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.pending.by_async_id.count, 2);
}

/* The client has spent all of its credits, and the file server grants us one at a time. */
static void spend_all(struct fixture *fixture)
{
    struct link *link = &fixture->link;
    assert_true(credit_window_take(&link->window, 0, 1));
    assert_int_equal(credit_window_grant(&link->window, 1), 1);
    assert_true(credit_window_take(&link->window, 1, 1));
    link->purse.available = 0;
    add_pending(fixture, SMB2_READ, AT_SERVER, 1)->credits_wanted = 1;
}

static void test_client_of_a_file_server_with_one_credit(void **state)
{
    struct fixture *fixture = *state;
    spend_all(fixture);
    response_comes(fixture, server_signer(fixture),
                   response_header(SMB2_READ, AT_SERVER, STATUS_ACCESS_DENIED), error_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).credits, 1);
    assert_int_equal(fixture->link.window.available, 1);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* While another response can still bring it, none is given that the file server would not take; but
 * one that it would take is. */
static void test_one_credit_comes_with_the_last_response(void **state)
{
    struct fixture *fixture = *state;
    struct smb2_header header = response_header(SMB2_READ, AT_SERVER, STATUS_ACCESS_DENIED);
    header.credits = 0;
    spend_all(fixture);
    add_pending(fixture, SMB2_READ, AT_SERVER + 1, 2)->credits_wanted = 1;
    response_comes(fixture, server_signer(fixture), header, error_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).credits, 0);
    fixture->link.purse.available = 1;
    fixture->link.held_charge = 1;
    assert_int_equal(answer_credits(&fixture->link, 10, false), 0);
    fixture->link.held_charge = 0;
    assert_int_equal(answer_credits(&fixture->link, 10, false), 1);
    fixture->link.window.available = 0;
    fixture->link.purse.available = 0;
    response_comes(fixture, server_signer(fixture),
                   response_header(SMB2_READ, AT_SERVER + 1, STATUS_ACCESS_DENIED), error_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).credits, 1);
}

/* Rightly signed, and still no answer to what was asked. */
static void test_answer_to_another_command(void **state)
{
    struct fixture *fixture = *state;
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    response_comes(fixture, server_signer(fixture),
                   response_header(SMB2_FLUSH, AT_SERVER, STATUS_SUCCESS), short_body());
    assert_int_equal(fixture->link.end, END_UPSTREAM_PROTOCOL);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_CLIENT);
}

/* What the client asked for it gets once: with the interim response, or, when that was never sent,
 * with the final one. */
static void credits_come_once(struct fixture *fixture, bool passed_on)
{
    enum { WANTED = 10 };
    struct smb2_header header = interim_header(SMB2_READ, AT_SERVER, ASYNC_ID);
    fixture->config.limits.interim_hold = passed_on ? 0 : 60000;
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT)->credits_wanted = WANTED;
    response_comes(fixture, NULL, header, error_body());
    interim_release(&fixture->link);
    if (passed_on)
        assert_int_equal(expect_message(fixture, LEG_CLIENT).credits, WANTED);
    expect_nothing(fixture, LEG_CLIENT);
    header.status = STATUS_ACCESS_DENIED;
    response_comes(fixture, server_signer(fixture), header, error_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).credits, passed_on ? 0 : WANTED);
    event_del(&fixture->link.hold_timer);
}

static void test_credits_of_an_interim_response(void **state)
{
    credits_come_once(*state, true);
}

static void test_credits_of_an_interim_response_that_is_withheld(void **state)
{
    credits_come_once(*state, false);
}

/* Between LOGOFF and its answer. */
static void test_request_in_a_session_that_logs_off(void **state)
{
    struct fixture *fixture = *state;
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
    request_comes(fixture, request_header(SMB2_LOGOFF, 1, 0), short_body());
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_LOGOFF);
    request_comes(fixture, request_header(SMB2_FLUSH, 2, PLAIN_TREE), flush_body());
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_USER_SESSION_DELETED);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* The file server has ended the session, and answers nothing of it any more. */
static void test_what_waits_in_a_session_that_ends(void **state)
{
    struct fixture *fixture = *state;
    uint32_t told[4] = {0};
    struct pending *notify = add_pending(fixture, SMB2_CHANGE_NOTIFY, AT_SERVER, 1);
    pending_set_async_id(&fixture->link.pending, notify, ASYNC_ID);
    notify->interim = INTERIM_SENT;
    add_pending(fixture, SMB2_LOCK, AT_SERVER + 1, 2);
    add_pending(fixture, SMB2_FLUSH, AT_SERVER + 2, 3);
    struct signer *signer = fixture->session->client_signer;
    session_end(fixture->session, false);
    fixture->session = NULL;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t frame[TRAFFIC_ROOM];
        struct smb2_header header;
        size_t size = next_frame(fixture, LEG_CLIENT, frame);
        assert_true(smb2_header_read((struct span){frame, size}, &header));
        assert_true(signer_verify(signer, frame, size)); /* the link remembers it */
        told[header.message_id] = header.status;
        /* The one that was told so is answered under its AsyncId. */
        bool async = header.flags & SMB2_FLAGS_ASYNC_COMMAND;
        assert_int_equal(async, header.message_id == 1);
        assert_int_equal(header.async_id, async ? ASYNC_ID : 0);
    }
    assert_int_equal(told[1], STATUS_NOTIFY_CLEANUP);
    assert_int_equal(told[2], STATUS_USER_SESSION_DELETED);
    assert_int_equal(told[3], STATUS_USER_SESSION_DELETED);
    expect_nothing(fixture, LEG_CLIENT);
}

/* All that is inside a TRANSFORM is of its session; no session at all may only a break be of. */
static void other_session_inside(struct fixture *fixture, uint16_t command, uint64_t message_id,
                                 uint64_t session_id)
{
    struct peer_keys keys = add_keys(fixture);
    struct frame frame = frame_alone(&fixture->worker.buffers, TRAFFIC_ROOM);
    struct smb2_header header = response_header(command, message_id, STATUS_ACCESS_DENIED);
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    assert_non_null(frame.buffer);
    header.session_id = session_id;
    struct writer writer = writer_over(frame.at, TRAFFIC_ROOM);
    smb2_header_write(&writer, &header);
    write_span(&writer, error_body());
    assert_true(sealer_seal(keys.server_seals, frame.at, writer_size(&writer)));
    frame.at -= TRANSFORM_HEADER_SIZE;
    frame.size = writer_size(&writer) + TRANSFORM_HEADER_SIZE;
    frame.headroom -= TRANSFORM_HEADER_SIZE;
    response_frame(&fixture->link, &frame);
    buffer_release(frame.buffer);
    assert_int_equal(fixture->link.end, END_UPSTREAM_SIGNATURE);
    assert_int_equal(fixture->worker.events_lost, 1);
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

static void test_other_session_inside_a_transform(void **state)
{
    other_session_inside(*state, SMB2_READ, AT_SERVER, FIXTURE_UPSTREAM_ID + 1);
}

static void test_no_session_inside_a_transform(void **state)
{
    other_session_inside(*state, SMB2_READ, AT_SERVER, 0);
}

/* A session of its own that ends, with a key: its id. */
static uint64_t end_one(struct fixture *fixture, enum session_state how)
{
    uint8_t key[SIGNING_KEY_SIZE] = {1};
    struct session *session = session_new(&fixture->link);
    assert_non_null(session);
    uint64_t id = session->client_id;
    session->state = how;
    session->client_signer = signer_new(SIGNING_AES_GMAC, key);
    assert_non_null(session->client_signer);
    link_remember_ended(&fixture->link, session);
    assert_null(session->client_signer);
    session_free(session);
    return id;
}

/* Whoever logs off knows: of those the last few are enough, and they take no room from others. */
static void test_which_ended_sessions_are_known(void **state)
{
    enum { MANY = 100 };
    struct fixture *fixture = *state;
    uint64_t ended[MANY], logged_off[MANY];
    fixture->config.limits.sessions_per_connection = 256;
    for (int i = 0; i < MANY; i++) {
        ended[i] = end_one(fixture, SESSION_VALID);
        logged_off[i] = end_one(fixture, SESSION_LOGGING_OFF);
    }
    for (int i = 0; i < MANY; i++) {
        assert_non_null(link_ended_signer(&fixture->link, ended[i]));
        bool is_late = i >= MANY - 16;
        assert_int_equal(link_ended_signer(&fixture->link, logged_off[i]) != NULL, is_late);
    }
}

/* No more than there may be sessions; the last ones. */
static void test_ended_sessions_have_an_end(void **state)
{
    enum { MANY = 100, LIMIT = 40 };
    struct fixture *fixture = *state;
    uint64_t ended[MANY];
    fixture->config.limits.sessions_per_connection = LIMIT;
    for (int i = 0; i < MANY; i++)
        ended[i] = end_one(fixture, SESSION_VALID);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(link_ended_signer(&fixture->link, ended[i]) != NULL, i >= MANY - LIMIT);
}

/* The file server takes no request now; what the session had locked there must not stay so. */
static void test_logoff_that_waits_for_a_credit(void **state)
{
    struct fixture *fixture = *state;
    struct signer *signer;
    struct smb2_header header;
    uint8_t frame[TRAFFIC_ROOM], key[SIGNING_KEY_SIZE] = {1};
    add_pending(fixture, SMB2_READ, AT_SERVER, AT_CLIENT);
    fixture->link.purse.available = 0;
    fixture->link.purse.next_id = AT_SERVER + 1;
    signer = signer_new(SIGNING_AES_CMAC, key);
    assert_non_null(signer);
    signer_free(fixture->session->upstream_signer);
    fixture->session->upstream_signer = signer_new(SIGNING_AES_CMAC, key);
    session_end(fixture->session, true);
    fixture->session = NULL;
    assert_int_equal(expect_message(fixture, LEG_CLIENT).status, STATUS_USER_SESSION_DELETED);
    expect_nothing(fixture, LEG_UPSTREAM);
    response_comes(fixture, signer, response_header(SMB2_READ, AT_SERVER, STATUS_END_OF_FILE),
                   error_body());
    size_t size = next_frame(fixture, LEG_UPSTREAM, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.command, SMB2_LOGOFF);
    assert_int_equal(header.session_id, FIXTURE_UPSTREAM_ID);
    assert_true(signer_verify(signer, frame, size));
    expect_nothing(fixture, LEG_UPSTREAM);
    signer_free(signer);
}

/* The file server has said SUCCESS to a login that comes to nothing here after all. */
static void test_logoff_of_an_encrypted_login_that_failed(void **state)
{
    struct fixture *fixture = *state;
    struct peer_keys keys = add_keys(fixture);
    fixture->session->state = SESSION_LOGGING_IN;
    fixture->link.sessions_valid = 0;
    end_session(fixture, &keys);
    sealed_response_comes(fixture, keys.server_seals,
                          response_header(SMB2_LOGOFF, FIRST_UPSTREAM_ID, STATUS_SUCCESS));
    assert_int_equal(fixture->link.end, END_NONE);
    assert_int_equal(fixture->link.pending.by_upstream_id.count, 0);
    assert_null(link_ended_signer(&fixture->link, FIXTURE_CLIENT_ID));
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

static void test_break_of_another_session_inside_a_transform(void **state)
{
    other_session_inside(*state, SMB2_OPLOCK_BREAK, SMB2_MESSAGE_ID_BREAK, FIXTURE_UPSTREAM_ID + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_interim_for_an_answered_request),
        TEST(test_interim_for_an_answered_create),
        TEST(test_interim_for_our_own_request),
        TEST(test_late_answer_twice),
        TEST(test_two_answers_in_a_frame),
        TEST(test_interim_and_answer_in_a_frame),
        TEST(test_encrypted_answer_in_an_ended_session),
        TEST(test_wrongly_encrypted_answer_in_an_ended_session),
        TEST(test_plain_interim_for_an_encrypted_request),
        TEST(test_encrypted_interim_for_an_encrypted_request),
        TEST(test_interim_that_is_aligned),
        TEST(test_interim_with_trailing_bytes),
        TEST(test_interim_with_data),
        TEST(test_end_of_a_session_that_nobody_signed),
        TEST(test_one_async_id_for_two_requests),
        TEST(test_one_async_id_for_two_requests_in_one_frame),
        TEST(test_two_async_ids_in_one_frame),
        TEST(test_answer_to_another_command),
        TEST(test_credits_of_an_interim_response),
        TEST(test_credits_of_an_interim_response_that_is_withheld),
        TEST(test_request_in_a_session_that_logs_off),
        TEST(test_what_waits_in_a_session_that_ends),
        TEST(test_other_session_inside_a_transform),
        TEST(test_no_session_inside_a_transform),
        TEST(test_break_of_another_session_inside_a_transform),
        TEST(test_logoff_that_waits_for_a_credit),
        TEST(test_logoff_of_an_encrypted_login_that_failed),
        TEST(test_which_ended_sessions_are_known),
        TEST(test_ended_sessions_have_an_end),
        TEST(test_client_of_a_file_server_with_one_credit),
        TEST(test_one_credit_comes_with_the_last_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
