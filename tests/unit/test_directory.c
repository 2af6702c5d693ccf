/* The session directory: whose a previous session is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "proxy/directory.h"

enum { CLIENT_ID = 7, UPSTREAM_ID = 4711, MOST = 3 };

static struct directory_entry entry(const char *who, bool any_case, const char *account)
{
    struct directory_entry made = {
        .client_id = CLIENT_ID, .upstream_id = UPSTREAM_ID, .upstream = 1, .any_case = any_case};
    strcpy(made.who, who);
    strcpy(made.account, account);
    return made;
}

static void whose_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *who, *account;
        bool any_case;
        const char *wanted, *wanted_account;
        bool same;
    } cases[] = {
        {"ntlm/local:CORP\\alice", "", true, "ntlm/local:corp\\ALICE", "", true},
        {"ntlm/local:CORP\\alice", "", true, "ntlm/local:CORP\\bob", "", false},
        {"kerberos:alice@R", "", false, "kerberos:alice@R", "", true},
        {"kerberos:alice@R", "", false, "kerberos:Alice@R", "", false},
        {"kerberos:alice@R", "S-1@R", false, "kerberos:ALICE@R", "S-1@R", true},
        {"kerberos:alice@R", "S-1@R", false, "kerberos:alice@R", "S-2@R", false},
        {"kerberos:alice@R", "S-1@R", false, "kerberos:alice@Q", "S-1@Q", false},
        {"kerberos:alice@R", "S-1@R", false, "kerberos:alice@R", "", true},
        {"kerberos:alice@R", "", false, "kerberos:ALICE@R", "S-1@R", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct directory *directory = directory_new(MOST);
        struct directory_entry kept = entry(cases[i].who, cases[i].any_case, cases[i].account);
        struct directory_entry wanted =
            entry(cases[i].wanted, cases[i].any_case, cases[i].wanted_account);
        uint64_t upstream_id;
        assert_non_null(directory);
        directory_add(directory, &kept);
        assert_int_equal(directory_find(directory, &wanted, &upstream_id),
                         cases[i].same ? DIRECTORY_FOUND : DIRECTORY_OTHER);
        assert_int_equal(upstream_id, cases[i].same ? UPSTREAM_ID : 0);
        wanted.upstream = 2;
        assert_int_equal(directory_find(directory, &wanted, &upstream_id), DIRECTORY_OTHER);
        wanted.client_id = 8;
        assert_int_equal(directory_find(directory, &wanted, &upstream_id), DIRECTORY_UNKNOWN);
        directory_free(directory);
    }
}

static void the_longest_unused_go(void **state)
{
    (void)state;
    struct directory *directory = directory_new(MOST);
    struct directory_entry one = entry("x", true, "");
    uint64_t upstream_id;
    assert_non_null(directory);
    for (uint64_t id = 1; id <= MOST; id++) {
        one.client_id = id;
        directory_add(directory, &one);
    }
    one.client_id = 1;
    assert_int_equal(directory_find(directory, &one, &upstream_id), DIRECTORY_FOUND);
    one.client_id = MOST + 1;
    directory_add(directory, &one);
    one.client_id = 2;
    assert_int_equal(directory_find(directory, &one, &upstream_id), DIRECTORY_UNKNOWN);
    one.client_id = 1;
    assert_int_equal(directory_find(directory, &one, &upstream_id), DIRECTORY_FOUND);
    directory_free(directory);
    directory_free(NULL);
}

/* By whom it is, and by nobody else. */
static void what_has_ended_goes(void **state)
{
    (void)state;
    struct directory *directory = directory_new(MOST);
    struct directory_entry one = entry("x", true, ""), other = entry("y", true, "");
    uint64_t upstream_id;
    assert_non_null(directory);
    directory_add(directory, &one);
    directory_remove(directory, &other);
    other = one;
    other.upstream = 2;
    directory_remove(directory, &other);
    assert_int_equal(directory_find(directory, &one, &upstream_id), DIRECTORY_FOUND);
    directory_remove(directory, &one);
    assert_int_equal(directory_find(directory, &one, &upstream_id), DIRECTORY_UNKNOWN);
    directory_remove(directory, &one);
    directory_free(directory);
}

static void messages(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct directory_entry sent = entry("kerberos:alice@R", false, "S-1@R"), got;
    struct writer writer = writer_over(bytes, sizeof bytes);
    uint64_t query;
    directory_entry_write(&writer, 42, &sent);
    assert_true(writer_done(&writer));
    size_t size = writer_size(&writer);
    assert_true(directory_entry_read(writer_span(&writer), &query, &got));
    assert_int_equal(query, 42);
    assert_memory_equal(&got, &sent, sizeof got);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(directory_entry_read((struct span){bytes, cut}, &query, &got));
    assert_false(directory_entry_read((struct span){bytes, size + 1}, &query, &got));
    bytes[28] = 2; /* neither true nor false */
    assert_false(directory_entry_read((struct span){bytes, size}, &query, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_it_is),
        cmocka_unit_test(the_longest_unused_go),
        cmocka_unit_test(what_has_ended_goes),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
