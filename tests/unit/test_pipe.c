/* Named pipes: what another verdict may find said in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/pipe.h"

static const struct rule_verdict refuses = {.authenticated_rpc = false},
                                 records = {.authenticated_rpc = true, .rpc_audit = true},
                                 allows = {.authenticated_rpc = true};

static struct pipe *open_pipe(const struct rule_verdict *verdict)
{
    struct pipe *pipe = pipe_new("srvsvc", verdict);
    assert_non_null(pipe);
    return pipe;
}

/* Where logins are looked for, PDUs come whole. */
static void test_whole(void **state)
{
    (void)state;
    struct pipe *pipe = open_pipe(&refuses);
    assert_true(pipe->stream.whole);
    assert_true(pipe_bind_verdict(pipe, &allows));
    assert_false(pipe->stream.whole);
    assert_true(pipe_bind_verdict(pipe, &records));
    assert_true(pipe->stream.whole);
    pipe_free(pipe);
}

/* What was in the pieces, and which of them were taken, cannot be known afterwards. */
static void test_pieces(void **state)
{
    static const uint8_t begun[] = {5, 0, 11};
    const char *what;
    (void)state;
    struct pipe *pipe = open_pipe(&allows);
    assert_int_equal(rpc_take(&pipe->stream, (struct span){begun, sizeof begun}, &what), RPC_PLAIN);
    assert_true(pipe_bind_verdict(pipe, &records));
    assert_false(pipe_bind_verdict(pipe, &refuses));
    assert_int_equal(pipe->logins, PIPE_LOGINS_RECORDED);
    pipe_free(pipe);
}

static void test_login(void **state)
{
    (void)state;
    struct pipe *pipe = open_pipe(&allows);
    pipe->left_alone = true;
    assert_true(pipe_bind_verdict(pipe, &records));
    assert_false(pipe_bind_verdict(pipe, &refuses));
    pipe->left_alone = false;
    assert_true(pipe_bind_verdict(pipe, &refuses));
    pipe_free(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
