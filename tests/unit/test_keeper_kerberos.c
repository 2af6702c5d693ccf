/* The keeper between clients and a file server that speak Kerberos, with a real KDC. */
#include "tests/unit/keeper_kerberos.h"

#define ALICE "alice@MIT.TEST"
#define FRANK "frank@MIT.TEST"

static struct keeper_refused refused_login(struct harness *harness, struct played *worker,
                                           uint64_t attempt, uint64_t link, uint32_t upstream,
                                           const uint8_t handle[KEEPER_HANDLE_SIZE])
{
    send_login(worker, attempt, link, upstream, handle);
    return expect_refused(harness, worker, attempt);
}

/* No login is had, for a reason of the keeper's own. */
static void expect_no_login(struct harness *harness, struct played *worker, uint64_t attempt,
                            uint64_t link, uint32_t upstream,
                            const uint8_t handle[KEEPER_HANDLE_SIZE], enum keeper_reason reason)
{
    assert_int_equal(refused_login(harness, worker, attempt, link, upstream, handle).reason,
                     reason);
}

static struct identity prove_alice(struct harness *harness, struct played *worker, uint64_t attempt,
                                   const char *service, uint8_t handle[KEEPER_HANDLE_SIZE])
{
    return prove_ticket(harness, worker, attempt, 7, ALICE, "Alice.Pw1", service, handle);
}

static void expect_refusal(const struct keeper_refused *refused, enum refusal refusal)
{
    assert_int_equal(refused->reason, KEEPER_REASON_REFUSAL);
    assert_string_equal(refusal_name(refused->refusal), refusal_name(refusal));
}

/* With the file server's own key: no KDC is asked for it. */
static void test_ticket(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    struct identity identity = prove_alice(*state, worker, 1, NAS_SERVICE, handle);
    assert_int_equal(identity.authority, AUTHORITY_KERBEROS);
    assert_int_equal(kill(realm.kdc, SIGSTOP), 0);
    send_login(worker, 2, 7, BY_TICKET, handle);
    struct keeper_logged_in logged_in =
        serve_kerberos(*state, worker, 2, (struct kerberos_login){"ticket", ALICE, ""});
    assert_int_equal(kill(realm.kdc, SIGCONT), 0);
    /* Only the client can renew it. */
    assert_true(is_nothing(logged_in.renewal));
    assert_true(logged_in.expires == identity.expires);
}

static void test_delegate(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_alice(*state, worker, 1, OWN_SERVICE, handle);
    send_login(worker, 2, 7, BY_DELEGATE, handle);
    serve_kerberos(*state, worker, 2, (struct kerberos_login){"delegate", ALICE, ""});
}

/* A ticket for our own account is not shown to the file server, nor one for its own to the KDC. */
static void test_ticket_for_somebody_else(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_alice(*state, worker, 1, OWN_SERVICE, handle);
    expect_no_login(*state, worker, 2, 7, BY_TICKET, handle, KEEPER_REASON_NO_CREDENTIAL);
    prove_alice(*state, worker, 3, NAS_SERVICE, handle);
    expect_no_login(*state, worker, 4, 7, BY_DELEGATE, handle, KEEPER_REASON_NO_CREDENTIAL);
}

static void test_fallbacks(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_alice(*state, worker, 1, OWN_SERVICE, handle);
    send_login(worker, 2, 7, BY_TICKET_OR_DELEGATE, handle);
    serve_kerberos(*state, worker, 2, (struct kerberos_login){"delegate", ALICE, "no_credential"});
    prove_ticket(*state, worker, 3, 7, FRANK, "Frank.Pw3", OWN_SERVICE, handle);
    send_login(worker, 4, 7, BY_DELEGATE_OR_MAPPED, handle);
    serve_kerberos(*state, worker, 4,
                   (struct kerberos_login){"mapped", "svc@MIT.TEST", "not_delegated"});
    prove_ticket(*state, worker, 5, 7, FRANK, "Frank.Pw3", OWN_SERVICE, handle);
    struct keeper_refused refused = refused_login(*state, worker, 6, 7, BY_DELEGATE, handle);
    expect_refusal(&refused, REFUSAL_NOT_DELEGATED);
    assert_string_equal(refused.identity.principal, FRANK);
}

/* Once the file server has refused, no other login is tried. */
static void test_no_fallback_after_refusal(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    static const uint8_t reject[] = {0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x02};
    prove_alice(*state, worker, 1, NAS_SERVICE, handle);
    send_login(worker, 2, 7, BY_TICKET_OR_SAME, handle);
    free(expect_letter(*state, worker, KEEPER_CONTINUE));
    send_step(worker, 2, (struct span){reject, sizeof reject});
    struct keeper_refused refused = expect_refused(*state, worker, 2);
    expect_refusal(&refused, REFUSAL_NO_MECHANISM);
}

/* The file says that this alice is the realm's. */
static void test_transition(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "alice", "MIT.TEST", alice_hash, handle);
    send_login(worker, 2, 7, BY_TRANSITION, handle);
    serve_kerberos(*state, worker, 2, (struct kerberos_login){"transition", ALICE, ""});
    prove_alice(*state, worker, 3, NAS_SERVICE, handle);
    send_login(worker, 4, 7, BY_TRANSITION, handle);
    serve_kerberos(*state, worker, 4, (struct kerberos_login){"transition", ALICE, ""});
}

/* A local user does not become the realm's user of the same name, whatever domain he names. */
static void test_local_user_is_nobody_in_the_realm(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "bob", "MIT.TEST", bob_hash, handle);
    expect_no_login(*state, worker, 2, 7, BY_TRANSITION, handle, KEEPER_REASON_NO_CREDENTIAL);
}

/* Nor the realm's user the local one. */
static void test_user_of_the_realm_is_no_local_user(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_ticket(*state, worker, 1, 7, "bob@MIT.TEST", "Bob.Pw2", OWN_SERVICE, handle);
    expect_no_login(*state, worker, 2, 7, BY_SAME, handle, KEEPER_REASON_NO_CREDENTIAL);
}

/* A password that the KDC has refused is not shown to it again, by whomever. */
static void test_mapped_password_rests(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove(*state, worker, 1, 7, "carol", "", carol_hash, handle);
    struct keeper_refused refused = refused_login(*state, worker, 2, 7, BY_MAPPED, handle);
    expect_refusal(&refused, REFUSAL_SERVICE_KEY);
    prove(*state, worker, 3, 7, "carol", "", carol_hash, handle);
    expect_no_login(*state, worker, 4, 7, BY_MAPPED, handle, KEEPER_REASON_BACK_OFF);
    prove(*state, worker, 5, 7, "bob", "", bob_hash, handle);
    send_login(worker, 6, 7, BY_MAPPED, handle);
    serve_kerberos(*state, worker, 6, (struct kerberos_login){"mapped", "svc@MIT.TEST", ""});
    send_control(*state, CONTROL_RELOAD);
    worker = add_worker(*state);
    prove(*state, worker, 7, 7, "carol", "", carol_hash, handle);
    assert_int_equal(refused_login(*state, worker, 8, 7, BY_MAPPED, handle).reason,
                     KEEPER_REASON_BACK_OFF);
}

/* Tickets of this KDC tell no domain, so that alice may be MIT\alice: she is nobody else then, and
 * no other login is tried for her. */
static void test_mapping_that_may_be_meant(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_ticket(*state, worker, 1, 7, ALICE, "Alice.Pw1", OWN_SERVICE, handle);
    struct keeper_refused refused =
        refused_login(*state, worker, 2, 7, BY_MAPPED_OR_TRANSITION, handle);
    expect_refusal(&refused, REFUSAL_PAC_MISSING);
    prove_ticket(*state, worker, 3, 7, FRANK, "Frank.Pw3", OWN_SERVICE, handle);
    send_login(worker, 4, 7, BY_MAPPED_OR_TRANSITION, handle);
    serve_kerberos(*state, worker, 4, (struct kerberos_login){"mapped", "svc@MIT.TEST", ""});
}

/* Each login of a session gives what it is renewed with: once, by the same login. */
static void test_renewal(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    const struct kerberos_login as = {"mapped", "svc@MIT.TEST", "not_delegated"};
    const struct kerberos_login again = {"mapped", "svc@MIT.TEST", ""};
    struct played *worker = add_worker(*state);
    prove_ticket(*state, worker, 1, 7, FRANK, "Frank.Pw3", OWN_SERVICE, handle);
    send_login(worker, 2, 7, BY_DELEGATE_OR_MAPPED, handle);
    struct keeper_logged_in first = serve_kerberos(*state, worker, 2, as);
    assert_false(is_nothing(first.renewal));
    send_login(worker, 3, 7, BY_DELEGATE_OR_MAPPED, first.renewal);
    struct keeper_logged_in second = serve_kerberos(*state, worker, 3, again);
    assert_memory_not_equal(first.renewal, second.renewal, KEEPER_HANDLE_SIZE);
    expect_no_login(*state, worker, 4, 7, BY_DELEGATE_OR_MAPPED, first.renewal,
                    KEEPER_REASON_BAD_HANDLE);
    send_login(worker, 5, 7, BY_DELEGATE_OR_MAPPED, second.renewal);
    struct keeper_logged_in third = serve_kerberos(*state, worker, 5, again);
    send_release(worker, third.renewal);
    expect_no_login(*state, worker, 6, 7, BY_DELEGATE_OR_MAPPED, third.renewal,
                    KEEPER_REASON_BAD_HANDLE);
}

static struct keeper_logged_in logged_in_by_delegate(struct harness *harness, struct played *worker)
{
    uint8_t handle[KEEPER_HANDLE_SIZE];
    prove_alice(harness, worker, 1, OWN_SERVICE, handle);
    send_login(worker, 2, 7, BY_DELEGATE, handle);
    return serve_kerberos(harness, worker, 2, (struct kerberos_login){"delegate", ALICE, ""});
}

/* What renews a session is good for that session's link, worker and file server alone. */
static void test_renewal_in_wrong_hands(void **state)
{
    struct played *worker = add_worker(*state);
    struct keeper_logged_in logged_in = logged_in_by_delegate(*state, worker);
    expect_no_login(*state, worker, 3, 7, BY_TRANSITION, logged_in.renewal,
                    KEEPER_REASON_BAD_HANDLE);
    worker = add_worker(*state);
    logged_in = logged_in_by_delegate(*state, worker);
    expect_no_login(*state, worker, 3, 8, BY_DELEGATE, logged_in.renewal, KEEPER_REASON_BAD_HANDLE);
    worker = add_worker(*state);
    logged_in = logged_in_by_delegate(*state, worker);
    struct played *hostile = add_worker(*state);
    expect_no_login(*state, hostile, 1, 7, BY_DELEGATE, logged_in.renewal,
                    KEEPER_REASON_BAD_HANDLE);
    expect_no_login(*state, worker, 3, 7, BY_DELEGATE, logged_in.renewal, KEEPER_REASON_BAD_HANDLE);
}

/* No honest worker knows another one's handle. */
static void test_release_of_anothers_handle(void **state)
{
    struct played *worker = add_worker(*state), *hostile = add_worker(*state);
    struct keeper_logged_in logged_in = logged_in_by_delegate(*state, worker);
    send_release(hostile, logged_in.renewal);
    wait_until_gone(*state, hostile);
    send_login(worker, 3, 7, BY_DELEGATE, logged_in.renewal);
    serve_kerberos(*state, worker, 3, (struct kerberos_login){"delegate", ALICE, ""});
}

/* The ticket of one user never ends in a login of another on the same worker and link. */
static void test_evidence_stays_with_its_handle(void **state)
{
    uint8_t alice[KEEPER_HANDLE_SIZE], bob[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_alice(*state, worker, 1, NAS_SERVICE, alice);
    prove_ticket(*state, worker, 2, 7, "bob@MIT.TEST", "Bob.Pw2", NAS_SERVICE, bob);
    send_login(worker, 3, 7, BY_TICKET, bob);
    serve_kerberos(*state, worker, 3, (struct kerberos_login){"ticket", "bob@MIT.TEST", ""});
    send_login(worker, 4, 7, BY_TICKET, alice);
    serve_kerberos(*state, worker, 4, (struct kerberos_login){"ticket", ALICE, ""});
}

/* While the KDC hangs, only those wait who need it; and a keeper that is told to stop does. */
static void test_silent_kdc(void **state)
{
    uint8_t handle[KEEPER_HANDLE_SIZE], ticket[KEEPER_HANDLE_SIZE];
    struct played *waiting = add_worker(*state), *worker = add_worker(*state);
    prove_alice(*state, worker, 1, NAS_SERVICE, ticket);
    assert_int_equal(kill(realm.kdc, SIGSTOP), 0);
    for (uint64_t attempt = 0; attempt < 8; attempt += 2) {
        prove(*state, waiting, attempt, 7, "bob", "", bob_hash, handle);
        send_login(waiting, attempt + 1, 7, BY_MAPPED, handle);
    }
    time_t began = time(NULL);
    for (uint64_t attempt = 10; attempt < 20; attempt += 2) {
        prove(*state, worker, attempt, 7, "bob", "", bob_hash, handle);
        send_login(worker, attempt + 1, 7, BY_SAME, handle);
        free(expect_letter(*state, worker, KEEPER_CONTINUE));
    }
    send_login(worker, 2, 7, BY_TICKET, ticket);
    serve_kerberos(*state, worker, 2, (struct kerberos_login){"ticket", ALICE, ""});
    assert_true(STAILQ_EMPTY(&waiting->letters));
    assert_int_equal(stop_keeper(state), 0);
    assert_true(time(NULL) - began <= 8);
    assert_int_equal(kill(realm.kdc, SIGCONT), 0);
}

/* A KDC that is gone: whoever was here before goes on with his ticket, for others the next login of
 * the list is taken, and where there is none, it is said why. */
static void test_kdc_is_gone(void **state)
{
    struct keeper_continue message;
    uint8_t handle[KEEPER_HANDLE_SIZE], ticket[KEEPER_HANDLE_SIZE];
    struct played *worker = add_worker(*state);
    prove_alice(*state, worker, 1, OWN_SERVICE, handle);
    prove_alice(*state, worker, 2, OWN_SERVICE, ticket);
    send_login(worker, 3, 7, BY_DELEGATE, handle);
    serve_kerberos(*state, worker, 3, (struct kerberos_login){"delegate", ALICE, ""});
    assert_int_equal(kill(realm.kdc, SIGKILL), 0);
    realm.kdc = 0;
    send_login(worker, 4, 7, BY_DELEGATE, ticket);
    serve_kerberos(*state, worker, 4, (struct kerberos_login){"delegate", ALICE, ""});
    prove(*state, worker, 5, 7, "alice", "MIT.TEST", alice_hash, handle);
    send_login(worker, 6, 7, BY_TRANSITION_OR_SAME, handle);
    struct letter *letter = expect_letter(*state, worker, KEEPER_CONTINUE);
    assert_true(keeper_continue_read(letter_body(letter), &message));
    assert_true(span_is(message.login, "same"));
    assert_true(span_is(message.fallback, "kdc_unreachable"));
    free(letter);
    prove(*state, worker, 7, 7, "alice", "MIT.TEST", alice_hash, handle);
    struct keeper_refused refused = refused_login(*state, worker, 8, 7, BY_TRANSITION, handle);
    expect_refusal(&refused, REFUSAL_KDC_UNREACHABLE);
}

static int stop_unless_stopped(void **state)
{
    if (realm.kdc)
        (void)kill(realm.kdc, SIGCONT);
    return *state ? stop_keeper(state) : 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start_kerberos_keeper, stop_unless_stopped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ticket),
        CASE(test_delegate),
        CASE(test_ticket_for_somebody_else),
        CASE(test_fallbacks),
        CASE(test_no_fallback_after_refusal),
        CASE(test_transition),
        CASE(test_local_user_is_nobody_in_the_realm),
        CASE(test_user_of_the_realm_is_no_local_user),
        CASE(test_mapped_password_rests),
        CASE(test_mapping_that_may_be_meant),
        CASE(test_renewal),
        CASE(test_renewal_in_wrong_hands),
        CASE(test_release_of_anothers_handle),
        CASE(test_evidence_stays_with_its_handle),
        CASE(test_silent_kdc),
        CASE(test_kdc_is_gone), /* the last: there is none any more */
    };
    return cmocka_run_group_tests(tests, realm_start, realm_stop);
}
