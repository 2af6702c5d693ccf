/* What tickets of other realms may say of a user's domain. */
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/pac_vectors.h"

#include <stdio.h>

#include "crypto/domain_claim.h"

#define CORP_SID "S-1-5-21-1111-2222-3333"

static struct sid sid(const char *text)
{
    struct sid read = {0};
    if (*text)
        assert_true(sid_parse(text, &read));
    return read;
}

static bool holds(const struct accept_policy *policy, const char *realm, const char *domain,
                  const struct pac *pac)
{
    const struct domain_claim claim = {"CORP.TEST", realm, domain, pac};
    return domain_claim_holds(&claim, policy, NULL);
}

/* Without a list: our own NetBIOS domain is our own realm's. */
static void our_own_name(void **state)
{
    (void)state;
    const struct accept_policy policy = {.netbios_domain = "CORP"};
    const struct pac none = {.domain = ""};
    assert_true(holds(&policy, "CORP.TEST", "CORP", &none));
    assert_false(holds(&policy, "EVIL.TEST", "CORP", &none));
    assert_false(holds(&policy, "EVIL.TEST", "corp", &none));
    assert_true(holds(&policy, "EVIL.TEST", "EVIL", &none));
    assert_true(holds(&policy, "EVIL.TEST", "EVIL.TEST", &none));
    /* another realm in all but case is another realm */
    assert_false(holds(&policy, "corp.test", "CORP", &none));
}

static void listed_domains(void **state)
{
    (void)state;
    const struct domain_binding domains[] = {{"CORP", "CORP.TEST", sid(CORP_SID)},
                                             {"OFFICE", "OFFICE.TEST", sid("")}};
    const struct accept_policy policy = {
        .netbios_domain = "OFFICE", .domains = domains, .domains_count = 2};
    const struct pac none = {.domain = ""};
    static const struct {
        const char *realm, *domain;
        bool holds;
    } cases[] = {
        {"CORP.TEST", "CORP", true},     {"CORP.TEST", "OFFICE", true}, /* our own KDC's word */
        {"OFFICE.TEST", "OFFICE", true}, {"OFFICE.TEST", "CORP", false},
        {"EVIL.TEST", "OFFICE", false},  {"EVIL.TEST", "office", false},
        {"EVIL.TEST", "EVIL", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(holds(&policy, cases[i].realm, cases[i].domain, &none), cases[i].holds);
}

static bool sids_hold(const char *domain, const char *user, const char *group)
{
    const struct domain_binding corp = {"CORP", "CORP.TEST", sid(CORP_SID)};
    const struct accept_policy policy = {
        .netbios_domain = "CORP", .domains = &corp, .domains_count = 1};
    struct pac pac = {.domain_sid = sid(domain), .user = sid(user)};
    struct sid more = sid(group);
    if (more.size)
        assert_true(sids_add(&pac.sids, &more));
    assert_true(holds(&policy, "CORP.TEST", "EVIL", &pac));
    bool good = holds(&policy, "EVIL.TEST", "EVIL", &pac);
    pac_free(&pac);
    return good;
}

/* Whatever name it tells. */
static void sids(void **state)
{
    (void)state;
    assert_true(sids_hold("S-1-5-21-6-6-6", "S-1-5-21-6-6-6-1000", "S-1-5-21-6-6-6-512"));
    assert_false(sids_hold(CORP_SID, "S-1-5-21-6-6-6-1000", ""));
    assert_false(sids_hold("S-1-5-21-6-6-6", CORP_SID "-1000", ""));
    assert_true(sids_hold("S-1-5-21-6-6-6", "S-1-5-21-1111-2222-3334-1000", ""));
    assert_true(sids_hold("S-1-5-21-6-6-6", CORP_SID "-5-1000", ""));
    assert_true(sids_hold("S-1-5-21-6-6-6", "", ""));
    /* only own users can be in there … */
    static const char *const own[] = {"-500", "-512", "-513", "-516", "-520", "-521", "-525"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s%s", CORP_SID, own[i]);
        assert_false(sids_hold("S-1-5-21-6-6-6", "S-1-5-21-6-6-6-1000", text));
    }
    /* … and there anybody whom our domain has put there: groups local to it, and universal ones */
    static const char *const any[] = {"-517", "-519", "-553", "-571", "-1200", "-499", "-527"};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s%s", CORP_SID, any[i]);
        assert_true(sids_hold("S-1-5-21-6-6-6", "S-1-5-21-6-6-6-1000", text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_name),
        cmocka_unit_test(listed_domains),
        cmocka_unit_test(sids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
