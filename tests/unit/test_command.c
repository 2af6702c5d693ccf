/* What becomes of a request, by its command. */
#include "tests/unit/link_fixture.h"

enum { BODY_MAX = 256 };

static void check(struct fixture *fixture, struct request *request, int what, uint32_t status)
{
    struct verdict verdict = command_decide(&fixture->link, fixture->session, &request->message);
    assert_int_equal(verdict.what, what);
    assert_int_equal(verdict.status, status);
    free(request->message.at);
}

/* Gives a TREE_CONNECT its path. */
static void put_path_at(struct request *request, size_t offset, const char *path)
{
    size_t size = strlen(path) * 2;
    uint8_t *at = request->body + offset;
    assert_true(request->message.size >= SMB2_HEADER_SIZE + offset + size);
    put_le16(request->body + 4, (uint16_t)(SMB2_HEADER_SIZE + offset));
    put_le16(request->body + 6, (uint16_t)size);
    for (size_t i = 0; path[i]; i++)
        put_le16(at + 2 * i, (uint8_t)path[i]);
}

static void check_shape(struct fixture *fixture, uint16_t command, uint16_t structure_size,
                        size_t body_size, int what, uint32_t status)
{
    struct request request = simple_request(command, structure_size, body_size);
    if (command == SMB2_TREE_CONNECT && body_size >= 18)
        put_path_at(&request, 8, "\\\\s\\d");
    fixture->session->state = SESSION_VALID; /* a LOGOFF that is forwarded changes it */
    check(fixture, &request, what, status);
    assert_false(link_ended(&fixture->link));
}

/* MS-SMB2 2.2: StructureSize of each request and the bytes that it needs at least. */
static const struct shape {
    uint16_t command;
    uint16_t structure_size;
    size_t body;
} shapes[] = {
    {SMB2_LOGOFF, 4, 4},
    {SMB2_TREE_CONNECT, 9, 18},
    /* with the shortest path there can be */ {SMB2_TREE_DISCONNECT, 4, 4},
    {SMB2_CREATE, 57, 56},
    {SMB2_CLOSE, 24, 24},
    {SMB2_FLUSH, 24, 24},
    {SMB2_READ, 49, 48},
    {SMB2_WRITE, 49, 48},
    {SMB2_LOCK, 48, 24},
    {SMB2_IOCTL, 57, 56},
    {SMB2_QUERY_DIRECTORY, 33, 32},
    {SMB2_CHANGE_NOTIFY, 32, 32},
    {SMB2_QUERY_INFO, 41, 40},
    {SMB2_SET_INFO, 33, 32},
    {SMB2_OPLOCK_BREAK, 24, 24},
    {SMB2_OPLOCK_BREAK, 36, 36},
};

static void test_shapes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const struct shape *shape = &shapes[i];
        uint16_t size = shape->structure_size;
        check_shape(*state, shape->command, size, shape->body, VERDICT_FORWARD, 0);
        check_shape(*state, shape->command, size, shape->body + 100, VERDICT_FORWARD, 0);
        static const int wrong[] = {-1, 1, 256, -9};
        for (size_t j = 0; j < COUNT_OF(wrong); j++)
            check_shape(*state, shape->command, (uint16_t)(size + wrong[j]), shape->body + 100,
                        VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
        if (shape->structure_size == 36)
            continue;
        if (shape->command == SMB2_TREE_CONNECT)
            continue;
        for (size_t less = 1; less <= shape->body; less += shape->body / 4)
            check_shape(*state, shape->command, size, shape->body - less, VERDICT_REFUSE,
                        STATUS_INVALID_PARAMETER);
    }
}

/* Negotiated once, and set up where it is expected; what nobody knows goes nowhere. */
static void test_commands_that_are_never_forwarded(void **state)
{
    static const uint16_t commands[] = {
        SMB2_NEGOTIATE, SMB2_SESSION_SETUP, SMB2_COMMAND_COUNT, SMB2_COMMAND_COUNT + 1, 0x0100,
        0xffff};
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        for (uint16_t size = 0; size < 64; size++)
            check_shape(*state, commands[i], size, BODY_MAX, VERDICT_REFUSE,
                        STATUS_INVALID_PARAMETER);
}

static void test_echo_is_answered_here(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    uint8_t answer[BODY_MAX];
    struct smb2_header header;
    check_shape(fixture, SMB2_ECHO, 4, 4, VERDICT_ANSWERED, 0);
    size_t size = fixture_sent(&link->client, fixture->client_peer, answer, sizeof answer);
    assert_int_equal(size, SMB2_HEADER_SIZE + 4);
    assert_true(smb2_header_read((struct span){answer, size}, &header));
    assert_int_equal(header.command, SMB2_ECHO);
    assert_int_equal(header.status, STATUS_SUCCESS);
    assert_int_equal(header.message_id, 7);
    assert_int_equal(header.session_id, FIXTURE_CLIENT_ID);
    assert_int_equal(header.flags, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_SIGNED);
    assert_true(signer_verify(fixture->session->client_signer, answer, size));
    assert_int_equal(fixture_sent(&link->server, fixture->server_peer, answer, sizeof answer), 0);
    check_shape(fixture, SMB2_ECHO, 5, 4, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
    check_shape(fixture, SMB2_ECHO, 4, 3, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
}

static void test_logoff(void **state)
{
    static const enum session_state others[] = {SESSION_RENEWING, SESSION_LOGGING_OFF};
    struct fixture *fixture = *state;
    struct request request = simple_request(SMB2_LOGOFF, 4, 4);
    check(fixture, &request, VERDICT_FORWARD, 0);
    assert_int_equal(fixture->session->state, SESSION_LOGGING_OFF);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        fixture->session->state = others[i];
        request = simple_request(SMB2_LOGOFF, 4, 4);
        check(fixture, &request, VERDICT_REFUSE, STATUS_REQUEST_NOT_ACCEPTED);
        assert_int_equal(fixture->session->state, others[i]);
    }
}

static void test_dfs_requests(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct request request = simple_request(shapes[i].command, shapes[i].structure_size, 100);
        request.message.header.flags |= SMB2_FLAGS_DFS_OPERATIONS;
        check(fixture, &request, VERDICT_REFUSE, STATUS_FS_DRIVER_REQUIRED);
        assert_int_equal(fixture->worker.events_lost, i + 1);
    }
    assert_int_equal(fixture->session->state,
                     SESSION_VALID); /* the LOGOFF among them did nothing */
}

static struct request ioctl_request(uint32_t code, uint32_t flags)
{
    struct request request = simple_request(SMB2_IOCTL, 57, 56);
    put_le32(request.body + 4, code);
    put_le32(request.body + 48, flags);
    return request;
}

static void test_ioctls(void **state)
{
    static const struct {
        uint32_t code;
        uint32_t status; /* 0: forwarded */
    } rows[] = {
        {FSCTL_QUERY_NETWORK_INTERFACE_INFO, STATUS_INVALID_DEVICE_REQUEST},
        {FSCTL_DFS_GET_REFERRALS, STATUS_NOT_FOUND},
        {FSCTL_DFS_GET_REFERRALS_EX, STATUS_NOT_FOUND},
        {FSCTL_PIPE_TRANSCEIVE, 0},
        {0x00144064, 0}, /* enumerate snapshots */
        {0, 0},
    };
    struct fixture *fixture = *state;
    uint64_t events = 0;
    /* Without the flag, too, the file server might go by the code; what it says to that is for it
     * to decide. */
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        uint32_t flags = i < COUNT_OF(rows) ? SMB2_IOCTL_IS_FSCTL : 0;
        bool refused = rows[i % COUNT_OF(rows)].status != 0;
        struct request request = ioctl_request(rows[i % COUNT_OF(rows)].code, flags);
        check(fixture, &request, refused ? VERDICT_REFUSE : VERDICT_FORWARD,
              rows[i % COUNT_OF(rows)].status);
        events += refused;
        assert_int_equal(fixture->worker.events_lost, events);
    }
}

/* Ranges outside the message: refused, before any server sees them. */
static void test_ranges(void **state)
{
    struct request request = simple_request(SMB2_CREATE, 57, 56);
    put_le16(request.body + 44, SMB2_HEADER_SIZE + 56);
    put_le16(request.body + 46, 2); /* a name of which nothing is there */
    check(*state, &request, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
    request = simple_request(SMB2_TREE_CONNECT, 9, 10);
    put_le16(request.body + 4, SMB2_HEADER_SIZE + 8);
    put_le16(request.body + 6, 4);
    check(*state, &request, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
    request = ioctl_request(FSCTL_PIPE_TRANSCEIVE, SMB2_IOCTL_IS_FSCTL);
    put_le32(request.body + 24, 0xfffffff0);
    put_le32(request.body + 28, 0x20);
    check(*state, &request, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
}

/* Server and share, and nothing else: the rules go by the share. */
static void test_tree_connect_paths(void **state)
{
    static const struct {
        const char *path;
        bool good;
    } rows[] = {
        {"\\\\s\\d", true},    {"\\\\server.example\\a share$", true},
        {"\\\\s\\", false},    {"\\\\\\d", false},
        {"\\s\\d", false},     {"s\\d", false},
        {"\\\\sd", false},     {"\\\\s\\d\\e", false},
        {"\\\\s\\d\\", false}, {"\\\\s\\\\d", false},
        {"//s/d", false},      {"", false},
        {"\\\\\\\\\\", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct request request = simple_request(SMB2_TREE_CONNECT, 9, 100);
        put_path_at(&request, 8, rows[i].path);
        check(*state, &request, rows[i].good ? VERDICT_FORWARD : VERDICT_REFUSE,
              rows[i].good ? 0 : STATUS_BAD_NETWORK_NAME);
    }
    struct request request = simple_request(SMB2_TREE_CONNECT, 9, 100);
    put_path_at(&request, 8, "\\\\s\\d");
    put_le16(request.body + 6, 9); /* half a character */
    check(*state, &request, VERDICT_REFUSE, STATUS_BAD_NETWORK_NAME);
}

static void test_normalized_name_information(void **state)
{
    static const uint16_t dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        bool known = dialects[i] == SMB_3_1_1;
        fixture->link.client.dialect = dialects[i];
        for (uint8_t type = 1; type <= 4; type++) {
            bool forwarded = known || type != 1;
            struct request request = simple_request(SMB2_QUERY_INFO, 41, 40);
            request.body[2] = type;
            request.body[3] = 48;
            check(fixture, &request, forwarded ? VERDICT_FORWARD : VERDICT_REFUSE,
                  forwarded ? 0 : STATUS_NOT_SUPPORTED);
        }
        struct request request = simple_request(SMB2_QUERY_INFO, 41, 40);
        request.body[2] = 1;
        request.body[3] = 18; /* FileAllInformation is everybody's */
        check(fixture, &request, VERDICT_FORWARD, 0);
    }
}

static struct request create_with_contexts(uint32_t next)
{
    struct request request = simple_request(SMB2_CREATE, 57, 56 + 48);
    uint8_t *context = request.body + 56;
    put_le32(request.body + 48, SMB2_HEADER_SIZE + 56);
    put_le32(request.body + 52, 48);
    for (int i = 0; i < 2; i++, context += 24) {
        put_le32(context, i ? 0 : next);
        put_le16(context + 4, 16);
        put_le16(context + 6, 4);
        memcpy(context + 16, "QFid", 4);
    }
    return request;
}

static void test_create_contexts(void **state)
{
    static const uint32_t wrong[] = {4, 20, 48, 56, 0xfffffff8};
    struct request request = create_with_contexts(24);
    check(*state, &request, VERDICT_FORWARD, 0);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        request = create_with_contexts(wrong[i]);
        check(*state, &request, VERDICT_REFUSE, STATUS_INVALID_PARAMETER);
    }
}

/* Below 3.1.1 the bit means nothing, and does not get there: see the translation. */
static void test_tree_connect_extension(void **state)
{
    static const uint16_t dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        bool known = dialects[i] == SMB_3_1_1;
        struct request request = simple_request(SMB2_TREE_CONNECT, 9, 60);
        put_le16(request.body + 2, SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT);
        put_path_at(&request, 24, "\\\\s\\d");
        fixture->link.client.dialect = dialects[i];
        check(fixture, &request, known ? VERDICT_REFUSE : VERDICT_FORWARD,
              known ? STATUS_NOT_SUPPORTED : 0);
    }
}

static void test_validate_at_3_1_1_ends_the_link(void **state)
{
    struct fixture *fixture = *state;
    struct request request = ioctl_request(FSCTL_VALIDATE_NEGOTIATE_INFO, SMB2_IOCTL_IS_FSCTL);
    check(fixture, &request, VERDICT_ANSWERED, 0);
    assert_int_equal(fixture->link.end, END_VALIDATE_MISMATCH);
    assert_int_equal(fixture->worker.events_lost, 1);
    assert_int_equal(fixture->link.client.stream.out_bytes, 0); /* and nobody is told why */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shapes, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_commands_that_are_never_forwarded, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_echo_is_answered_here, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_logoff, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_dfs_requests, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_ioctls, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_ranges, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_tree_connect_paths, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_normalized_name_information, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_create_contexts, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_tree_connect_extension, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_validate_at_3_1_1_ends_the_link, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
