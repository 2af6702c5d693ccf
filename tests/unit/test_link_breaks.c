/* Breaks: what is kept, whose lease it is, and in what shape they come and are acknowledged. */
#include "tests/unit/link_traffic.h"

enum { OPLOCK_BODY = 24, LEASE_BODY = 44, SURPLUS = 1000 };

static const uint8_t file_id[FILE_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint8_t lease_key[LEASE_KEY_SIZE] = {9, 8, 7};

static struct smb2_header break_header(void)
{
    return (struct smb2_header){.command = SMB2_OPLOCK_BREAK,
                                .message_id = SMB2_MESSAGE_ID_BREAK,
                                .flags = SMB2_FLAGS_SERVER_TO_REDIR};
}

/* The break of `file_id` or `lease_key`, with more behind it than it says. */
static void break_comes(struct fixture *fixture, struct smb2_header header, bool lease)
{
    uint8_t body[LEASE_BODY + SURPLUS] = {lease ? LEASE_BODY : OPLOCK_BODY};
    memcpy(body + 8, lease ? lease_key : file_id, FILE_ID_SIZE);
    memset(body + LEASE_BODY, 0xee, SURPLUS);
    response_comes(fixture, NULL, header, (struct span){body, sizeof body});
}

static void long_break_comes(struct fixture *fixture, bool lease)
{
    break_comes(fixture, break_header(), lease);
}

static void test_kept_break_is_cut_to_size(void **state)
{
    struct fixture *fixture = *state;
    fixture->link.creates_pending = 1;
    long_break_comes(fixture, false);
    long_break_comes(fixture, true);
    const struct kept_break *kept = fixture->link.breaks;
    assert_non_null(kept);
    assert_int_equal(kept->size, SMB2_HEADER_SIZE + OPLOCK_BODY);
    assert_non_null(kept->next);
    assert_int_equal(kept->next->size, SMB2_HEADER_SIZE + LEASE_BODY);
    assert_int_equal(fixture->link.breaks_count, 2);
    expect_nothing(fixture, LEG_CLIENT);
}

static void test_break_that_is_passed_on_is_cut_to_size(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[TRAFFIC_ROOM];
    assert_true(open_add(&fixture->link, fixture->session, PLAIN_TREE, file_id, NULL));
    long_break_comes(fixture, false);
    assert_int_equal(next_frame(fixture, LEG_CLIENT, frame), SMB2_HEADER_SIZE + OPLOCK_BODY);
    assert_memory_equal(frame + SMB2_HEADER_SIZE + 8, file_id, FILE_ID_SIZE);
    expect_nothing(fixture, LEG_CLIENT);
}

/* Breaks are not encrypted where responses are; on the client's own leg they are. */
static void plain_break_is_passed_on(struct fixture *fixture, uint64_t session_id)
{
    struct peer_keys keys = add_keys(fixture);
    struct smb2_header header = break_header();
    header.session_id = session_id;
    fixture->session->upstream_encrypts = fixture->session->client_encrypts = true;
    assert_true(open_add(&fixture->link, fixture->session, PLAIN_TREE, file_id, NULL));
    break_comes(fixture, header, false);
    struct smb2_header told = expect_sealed(fixture, LEG_CLIENT, &keys);
    assert_int_equal(told.message_id, SMB2_MESSAGE_ID_BREAK);
    assert_int_equal(told.session_id, FIXTURE_CLIENT_ID);
    assert_int_equal(fixture->worker.events_lost, 0);
    expect_nothing(fixture, LEG_CLIENT);
    free_keys(&keys);
}

static void test_plain_break_in_an_encrypted_session(void **state)
{
    plain_break_is_passed_on(*state, FIXTURE_UPSTREAM_ID);
}

static void test_plain_break_of_no_session(void **state)
{
    plain_break_is_passed_on(*state, 0);
}

/* A CREATE that is answered with a status that is no error has opened its file. */
static void test_open_while_an_oplock_is_broken(void **state)
{
    enum { AT_SERVER = 50, OPLOCK_BREAK_IN_PROGRESS = 0x108 };
    struct fixture *fixture = *state;
    uint8_t body[88] = {89};
    memcpy(body + 64, file_id, sizeof file_id);
    fixture->session->validated = true;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t status = i ? OPLOCK_BREAK_IN_PROGRESS : STATUS_ACCESS_DENIED;
        add_pending(fixture, SMB2_CREATE, AT_SERVER + i, 7 + i);
        fixture->link.creates_pending = 1;
        response_comes(fixture, fixture->session->upstream_signer,
                       response_header(SMB2_CREATE, AT_SERVER + i, status),
                       (struct span){body, sizeof body});
        assert_int_equal(expect_signed(fixture, LEG_CLIENT).status, status);
        assert_int_equal(fixture->link.creates_pending, 0);
        assert_int_equal(fixture->link.opens.count, i);
    }
    long_break_comes(fixture, false);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).command, SMB2_OPLOCK_BREAK);
}

/* A file server that invents breaks without end fills the log only so far. */
static void test_flood_of_invented_breaks(void **state)
{
    enum { MANY = 1000, ENOUGH = 100 };
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < MANY && fixture->link.end == END_NONE; i++)
        long_break_comes(fixture, i % 2);
    assert_int_equal(fixture->link.end, END_LIMIT);
    assert_in_range(fixture->worker.events_lost, 1, ENOUGH);
    expect_nothing(fixture, LEG_CLIENT);
}

/* A CREATE request that asks for a lease of `lease_key`. */
static struct span create_with_lease(uint8_t *room, size_t size)
{
    enum { NAME_AT = 16, DATA_AT = 24, DATA_SIZE = 32, CONTEXT_SIZE = DATA_AT + DATA_SIZE };
    const struct smb2_header header = {.command = SMB2_CREATE};
    struct writer writer = writer_over(room, size);
    smb2_header_write(&writer, &header);
    write_le16(&writer, 57);
    write_zeros(&writer, 46);
    write_le32(&writer, SMB2_HEADER_SIZE + 56); /* CreateContextsOffset */
    write_le32(&writer, CONTEXT_SIZE);
    write_le32(&writer, 0); /* Next */
    write_le16(&writer, NAME_AT);
    write_le16(&writer, 4);
    write_le16(&writer, 0);
    write_le16(&writer, DATA_AT);
    write_le32(&writer, DATA_SIZE);
    write_bytes(&writer, "RqLs", 4);
    write_zeros(&writer, DATA_AT - NAME_AT - 4);
    write_bytes(&writer, lease_key, sizeof lease_key);
    write_zeros(&writer, DATA_SIZE - sizeof lease_key);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

/* One client may use one key at two file servers: those are two leases. */
static void test_leases_of_one_key_at_two_upstreams(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    uint8_t room[256];
    bool failed;
    struct span create = create_with_lease(room, sizeof room);
    struct lease *first = lease_of_create(link, create, &failed);
    assert_non_null(first);
    assert_false(failed);
    link->upstream_number = 1;
    assert_false(lease_known(link, lease_key));
    struct lease *second = lease_of_create(link, create, &failed);
    assert_false(failed);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(lease_of_create(link, create, &failed), second);
    assert_int_equal(second->references, 2);
    lease_release(first);
    assert_true(lease_known(link, lease_key));
    link->upstream_number = 0;
    assert_false(lease_known(link, lease_key));
    lease_release(second);
    lease_release(second);
    table_free(&fixture->worker.leases);
}

/* A file server may tell a break once more on another connection of the client, when the lease has
 * gone with the first one: nobody is told, and it is no attack. */
static void test_break_of_a_lease_that_has_just_ended(void **state)
{
    struct fixture *fixture = *state;
    struct link *link = &fixture->link;
    uint8_t room[256];
    bool failed;
    struct lease *lease = lease_of_create(link, create_with_lease(room, sizeof room), &failed);
    long_break_comes(fixture, true);
    assert_int_equal(expect_message(fixture, LEG_CLIENT).command, SMB2_OPLOCK_BREAK);
    lease_release(lease);
    long_break_comes(fixture, true);
    assert_int_equal(fixture->worker.events_lost, 0);

    link->upstream_number = 1; /* another file server's */
    long_break_comes(fixture, true);
    assert_int_equal(fixture->worker.events_lost, 1);
    link->upstream_number = 0;
    link->server.client_guid[0] ^= 1; /* another client's */
    long_break_comes(fixture, true);
    assert_int_equal(fixture->worker.events_lost, 2);
    link->server.client_guid[0] ^= 1;
    fixture->worker.ended_leases[0].ended_ms -= ENDED_LEASE_MS; /* a while ago */
    long_break_comes(fixture, true);
    assert_int_equal(fixture->worker.events_lost, 3);
    expect_nothing(fixture, LEG_CLIENT);
    table_free(&fixture->worker.leases);
}

static struct verdict acknowledged(struct fixture *fixture, uint16_t structure_size, size_t size)
{
    struct request request = simple_request(SMB2_OPLOCK_BREAK, structure_size, size);
    struct verdict verdict = command_decide(&fixture->link, fixture->session, &request.message);
    free(request.message.at);
    return verdict;
}

/* An acknowledgement is as long as it says. */
static void test_acknowledgement_that_is_too_short(void **state)
{
    assert_int_equal(acknowledged(*state, 24, 24).what, VERDICT_FORWARD);
    assert_int_equal(acknowledged(*state, 36, 36).what, VERDICT_FORWARD);
    assert_int_equal(acknowledged(*state, 36, 35).what, VERDICT_REFUSE);
    struct verdict verdict = acknowledged(*state, 36, 24);
    assert_int_equal(verdict.what, VERDICT_REFUSE);
    assert_int_equal(verdict.status, STATUS_INVALID_PARAMETER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kept_break_is_cut_to_size),
        TEST(test_break_that_is_passed_on_is_cut_to_size),
        TEST(test_plain_break_in_an_encrypted_session),
        TEST(test_plain_break_of_no_session),
        TEST(test_open_while_an_oplock_is_broken),
        TEST(test_flood_of_invented_breaks),
        TEST(test_leases_of_one_key_at_two_upstreams),
        TEST(test_break_of_a_lease_that_has_just_ended),
        TEST(test_acknowledgement_that_is_too_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
