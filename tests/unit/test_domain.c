/* What the answers of a domain controller mean, and what is said when nobody can be asked. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/domain.h"
#include "tests/unit/accept_attempt.h"

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        enum refusal refusal;
    } rows[] = {
        {0xc0000064, REFUSAL_UNKNOWN_USER},       /* NO_SUCH_USER */
        {0xc00000df, REFUSAL_UNKNOWN_USER},       /* NO_SUCH_DOMAIN */
        {0xc000006a, REFUSAL_WRONG_PASSWORD},     /* WRONG_PASSWORD */
        {0xc000006d, REFUSAL_WRONG_PASSWORD},     /* LOGON_FAILURE */
        {0xc000006e, REFUSAL_DOMAIN},             /* ACCOUNT_RESTRICTION */
        {0xc000006f, REFUSAL_DOMAIN},             /* INVALID_LOGON_HOURS */
        {0xc0000070, REFUSAL_DOMAIN},             /* INVALID_WORKSTATION */
        {0xc0000071, REFUSAL_DOMAIN},             /* PASSWORD_EXPIRED */
        {0xc0000072, REFUSAL_DOMAIN},             /* ACCOUNT_DISABLED */
        {0xc000015b, REFUSAL_DOMAIN},             /* LOGON_TYPE_NOT_GRANTED */
        {0xc0000193, REFUSAL_DOMAIN},             /* ACCOUNT_EXPIRED */
        {0xc0000224, REFUSAL_DOMAIN},             /* PASSWORD_MUST_CHANGE */
        {0xc0000234, REFUSAL_DOMAIN},             /* ACCOUNT_LOCKED_OUT */
        {0xc0000413, REFUSAL_DOMAIN},             /* AUTHENTICATION_FIREWALL_FAILED */
        {0xc0000418, REFUSAL_DOMAIN},             /* NTLM_BLOCKED */
        {0xc000005e, REFUSAL_DOMAIN_UNAVAILABLE}, /* NO_LOGON_SERVERS */
        {0xc0000022, REFUSAL_DOMAIN_UNAVAILABLE}, /* ACCESS_DENIED */
        {0xc00000b5, REFUSAL_DOMAIN_UNAVAILABLE}, /* IO_TIMEOUT */
        {0xc000018a, REFUSAL_DOMAIN_UNAVAILABLE}, /* NO_TRUST_LSA_SECRET */
        {0xc000018b, REFUSAL_DOMAIN_UNAVAILABLE}, /* NO_TRUST_SAM_ACCOUNT */
        {0xc000018c, REFUSAL_DOMAIN_UNAVAILABLE}, /* TRUSTED_DOMAIN_FAILURE */
        {0xc0000233, REFUSAL_DOMAIN_UNAVAILABLE}, /* DOMAIN_CONTROLLER_NOT_FOUND */
        {0, REFUSAL_DOMAIN_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(refusal_name(domain_refusal(rows[i].status)),
                            refusal_name(rows[i].refusal));
}

/* Whom the file knows, and how. */
struct known {
    enum nt_hash_found found;
    unsigned calls;
};

static enum nt_hash_found look(void *context, const char *user, const char *domain,
                               uint8_t hash[NT_HASH_SIZE])
{
    struct known *known = context;
    (void)user;
    (void)domain;
    known->calls++;
    return known->found != NT_HASH_NONE && nt_hash_of_password("Alice.Pw1", hash) ? known->found
                                                                                  : NT_HASH_NONE;
}

/* A login of `domain`\alice against a keeper that has a domain which does not answer: only who does
 * not need it gets in. */
static void check(const char *domain_of_client, enum nt_hash_found found, enum refusal refusal)
{
    struct known known = {.found = found};
    struct attempt *attempt = attempt_new("alice", domain_of_client, "Alice.Pw1");
    struct accept_backend backend = {
        .lookup = look, .lookup_context = &known, .domain = domain_new()};
    struct writer writer = writer_over(attempt->reply, sizeof attempt->reply);
    assert_non_null(backend.domain);
    struct span token = peer_negotiate(&attempt->peer);
    assert_true(acceptor_asks_domain(attempt->acceptor, token, &backend));
    assert_int_equal(acceptor_step(attempt->acceptor, token, &backend, &writer), STEP_CONTINUE);
    memcpy(attempt->challenge, attempt->reply, writer_size(&writer));
    attempt->challenge_size = writer_size(&writer);
    token = peer_authenticate(&attempt->peer,
                              (struct span){attempt->challenge, attempt->challenge_size});
    assert_int_equal(acceptor_asks_domain(attempt->acceptor, token, &backend),
                     refusal == REFUSAL_DOMAIN_UNAVAILABLE);
    writer = writer_over(attempt->reply, sizeof attempt->reply);
    enum step step = acceptor_step(attempt->acceptor, token, &backend, &writer);
    assert_int_equal(step, refusal == REFUSAL_NONE ? STEP_DONE : STEP_REFUSED);
    assert_string_equal(refusal_name(acceptor_refusal(attempt->acceptor)), refusal_name(refusal));
    assert_int_equal(acceptor_status(attempt->acceptor), 0);
    assert_int_equal(known.calls, 2); /* once to ask where, once in the step */
    if (step == STEP_DONE)
        assert_int_equal(acceptor_identity(attempt->acceptor)->authority, AUTHORITY_LOCAL);
    domain_free(backend.domain);
    attempt_free(attempt);
}

static void test_who_is_a_local_user(void **state)
{
    struct domain *domain = domain_new();
    bool answers = domain_refresh(domain);
    (void)state;
    domain_free(domain);
    assert_false(answers); /* a winbind on the machine that runs the tests would change the rest */
    check("CORP", NT_HASH_OF_DOMAIN, REFUSAL_NONE);
    check("", NT_HASH_PLAIN, REFUSAL_NONE);
    check(".", NT_HASH_PLAIN, REFUSAL_NONE);
    check("proxy", NT_HASH_PLAIN, REFUSAL_NONE);
    check("Proxy.Example.COM", NT_HASH_PLAIN, REFUSAL_NONE);
    check("FILES.example.com", NT_HASH_PLAIN, REFUSAL_NONE);
    check(".", NT_HASH_NONE, REFUSAL_UNKNOWN_USER);
    check("PROXY", NT_HASH_NONE, REFUSAL_UNKNOWN_USER);
}

/* … and must not hide a user of the domain, even when the domain cannot be asked. */
static void test_who_is_the_domains(void **state)
{
    (void)state;
    check("CORP", NT_HASH_PLAIN, REFUSAL_DOMAIN_UNAVAILABLE);
    check("CORP", NT_HASH_NONE, REFUSAL_DOMAIN_UNAVAILABLE);
    check("WORK", NT_HASH_PLAIN, REFUSAL_DOMAIN_UNAVAILABLE); /* it may be the domain's name */
    check("", NT_HASH_NONE, REFUSAL_DOMAIN_UNAVAILABLE);
    check("files", NT_HASH_PLAIN, REFUSAL_DOMAIN_UNAVAILABLE);
}

static void test_nothing_is_known_before_winbind_said_so(void **state)
{
    (void)state;
    struct domain_names names;
    struct domain *domain = domain_new();
    struct sid sid;
    assert_false(domain_names(domain, &names));
    assert_int_equal(domain_group(domain, "no backslash", &sid), DOMAIN_NOT_FOUND);
    assert_int_equal(domain_group(domain, "CORP\\finance", &sid), DOMAIN_NOT_ASKED);
    assert_non_null(domain_problem(domain));
    domain_free(domain);
    domain_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_who_is_a_local_user),
        cmocka_unit_test(test_who_is_the_domains),
        cmocka_unit_test(test_nothing_is_known_before_winbind_said_so),
    };
    return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
