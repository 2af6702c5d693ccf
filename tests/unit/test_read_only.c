/*
 * What changes something, and what does not: access rights, dispositions, control codes; and calls
 * to samr that need the session key.
 */
#include "tests/unit/link_fixture.h"

#include "proxy/fsctl.h"
#include "proxy/read_only.h"

enum { AT_ACCESS = 24, AT_DISPOSITION = 36, AT_OPTIONS = 40 };
enum { OPEN = 1, OPEN_IF = 3, READ = 0x120089 };

static struct request create(uint32_t access, uint32_t disposition, uint32_t options)
{
    struct request request = simple_request(SMB2_CREATE, 57, 56);
    put_le32(request.body + AT_ACCESS, access);
    put_le32(request.body + AT_DISPOSITION, disposition);
    put_le32(request.body + AT_OPTIONS, options);
    return request;
}

static bool forbids(struct request request)
{
    bool forbidden = read_only_forbids(&request.message);
    free(request.message.at);
    return forbidden;
}

static void test_each_right(void **state)
{
    static const uint32_t reading = 0xa2120089u | 0x20 | 0x08; /* with EXECUTE, MAXIMUM_ALLOWED */
    static const uint32_t changing = 0x510d0156u;
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t right = 1u << bit;
        if (right & reading)
            assert_false(forbids(create(right, OPEN, 0)));
        if (right & changing)
            assert_true(forbids(create(READ | right, OPEN, 0)));
    }
    assert_false(forbids(create(0, OPEN, 0)));
}

static void test_dispositions(void **state)
{
    (void)state;
    for (uint32_t disposition = 0; disposition < 8; disposition++)
        assert_int_equal(forbids(create(READ, disposition, 0)),
                         disposition != OPEN && disposition != OPEN_IF);
    assert_true(forbids(create(READ, OPEN, 0x1000)));
    assert_false(forbids(create(READ, OPEN, 0x1)));
}

static void test_what_a_create_becomes(void **state)
{
    static const struct {
        uint32_t access, disposition, new_access, new_disposition;
    } cases[] = {
        {READ, OPEN, READ, OPEN},       {READ, OPEN_IF, READ, OPEN},
        {0x02000000, OPEN, READ, OPEN}, {0x02000020, OPEN_IF, READ | 0x20, OPEN},
        {0x80, OPEN, 0x80, OPEN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request request = create(cases[i].access, cases[i].disposition, 0x40);
        read_only_limit(&request.message);
        assert_int_equal(get_le32(request.body + AT_ACCESS), cases[i].new_access);
        assert_int_equal(get_le32(request.body + AT_DISPOSITION), cases[i].new_disposition);
        assert_int_equal(get_le32(request.body + AT_OPTIONS), 0x40);
        free(request.message.at);
    }
}

static void test_other_commands(void **state)
{
    (void)state;
    assert_true(forbids(simple_request(SMB2_WRITE, 49, 48)));
    assert_true(forbids(simple_request(SMB2_SET_INFO, 33, 32)));
    assert_false(forbids(simple_request(SMB2_READ, 49, 48)));
    assert_false(forbids(simple_request(SMB2_LOCK, 48, 48)));
    assert_false(forbids(simple_request(SMB2_QUERY_INFO, 41, 40)));
    assert_false(forbids(simple_request(SMB2_CLOSE, 24, 24)));
    assert_true(forbids(simple_request(SMB2_CREATE, 57, 40)));
    assert_true(forbids(simple_request(SMB2_IOCTL, 57, 40)));
}

static void test_control_codes(void **state)
{
    static const uint32_t writing[] = {0x1440f2,
                                       0x1480f2,
                                       0x900c4,
                                       0x980c8,
                                       0x98268,
                                       0x900a4,
                                       0x900ac,
                                       0x98208,
                                       0x98344,
                                       0x983e8,
                                       0x9c040,
                                       0x90098,
                                       0x900a0,
                                       0x900bc,
                                       0x900c0,
                                       0x900d7,
                                       0x9c280,
                                       0x90304,
                                       /* not known: no access, write access, both */ 0x90ffc,
                                       0x9bffc,
                                       0x9fffc};
    static const uint32_t reading[] = {0x140078,
                                       0x900a8,
                                       0x9009c,
                                       0x940cf,
                                       0x9003c,
                                       0x144064,
                                       0x94264,
                                       0x60194,
                                       0x1401fc,
                                       0x140204,
                                       0x1441bb,
                                       /* not known: read access */ 0x97ffc};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(writing); i++)
        if (!fsctl_writes(writing[i]))
            fail_msg("0x%x reads", writing[i]);
    for (size_t i = 0; i < COUNT_OF(reading); i++)
        if (fsctl_writes(reading[i]))
            fail_msg("0x%x writes", reading[i]);
    assert_true(fsctl_is_of_pipes(FSCTL_PIPE_WAIT) && fsctl_is_of_pipes(FSCTL_PIPE_TRANSCEIVE) &&
                fsctl_is_of_pipes(0x119ff8));
    assert_false(fsctl_is_of_pipes(0x140204) || fsctl_is_of_pipes(0x900a8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_right),
        cmocka_unit_test(test_dispositions),
        cmocka_unit_test(test_what_a_create_becomes),
        cmocka_unit_test(test_other_commands),
        cmocka_unit_test(test_control_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
