/* Tickets that a KDC gives for logins upstream, from a real one: its refusals, its silence, and
 * what is remembered of it. */
#include "tests/unit/kerberos_realm.h"

#include <sys/wait.h>
#include <time.h>

#include "crypto/evidence.h"
#include "crypto/kerberos.h"
#include "crypto/upstream_ticket.h"

static struct upstream_tickets *tickets;

static int begin(void **state)
{
    (void)state;
    tickets = upstream_tickets_new();
    return tickets ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    (void)kill(realm.kdc, SIGCONT);
    upstream_tickets_free(tickets);
    return 0;
}

static struct ticket_request transition_of(const char *user)
{
    return (struct ticket_request){
        .key = {0, LOGIN_TRANSITION, user},
        .target = "cifs/nas.mit.test",
        .account = {OWN_SERVICE, ACCOUNT_KEYTAB, realm.own_keytab},
    };
}

static struct ticket_request mapped(enum account_key key, const char *secret)
{
    return (struct ticket_request){
        .key = {0, LOGIN_MAPPED, "svc@MIT.TEST"},
        .target = "cifs/nas.mit.test",
        .account = {"svc@MIT.TEST", key, secret},
    };
}

/* The ticket must be of that client, for the file server. */
static void expect_ticket(const struct ticket_request *request, bool may_block, const char *client)
{
    krb5_context context = kerberos_context();
    enum refusal refusal;
    krb5_creds creds;
    char *name;
    enum ticket_answer answer =
        upstream_ticket(tickets, context, request, may_block, &creds, &refusal);
    if (answer != TICKET_HERE)
        fail_msg("no ticket: %s", refusal_name(refusal));
    assert_int_equal(krb5_unparse_name(context, creds.client, &name), 0);
    assert_string_equal(name, client);
    krb5_free_unparsed_name(context, name);
    assert_int_equal(krb5_unparse_name(context, creds.server, &name), 0);
    assert_string_equal(name, NAS_SERVICE);
    krb5_free_unparsed_name(context, name);
    krb5_free_cred_contents(context, &creds);
}

static void expect_answer(const struct ticket_request *request, bool may_block,
                          enum ticket_answer expected, enum refusal why)
{
    enum refusal refusal;
    krb5_creds creds;
    assert_int_equal(
        upstream_ticket(tickets, kerberos_context(), request, may_block, &creds, &refusal),
        expected);
    if (strcmp(refusal_name(refusal), refusal_name(why)) != 0)
        fail_msg("refused for %s and not %s", refusal_name(refusal), refusal_name(why));
}

static void expect_refusal(const struct ticket_request *request, enum refusal why)
{
    expect_answer(request, true, TICKET_REFUSED, why);
}

/* What an acceptor would have kept of a user's ticket. */
static struct evidence *evidence_of(const char *user, const char *password, const char *keytab_file,
                                    const char *service)
{
    krb5_context context = kerberos_context();
    krb5_creds creds = user_ticket(user, password, service);
    krb5_keytab keytab;
    krb5_ticket *ticket;
    krb5_data request;
    krb5_auth_context sender = NULL, receiver = NULL;
    krb5_data nothing = {0};
    assert_int_equal(krb5_kt_resolve(context, keytab_file, &keytab), 0);
    assert_int_equal(krb5_mk_req_extended(context, &sender, 0, &nothing, &creds, &request), 0);
    assert_int_equal(krb5_rd_req(context, &receiver, &request, creds.server, keytab, NULL, &ticket),
                     0);
    const struct span der = {(const uint8_t *)creds.ticket.data, creds.ticket.length};
    struct evidence *evidence = evidence_new(ticket, der);
    assert_non_null(evidence);
    krb5_free_ticket(context, ticket);
    krb5_auth_con_free(context, sender);
    krb5_auth_con_free(context, receiver);
    krb5_free_data_contents(context, &request);
    (void)krb5_kt_close(context, keytab);
    krb5_free_cred_contents(context, &creds);
    return evidence;
}

static struct ticket_request delegation_of(const struct evidence *evidence)
{
    return (struct ticket_request){
        .key = {0, LOGIN_DELEGATE, evidence_client(evidence)},
        .target = "cifs/nas.mit.test",
        .account = {OWN_SERVICE, ACCOUNT_KEYTAB, realm.own_keytab},
        .evidence = evidence,
    };
}

static void pause_kdc(void)
{
    assert_int_equal(kill(realm.kdc, SIGSTOP), 0);
}

static void resume_kdc(void)
{
    assert_int_equal(kill(realm.kdc, SIGCONT), 0);
}

static time_t seconds(void)
{
    return time(NULL);
}

static void test_transition(void **state)
{
    struct ticket_request alice = transition_of("alice@MIT.TEST");
    (void)state;
    expect_ticket(&alice, true, "alice@MIT.TEST");
    /* The next one comes from the cache, so that it may be looked for anywhere. */
    expect_ticket(&alice, false, "alice@MIT.TEST");
    struct ticket_request bob = transition_of("bob@MIT.TEST");
    expect_answer(&bob, false, TICKET_ASK, REFUSAL_NONE);
    expect_ticket(&bob, true, "bob@MIT.TEST");
}

static void test_transition_refused(void **state)
{
    struct ticket_request frank = transition_of("frank@MIT.TEST");
    struct ticket_request nobody = transition_of("nobody@MIT.TEST");
    struct ticket_request elsewhere = transition_of("alice@MIT.TEST");
    (void)state;
    expect_refusal(&frank, REFUSAL_NOT_DELEGATED);
    expect_refusal(&nobody, REFUSAL_UNKNOWN_USER);
    elsewhere.target = "cifs/other.mit.test";
    expect_refusal(&elsewhere, REFUSAL_NOT_DELEGATED);
    elsewhere.target = "cifs/missing.mit.test";
    expect_refusal(&elsewhere, REFUSAL_TARGET_UNKNOWN);
}

/* The KDC does not know names of domains: it must say so, and not take the user for another. */
static void test_enterprise_name(void **state)
{
    struct ticket_request foreign = transition_of("alice@ELSEWHERE@MIT.TEST");
    (void)state;
    foreign.enterprise = true;
    expect_refusal(&foreign, REFUSAL_UNKNOWN_USER);
}

static void test_delegate(void **state)
{
    struct evidence *evidence =
        evidence_of("alice@MIT.TEST", "Alice.Pw1", realm.own_keytab, OWN_SERVICE);
    struct ticket_request alice = delegation_of(evidence);
    (void)state;
    expect_ticket(&alice, true, "alice@MIT.TEST");
    expect_ticket(&alice, false, "alice@MIT.TEST");
    evidence_release(evidence);
}

static void test_delegate_refused(void **state)
{
    struct evidence *frank =
        evidence_of("frank@MIT.TEST", "Frank.Pw3", realm.own_keytab, OWN_SERVICE);
    struct evidence *alice =
        evidence_of("alice@MIT.TEST", "Alice.Pw1", realm.own_keytab, OWN_SERVICE);
    struct ticket_request request = delegation_of(frank);
    (void)state;
    expect_refusal(&request, REFUSAL_NOT_DELEGATED);
    request = delegation_of(alice);
    request.target = OTHER_SERVICE;
    expect_refusal(&request, REFUSAL_NOT_DELEGATED);
    evidence_release(frank);
    evidence_release(alice);
}

static void test_mapped(void **state)
{
    struct ticket_request keytab = mapped(ACCOUNT_KEYTAB, realm.svc_keytab);
    struct ticket_request password = mapped(ACCOUNT_PASSWORD, "Svc.Pw4");
    (void)state;
    expect_ticket(&keytab, true, "svc@MIT.TEST");
    upstream_tickets_forget(tickets);
    expect_ticket(&password, true, "svc@MIT.TEST");
}

/* A password that the KDC refused is not tried again, however often the credentials are read;
 * another one is. */
static void test_wrong_password_rests(void **state)
{
    struct ticket_request wrong = mapped(ACCOUNT_PASSWORD, "Wrong.Pw");
    struct ticket_request right = mapped(ACCOUNT_PASSWORD, "Svc.Pw4");
    (void)state;
    expect_refusal(&wrong, REFUSAL_SERVICE_KEY);
    expect_answer(&wrong, true, TICKET_RESTS, REFUSAL_SERVICE_KEY);
    expect_ticket(&right, true, "svc@MIT.TEST");
    upstream_tickets_forget(tickets);
    expect_answer(&wrong, true, TICKET_RESTS, REFUSAL_SERVICE_KEY);
    upstream_tickets_forget(tickets);
    expect_answer(&wrong, true, TICKET_RESTS, REFUSAL_SERVICE_KEY);
    wrong.account.secret = "Also.Wrong.Pw";
    expect_refusal(&wrong, REFUSAL_SERVICE_KEY);
    expect_ticket(&right, true, "svc@MIT.TEST");
}

static void test_no_keytab(void **state)
{
    struct ticket_request request = mapped(ACCOUNT_KEYTAB, "/nowhere/keytab");
    (void)state;
    expect_refusal(&request, REFUSAL_SERVICE_KEY);
    /* No KDC was asked with a wrong key: nothing has to rest. */
    expect_refusal(&request, REFUSAL_SERVICE_KEY);
    request.account.secret = realm.nas_keytab;
    expect_refusal(&request, REFUSAL_SERVICE_KEY);
}

/* The account's key changes: with the old keytab it is refused and rests; a new keytab in its place
 * is used at once. */
static void test_renewed_keytab(void **state)
{
    char keytab[96];
    (void)state;
    realm_file("rolling.keytab", keytab, sizeof keytab);
    const char *const admin = "KRB5_KDC_PROFILE=%s/kdc.conf kadmin.local -r MIT.TEST -q "
                              "'%s' >/dev/null 2>&1";
    char add[160];
    (void)snprintf(add, sizeof add, "ktadd -norandkey -k %s/old svc", realm.directory);
    run_shell(admin, realm.directory, add);
    run_shell(admin, realm.directory, "change_password -pw Svc.Pw5 svc");
    (void)snprintf(add, sizeof add, "ktadd -norandkey -k %s/new svc", realm.directory);
    run_shell(admin, realm.directory, add);
    run_shell("mv %s/old %s", realm.directory, keytab);
    struct ticket_request request = mapped(ACCOUNT_KEYTAB, keytab);
    expect_refusal(&request, REFUSAL_SERVICE_KEY);
    expect_answer(&request, true, TICKET_RESTS, REFUSAL_SERVICE_KEY);
    run_shell("mv %s/new %s", realm.directory, keytab);
    expect_ticket(&request, true, "svc@MIT.TEST");
    run_shell(admin, realm.directory, "change_password -pw Svc.Pw4 svc");
}

/* A KDC that hangs is waited for once, and not for ever; then those who were here go on, and others
 * hear at once that nobody answers. */
static void test_silent_kdc(void **state)
{
    struct ticket_request alice = transition_of("alice@MIT.TEST");
    struct ticket_request bob = transition_of("bob@MIT.TEST");
    (void)state;
    expect_ticket(&alice, true, "alice@MIT.TEST");
    pause_kdc();
    time_t began = seconds();
    expect_refusal(&bob, REFUSAL_KDC_UNREACHABLE);
    assert_true(seconds() - began <= 30);
    began = seconds();
    expect_refusal(&bob, REFUSAL_KDC_UNREACHABLE);
    assert_true(seconds() - began <= 2);
    expect_ticket(&alice, false, "alice@MIT.TEST");
    /* To renew a session a new ticket is asked for; the old one does where there is none. */
    alice.renewal = true;
    expect_answer(&alice, false, TICKET_ASK, REFUSAL_NONE);
    expect_ticket(&alice, true, "alice@MIT.TEST");
    resume_kdc();
}

/* What the file server did not take is not shown again. */
static void test_dropped_ticket(void **state)
{
    struct ticket_request alice = transition_of("alice@MIT.TEST");
    (void)state;
    expect_ticket(&alice, true, "alice@MIT.TEST");
    upstream_ticket_drop(tickets, &alice.key);
    expect_answer(&alice, false, TICKET_ASK, REFUSAL_NONE);
    expect_ticket(&alice, true, "alice@MIT.TEST");
    upstream_tickets_forget(tickets);
    expect_answer(&alice, false, TICKET_ASK, REFUSAL_NONE);
}

static void test_how_long_a_ticket_lives(void **state)
{
    const krb5_ticket_times day = {.starttime = 1000, .endtime = 1000 + 36000};
    const krb5_ticket_times minute = {.authtime = 1000, .endtime = 1060};
    (void)state;
    assert_true(ticket_lives(&day, TICKET_FRESH, 37000 - 901));
    assert_false(ticket_lives(&day, TICKET_FRESH, 37000 - 900));
    assert_true(ticket_lives(&day, TICKET_VALID, 37000 - 61));
    assert_false(ticket_lives(&day, TICKET_VALID, 37000 - 60));
    assert_true(ticket_lives(&minute, TICKET_FRESH, 1044));
    assert_false(ticket_lives(&minute, TICKET_FRESH, 1045));
    assert_false(ticket_lives(&minute, TICKET_VALID, 1054));
    assert_false(ticket_lives(&minute, TICKET_VALID, 99999));
}

static void test_outage(void **state)
{
    struct kdc_outages outages;
    (void)state;
    kdc_outages_init(&outages);
    assert_true(kdc_outage_ask(&outages, "A", 1000));
    assert_true(kdc_outage_ask(&outages, "A", 1000 + KDC_PATIENCE_MS - 1));
    assert_false(kdc_outage_ask(&outages, "A", 1000 + KDC_PATIENCE_MS));
    assert_true(kdc_outage_ask(&outages, "B", 1000 + KDC_PATIENCE_MS));
    /* One hears nothing, the other is still waiting. */
    kdc_outage_told(&outages, "A", false, 20000);
    assert_false(kdc_outage_ask(&outages, "A", 20000 + KDC_REST_MS - 1));
    assert_false(kdc_outage_ask(&outages, "A", 20000 + KDC_REST_MS));
    kdc_outage_told(&outages, "A", false, 20001);
    /* One tries, the others wait for how that goes. */
    assert_true(kdc_outage_ask(&outages, "A", 40000));
    assert_false(kdc_outage_ask(&outages, "A", 40000));
    kdc_outage_told(&outages, "A", true, 40001);
    assert_true(kdc_outage_ask(&outages, "A", 40002));
    assert_true(kdc_outage_ask(&outages, "A", 40002));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_transition),           CASE(test_transition_refused),
        CASE(test_enterprise_name),      CASE(test_delegate),
        CASE(test_delegate_refused),     CASE(test_mapped),
        CASE(test_wrong_password_rests), CASE(test_no_keytab),
        CASE(test_renewed_keytab),       CASE(test_silent_kdc),
        CASE(test_dropped_ticket),       cmocka_unit_test(test_how_long_a_ticket_lives),
        cmocka_unit_test(test_outage),
    };
    return cmocka_run_group_tests(tests, realm_start, realm_stop);
}
