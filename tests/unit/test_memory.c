/*
 * Downgrade memory: what counts as less, for whom, and what a change of our own does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proxy/memory.h"

static struct memory *memory;

static int open_memory(void **state)
{
    (void)state;
    memory = memory_new(MEMORY_MAX);
    assert_non_null(memory);
    return 0;
}

static int close_memory(void **state)
{
    (void)state;
    memory_free(memory);
    return 0;
}

/* A client at an address, with a GUID of which every byte is `guid`. */
static struct sighting client(const char *address, uint8_t guid)
{
    struct sighting sighting = {
        .spoken = {SMB_3_1_1, true, SIGNING_AES_GMAC, CIPHER_AES_256_GCM, false},
        .dialect_possible = SMB_3_1_1,
        .signing_possible = {SIGNING_AES_GMAC, SIGNING_AES_CMAC, SIGNING_HMAC_SHA256},
        .signing_count = 3,
        .ciphers_possible = {CIPHER_AES_256_GCM, CIPHER_AES_128_GCM, CIPHER_AES_128_CCM},
        .ciphers_count = 3,
    };
    snprintf(sighting.name, sizeof sighting.name, "%s", address);
    memset(sighting.guid, guid, GUID_SIZE);
    return sighting;
}

static struct sighting server(uint8_t guid)
{
    struct sighting sighting = client("nas", guid);
    sighting.upstream = true;
    return sighting;
}

/* The reason why it is less, or NULL. */
static const char *seen(const struct sighting *sighting)
{
    static struct judgement judgement;
    memory_see(memory, sighting, &judgement);
    return judgement.less ? judgement.reason : NULL;
}

static void test_the_same_is_not_less(void **state)
{
    struct sighting now = client("192.0.2.1", 1);
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_null(seen(&now));
    assert_int_equal(memory_count(memory), 2); /* the address and the GUID */
}

static void test_what_is_less(void **state)
{
    const struct sighting best = client("192.0.2.1", 1);
    struct sighting now = best;
    struct judgement judgement;
    (void)state;
    assert_null(seen(&best));
    now.spoken = (struct spoken){.dialect = SMB_3_0_2, .cipher = CIPHER_AES_128_CCM};
    memory_see(memory, &now, &judgement);
    assert_true(judgement.less);
    assert_int_equal(judgement.kind, EVENT_DOWNGRADE);
    assert_string_equal(judgement.reason, "dialect");
    assert_int_equal(judgement.best.dialect, SMB_3_1_1);
    now = best;
    now.spoken.signing = SIGNING_AES_CMAC;
    assert_string_equal(seen(&now), "signing");
    now = best;
    now.spoken.has_signing = false;
    now.spoken.signing = 0;
    memory_see(memory, &now, &judgement);
    assert_int_equal(judgement.kind, EVENT_CONTEXTS_STRIPPED);
    assert_string_equal(judgement.reason, "signing");
    now = best;
    now.spoken.cipher = CIPHER_AES_128_GCM;
    memory_see(memory, &now, &judgement);
    assert_int_equal(judgement.kind, EVENT_DOWNGRADE);
    assert_string_equal(judgement.reason, "cipher");
    now.spoken.cipher = CIPHER_NONE;
    memory_see(memory, &now, &judgement);
    assert_int_equal(judgement.kind, EVENT_CONTEXTS_STRIPPED);
    assert_string_equal(judgement.reason, "cipher");
    assert_null(seen(&best)); /* what is best has not been lowered */
    now.spoken.cipher = CIPHER_AES_128_GCM;
    assert_string_equal(seen(&now), "cipher");
}

static void test_better_is_learnt(void **state)
{
    const struct sighting best = client("192.0.2.1", 1);
    struct sighting now = best;
    (void)state;
    now.spoken = (struct spoken){.dialect = SMB_2_1};
    assert_null(seen(&now));
    assert_null(seen(&best));
    assert_string_equal(seen(&now), "dialect");
}

static void test_unknown_guid_is_held_against_its_address(void **state)
{
    struct sighting now = client("192.0.2.1", 1);
    (void)state;
    assert_null(seen(&now));
    now = client("192.0.2.1", 2);
    now.spoken = (struct spoken){.dialect = SMB_2_1};
    assert_string_equal(seen(&now), "dialect");
    assert_null(seen(&now)); /* from now on it is known for what it is: another one behind a NAT */
    now = client("192.0.2.2", 3);
    now.spoken = (struct spoken){.dialect = SMB_2_1};
    assert_null(seen(&now)); /* nobody has been there before */
    now = client("192.0.2.9", 1);
    now.spoken.dialect = SMB_3_0;
    assert_string_equal(seen(&now), "dialect"); /* the same client, moved */
    now = client("192.0.2.1", 0);
    now.spoken = (struct spoken){.dialect = SMB_2_0_2};
    assert_string_equal(seen(&now), "dialect"); /* 2.0.2 has no GUID */
    assert_string_equal(seen(&now), "dialect");
}

static void test_what_is_kept_is_not_replaced(void **state)
{
    struct sighting now = client("192.0.2.1", 1);
    (void)state;
    assert_null(seen(&now));
    now = client("192.0.2.1", 2);
    now.keep = true;
    now.spoken = (struct spoken){.dialect = SMB_2_1};
    struct sighting login = now;
    login.login = true;
    login.spoken = (struct spoken){.kerberos = true};
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(seen(&now), "dialect");
        assert_null(seen(&login)); /* nothing is known of it by its having logged in */
    }
    assert_int_equal(memory_count(memory), 2);
}

static void test_kerberos(void **state)
{
    struct sighting now = client("192.0.2.1", 1), login = client("192.0.2.1", 1);
    (void)state;
    login.login = true;
    login.spoken = (struct spoken){.kerberos = false};
    assert_null(seen(&now));
    assert_null(seen(&login));
    login.spoken.kerberos = true;
    assert_null(seen(&login));
    assert_null(seen(&now)); /* a NEGOTIATE does not say how it will authenticate */
    login.spoken.kerberos = false;
    assert_string_equal(seen(&login), "kerberos");
}

/* A client that has a new GUID each time says in its NEGOTIATE nothing of Kerberos. */
static void test_kerberos_of_an_unknown_guid(void **state)
{
    struct sighting now = client("192.0.2.1", 1), login = now;
    (void)state;
    login.login = true;
    login.spoken = (struct spoken){.kerberos = true};
    assert_null(seen(&now));
    assert_null(seen(&login));
    memset(now.guid, 2, GUID_SIZE);
    memset(login.guid, 2, GUID_SIZE);
    login.spoken.kerberos = false;
    login.keep = true;
    assert_null(seen(&now));
    assert_string_equal(seen(&login), "kerberos");
    assert_string_equal(seen(&login), "kerberos");
    login.keep = false;
    assert_string_equal(seen(&login), "kerberos");
    assert_null(seen(&login)); /* another one behind a NAT, from now on known for what it is */
}

static void test_our_own_changes_are_no_downgrade(void **state)
{
    struct sighting now = server(1);
    (void)state;
    assert_null(seen(&now));
    now.dialect_possible = now.spoken.dialect = SMB_3_0;
    now.spoken.has_signing = false;
    now.ciphers_possible[0] = now.spoken.cipher = CIPHER_AES_128_CCM;
    now.ciphers_count = 1;
    assert_null(seen(&now)); /* max_dialect was lowered */
    now = server(1);
    now.signing_possible[0] = now.spoken.signing = SIGNING_AES_CMAC;
    now.signing_count = 1;
    now.ciphers_count = 0;
    now.spoken.cipher = CIPHER_NONE;
    assert_null(seen(&now)); /* gmac was taken out, encryption switched off */
    now = server(1);
    now.signing_possible[0] = now.spoken.signing = SIGNING_AES_CMAC;
    now.signing_possible[1] = SIGNING_AES_GMAC;
    now.signing_count = 2;
    assert_null(seen(&now)); /* the order was changed */
}

static void test_file_server(void **state)
{
    struct sighting now = server(1);
    struct judgement judgement;
    (void)state;
    memory_see(memory, &now, &judgement);
    assert_false(judgement.changed);
    now = server(2);
    memory_see(memory, &now, &judgement);
    assert_true(judgement.changed);
    assert_string_equal(judgement.changed_reason, "guid");
    assert_string_equal(judgement.before, "01010101-0101-0101-0101-010101010101");
    memory_see(memory, &now, &judgement);
    assert_false(judgement.changed);
    now.spoken.dialect = SMB_2_1;
    now.keep = true;
    assert_string_equal(seen(&now), "dialect");
    struct sighting name = {.upstream = true, .login = true, .name = "nas", .server_name = "NAS"};
    memory_see(memory, &name, &judgement);
    assert_false(judgement.changed || judgement.less);
    snprintf(name.server_name, sizeof name.server_name, "nas");
    memory_see(memory, &name, &judgement);
    assert_false(judgement.changed);
    snprintf(name.server_name, sizeof name.server_name, "EVIL");
    memory_see(memory, &name, &judgement);
    assert_string_equal(judgement.changed_reason, "name");
    assert_string_equal(judgement.before, "NAS"); /* as it was first seen */
    assert_string_equal(seen(&now), "dialect");   /* a name says nothing of the rest */
}

/* A file server lists Kerberos before anybody logs in. */
static void test_file_server_with_kerberos(void **state)
{
    struct sighting now = server(1);
    struct judgement judgement;
    (void)state;
    assert_null(seen(&now)); /* it has not offered it yet */
    now.spoken.kerberos = true;
    assert_null(seen(&now));
    assert_true(memory_take_changed(memory));
    assert_null(seen(&now));
    assert_false(memory_take_changed(memory));
    const struct sighting name = {
        .upstream = true, .login = true, .name = "nas", .server_name = "NAS"};
    assert_null(seen(&name)); /* a name says nothing of it */
    now.spoken.kerberos = false;
    for (unsigned i = 0; i < 4; i++) {
        now.keep = i >= 2; /* told each time, recorded or refused */
        memory_see(memory, &now, &judgement);
        assert_true(judgement.less && judgement.best.kerberos);
        assert_int_equal(judgement.kind, EVENT_DOWNGRADE);
        assert_string_equal(judgement.reason, "kerberos");
    }
    now.spoken.dialect = SMB_3_0;
    assert_string_equal(seen(&now), "dialect"); /* what is above it comes first */
    now.spoken = (struct spoken){SMB_2_1, .kerberos = true};
    now.dialect_possible = SMB_2_1;
    now.ciphers_count = 0;
    assert_null(seen(&now)); /* a change of our own does not change what is listed … */
    now.spoken.kerberos = false;
    assert_string_equal(seen(&now), "kerberos"); /* … and hides nothing */
    assert_int_equal(memory_forget(memory, MEMORY_UPSTREAM, "nas"), 1);
    assert_null(seen(&now));
}

static void test_forgetting(void **state)
{
    struct sighting now = client("192.0.2.1", 1), less;
    (void)state;
    assert_null(seen(&now));
    less = now;
    less.spoken = (struct spoken){.dialect = SMB_2_1};
    assert_int_equal(memory_forget(memory, MEMORY_ADDRESS, "192.0.2.2"), 0);
    assert_string_equal(seen(&less), "dialect");
    assert_int_equal(memory_forget(memory, MEMORY_ADDRESS, "192.0.2.1"), 2);
    assert_null(seen(&less));
    assert_null(seen(&now));
    assert_int_equal(memory_forget(memory, MEMORY_GUID, "01010101-0101-0101-0101-010101010101"), 1);
    now = server(1);
    assert_null(seen(&now));
    assert_int_equal(memory_forget(memory, MEMORY_UPSTREAM, "NAS"), 1);
    assert_int_equal(memory_forget(memory, MEMORY_ADDRESS, NULL), 1);
    assert_int_equal(memory_count(memory), 0);
}

static void test_memory_is_bounded(void **state)
{
    struct memory *before = memory;
    (void)state;
    memory = memory_new(100);
    struct sighting often = client("198.51.100.1", 200);
    for (unsigned i = 0; i < 5000; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.0.%u.%u", i / 256, i % 256);
        const struct sighting now = client(address, (uint8_t)(i % 199 + 1));
        assert_null(seen(&now));
        assert_null(seen(&often));
        assert_true(memory_count(memory) <= 100);
    }
    often.spoken.dialect = SMB_2_1;
    assert_string_equal(seen(&often), "dialect"); /* in use all the time: not what was forgotten */
    memory_free(memory);
    memory = before;
}

/* Whoever makes up GUIDs, or comes from many addresses, makes nobody forget what is held against
 * file servers, and by GUIDs alone nothing that is held against addresses. */
static void test_strangers_do_not_make_it_forget(void **state)
{
    struct memory *before = memory;
    struct sighting nas = server(9), victim = client("192.0.2.1", 1);
    (void)state;
    memory = memory_new(100);
    assert_null(seen(&nas));
    assert_null(seen(&victim));
    for (unsigned i = 0; i < 5000; i++) {
        struct sighting stranger = client("198.51.100.1", 0xee);
        memcpy(stranger.guid, &i, sizeof i);
        assert_null(seen(&stranger));
        assert_true(memory_count(memory) <= 100);
    }
    nas.keep = victim.keep = true;
    nas.spoken.dialect = victim.spoken.dialect = SMB_2_1;
    assert_string_equal(seen(&nas), "dialect");
    assert_string_equal(seen(&victim), "dialect");
    for (unsigned i = 0; i < 5000; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.0.%u.%u", i / 256, i % 256);
        const struct sighting stranger = client(address, 0);
        assert_null(seen(&stranger));
    }
    assert_string_equal(seen(&nas), "dialect");
    memory_free(memory);
    memory = before;
}

static void test_an_ipv6_network_is_one_address(void **state)
{
    struct sighting now = client("2001:db8::1", 0);
    (void)state;
    assert_null(seen(&now));
    now = client("2001:db8::2", 0);
    now.spoken.dialect = SMB_3_0;
    assert_string_equal(seen(&now), "dialect");
}

static void test_message(void **state)
{
    static uint8_t body[SIGHTING_MESSAGE_MAX];
    struct sighting now = server(9), read_back;
    struct span packed;
    uint64_t query;
    (void)state;
    snprintf(now.server_name, sizeof now.server_name, "a name");
    now.pin = now.keep = now.spoken.kerberos = true;
    struct writer writer = writer_over(body, sizeof body);
    sighting_write(&writer, 77, &now, (struct span){(const uint8_t *)"event", 5});
    assert_true(writer_done(&writer));
    assert_true(sighting_read(writer_span(&writer), &query, &read_back, &packed));
    assert_true(query == 77 && packed.size == 5 && memcmp(packed.at, "event", 5) == 0);
    assert_string_equal(read_back.server_name, "a_name");
    snprintf(now.server_name, sizeof now.server_name, "a_name");
    assert_memory_equal(&now.spoken, &read_back.spoken, sizeof now.spoken);
    assert_memory_equal(now.guid, read_back.guid, GUID_SIZE);
    assert_true(read_back.upstream && read_back.pin && read_back.keep && !read_back.login);
    assert_int_equal(read_back.ciphers_count, 3);
    for (size_t cut = 0; cut < writer_size(&writer) - 5; cut++)
        assert_false(sighting_read((struct span){body, cut}, &query, &read_back, &packed));
    body[8] = 0xff;
    assert_false(sighting_read(writer_span(&writer), &query, &read_back, &packed));
}

#define WITH_MEMORY(test) cmocka_unit_test_setup_teardown(test, open_memory, close_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MEMORY(test_the_same_is_not_less),
        WITH_MEMORY(test_what_is_less),
        WITH_MEMORY(test_better_is_learnt),
        WITH_MEMORY(test_unknown_guid_is_held_against_its_address),
        WITH_MEMORY(test_what_is_kept_is_not_replaced),
        WITH_MEMORY(test_kerberos),
        WITH_MEMORY(test_kerberos_of_an_unknown_guid),
        WITH_MEMORY(test_our_own_changes_are_no_downgrade),
        WITH_MEMORY(test_file_server),
        WITH_MEMORY(test_file_server_with_kerberos),
        WITH_MEMORY(test_forgetting),
        WITH_MEMORY(test_memory_is_bounded),
        WITH_MEMORY(test_strangers_do_not_make_it_forget),
        WITH_MEMORY(test_an_ipv6_network_is_one_address),
        cmocka_unit_test(test_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
