/* Durable reconnects of mapped users: the recorder is asked whose the handle is, once for a frame.
 */
#include "tests/unit/link_traffic.h"

#include "proxy/recorder.h"

enum { ROUNDS = 5, MANY_QUESTIONS = 100 };

/* The recorder's end: it counts what it is asked, and answers. */
struct recorder {
    struct channel *channel;
    enum directory_answer says;
    unsigned asked, entered, removed;
    uint64_t last; /* by which handle it knows what it was last told of */
};

static bool asks(void *context, uint16_t type, struct span body, int fd)
{
    struct recorder *recorder = context;
    struct directory_entry entry;
    uint64_t query;
    uint8_t answer[32];
    struct writer writer = writer_over(answer, sizeof answer);
    (void)fd;
    recorder->entered += type == RECORDER_DURABLE_ADD;
    recorder->removed += type == RECORDER_DURABLE_REMOVE;
    if (type == RECORDER_DURABLE_ADD || type == RECORDER_DURABLE_REMOVE) {
        assert_true(directory_entry_read(body, &query, &entry));
        recorder->last = entry.client_id;
    }
    if (type != RECORDER_DURABLE_FIND)
        return true;
    assert_true(++recorder->asked < MANY_QUESTIONS);
    assert_true(directory_entry_read(body, &query, &entry));
    directory_found_write(&writer, query, recorder->says, FIXTURE_UPSTREAM_ID);
    assert_true(writer_done(&writer));
    assert_true(channel_send(recorder->channel, RECORDER_SESSION_FOUND, writer_span(&writer), -1));
    return true;
}

static bool answers(void *context, uint16_t type, struct span body, int fd)
{
    struct fixture *fixture = context;
    (void)fd;
    assert_int_equal(type, RECORDER_SESSION_FOUND);
    return worker_directory_answer(&fixture->worker, body);
}

static void gone(void *context, bool malformed)
{
    (void)context;
    assert_false(malformed);
}

static void open_recorder(struct fixture *fixture, struct recorder *recorder)
{
    static const struct channel_handler asked = {asks, gone}, answered = {answers, gone};
    struct session *session = fixture->session;
    int fds[2];
    assert_true(channel_pair(fds));
    recorder->channel = channel_new(fixture->worker.base, fds[0], &asked, recorder);
    fixture->worker.recorder = channel_new(fixture->worker.base, fds[1], &answered, fixture);
    assert_true(recorder->channel && fixture->worker.recorder);
    strcpy(session->login, login_kind_name(LOGIN_MAPPED));
    traffic_begin(fixture);
    add_tree(fixture, PLAIN_TREE, false);
}

static void close_recorder(struct fixture *fixture, struct recorder *recorder)
{
    worker_drop_query(fixture->session);
    channel_free(recorder->channel);
    channel_free(fixture->worker.recorder);
    fixture->worker.recorder = NULL;
}

enum { NAME_AT = 16, DATA_AT = 24, CONTEXT_SIZE = DATA_AT + FILE_ID_SIZE };

/* A context that wants a durable handle back (DHnC, MS-SMB2 2.2.13.2.4). */
static void write_context(struct writer *writer, uint64_t persistent_id, bool more)
{
    write_le32(writer, more ? CONTEXT_SIZE : 0);
    write_le16(writer, NAME_AT);
    write_le16(writer, 4);
    write_le16(writer, 0);
    write_le16(writer, DATA_AT);
    write_le32(writer, FILE_ID_SIZE);
    write_bytes(writer, "DHnC", 4);
    write_zeros(writer, DATA_AT - NAME_AT - 4);
    write_le64(writer, persistent_id);
    write_zeros(writer, FILE_ID_SIZE - 8);
}

/* A CREATE with one of them, or with several. */
static struct span reconnects_body(uint8_t *room, size_t size, uint64_t persistent_id,
                                   unsigned count)
{
    struct writer writer = writer_over(room, size);
    write_le16(&writer, 57);
    write_zeros(&writer, 46);
    write_le32(&writer, SMB2_HEADER_SIZE + 56);
    write_le32(&writer, count * CONTEXT_SIZE);
    for (unsigned i = 0; i < count; i++)
        write_context(&writer, persistent_id + i, i + 1 < count);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

static struct span reconnect_body(uint8_t *room, size_t size, uint64_t persistent_id)
{
    return reconnects_body(room, size, persistent_id, 1);
}

static void two_reconnects_come(struct fixture *fixture)
{
    struct signer *signer = fixture->session->client_signer;
    struct traffic traffic = {.size = 0};
    uint8_t room[128];
    for (uint64_t id = 1; id <= 2; id++)
        traffic_add(&traffic, signer, request_header(SMB2_CREATE, id, PLAIN_TREE),
                    reconnect_body(room, sizeof room, id), id == 1);
    from_client(fixture, &traffic);
    assert_true(fixture->link.frame_is_held);
    for (unsigned i = 0; i < ROUNDS; i++)
        event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
    assert_false(fixture->link.frame_is_held);
    assert_int_equal(fixture->link.end, END_NONE);
}

/* Of several handles in one frame the first can be had; the others are refused, not asked about. */
static void test_two_reconnects_in_one_frame(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    open_recorder(fixture, &recorder);
    two_reconnects_come(fixture);
    assert_int_equal(recorder.asked, 1);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_CREATE);
    expect_nothing(fixture, LEG_UPSTREAM);
    struct smb2_header refused = expect_signed(fixture, LEG_CLIENT);
    assert_int_equal(refused.message_id, 2);
    assert_int_equal(refused.status, STATUS_OBJECT_NAME_NOT_FOUND);
    close_recorder(fixture, &recorder);
}

static void test_two_reconnects_of_another_user(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_OTHER};
    open_recorder(fixture, &recorder);
    two_reconnects_come(fixture);
    assert_int_equal(recorder.asked, 1);
    expect_nothing(fixture, LEG_UPSTREAM);
    for (uint64_t id = 1; id <= 2; id++) {
        struct smb2_header refused = expect_signed(fixture, LEG_CLIENT);
        assert_int_equal(refused.message_id, id);
        assert_int_equal(refused.status, STATUS_OBJECT_NAME_NOT_FOUND);
    }
    close_recorder(fixture, &recorder);
}

/* What was answered about one frame says nothing about the next. */
static void test_each_frame_is_asked_about(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    uint8_t room[128];
    open_recorder(fixture, &recorder);
    for (uint64_t id = 1; id <= 2; id++) {
        request_comes(fixture, request_header(SMB2_CREATE, id, PLAIN_TREE),
                      reconnect_body(room, sizeof room, 5));
        for (unsigned i = 0; i < ROUNDS; i++)
            event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
        assert_int_equal(recorder.asked, id);
        assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_CREATE);
    }
    close_recorder(fixture, &recorder);
}

/* A chain says of its second request only that it is of the first one's session. */
static void test_reconnect_behind_another_request(void **state)
{
    struct fixture *fixture = *state;
    struct signer *signer = fixture->session->client_signer;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    struct traffic traffic = {.size = 0};
    struct smb2_header create = request_header(SMB2_CREATE, 2, UINT32_MAX);
    uint8_t room[128], frame[TRAFFIC_ROOM];
    open_recorder(fixture, &recorder);
    create.flags = SMB2_FLAGS_RELATED_OPERATIONS;
    create.session_id = SMB2_SESSION_ID_RELATED;
    traffic_add(&traffic, signer, request_header(SMB2_FLUSH, 1, PLAIN_TREE), flush_body(), true);
    traffic_add(&traffic, signer, create, reconnect_body(room, sizeof room, 1), false);
    from_client(fixture, &traffic);
    for (unsigned i = 0; i < ROUNDS; i++)
        event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
    assert_int_equal(recorder.asked, 1);
    size_t size = next_frame(fixture, LEG_UPSTREAM, frame);
    assert_true(size > 2 * SMB2_HEADER_SIZE);
    expect_nothing(fixture, LEG_CLIENT);
    close_recorder(fixture, &recorder);
}

/* The session goes on while its client authenticates again. */
static void test_reconnect_during_a_renewal(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    uint8_t room[128];
    open_recorder(fixture, &recorder);
    fixture->session->state = SESSION_RENEWING;
    request_comes(fixture, request_header(SMB2_CREATE, 1, PLAIN_TREE),
                  reconnect_body(room, sizeof room, 5));
    for (unsigned i = 0; i < ROUNDS; i++)
        event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
    assert_int_equal(recorder.asked, 1);
    assert_int_equal(expect_signed(fixture, LEG_UPSTREAM).command, SMB2_CREATE);
    expect_nothing(fixture, LEG_CLIENT);
    close_recorder(fixture, &recorder);
}

/* One is asked about, and which of them the file server would take is its own business. */
static void test_two_handles_in_one_request(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    uint8_t room[256];
    open_recorder(fixture, &recorder);
    request_comes(fixture, request_header(SMB2_CREATE, 1, PLAIN_TREE),
                  reconnects_body(room, sizeof room, 1, 2));
    for (unsigned i = 0; i < ROUNDS; i++)
        event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, STATUS_OBJECT_NAME_NOT_FOUND);
    expect_nothing(fixture, LEG_UPSTREAM);
    assert_int_equal(fixture->link.end, END_NONE);
    close_recorder(fixture, &recorder);
}

/* A CREATE response that opens HANDLE, durable or with no word about it. */
enum { HANDLE = 0x77, OTHER_HALF = 0x88 };

static struct span created_body(uint8_t *room, size_t size, bool durable)
{
    struct writer writer = writer_over(room, size);
    write_le16(&writer, 89);
    write_zeros(&writer, 62);
    write_le64(&writer, HANDLE);
    write_le64(&writer, OTHER_HALF);
    write_le32(&writer, durable ? SMB2_HEADER_SIZE + 88 : 0);
    write_le32(&writer, durable ? 32 : 0);
    if (durable) {
        write_le32(&writer, 0);
        write_le16(&writer, NAME_AT);
        write_le16(&writer, 4);
        write_le16(&writer, 0);
        write_le16(&writer, DATA_AT);
        write_le32(&writer, 8);
        write_bytes(&writer, "DHnQ", 4);
        write_zeros(&writer, DATA_AT - NAME_AT - 4 + 8);
    }
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

static void run_recorder(const struct fixture *fixture)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
}

/* A request and its response. */
static void exchange(struct fixture *fixture, struct smb2_header request, struct span body,
                     uint32_t status, struct span answer)
{
    request_comes(fixture, request, body);
    run_recorder(fixture);
    uint64_t id = expect_signed(fixture, LEG_UPSTREAM).message_id;
    response_comes(fixture, fixture->session->upstream_signer,
                   response_header(request.command, id, status), answer);
    assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, status);
    run_recorder(fixture);
}

/* Opens the handle, by itself or as one that was had before, and closes it. */
static void open_and_close(struct fixture *fixture, unsigned had_back, bool durable,
                           uint32_t closed)
{
    uint8_t wanted[256], created[256], close[24] = {24}, file_id[FILE_ID_SIZE];
    put_le64(close + 8, HANDLE);
    put_le64(close + 16, OTHER_HALF);
    memcpy(file_id, close + 8, sizeof file_id);
    exchange(fixture, request_header(SMB2_CREATE, 1, PLAIN_TREE),
             reconnects_body(wanted, sizeof wanted, HANDLE, had_back), STATUS_SUCCESS,
             created_body(created, sizeof created, durable));
    assert_non_null(open_find(&fixture->link, file_id));
    uint8_t answer[60] = {60};
    exchange(fixture, request_header(SMB2_CLOSE, 2, PLAIN_TREE), (struct span){close, sizeof close},
             closed,
             closed == STATUS_SUCCESS ? (struct span){answer, sizeof answer} : error_body());
    assert_null(open_find(&fixture->link, file_id));
}

/* The recorder's room is for handles that are open: those that were closed take none of it. */
static void test_closed_handle_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    open_recorder(fixture, &recorder);
    open_and_close(fixture, 0, true, STATUS_SUCCESS);
    assert_int_equal(recorder.entered, 1);
    assert_int_equal(recorder.removed, 1);
    assert_int_not_equal(recorder.last, 0);
    close_recorder(fixture, &recorder);
}

static void test_closed_handle_that_was_had_back_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    open_recorder(fixture, &recorder);
    open_and_close(fixture, 1, false, STATUS_SUCCESS);
    assert_int_equal(recorder.asked, 1);
    assert_int_equal(recorder.removed, 1);
    close_recorder(fixture, &recorder);
}

/* It may have been had back on another connection. */
static void test_handle_that_was_not_there_to_close(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    open_recorder(fixture, &recorder);
    open_and_close(fixture, 0, true, STATUS_FILE_CLOSED);
    assert_int_equal(recorder.entered, 1);
    assert_int_equal(recorder.removed, 0);
    close_recorder(fixture, &recorder);
}

static void test_closed_handle_of_no_interest(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder = {.says = DIRECTORY_FOUND};
    open_recorder(fixture, &recorder);
    open_and_close(fixture, 0, false, STATUS_SUCCESS);
    assert_int_equal(recorder.entered + recorder.removed, 0);
    close_recorder(fixture, &recorder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_reconnects_in_one_frame),
        TEST(test_two_reconnects_of_another_user),
        TEST(test_each_frame_is_asked_about),
        TEST(test_reconnect_behind_another_request),
        TEST(test_reconnect_during_a_renewal),
        TEST(test_two_handles_in_one_request),
        TEST(test_closed_handle_is_forgotten),
        TEST(test_closed_handle_that_was_had_back_is_forgotten),
        TEST(test_handle_that_was_not_there_to_close),
        TEST(test_closed_handle_of_no_interest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
