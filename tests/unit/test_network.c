/*
 * Networks in rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/network.h"
#include "tests/unit/count_of.h"

static struct network network(const char *text)
{
    struct network read;
    assert_int_equal(network_read(text, &read), NETWORK_GOOD);
    return read;
}

static void test_malformed(void **state)
{
    static const char *const texts[] = {"",
                                        "/",
                                        "/24",
                                        "192.0.2",
                                        "192.0.2.0/",
                                        "192.0.2.0/33",
                                        "192.0.2.0/-1",
                                        "192.0.2.0/+8",
                                        "192.0.2.0/ 8",
                                        "192.0.2.0/08",
                                        "192.0.2.0/8/8",
                                        "a/8",
                                        "192.0.2.0/8a",
                                        "192.0.2.256",
                                        "2001:db8::/129",
                                        "2001:db8::%1",
                                        "::ffff:1.2.3.4/129",
                                        "0x7f.0.0.1",
                                        "files.example.com",
                                        "1.2.3.4.5",
                                        " 192.0.2.1",
                                        "[::1]"};
    struct network read;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (network_read(texts[i], &read) != NETWORK_MALFORMED)
            fail_msg("taken: \"%s\"", texts[i]);
}

static void test_host_bits(void **state)
{
    static const char *const texts[] = {"192.0.2.1/24",   "192.0.2.0/0", "10.0.0.128/24",
                                        "2001:db8::1/64", "::1/127",     "::ffff:192.0.2.1/120"};
    struct network read;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_int_equal(network_read(texts[i], &read), NETWORK_HOST_BITS);
}

static void test_has(void **state)
{
    static const struct {
        const char *network, *address;
        bool has;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.0/24", "192.0.1.255", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.4/31", "192.0.2.5", true},
        {"192.0.2.4/31", "192.0.2.6", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"::/0", "::ffff:192.0.2.1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8:0:8000::/49", "2001:db8:0:7fff::", false},
        {"2001:db8:0:8000::/49", "2001:db8:0:ffff::", true},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true},
        {"::ffff:192.0.2.0/120", "192.0.2.9", true},
        {"::ffff:192.0.2.0/120", "192.0.3.9", false},
        {"::ffff:0.0.0.0/96", "203.0.113.9", true},
        {"fe80::/10", "fe80::1%eth0", true},
        {"192.0.2.0/24", "", false},
        {"0.0.0.0/0", "nonsense", false},
        {"0.0.0.0/0", "%", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct network read = network(cases[i].network);
        if (network_has(&read, cases[i].address) != cases[i].has)
            fail_msg("%s in %s", cases[i].address, cases[i].network);
    }
}

static void test_covers(void **state)
{
    static const struct {
        const char *outer, *inner;
        bool covers;
    } cases[] = {{"10.0.0.0/8", "10.1.0.0/16", true},  {"10.0.0.0/8", "10.0.0.0/8", true},
                 {"10.1.0.0/16", "10.0.0.0/8", false}, {"10.0.0.0/8", "11.0.0.0/16", false},
                 {"::/0", "10.0.0.0/8", false},        {"0.0.0.0/0", "::ffff:10.0.0.0/104", true}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct network outer = network(cases[i].outer), inner = network(cases[i].inner);
        assert_int_equal(network_covers(&outer, &inner), cases[i].covers);
    }
}

static void test_is_address(void **state)
{
    static const char *const addresses[] = {"192.0.2.1", "::1", "2001:db8::1", "::ffff:10.0.0.1"};
    static const char *const others[] = {"", "192.0.2", "192.0.2.0/24", "fe80::1%eth0", "files"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++)
        assert_true(network_is_address(addresses[i]));
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(network_is_address(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_host_bits),
        cmocka_unit_test(test_has),        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_is_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
