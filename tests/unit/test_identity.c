/* Who is the same, and who only looks like it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kerberos_identity.h"

#define ALICE_SID "S-1-5-21-1111-2222-3333-1103"

static struct identity kerberos(const char *user, const char *realm, const char *domain,
                                const char *sid)
{
    struct identity identity = {.mechanism = MECHANISM_KERBEROS, .authority = AUTHORITY_KERBEROS};
    strcpy(identity.user, user);
    strcpy(identity.domain, *domain ? domain : realm);
    strcat(strcat(strcpy(identity.principal, user), "@"), realm);
    if (*sid)
        assert_true(sid_parse(sid, &identity.sid));
    return identity;
}

/* An MIT realm has alice and Alice. */
static void principals_are_compared_with_case(void **state)
{
    (void)state;
    static const struct {
        const char *user, *realm, *domain;
        bool same;
    } cases[] = {
        {"alice", "MIT.TEST", "", true},        {"Alice", "MIT.TEST", "", false},
        {"alice", "mit.test", "", false},       {"alice", "MIT.TEST", "MIT", false},
        {"alice/admin", "MIT.TEST", "", false},
    };
    const struct identity alice = kerberos("alice", "MIT.TEST", "", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity other = kerberos(cases[i].user, cases[i].realm, cases[i].domain, "");
        assert_int_equal(identity_same(&alice, &other), cases[i].same);
        assert_int_equal(identity_same(&other, &alice), cases[i].same);
    }
}

/* A domain controller takes any spelling, and a user may be renamed; the number stays his. */
static void users_with_a_sid_are_their_sid(void **state)
{
    (void)state;
    static const struct {
        const char *user, *realm, *sid;
        bool same;
    } cases[] = {
        {"alice", "CORP.TEST", ALICE_SID, true},
        {"ALICE", "CORP.TEST", ALICE_SID, true},
        {"alice.smith", "CORP.TEST", ALICE_SID, true},
        {"alice", "CORP.TEST", "S-1-5-21-1111-2222-3333-1104", false},
        {"alice", "CORP.TEST", "S-1-5-21-1111-2222-4444-1103", false},
        {"alice", "EVIL.TEST", ALICE_SID, false},
        /* one of them came without: then the names alone can tell */
        {"alice", "CORP.TEST", "", true},
        {"ALICE", "CORP.TEST", "", false},
    };
    const struct identity alice = kerberos("alice", "CORP.TEST", "CORP", ALICE_SID);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity other = kerberos(cases[i].user, cases[i].realm, "CORP", cases[i].sid);
        assert_int_equal(identity_same(&alice, &other), cases[i].same);
        assert_int_equal(identity_same(&other, &alice), cases[i].same);
    }
}

static void packed(void **state)
{
    (void)state;
    const struct identity alice = kerberos("alice", "CORP.TEST", "CORP", ALICE_SID);
    struct packed_identity *small = identity_pack(&alice);
    struct identity again;
    assert_non_null(small);
    identity_unpack(small, &again);
    free(small);
    assert_true(sid_equal(&again.sid, &alice.sid));
    assert_true(identity_same(&again, &alice));
}

static void realms(void **state)
{
    (void)state;
    assert_string_equal(identity_realm("alice@CORP.TEST"), "CORP.TEST");
    assert_string_equal(identity_realm("alice@corp.com@CORP.TEST"), "CORP.TEST");
    assert_string_equal(identity_realm("alice"), "");
    assert_string_equal(identity_realm(""), "");
}

/* The realm of a ticket is that KDC's word, and the end of its name may look like another realm. */
static void realms_that_look_like_others(void **state)
{
    (void)state;
    static const struct {
        const char *realm;
        size_t size;
        bool good;
    } cases[] = {
        {"CORP.TEST", 9, true},          {"X@CORP.TEST", 11, false}, {"X\\CORP.TEST", 11, false},
        {"CORP.TEST\0.EVIL", 15, false}, {"@CORP.TEST", 10, false},
    };
    krb5_context context;
    assert_int_equal(setenv("KRB5_CONFIG", "/dev/null", 1), 0);
    assert_int_equal(krb5_init_context(&context), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity identity = {.mechanism = MECHANISM_KERBEROS};
        krb5_enc_tkt_part part = {.times = {.endtime = 1}};
        assert_int_equal(krb5_build_principal_ext(context, &part.client, cases[i].size,
                                                  cases[i].realm, 5, "alice", 0),
                         0);
        assert_int_equal(kerberos_identity_claim(context, &part, &identity), cases[i].good);
        krb5_free_principal(context, part.client);
    }
    krb5_free_context(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(principals_are_compared_with_case),
        cmocka_unit_test(users_with_a_sid_are_their_sid),
        cmocka_unit_test(packed),
        cmocka_unit_test(realms),
        cmocka_unit_test(realms_that_look_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
