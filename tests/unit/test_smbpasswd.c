/* Lines of Samba's smbpasswd file: who is taken, who is skipped and why, what is malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/smbpasswd.h"

#define LM   "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
#define HASH "8846F7EAEE8FB117AD06BDD830B7586C"
#define LCT  "LCT-5F0D1B2A:"

static struct smbpasswd_line parse(const char *text)
{
    struct reader reader = reader_over(text, strlen(text));
    struct smbpasswd_line line, more;
    unsigned number = 0;
    assert_true(smbpasswd_next(&reader, &number, &line));
    assert_int_equal(line.number, 1);
    assert_false(smbpasswd_next(&reader, &number, &more));
    return line;
}

static void test_an_account(void **state)
{
    (void)state;
    struct smbpasswd_line line = parse("alice:1000:" LM ":" HASH ":[U          ]:" LCT "\n");
    assert_int_equal(line.kind, SMBPASSWD_ACCOUNT);
    assert_string_equal(line.name, "alice");
    assert_int_equal(line.nt_hash[0], 0x88);
    assert_int_equal(line.nt_hash[15], 0x6c);
    line = parse("bob smith:1001:" LM ":" HASH ":[UX]:");
    assert_int_equal(line.kind, SMBPASSWD_ACCOUNT);
    assert_string_equal(line.name, "bob smith");
}

static void check_skipped(const char *text, const char *why)
{
    struct smbpasswd_line line = parse(text);
    assert_int_equal(line.kind, SMBPASSWD_SKIPPED);
    assert_non_null(strstr(line.why, why));
}

static void test_who_is_skipped(void **state)
{
    (void)state;
    check_skipped("a:1:" LM ":" HASH ":[UD         ]:" LCT, "disabled");
    check_skipped("a:1:" LM ":" HASH ":[DU         ]:" LCT, "disabled");
    check_skipped("a:1:" LM ":NO PASSWORDXXXXXXXXXXXXXXXXXXXXX:[NU         ]:" LCT, "no password");
    check_skipped("a:1:" LM ":" HASH ":[N]:" LCT, "no password");
    check_skipped("pc$:1:" LM ":" HASH ":[W          ]:" LCT, "workstation");
    check_skipped("dc$:1:" LM ":" HASH ":[S          ]:" LCT, "server");
    check_skipped("dom$:1:" LM ":" HASH ":[I          ]:" LCT, "domain");
    check_skipped("a:1:" LM ":" HASH ":[UL         ]:" LCT, "locked");
    check_skipped("a:1:" LM ":" LM ":[U          ]:" LCT, "no NT hash");
}

static void check_malformed(const char *text, const char *why)
{
    struct smbpasswd_line line = parse(text);
    assert_int_equal(line.kind, SMBPASSWD_MALFORMED);
    assert_non_null(strstr(line.why, why));
}

static void test_what_is_malformed(void **state)
{
    (void)state;
    check_malformed("alice", "fields");
    check_malformed("alice:1000:" LM ":" HASH, "fields");
    check_malformed("alice:1000:" LM ":" HASH ":[U]", "fields");
    check_malformed("alice:1000:" LM ":" HASH ":U:" LCT, "brackets");
    check_malformed("alice:1000:" LM ":" HASH ":[U:" LCT, "brackets");
    check_malformed("alice:1000:" LM ":" HASH "::" LCT, "brackets");
    check_malformed("alice:1000:" LM ":" HASH ":[:" LCT, "brackets");
    check_malformed("alice:1000:" LM ":" HASH "0:[U]:" LCT, "NT hash");
    check_malformed("alice:1000:" LM "::[U]:" LCT, "NT hash");
    check_malformed(":1000:" LM ":" HASH ":[U]:" LCT, "name");
    check_malformed("al*ce:1000:" LM ":" HASH ":[U]:" LCT, "name");
    check_malformed("al\x1b[ce:1000:" LM ":" HASH ":[U]:" LCT, "name");
}

static void test_lines_are_counted(void **state)
{
    (void)state;
    static const char text[] = "# comment\n\nalice:1:" LM ":" HASH ":[U]:" LCT "\r\n"
                               "\nbob:2:" LM ":" HASH ":[D]:" LCT;
    struct reader reader = reader_over(text, sizeof text - 1);
    struct smbpasswd_line line;
    unsigned number = 0;
    assert_true(smbpasswd_next(&reader, &number, &line));
    assert_int_equal(line.number, 3);
    assert_int_equal(line.kind, SMBPASSWD_ACCOUNT);
    assert_true(smbpasswd_next(&reader, &number, &line));
    assert_int_equal(line.number, 5);
    assert_int_equal(line.kind, SMBPASSWD_SKIPPED);
    assert_string_equal(line.name, "bob");
    assert_false(smbpasswd_next(&reader, &number, &line));
}

/* The importer makes room by this. */
static void test_the_shortest_line(void **state)
{
    (void)state;
    static const char shortest[] = "n:::" HASH ":[]:";
    assert_int_equal(strlen(shortest), SMBPASSWD_LINE_MIN);
    assert_int_equal(parse(shortest).kind, SMBPASSWD_ACCOUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_account),        cmocka_unit_test(test_who_is_skipped),
        cmocka_unit_test(test_what_is_malformed), cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_the_shortest_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
