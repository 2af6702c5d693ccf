/*
 * The names by which clients call us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/called.h"

struct pair {
    const char *a, *b;
};

static void assert_all(const struct pair *pairs, size_t count, bool same)
{
    for (size_t i = 0; i < count; i++)
        if (called_the_same(pairs[i].a, pairs[i].b) != same ||
            called_the_same(pairs[i].b, pairs[i].a) != same)
            fail_msg("\"%s\" and \"%s\"", pairs[i].a, pairs[i].b);
}

static void test_same(void **state)
{
    static const struct pair pairs[] = {
        {"files.example.com", "files.example.com"},
        {"files.example.com", "FILES.Example.COM."},
        {"cifs/files.example.com", "files.example.com"},
        {"cifs/files.example.com:445", "files"},
        {"cifs/files.example.com@EXAMPLE.COM", "FILES.EXAMPLE.COM"},
        {"host/files/extra", "cifs/files/extra"},
        {"FILES", "files.example.com"},
        {"files:445", "files"},
        {"192.0.2.1", "cifs/192.0.2.1:445"},
        {"[2001:db8::1]:445", "2001:db8:0::1"},
        {"", "anything"},
        {"cifs/", "anything"},
        {"", ""},
    };
    (void)state;
    assert_all(pairs, sizeof pairs / sizeof pairs[0], true);
}

static void test_other(void **state)
{
    static const struct pair pairs[] = {
        {"files.example.com", "files2.example.com"},
        {"files.example.com", "files.example.org"},
        {"files", "file"},
        {"files", "files2.example.com"},
        {"192.0.2.1", "192.0.2.11"},
        {"192.0.2.1", "192"},
        {"192.0.2.1", "files.example.com"},
        {"2001:db8::1", "2001:db8::2"},
        {"2001", "2001:db8::2"},
        {"cifs/other.example.com:445", "cifs/files.example.com:445"},
    };
    (void)state;
    assert_all(pairs, sizeof pairs / sizeof pairs[0], false);
}

static void test_long_names(void **state)
{
    static char a[4096], b[4096];
    (void)state;
    memset(a, 'x', sizeof a - 1);
    memset(b, 'x', sizeof b - 1);
    assert_true(called_the_same(a, b));
    b[10] = 'y';
    assert_false(called_the_same(a, b));
    memset(a, '/', sizeof a - 1);
    memset(b, '[', sizeof b - 1);
    (void)called_the_same(a, b);
    memset(b, ':', sizeof b - 1);
    (void)called_the_same(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_other),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
