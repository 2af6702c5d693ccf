/*
 * The names in a file server's CHALLENGE: bare or in SPNEGO, whole or cut at any byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/challenge_name.h"
#include "crypto/ntlm_av.h"
#include "crypto/ntlm_message.h"
#include "crypto/spnego.h"

static uint8_t pairs[512], message[1024], wrapped[2048];

/* A CHALLENGE with these names, NULL for none. */
static struct span challenge_of(const char *netbios, const char *dns)
{
    struct writer list = writer_over(pairs, sizeof pairs);
    assert_true(!netbios || av_write_text(&list, AV_NB_COMPUTER, netbios));
    assert_true(!dns || av_write_text(&list, AV_DNS_COMPUTER, dns));
    av_write_end(&list);
    const struct ntlm_challenge challenge = {
        .flags = NTLM_UNICODE | NTLM_NTLM | NTLM_EXTENDED | NTLM_TARGET_INFO,
        .target_info = writer_span(&list),
    };
    struct writer writer = writer_over(message, sizeof message);
    ntlm_challenge_write(&writer, &challenge);
    assert_true(writer_done(&list) && writer_done(&writer));
    return writer_span(&writer);
}

static void test_names(void **state)
{
    static const struct {
        const char *netbios, *dns, *name;
    } cases[] = {
        {"NAS", "nas.example.com", "NAS,nas.example.com"},
        {"NAS", NULL, "NAS"},
        {NULL, "nas.example.com", "nas.example.com"},
        {"NAS", "", "NAS"},
        {"", "", NULL},
        {NULL, NULL, NULL},
    };
    char name[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool there =
            challenge_name_read(challenge_of(cases[i].netbios, cases[i].dns), name, sizeof name);
        assert_int_equal(there, cases[i].name != NULL);
        if (there)
            assert_string_equal(name, cases[i].name);
    }
}

static void test_in_spnego_and_cut(void **state)
{
    char name[64];
    (void)state;
    const struct spnego_response response = {
        .state = SPNEGO_INCOMPLETE,
        .mechanism = spnego_oid(SPNEGO_NTLM),
        .token = challenge_of("NAS", "nas.example.com"),
    };
    struct writer writer = writer_over(wrapped, sizeof wrapped);
    spnego_response_write(&writer, &response);
    assert_true(writer_done(&writer));
    assert_true(challenge_name_read(writer_span(&writer), name, sizeof name));
    assert_string_equal(name, "NAS,nas.example.com");
    for (size_t cut = 0; cut < writer_size(&writer); cut++)
        assert_false(challenge_name_read((struct span){wrapped, cut}, name, sizeof name));
    for (size_t room = 1; room < sizeof "NAS,nas.example.com"; room++)
        assert_false(challenge_name_read(writer_span(&writer), name, room));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_in_spnego_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
