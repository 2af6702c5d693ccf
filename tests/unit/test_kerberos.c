/* What libkrb5's errors mean, and its contexts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "crypto/kerberos.h"

static void meanings(void **state)
{
    (void)state;
    static const struct {
        krb5_error_code code;
        enum refusal accept, upstream;
    } cases[] = {
        {KRB5KRB_AP_ERR_TKT_EXPIRED, REFUSAL_TICKET_EXPIRED, REFUSAL_TICKET_EXPIRED},
        {KRB5KRB_AP_ERR_TKT_NYV, REFUSAL_TICKET_EXPIRED, REFUSAL_KERBEROS},
        {KRB5KRB_AP_ERR_SKEW, REFUSAL_CLOCK_SKEW, REFUSAL_CLOCK_SKEW},
        {KRB5KRB_AP_ERR_REPEAT, REFUSAL_REPLAY, REFUSAL_KERBEROS},
        {KRB5KRB_AP_ERR_BADKEYVER, REFUSAL_TICKET_KEY, REFUSAL_KERBEROS},
        {KRB5KRB_AP_ERR_BAD_INTEGRITY, REFUSAL_TICKET_KEY, REFUSAL_SERVICE_KEY},
        {KRB5_KT_NOTFOUND, REFUSAL_TICKET_KEY, REFUSAL_SERVICE_KEY},
        {KRB5_NOPERM_ETYPE, REFUSAL_ENCRYPTION_TYPE, REFUSAL_ENCRYPTION_TYPE},
        {ASN1_BAD_LENGTH, REFUSAL_MALFORMED, REFUSAL_KERBEROS},
        {KRB5_KDC_UNREACH, REFUSAL_KERBEROS, REFUSAL_KDC_UNREACHABLE},
        {KRB5_REALM_UNKNOWN, REFUSAL_KERBEROS, REFUSAL_KDC_UNREACHABLE},
        {KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, REFUSAL_KERBEROS, REFUSAL_TARGET_UNKNOWN},
        {KRB5KDC_ERR_BADOPTION, REFUSAL_KERBEROS, REFUSAL_NOT_DELEGATED},
        {KRB5KDC_ERR_PREAUTH_FAILED, REFUSAL_KERBEROS, REFUSAL_SERVICE_KEY},
        {KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, REFUSAL_KERBEROS, REFUSAL_SERVICE_KEY},
        {ENOMEM, REFUSAL_INTERNAL, REFUSAL_INTERNAL},
        {0, REFUSAL_KERBEROS, REFUSAL_KERBEROS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(refusal_name(kerberos_accept_refusal(cases[i].code)),
                            refusal_name(cases[i].accept));
        assert_string_equal(refusal_name(kerberos_upstream_refusal(cases[i].code)),
                            refusal_name(cases[i].upstream));
    }
}

static void *context_of_thread(void *argument)
{
    (void)argument;
    krb5_context context = kerberos_context();
    return context == kerberos_context() ? context : NULL;
}

static void one_context_each(void **state)
{
    (void)state;
    pthread_t thread;
    void *other;
    krb5_context own = kerberos_context();
    assert_non_null(own);
    assert_ptr_equal(own, kerberos_context());
    assert_int_equal(pthread_create(&thread, NULL, context_of_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &other), 0);
    assert_non_null(other);
    assert_ptr_not_equal(own, other);
}

/* Beyond 2038. */
static void times(void **state)
{
    (void)state;
    assert_int_equal(kerberos_time(1700000000), 1700000000);
    assert_true(kerberos_time((krb5_timestamp)0x80000000u) == INT64_C(0x80000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meanings),
        cmocka_unit_test(one_context_each),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
