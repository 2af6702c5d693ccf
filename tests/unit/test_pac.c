/* The PAC of a ticket: what a domain controller says of a user. */
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/pac_vectors.h"

#include "crypto/pac.h"

/* Reads a copy of exactly its size. */
static bool reads(struct span bytes, struct pac *pac)
{
    uint8_t *copy = malloc(bytes.size + 1);
    assert_non_null(copy);
    if (bytes.size)
        memcpy(&copy[1], bytes.at, bytes.size);
    bool good = pac_read((struct span){&copy[1], bytes.size}, pac) == PAC_READ;
    free(copy);
    if (!good) {
        assert_int_equal(pac->sids.count, 0);
        assert_null(pac->sids.at);
        assert_string_equal(pac->domain, "");
        assert_string_equal(pac->account, "");
    }
    return good;
}

static bool has(const struct pac *pac, const char *text)
{
    struct sid sid;
    assert_true(sid_parse(text, &sid));
    return sids_contain(&pac->sids, &sid);
}

static void is_sid(const struct sid *sid, const char *expected)
{
    char text[SID_TEXT_MAX];
    assert_true(sid_text(sid, text, sizeof text));
    assert_string_equal(text, expected);
}

static void a_user(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    struct pac pac;
    assert_true(reads((struct span){bytes, pac_build(PAC_OF_ALICE, bytes, sizeof bytes)}, &pac));
    assert_string_equal(pac.domain, "CORP");
    assert_string_equal(pac.account, "alice");
    static const char *const member[] = {
        "S-1-5-21-1111-2222-3333-1103",
        "S-1-5-21-1111-2222-3333-513",
        "S-1-5-21-1111-2222-3333-1200",
        "S-1-5-21-9-8-7-1300",
        "S-1-18-1",
        "S-1-5-21-4-5-6-1400",
    };
    for (size_t i = 0; i < sizeof member / sizeof *member; i++)
        assert_true(has(&pac, member[i]));
    assert_false(has(&pac, "S-1-5-21-1111-2222-3333-1201"));
    assert_false(has(&pac, "S-1-5-21-1111-2222-3333-1202"));
    assert_false(has(&pac, "S-1-5-21-9-8-7-1301"));
    assert_int_equal(pac.sids.count, 7); /* 513 is there twice */
    is_sid(&pac.user, "S-1-5-21-1111-2222-3333-1103");
    is_sid(&pac.domain_sid, "S-1-5-21-1111-2222-3333");
    pac_free(&pac);
    assert_int_equal(pac.sids.count, 0);
}

static void nobody_special(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    struct pac pac;
    assert_true(reads((struct span){bytes, pac_build(PAC_OF_BOB, bytes, sizeof bytes)}, &pac));
    assert_string_equal(pac.domain, "");
    assert_int_equal(pac.sids.count, 2);
    pac_free(&pac);
}

/* A user of another domain than the groups is the first of the extra ones. */
static void user_of_another_domain(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    struct pac pac;
    size_t size = pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    put_le32(&bytes[20 + 48 + 48 + 4], 0); /* UserId */
    assert_true(reads((struct span){bytes, size}, &pac));
    is_sid(&pac.user, "S-1-5-21-9-8-7-1300");
    is_sid(&pac.domain_sid, "S-1-5-21-1111-2222-3333");
    pac_free(&pac);
}

/* Members of a thousand groups get in, those of more are told why they do not. */
static void many_groups(void **state)
{
    (void)state;
    enum { ROOM = 32 * 1024 };
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    for (unsigned more = 1000; more <= 1020; more += 10) {
        struct pac pac;
        size_t size = pac_build_crowded(PAC_OF_ALICE, more, bytes, ROOM);
        /* of alice's own eleven three do not count, and she and her primary group do */
        bool fits = more + 7 <= SIDS_MAX;
        assert_int_equal(pac_read((struct span){bytes, size}, &pac),
                         fits ? PAC_READ : PAC_TOO_MANY);
        assert_int_equal(pac.sids.count, fits ? more + 7 : 0);
        pac_free(&pac);
    }
    /* what only says so is broken as well */
    struct pac pac;
    size_t size = pac_build_crowded(PAC_OF_ALICE, 1000, bytes, ROOM);
    assert_int_equal(pac_read((struct span){bytes, size / 2}, &pac), PAC_BROKEN);
    free(bytes);
}

/* Cut anywhere but in the padding it is nothing. */
static void cut(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    struct pac pac;
    size_t size = pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    for (size_t at = 0; at < size; at++) {
        assert_false(reads((struct span){bytes, at}, &pac));
        if (at < 16 || size - at < 8)
            continue;
        /* … and the header tells the truth about it */
        put_le32(&bytes[8], (uint32_t)(at - 16));
        assert_false(reads((struct span){bytes, at}, &pac));
        put_le32(&bytes[8], (uint32_t)(size - 16));
    }
}

/* Every 32 bits of it in turn are as large as they can be, or zero: nothing breaks, and no more
 * groups come out than there are bytes for. */
static void hostile_numbers(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
    uint8_t bytes[2048];
    size_t size = pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t before = get_le32(&bytes[at]);
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            struct pac pac;
            put_le32(&bytes[at], values[i]);
            if (reads((struct span){bytes, size}, &pac))
                assert_true(pac.sids.count <= size / 8);
            pac_free(&pac);
        }
        put_le32(&bytes[at], before);
    }
}

/* Another version, big-endian, no object, no SID of the domain, a count that its array denies. */
static void refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {
        {0, 0xcc081002},
        {0, 0x00080001},
        {16, 0},                   /* the pointer to it all */
        {20 + 48 + 48 + 4 + 8, 3}, /* GroupCount */
        {20 + 152, 0},             /* LogonDomainId */
        {20 + 196, 2},             /* SidCount */
        {20 + 208, 7},             /* ResourceGroupCount */
        {20 + 204, 0},             /* ResourceGroupDomainSid */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[2048];
        struct pac pac;
        size_t size = pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
        put_le32(&bytes[cases[i].at], cases[i].value);
        if (reads((struct span){bytes, size}, &pac))
            fail_msg("case %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user),
        cmocka_unit_test(nobody_special),
        cmocka_unit_test(user_of_another_domain),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(cut),
        cmocka_unit_test(hostile_numbers),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
