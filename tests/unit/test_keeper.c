/* The keeper as a process: logins from end to end, its start, its end, and new credentials. */
#include "tests/unit/keeper_roles.h"

static void test_login_same(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "WORKGROUP", alice_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    serve(*state, worker, 2, "alice", alice_hash, "same", "alice", false);
}

/* The domain of the entry, in the entry's spelling, is the domain of the login. */
static void test_login_same_with_domain(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "carol", "example", carol_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    serve(*state, worker, 2, "carol", carol_hash, "same", "EXAMPLE\\carol", false);
}

static void test_login_mapped(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "", alice_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_MAPPED, handle);
    serve(*state, worker, 2, "service", service_hash, "mapped", "NAS\\service", false);
}

/* The second login of the list only when the first has no credential, and then it is said. */
static void test_fallback(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "", alice_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_MAPPED_SAME, handle);
    serve(*state, worker, 2, "service", service_hash, "mapped", "NAS\\service", false);
    prove(*state, worker, 3, 8, "bob", "", bob_hash, handle);
    send_login(worker, 4, 8, UPSTREAM_MAPPED_SAME, handle);
    serve(*state, worker, 4, "bob", bob_hash, "same", "bob", true);
}

static void test_no_credential(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "bob", "", bob_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_MAPPED, handle);
    struct keeper_refused refused = expect_refused(*state, worker, 2);
    assert_int_equal(refused.reason, KEEPER_REASON_NO_CREDENTIAL);
    assert_string_equal(refused.identity.user, "bob");
}

static enum refusal refusal_of(struct harness *harness, struct played *worker, uint64_t attempt,
                               const char *user, const uint8_t hash[NT_HASH_SIZE])
{
    static struct client client;
    client_begin(&client, user, "WORKGROUP", hash);
    client_log_in(harness, worker, &client, attempt, 7);
    struct keeper_refused refused = expect_refused(harness, worker, attempt);
    assert_int_equal(refused.reason, KEEPER_REASON_REFUSAL);
    assert_string_equal(refused.identity.user, user);
    initiator_free(client.initiator);
    return refused.refusal;
}

static void test_client_refused(void **state)
{
    struct played *worker = add_worker(*state);
    assert_int_equal(refusal_of(*state, worker, 1, "alice", bob_hash), REFUSAL_WRONG_PASSWORD);
    /* A number may be used again after it ended. */
    assert_int_equal(refusal_of(*state, worker, 1, "mallory", bob_hash), REFUSAL_UNKNOWN_USER);
    send_accept(worker, 1, 7, 0, (struct span){(const uint8_t *)"junk", 4});
    assert_int_equal(expect_refused(*state, worker, 1).refusal, REFUSAL_MALFORMED);
}

/* The file server's side refused by the keeper: its token is no token. */
static void test_file_server_refused(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "", alice_hash, handle);
    send_login(worker, 2, 7, UPSTREAM_SAME, handle);
    free(expect_letter(*state, worker, KEEPER_CONTINUE));
    send_step(worker, 2, (struct span){(const uint8_t *)"junk", 4});
    struct keeper_refused refused = expect_refused(*state, worker, 2);
    assert_int_equal(refused.reason, KEEPER_REASON_REFUSAL);
    assert_int_not_equal(refused.refusal, REFUSAL_NONE);
    assert_string_equal(refused.identity.user, "alice");
}

/* Proves `user` on link 7 and asks for the login `attempt`. */
static void ask_for_login(struct harness *harness, struct played *worker, uint64_t attempt,
                          const char *user, const uint8_t hash[NT_HASH_SIZE], uint32_t upstream)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, 1000 + attempt, 7, user, "", hash, handle);
    send_login(worker, attempt, 7, upstream, handle);
}

/* After ask_for_login(): to the keeper's proof, after which the file server has the last word. */
static void show_proof(struct harness *harness, struct played *worker, uint64_t attempt,
                       const char *user, struct login_as as)
{
    static struct server server;
    struct keeper_continue message;
    server_begin(&server, user, bob_hash);
    server_challenge(harness, worker, &server, attempt, as);
    send_step(worker, attempt, server_token(&server));
    (void)server_step(harness, worker, &server, attempt, &message);
    assert_int_not_equal(message.key.size, 0);
    acceptor_free(server.acceptor);
}

static const struct login_as same_alice = {"same", "alice", false};
static const struct login_as mapped_service = {"mapped", "NAS\\service", false};

/* The file server has another password for alice. */
static void refuse_alice(struct harness *harness, struct played *worker, uint64_t attempt)
{
    ask_for_login(harness, worker, attempt, "alice", alice_hash, UPSTREAM_SAME);
    show_proof(harness, worker, attempt, "alice", same_alice);
    send_credential_refused(worker, attempt);
}

static void expect_rest(struct harness *harness, struct played *worker, uint64_t attempt)
{
    struct keeper_refused refused = expect_refused(harness, worker, attempt);
    assert_int_equal(refused.reason, KEEPER_REASON_BACK_OFF);
    assert_string_not_equal(refused.identity.user, "");
}

static void expect_alice_served(struct harness *harness, struct played *worker, uint64_t attempt)
{
    ask_for_login(harness, worker, attempt, "alice", alice_hash, UPSTREAM_SAME);
    serve(harness, worker, attempt, "alice", alice_hash, "same", "alice", false);
}

/* Not even the first token is given, to any worker, however the name is spelled. */
static void test_refused_credential_rests(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *first = add_worker(*state), *second = add_worker(*state);
    refuse_alice(*state, first, 1);
    prove(*state, first, 2, 7, "alice", "", alice_hash, handle);
    for (uint64_t i = 3; i < 8; i += 2) {
        send_login(first, i, 7, UPSTREAM_SAME, handle);
        expect_rest(*state, first, i);
        /* The handle was good once, all the same. */
        send_login(first, i, 7, UPSTREAM_SAME, handle);
        assert_int_equal(expect_refused(*state, first, i).reason, KEEPER_REASON_BAD_HANDLE);
        prove(*state, first, i + 1, 7, "alice", "WORKGROUP", alice_hash, handle);
    }
    ask_for_login(*state, second, 1, "ALICE", alice_hash, UPSTREAM_SAME);
    expect_rest(*state, second, 1);
    /* Others, and other credentials for the same user, are not concerned. */
    ask_for_login(*state, first, 20, "bob", bob_hash, UPSTREAM_SAME);
    serve(*state, first, 20, "bob", bob_hash, "same", "bob", false);
    ask_for_login(*state, first, 21, "alice", alice_hash, UPSTREAM_MAPPED);
    serve(*state, first, 21, "service", service_hash, "mapped", "NAS\\service", false);
}

/* The next login of the list is for users without a credential, not for one that is refused. */
static void test_no_fallback_for_a_refused_credential(void **state)
{
    struct played *worker = add_worker(*state);
    ask_for_login(*state, worker, 1, "alice", alice_hash, UPSTREAM_MAPPED_SAME);
    show_proof(*state, worker, 1, "service", mapped_service);
    send_credential_refused(worker, 1);
    ask_for_login(*state, worker, 2, "alice", alice_hash, UPSTREAM_MAPPED_SAME);
    expect_rest(*state, worker, 2);
}

/* The password that a mapping has for an account is not the one that its user has, nor is an
 * account of one file server the other's. */
static void test_other_credential_for_the_same_account(void **state)
{
    write_credentials(*state, "user:alice:" ALICE_HASH "\nuser:bob:" BOB_HASH "\n"
                              "mapped:bob:alice:" SERVICE_HASH "\n");
    send_control(*state, CONTROL_RELOAD);
    struct played *worker = add_worker(*state);
    ask_for_login(*state, worker, 1, "bob", bob_hash, UPSTREAM_MAPPED_SAME);
    show_proof(*state, worker, 1, "alice", (struct login_as){"mapped", "alice", false});
    send_credential_refused(worker, 1);
    ask_for_login(*state, worker, 2, "alice", alice_hash, UPSTREAM_MAPPED_SAME);
    serve(*state, worker, 2, "alice", alice_hash, "same", "alice", true);
    ask_for_login(*state, worker, 3, "bob", bob_hash, UPSTREAM_MAPPED);
    serve(*state, worker, 3, "alice", service_hash, "mapped", "alice", false);
    ask_for_login(*state, worker, 4, "bob", bob_hash, UPSTREAM_MAPPED_SAME);
    expect_rest(*state, worker, 4);
}

static void test_only_a_refusal_counts(void **state)
{
    struct played *worker = add_worker(*state);
    ask_for_login(*state, worker, 1, "alice", alice_hash, UPSTREAM_SAME);
    show_proof(*state, worker, 1, "alice", same_alice);
    send_forget(worker, 1);
    /* A refusal before the proof was shown is none of the credential. */
    ask_for_login(*state, worker, 2, "alice", alice_hash, UPSTREAM_SAME);
    free(expect_letter(*state, worker, KEEPER_CONTINUE));
    send_credential_refused(worker, 2);
    expect_alice_served(*state, worker, 3);
}

/* Whoever has shown no proof yet when the refusal comes shows none. */
static void test_login_under_way_when_refused(void **state)
{
    static struct server server;
    struct played *worker = add_worker(*state);
    ask_for_login(*state, worker, 1, "alice", alice_hash, UPSTREAM_SAME);
    server_begin(&server, "alice", alice_hash);
    server_challenge(*state, worker, &server, 1, same_alice);
    refuse_alice(*state, worker, 2);
    send_step(worker, 1, server_token(&server));
    expect_rest(*state, worker, 1);
    acceptor_free(server.acceptor);
}

static void test_success_ends_the_rest(void **state)
{
    static struct server server;
    struct played *worker = add_worker(*state);
    struct keeper_continue message;
    ask_for_login(*state, worker, 1, "alice", alice_hash, UPSTREAM_SAME);
    server_begin(&server, "alice", alice_hash);
    server_challenge(*state, worker, &server, 1, same_alice);
    send_step(worker, 1, server_token(&server));
    assert_int_equal(server_step(*state, worker, &server, 1, &message), STEP_DONE);
    refuse_alice(*state, worker, 2);
    ask_for_login(*state, worker, 3, "alice", alice_hash, UPSTREAM_SAME);
    expect_rest(*state, worker, 3);
    send_step(worker, 1, server_token(&server));
    free(expect_letter(*state, worker, KEEPER_LOGGED_IN));
    expect_alice_served(*state, worker, 4);
    acceptor_free(server.acceptor);
}

/* The same credentials, read again, are refused by the same file server: however often. */
static void test_reload_does_not_end_the_rest(void **state)
{
    struct played *worker = add_worker(*state);
    refuse_alice(*state, worker, 1);
    for (uint64_t i = 2; i < 12; i++) {
        if (i % 2)
            write_credentials(*state, "user:alice:this is no hash\n");
        else
            write_credentials(*state, credentials_text);
        send_control(*state, CONTROL_RELOAD);
        struct played *after = add_worker(*state);
        ask_for_login(*state, after, i, "alice", alice_hash, UPSTREAM_SAME);
        expect_rest(*state, after, i);
    }
}

/* Another credential for the same account is another matter, also while a login with the old one is
 * under way; and when the old one comes back, so does its rest. */
static void test_new_credential_ends_the_rest(void **state)
{
    struct played *worker = add_worker(*state);
    refuse_alice(*state, worker, 1);
    ask_for_login(*state, worker, 2, "bob", bob_hash, UPSTREAM_SAME);
    show_proof(*state, worker, 2, "bob", (struct login_as){"same", "bob", false});
    write_credentials(*state, "user:alice:" CAROL_HASH "\nuser:bob:" CAROL_HASH "\n");
    send_control(*state, CONTROL_RELOAD);
    struct played *good = add_worker(*state);
    ask_for_login(*state, good, 1, "alice", carol_hash, UPSTREAM_SAME);
    serve(*state, good, 1, "alice", carol_hash, "same", "alice", false);
    send_credential_refused(worker, 2);
    ask_for_login(*state, worker, 3, "bob", carol_hash, UPSTREAM_SAME);
    serve(*state, worker, 3, "bob", carol_hash, "same", "bob", false);

    write_credentials(*state, credentials_text);
    send_control(*state, CONTROL_RELOAD);
    struct played *before = add_worker(*state);
    ask_for_login(*state, before, 4, "alice", alice_hash, UPSTREAM_SAME);
    expect_rest(*state, before, 4);
    ask_for_login(*state, before, 5, "bob", bob_hash, UPSTREAM_SAME);
    expect_rest(*state, before, 5);
}

/* Many at once on two workers, whose numbers and links are the same. */
static void test_many_together(void **state)
{
    enum { MANY = 20 };
    static struct client clients[2][MANY];
    struct played *workers[2];
    for (unsigned w = 0; w < 2; w++) {
        workers[w] = add_worker(*state);
        for (unsigned i = 0; i < MANY; i++) {
            client_begin(&clients[w][i], "alice", "WORKGROUP", alice_hash);
            send_accept(workers[w], i, i, 0, client_token(&clients[w][i]));
        }
    }
    for (unsigned w = 0; w < 2; w++) {
        bool answered[MANY] = {false};
        for (unsigned i = 0; i < MANY; i++) {
            struct keeper_continue message;
            struct letter *letter = expect_letter(*state, workers[w], KEEPER_CONTINUE);
            assert_true(keeper_continue_read(letter_body(letter), &message));
            assert_true(message.attempt < MANY && !answered[message.attempt]);
            answered[message.attempt] = true;
            free(letter);
        }
    }
    for (unsigned w = 0; w < 2; w++) {
        for (unsigned i = 0; i < MANY; i++)
            initiator_free(clients[w][i].initiator);
    }
}

static void test_broken_reload_keeps_the_old(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    write_credentials(*state, "user:alice:this is no hash\n");
    send_control(*state, CONTROL_RELOAD);
    prove(*state, add_worker(*state), 1, 7, "alice", "", alice_hash, handle);
}

static void test_good_reload_is_used(void **state)
{
    static struct client client;
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *before = add_worker(*state);
    assert_int_equal(refusal_of(*state, before, 1, "dave", carol_hash), REFUSAL_UNKNOWN_USER);
    client_begin(&client, "alice", "", alice_hash);
    send_accept(before, 2, 7, 0, client_token(&client));
    client_go_on(*state, before, &client, 2);

    write_credentials(*state, "user:dave:" CAROL_HASH "\n");
    send_control(*state, CONTROL_RELOAD);
    struct played *after = add_worker(*state);
    prove(*state, after, 1, 7, "dave", "", carol_hash, handle);
    /* A user that was taken out is out at once, even half way through. */
    send_accept(before, 2, 7, 0, client_token(&client));
    assert_int_equal(expect_refused(*state, before, 2).refusal, REFUSAL_UNKNOWN_USER);
    assert_int_equal(refusal_of(*state, after, 3, "alice", alice_hash), REFUSAL_UNKNOWN_USER);
    initiator_free(client.initiator);
}

static void test_reload_under_way(void **state)
{
    enum { MANY = 50 };
    static struct client clients[MANY];
    struct played *worker = add_worker(*state);
    for (unsigned i = 0; i < MANY; i++) {
        client_begin(&clients[i], "alice", "", alice_hash);
        send_accept(worker, i, 7, 0, client_token(&clients[i]));
        send_control(*state, CONTROL_RELOAD);
    }
    for (unsigned i = 0; i < MANY; i++) {
        free(expect_letter(*state, worker, KEEPER_CONTINUE));
        initiator_free(clients[i].initiator);
    }
}

static void test_killed_keeper_is_noticed(void **state)
{
    struct harness *harness = *state;
    struct played *worker = add_worker(harness);
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove(harness, worker, 1, 7, "alice", "", alice_hash, handle);
    assert_int_equal(kill(harness->keeper, SIGKILL), 0);
    wait_until_gone(harness, worker);
    wait_until_gone(harness, &harness->control);
    assert_int_equal(keeper_status(harness), -1);
}

/* It stops with steps in the pool, and leaks nothing of them. */
static void test_stop_with_work_to_do(void **state)
{
    enum { MANY = 200 };
    struct harness *harness = *state;
    static struct client client;
    struct played *worker = add_worker(harness);
    client_begin(&client, "alice", "", alice_hash);
    pause_keeper(harness);
    for (unsigned i = 0; i < MANY; i++)
        send_accept(worker, i, 7, 0, client_token(&client));
    send_control(harness, CONTROL_STOP);
    resume_keeper(harness);
    wait_until_gone(harness, worker);
    assert_int_equal(keeper_status(harness), 0);
    initiator_free(client.initiator);
}

static void test_supervisor_gone(void **state)
{
    struct harness *harness = *state;
    struct played *worker = add_worker(harness);
    played_end(&harness->control);
    wait_until_gone(harness, worker);
    assert_int_equal(keeper_status(harness), 0);
}

static void test_malformed_control(void **state)
{
    struct harness *harness = *state;
    assert_true(channel_send(harness->control.channel, CONTROL_STOP,
                             (struct span){(const uint8_t *)"x", 1}, -1));
    wait_until_gone(harness, &harness->control);
    assert_int_equal(keeper_status(harness), 1);
}

static void test_recorder_is_no_worker(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    wait_until_gone(*state, add_peer(*state, PEER_RECORDER, 0));
    prove(*state, add_worker(*state), 1, 7, "alice", "", alice_hash, handle);
}

/* Without credentials it does not start, and does not say that it is ready. */
static void test_no_start(void **state)
{
    static const char *const broken[] = {NULL, "user:alice:junk\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct harness harness = {0};
        make_credentials(&harness);
        if (broken[i])
            write_credentials(&harness, broken[i]);
        else
            unlink(harness.credentials);
        fork_keeper(&harness);
        wait_until_gone(&harness, &harness.control);
        assert_true(STAILQ_EMPTY(&harness.control.letters));
        assert_int_equal(keeper_status(&harness), 1);
        played_end(&harness.control);
        event_base_free(harness.base);
        unlink(harness.credentials);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(login_kind_name(LOGIN_SAME), "same");
    assert_string_equal(login_kind_name(LOGIN_MAPPED), "mapped");
}

#define WITH_KEEPER(test) cmocka_unit_test_setup_teardown(test, start_keeper, stop_keeper)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KEEPER(test_login_same),
        WITH_KEEPER(test_login_same_with_domain),
        WITH_KEEPER(test_login_mapped),
        WITH_KEEPER(test_fallback),
        WITH_KEEPER(test_no_credential),
        WITH_KEEPER(test_client_refused),
        WITH_KEEPER(test_file_server_refused),
        WITH_KEEPER(test_refused_credential_rests),
        WITH_KEEPER(test_no_fallback_for_a_refused_credential),
        WITH_KEEPER(test_other_credential_for_the_same_account),
        WITH_KEEPER(test_only_a_refusal_counts),
        WITH_KEEPER(test_login_under_way_when_refused),
        WITH_KEEPER(test_success_ends_the_rest),
        WITH_KEEPER(test_reload_does_not_end_the_rest),
        WITH_KEEPER(test_new_credential_ends_the_rest),
        WITH_KEEPER(test_many_together),
        WITH_KEEPER(test_broken_reload_keeps_the_old),
        WITH_KEEPER(test_good_reload_is_used),
        WITH_KEEPER(test_reload_under_way),
        WITH_KEEPER(test_killed_keeper_is_noticed),
        WITH_KEEPER(test_stop_with_work_to_do),
        WITH_KEEPER(test_supervisor_gone),
        WITH_KEEPER(test_malformed_control),
        WITH_KEEPER(test_recorder_is_no_worker),
        cmocka_unit_test(test_no_start),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
