/*
 * A hostile worker against a real keeper: it gets no login without a proof of its own, whatever it
 * sends, and an honest worker beside it does not notice.
 */
#include "tests/unit/keeper_roles.h"

#include <sys/socket.h>

static const struct span junk = {(const uint8_t *)"junk", 4};

/* An honest worker, from the proof to the end of a login. */
static void expect_service(struct harness *harness, struct played *worker, uint64_t attempt)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, attempt, attempt, "alice", "", alice_hash, handle);
    send_login(worker, attempt, attempt, UPSTREAM_SAME, handle);
    serve(harness, worker, attempt, "alice", alice_hash, "same", "alice", false);
}

static void expect_bad_handle(struct harness *harness, struct played *worker, uint64_t attempt)
{
    struct keeper_refused refused = expect_refused(harness, worker, attempt);
    assert_int_equal(refused.reason, KEEPER_REASON_BAD_HANDLE);
    /* Nothing is told of whom the handle was for. */
    assert_string_equal(refused.identity.user, "");
}

static void test_login_without_proof(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE] = {0};
    struct played *worker = add_worker(*state);
    send_login(worker, 1, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 1);
    /* Nor with one that differs in one bit from a good one, which stays good. */
    prove(*state, worker, 2, 7, "alice", "", alice_hash, handle);
    handle[KEEPER_HANDLE_SIZE - 1] ^= 1;
    send_login(worker, 3, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 3);
    handle[KEEPER_HANDLE_SIZE - 1] ^= 1;
    send_login(worker, 4, 7, UPSTREAM_SAME, handle);
    serve(*state, worker, 4, "alice", alice_hash, "same", "alice", false);
}

/* A proof that failed gives nothing. */
static void test_login_after_refusal(void **state)
{
    static struct client client;
    static const uint8_t handle[KEEPER_HANDLE_SIZE] = {0};
    struct played *worker = add_worker(*state);
    client_begin(&client, "alice", "", bob_hash);
    client_log_in(*state, worker, &client, 1, 7);
    assert_int_equal(expect_refused(*state, worker, 1).refusal, REFUSAL_WRONG_PASSWORD);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 2);
    initiator_free(client.initiator);
}

static void test_handle_of_another_link(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "", alice_hash, handle);
    send_login(worker, 2, 8, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 2);
    /* It is gone for its own link too. */
    send_login(worker, 3, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 3);
}

static void test_handle_of_another_worker(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *honest = add_worker(*state), *hostile = add_worker(*state);
    prove(*state, honest, 1, 7, "alice", "", alice_hash, handle);
    send_login(hostile, 1, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, hostile, 1);
    /* A handle that came into wrong hands is good for nobody. */
    send_login(honest, 2, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, honest, 2);
    expect_service(*state, honest, 3);
}

static void test_handle_used_twice(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "", alice_hash, handle);
    pause_keeper(*state);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    send_login(worker, 3, 7, UPSTREAM_SAME, handle);
    resume_keeper(*state);
    /* The refusal is made at once; the first token comes from the pool. */
    expect_bad_handle(*state, worker, 3);
    serve(*state, worker, 2, "alice", alice_hash, "same", "alice", false);
    send_login(worker, 4, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, worker, 4);
}

/* A handle goes with its channel, also when a new one takes the worker's place. */
static void test_handle_of_an_ended_worker(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *first = add_worker(*state);
    prove(*state, first, 1, 7, "alice", "", alice_hash, handle);
    played_end(first);
    struct played *second = add_worker(*state);
    send_login(second, 1, 7, UPSTREAM_SAME, handle);
    expect_bad_handle(*state, second, 1);
}

/* What renews a session of alice's on link 7. */
static struct keeper_logged_in log_in(struct harness *harness, struct played *worker,
                                      uint64_t attempt)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, attempt, 7, "alice", "", alice_hash, handle);
    send_login(worker, attempt + 1, 7, UPSTREAM_SAME, handle);
    return serve(harness, worker, attempt + 1, "alice", alice_hash, "same", "alice", false);
}

/* A renewal is for the session's own worker, link and file server, and gives no second one. */
static void test_renewal_in_wrong_hands(void **state)
{
    struct played *honest = add_worker(*state), *hostile = add_worker(*state);
    struct keeper_logged_in logged_in = log_in(*state, honest, 1);
    send_login(hostile, 1, 7, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, hostile, 1);
    send_login(honest, 3, 7, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, honest, 3);
    logged_in = log_in(*state, hostile, 2);
    send_login(hostile, 4, 8, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, hostile, 4);
    logged_in = log_in(*state, hostile, 5);
    send_login(hostile, 7, 7, UPSTREAM_MAPPED_SAME, logged_in.renewal);
    expect_bad_handle(*state, hostile, 7);
    logged_in = log_in(*state, hostile, 8);
    send_login(hostile, 10, 7, UPSTREAM_SAME, logged_in.renewal);
    serve(*state, hostile, 10, "alice", alice_hash, "same", "alice", false);
    send_login(hostile, 11, 7, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, hostile, 11);
}

/* A renewal handle ends with its worker, and releasing ends it; what is none is no harm. */
static void test_renewal_ends(void **state)
{
    static const uint8_t nothing[KEEPER_HANDLE_SIZE] = {0};
    struct played *first = add_worker(*state);
    struct keeper_logged_in logged_in = log_in(*state, first, 1);
    played_end(first);
    struct played *second = add_worker(*state);
    send_login(second, 1, 7, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, second, 1);
    logged_in = log_in(*state, second, 2);
    send_release(second, nothing);
    send_release(second, logged_in.renewal);
    send_release(second, logged_in.renewal);
    send_login(second, 4, 7, UPSTREAM_SAME, logged_in.renewal);
    expect_bad_handle(*state, second, 4);
}

static void test_release_of_anothers_handle(void **state)
{
    struct played *honest = add_worker(*state), *hostile = add_worker(*state);
    struct keeper_logged_in logged_in = log_in(*state, honest, 1);
    send_release(hostile, logged_in.renewal);
    wait_until_gone(*state, hostile);
    send_login(honest, 3, 7, UPSTREAM_SAME, logged_in.renewal);
    serve(*state, honest, 3, "alice", alice_hash, "same", "alice", false);
}

static void test_step_of_somebody_else(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *honest = add_worker(*state), *hostile = add_worker(*state);
    prove(*state, honest, 1, 7, "alice", "", alice_hash, handle);
    send_login(honest, 2, 7, UPSTREAM_SAME, handle);
    wait_for_letter(*state, honest);
    send_step(hostile, 2, junk);
    struct keeper_refused refused = expect_refused(*state, hostile, 2);
    assert_int_equal(refused.refusal, REFUSAL_STALE);
    assert_string_equal(refused.identity.user, "");
    send_forget(hostile, 2);
    serve(*state, honest, 2, "alice", alice_hash, "same", "alice", false);
}

/* What ends a worker. Each gets a fresh one with an attempt 1 of a client on link 7, listener 0,
 * that waits for its next token, and a login 2 that waits for the file server's. */
struct offence {
    const char *name;
    void (*commit)(struct harness *harness, struct played *worker);
};

static void send_raw(struct played *worker, uint16_t type, struct span body, int fd)
{
    assert_true(channel_send(worker->channel, type, body, fd));
}

static void garbled_accept(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, KEEPER_ACCEPT, junk, -1);
}

static void garbled_login(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, KEEPER_LOGIN, junk, -1);
}

static void garbled_step(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, KEEPER_STEP, junk, -1);
}

static void garbled_forget(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, KEEPER_FORGET, junk, -1);
}

static void unknown_type(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, 999, (struct span){NULL, 0}, -1);
}

static void supervisors_stop(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_raw(worker, CONTROL_STOP, (struct span){NULL, 0}, -1);
}

static void supervisors_peer(struct harness *harness, struct played *worker)
{
    static const uint8_t body[] = {PEER_WORKER, 9, 0, 0, 0};
    (void)harness;
    send_raw(worker, CONTROL_PEER, (struct span){body, sizeof body}, STDIN_FILENO);
}

static void keepers_own_message(struct harness *harness, struct played *worker)
{
    static const uint8_t body[8] = {1};
    (void)harness;
    send_raw(worker, KEEPER_LOGGED_IN, (struct span){body, sizeof body}, -1);
}

static void descriptor(struct harness *harness, struct played *worker)
{
    static const uint8_t body[9] = {1};
    (void)harness;
    send_raw(worker, KEEPER_FORGET, (struct span){body, sizeof body}, STDIN_FILENO);
}

static void unknown_listener(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_accept(worker, 3, 7, 2, junk);
}

static void listener_of_no_generation(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_accept(worker, 3, 7, 1u << KEEPER_INDEX_BITS, junk);
}

static void unknown_upstream(struct harness *harness, struct played *worker)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, 3, 7, "alice", "", alice_hash, handle);
    send_login(worker, 4, 7, UPSTREAMS, handle);
}

static void other_link(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_accept(worker, 1, 8, 0, junk);
}

static void other_listener(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_accept(worker, 1, 7, 1, junk);
}

static void step_of_client(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_step(worker, 1, junk);
}

static void accept_of_login(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_accept(worker, 2, 7, 0, junk);
}

static void login_of_open_attempt(struct harness *harness, struct played *worker)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, 3, 7, "alice", "", alice_hash, handle);
    send_login(worker, 1, 7, UPSTREAM_SAME, handle);
}

static void login_of_open_login(struct harness *harness, struct played *worker)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, 3, 7, "alice", "", alice_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
}

static void accept_while_busy(struct harness *harness, struct played *worker)
{
    pause_keeper(harness);
    send_accept(worker, 1, 7, 0, junk);
    send_accept(worker, 1, 7, 0, junk);
    resume_keeper(harness);
}

static void step_while_busy(struct harness *harness, struct played *worker)
{
    pause_keeper(harness);
    send_step(worker, 2, junk);
    send_step(worker, 2, junk);
    resume_keeper(harness);
}

static void refusal_of_client(struct harness *harness, struct played *worker)
{
    (void)harness;
    send_credential_refused(worker, 1);
}

static void refusal_while_busy(struct harness *harness, struct played *worker)
{
    pause_keeper(harness);
    send_step(worker, 2, junk);
    send_credential_refused(worker, 2);
    resume_keeper(harness);
}

static const struct offence offences[] = {
    {"garbled ACCEPT", garbled_accept},
    {"garbled LOGIN", garbled_login},
    {"garbled STEP", garbled_step},
    {"garbled FORGET", garbled_forget},
    {"unknown type", unknown_type},
    {"the supervisor's STOP", supervisors_stop},
    {"the supervisor's PEER", supervisors_peer},
    {"the keeper's own message", keepers_own_message},
    {"a descriptor", descriptor},
    {"unknown listener", unknown_listener},
    {"listener of no generation", listener_of_no_generation},
    {"unknown upstream", unknown_upstream},
    {"ACCEPT with another link", other_link},
    {"ACCEPT with another listener", other_listener},
    {"STEP of a client's attempt", step_of_client},
    {"ACCEPT of a login", accept_of_login},
    {"LOGIN with the number of an attempt", login_of_open_attempt},
    {"LOGIN with the number of a login", login_of_open_login},
    {"ACCEPT while one is in the pool", accept_while_busy},
    {"STEP while one is in the pool", step_while_busy},
    {"refused credential of a client", refusal_of_client},
    {"refused credential while a step is in the pool", refusal_while_busy},
};

static void open_one_of_each(struct harness *harness, struct played *worker)
{
    static struct client client;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    client_begin(&client, "alice", "", alice_hash);
    send_accept(worker, 1, 7, 0, client_token(&client));
    free(expect_letter(harness, worker, KEEPER_CONTINUE));
    initiator_free(client.initiator);
    prove(harness, worker, 2, 7, "bob", "", bob_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    free(expect_letter(harness, worker, KEEPER_CONTINUE));
}

static void test_offences_end_the_worker(void **state)
{
    struct played *honest = add_worker(*state);
    for (size_t i = 0; i < sizeof offences / sizeof offences[0]; i++) {
        struct played *hostile = add_worker(*state);
        open_one_of_each(*state, hostile);
        assert_false(hostile->gone);
        print_message("           %s\n", offences[i].name);
        offences[i].commit(*state, hostile);
        wait_until_gone(*state, hostile);
        /* Of what was still in its pool nothing comes any more. */
        assert_true(STAILQ_EMPTY(&hostile->letters));
        expect_service(*state, honest, 100 + i);
        assert_false(honest->gone);
    }
}

/* A message whose length field lies does not come from channel_send(). */
static void test_malformed_message(void **state)
{
    static const uint8_t liar[] = {KEEPER_FORGET, 0, 0, 0, 99, 0, 0, 0};
    struct played *honest = add_worker(*state);
    int raw = hand_over(*state, PEER_WORKER, 9);
    uint8_t byte;
    assert_int_equal(write(raw, liar, sizeof liar), sizeof liar);
    expect_service(*state, honest, 1);
    assert_true(read(raw, &byte, 1) <= 0);
    assert_int_equal(send(raw, liar, sizeof liar, MSG_NOSIGNAL), -1);
    close(raw);
}

static void test_too_many_attempts(void **state)
{
    static struct client client;
    struct played *greedy = add_worker(*state), *honest = add_worker(*state);
    client_begin(&client, "alice", "", alice_hash);
    for (uint64_t i = 0; i < KEEPER_ATTEMPTS_MAX; i++)
        send_accept(greedy, i, 7, 0, client_token(&client));
    for (uint64_t i = 0; i < KEEPER_ATTEMPTS_MAX; i++)
        free(expect_letter(*state, greedy, KEEPER_CONTINUE));
    send_accept(greedy, KEEPER_ATTEMPTS_MAX, 7, 0, client_token(&client));
    assert_int_equal(expect_refused(*state, greedy, KEEPER_ATTEMPTS_MAX).reason,
                     KEEPER_REASON_BUSY);
    /* Others are not concerned; and room that was given back can be used. */
    expect_service(*state, honest, 1);
    send_forget(greedy, 17);
    send_accept(greedy, KEEPER_ATTEMPTS_MAX, 7, 0, client_token(&client));
    free(expect_letter(*state, greedy, KEEPER_CONTINUE));
    send_accept(greedy, 17, 7, 0, client_token(&client));
    assert_int_equal(expect_refused(*state, greedy, 17).reason, KEEPER_REASON_BUSY);
    /* Forgetting what is in the pool makes no room until it came back, or the pool had no bound. */
    pause_keeper(*state);
    send_forget(greedy, 18);
    send_accept(greedy, 17, 7, 0, client_token(&client));
    send_forget(greedy, 17);
    send_accept(greedy, 18, 7, 0, client_token(&client));
    resume_keeper(*state);
    assert_int_equal(expect_refused(*state, greedy, 18).reason, KEEPER_REASON_BUSY);
    initiator_free(client.initiator);
}

static void test_forgotten_in_the_pool(void **state)
{
    static struct client client;
    struct played *worker = add_worker(*state);
    struct keeper_continue message;
    client_begin(&client, "alice", "", alice_hash);
    pause_keeper(*state);
    send_accept(worker, 1, 7, 0, client_token(&client));
    send_forget(worker, 1);
    send_forget(worker, 1);
    send_accept(worker, 1, 8, 1, client_token(&client));
    send_forget(worker, 99);
    resume_keeper(*state);
    /* One answer, to the second; the number is its own now. */
    struct letter *letter = expect_letter(*state, worker, KEEPER_CONTINUE);
    assert_true(keeper_continue_read(letter_body(letter), &message));
    assert_true(message.attempt == 1);
    free(letter);
    expect_service(*state, worker, 2);
    assert_true(STAILQ_EMPTY(&worker->letters));
    initiator_free(client.initiator);
}

static void test_forgotten_attempt_is_over(void **state)
{
    static struct client client;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    client_begin(&client, "alice", "", alice_hash);
    send_accept(worker, 1, 7, 0, client_token(&client));
    client_go_on(*state, worker, &client, 1);
    send_forget(worker, 1);
    /* A new attempt of that number has made no challenge yet: it proves nothing. */
    send_accept(worker, 1, 7, 0, client_token(&client));
    assert_int_equal(expect_refused(*state, worker, 1).reason, KEEPER_REASON_REFUSAL);
    initiator_free(client.initiator);

    prove(*state, worker, 2, 7, "alice", "", alice_hash, handle);
    send_login(worker, 3, 7, UPSTREAM_SAME, handle);
    free(expect_letter(*state, worker, KEEPER_CONTINUE));
    send_forget(worker, 3);
    send_step(worker, 3, junk);
    assert_int_equal(expect_refused(*state, worker, 3).refusal, REFUSAL_STALE);
}

/* It can keep nobody from an account that it was not shown the proof of. */
static void test_refusals_made_up(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *honest = add_worker(*state), *hostile = add_worker(*state);
    send_credential_refused(hostile, 1);
    prove(*state, honest, 1, 7, "alice", "", alice_hash, handle);
    send_login(honest, 2, 7, UPSTREAM_SAME, handle);
    wait_for_letter(*state, honest);
    send_credential_refused(hostile, 2);
    serve(*state, honest, 2, "alice", alice_hash, "same", "alice", false);
    prove(*state, hostile, 3, 7, "alice", "", alice_hash, handle);
    send_login(hostile, 4, 7, UPSTREAM_SAME, handle);
    free(expect_letter(*state, hostile, KEEPER_CONTINUE));
    send_credential_refused(hostile, 4);
    /* The proof was never asked for. */
    send_step(hostile, 4, junk);
    assert_int_equal(expect_refused(*state, hostile, 4).refusal, REFUSAL_STALE);
    expect_service(*state, honest, 3);
}

/* A worker that goes away with a full pool leaves nothing behind; the sanitizers see it otherwise.
 */
static void test_gone_with_work_in_the_pool(void **state)
{
    enum { MANY = 300 };
    static struct client client;
    struct played *honest = add_worker(*state), *leaving = add_worker(*state);
    client_begin(&client, "alice", "", alice_hash);
    pause_keeper(*state);
    for (uint64_t i = 0; i < MANY; i++)
        send_accept(leaving, i, 7, 0, client_token(&client));
    while (channel_queued(leaving->channel))
        turn(*state);
    played_end(leaving);
    resume_keeper(*state);
    expect_service(*state, honest, 1);
    initiator_free(client.initiator);
}

/* A worker that sends and never reads is cut off; it does not fill the keeper's memory. */
static void test_worker_that_does_not_read(void **state)
{
    uint8_t message[CHANNEL_HEAD_SIZE + sizeof(uint64_t) + sizeof(uint32_t)];
    struct writer writer = writer_over(message, sizeof message);
    struct played *honest = add_worker(*state);
    int raw = hand_over(*state, PEER_WORKER, 9);
    unsigned sent = 0;
    /* An empty STEP of an unknown login, which is answered at once. */
    write_le16(&writer, KEEPER_STEP);
    write_le16(&writer, 0);
    write_le32(&writer, sizeof message);
    write_zeros(&writer, sizeof(uint64_t) + sizeof(uint32_t));
    assert_true(writer_done(&writer));
    assert_int_equal(fcntl(raw, F_SETFL, 0), 0); /* it waits until the keeper reads */
    while (sent < 10 * CHANNEL_QUEUE_MAX && send(raw, message, sizeof message, MSG_NOSIGNAL) > 0)
        sent++;
    assert_in_range(sent, CHANNEL_QUEUE_MAX, 10 * CHANNEL_QUEUE_MAX - 1);
    close(raw);
    expect_service(*state, honest, 1);
}

#define WITH_KEEPER(test) cmocka_unit_test_setup_teardown(test, start_keeper, stop_keeper)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KEEPER(test_login_without_proof),        WITH_KEEPER(test_login_after_refusal),
        WITH_KEEPER(test_handle_of_another_link),     WITH_KEEPER(test_handle_of_another_worker),
        WITH_KEEPER(test_handle_used_twice),          WITH_KEEPER(test_handle_of_an_ended_worker),
        WITH_KEEPER(test_renewal_in_wrong_hands),     WITH_KEEPER(test_renewal_ends),
        WITH_KEEPER(test_release_of_anothers_handle), WITH_KEEPER(test_step_of_somebody_else),
        WITH_KEEPER(test_offences_end_the_worker),    WITH_KEEPER(test_malformed_message),
        WITH_KEEPER(test_too_many_attempts),          WITH_KEEPER(test_forgotten_in_the_pool),
        WITH_KEEPER(test_forgotten_attempt_is_over),  WITH_KEEPER(test_refusals_made_up),
        WITH_KEEPER(test_gone_with_work_in_the_pool), WITH_KEEPER(test_worker_that_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
