/* Challenges that were given to clients, and one that comes back from a file server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/challenges.h"
#include "crypto/initiate.h"

static void number(uint64_t value, uint8_t challenge[CHALLENGE_BYTES])
{
    for (int i = 0; i < CHALLENGE_BYTES; i++)
        challenge[i] = (uint8_t)(value >> 8 * i);
}

static void test_the_newest_are_known(void **state)
{
    uint8_t challenge[CHALLENGE_BYTES];
    struct challenges *challenges = challenges_new();
    (void)state;
    assert_non_null(challenges);
    number(0, challenge);
    assert_false(
        challenges_ours(challenges, challenge)); /* not even what the ring was filled with */
    for (uint64_t i = 0; i <= CHALLENGES_MAX; i++) {
        number(i, challenge);
        challenges_given(challenges, challenge);
    }
    assert_true(challenges_ours(challenges, challenge));
    number(1, challenge);
    assert_true(challenges_ours(challenges, challenge));
    number(0, challenge);
    assert_false(challenges_ours(challenges, challenge));
    assert_false(challenges_ours(NULL, challenge));
    challenges_given(NULL, challenge);
    challenges_free(challenges);
    challenges_free(NULL);
}

/* The acceptor's CHALLENGE, given to an initiator: honest peers of two processes, or one process
 * that talks to itself. */
static enum refusal reflect(struct challenges *given, struct challenges *asked)
{
    static const char *const names[] = {"proxy"};
    static const struct accept_policy policy = {.names = names,
                                                .names_count = 1,
                                                .netbios_name = "PROXY",
                                                .netbios_domain = "WORK",
                                                .dns_name = "proxy",
                                                .dns_domain = "",
                                                .challenge_lifetime_s = 60};
    static const uint8_t hash[NT_HASH_SIZE] = {1};
    static uint8_t first[TOKEN_MAX], second[TOKEN_MAX], third[TOKEN_MAX];
    struct writer to_server = writer_over(first, sizeof first);
    struct writer to_client = writer_over(second, sizeof second);
    struct writer last = writer_over(third, sizeof third);
    struct initiator *initiator = initiator_new("alice", "", hash, "cifs/nas");
    struct acceptor *acceptor = acceptor_new(&policy, "");
    const struct accept_backend backend = {.lookup = NULL, .challenges = given};
    assert_true(initiator && acceptor);
    initiator_refuse_own(initiator, asked);
    assert_int_equal(initiator_step(initiator, (struct span){NULL, 0}, &to_server), STEP_CONTINUE);
    assert_int_equal(acceptor_step(acceptor, writer_span(&to_server), &backend, &to_client),
                     STEP_CONTINUE);
    enum step step = initiator_step(initiator, writer_span(&to_client), &last);
    enum refusal refusal = step == STEP_REFUSED ? initiator_refusal(initiator) : REFUSAL_NONE;
    initiator_free(initiator);
    acceptor_free(acceptor);
    return refusal;
}

static void test_reflection(void **state)
{
    struct challenges *own = challenges_new(), *others = challenges_new();
    (void)state;
    assert_true(own && others);
    assert_int_equal(reflect(own, own), REFUSAL_REFLECTION);
    assert_int_equal(reflect(others, own), REFUSAL_NONE);
    assert_int_equal(reflect(NULL, NULL), REFUSAL_NONE);
    challenges_free(own);
    challenges_free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_are_known),
        cmocka_unit_test(test_reflection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
