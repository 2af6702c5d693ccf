/* Kerberos upstream, against MIT's own acceptor with real tickets of a real KDC. */
#include "tests/unit/kerberos_realm.h"

#include "crypto/kerberos_initiate.h"
#include "crypto/spnego.h"

struct both {
    struct kerberos_initiator *initiator;
    struct acceptor_of_nas nas;
    uint8_t token[TOKEN_MAX];
    size_t size;
};

static int begin(void **state)
{
    struct both *both = calloc(1, sizeof *both);
    enum refusal refusal;
    krb5_creds creds = user_ticket("alice@MIT.TEST", "Alice.Pw1", NAS_SERVICE);
    assert_non_null(both);
    both->initiator = kerberos_initiator_new(&creds, &refusal);
    assert_non_null(both->initiator);
    free_ticket(&creds);
    *state = both;
    return 0;
}

static int end(void **state)
{
    struct both *both = *state;
    kerberos_initiator_free(both->initiator);
    nas_end(&both->nas);
    free(both);
    return 0;
}

static enum step step(struct both *both, struct span token)
{
    struct writer writer = writer_over(both->token, sizeof both->token);
    enum step answer = kerberos_initiator_step(both->initiator, token, &writer);
    both->size = writer_size(&writer);
    return answer;
}

static struct span nothing(void)
{
    return (struct span){NULL, 0};
}

/* The initiator's AP-REQ as the mechanism's own token. */
static struct span shown(struct both *both)
{
    struct spnego_init init;
    struct session_key key;
    assert_int_equal(step(both, nothing()), STEP_CONTINUE);
    assert_true(spnego_init_read((struct span){both->token, both->size}, &init));
    assert_int_equal(init.offers_count, 2);
    assert_int_equal(init.offers[0], SPNEGO_MS_KERBEROS);
    assert_int_equal(init.offers[1], SPNEGO_KERBEROS);
    assert_false(kerberos_initiator_session_key(both->initiator, &key));
    return init.token;
}

static enum step answer(struct both *both, const struct spnego_response *response)
{
    static uint8_t bytes[TOKEN_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    spnego_response_write(&writer, response);
    assert_true(writer_done(&writer));
    return step(both, writer_span(&writer));
}

static void expect_done(struct both *both)
{
    struct session_key key;
    assert_true(kerberos_initiator_session_key(both->initiator, &key));
    assert_int_equal(key.size, 32);
    assert_int_equal(key.size, both->nas.key.size);
    assert_memory_equal(key.bytes, both->nas.key.bytes, key.size);
    assert_string_equal(both->nas.client, "alice@MIT.TEST");
}

static void expect_refused(struct both *both, enum step answered, enum refusal refusal)
{
    struct session_key key;
    assert_int_equal(answered, STEP_REFUSED);
    assert_int_equal(kerberos_initiator_refusal(both->initiator), refusal);
    assert_false(kerberos_initiator_session_key(both->initiator, &key));
    assert_int_equal(step(both, nothing()), STEP_REFUSED);
}

/* MIT's SPNEGO takes the whole token, answers for MS-KRB5 and sends a mechListMIC or not as it sees
 * fit. */
static void test_with_spnego_of_mit(void **state)
{
    struct both *both = *state;
    assert_int_equal(step(both, nothing()), STEP_CONTINUE);
    assert_int_equal(
        nas_accept(&both->nas, realm.nas_keytab, (struct span){both->token, both->size}),
        GSS_S_COMPLETE);
    assert_int_equal(step(both, nas_reply(&both->nas)), STEP_DONE);
    expect_done(both);
    assert_int_equal(both->size, 0);
}

static void test_with_bare_answer(void **state)
{
    struct both *both = *state;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    assert_int_equal(step(both, nas_reply(&both->nas)), STEP_DONE);
    expect_done(both);
}

static const enum spnego_mechanism offered[] = {SPNEGO_MS_KERBEROS, SPNEGO_KERBEROS};

/* The file server's MIC over our list. */
static gss_buffer_desc mic_of_nas(const struct both *both)
{
    uint8_t list[64];
    struct writer writer = writer_over(list, sizeof list);
    OM_uint32 minor;
    gss_buffer_desc mic;
    spnego_list_write(&writer, offered, 2);
    gss_buffer_desc text = {.length = writer_size(&writer), .value = list};
    assert_false(GSS_ERROR(gss_get_mic(&minor, both->nas.context, GSS_C_QOP_DEFAULT, &text, &mic)));
    return mic;
}

static void test_file_server_asks_for_mic(void **state)
{
    struct both *both = *state;
    struct spnego_response own;
    uint8_t list[64];
    struct writer writer = writer_over(list, sizeof list);
    OM_uint32 minor;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    const struct spnego_response asked = {
        .state = SPNEGO_REQUEST_MIC,
        .mechanism = spnego_oid(SPNEGO_KERBEROS),
        .token = nas_reply(&both->nas),
    };
    assert_int_equal(answer(both, &asked), STEP_CONTINUE);
    expect_done(both);
    assert_true(spnego_response_read((struct span){both->token, both->size}, &own));
    spnego_list_write(&writer, offered, 2);
    gss_buffer_desc text = {.length = writer_size(&writer), .value = list};
    gss_buffer_desc code = {.length = own.mic.size, .value = (void *)(uintptr_t)own.mic.at};
    assert_int_equal(gss_verify_mic(&minor, both->nas.context, &text, &code, NULL), GSS_S_COMPLETE);
    gss_buffer_desc mic = mic_of_nas(both);
    const struct spnego_response last = {.state = SPNEGO_COMPLETED, .mic = {mic.value, mic.length}};
    assert_int_equal(answer(both, &last), STEP_DONE);
    expect_done(both);
    (void)gss_release_buffer(&minor, &mic);
}

static void test_mic_owed_is_missing(void **state)
{
    struct both *both = *state;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    const struct spnego_response asked = {
        .state = SPNEGO_REQUEST_MIC,
        .token = nas_reply(&both->nas),
    };
    assert_int_equal(answer(both, &asked), STEP_CONTINUE);
    const struct spnego_response last = {.state = SPNEGO_COMPLETED};
    expect_refused(both, answer(both, &last), REFUSAL_MECH_LIST_MIC_MISSING);
}

static void test_mic_is_wrong(void **state)
{
    struct both *both = *state;
    OM_uint32 minor;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    gss_buffer_desc mic = mic_of_nas(both);
    ((uint8_t *)mic.value)[mic.length - 1] ^= 1;
    const struct spnego_response forged = {
        .state = SPNEGO_COMPLETED,
        .token = nas_reply(&both->nas),
        .mic = {mic.value, mic.length},
    };
    expect_refused(both, answer(both, &forged), REFUSAL_MECH_LIST_MIC_WRONG);
    (void)gss_release_buffer(&minor, &mic);
}

/* As Windows 2000 does. */
static void test_token_in_place_of_mic(void **state)
{
    struct both *both = *state;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    const struct spnego_response odd = {
        .state = SPNEGO_COMPLETED,
        .token = nas_reply(&both->nas),
        .mic = nas_reply(&both->nas),
    };
    assert_int_equal(answer(both, &odd), STEP_DONE);
    expect_done(both);
}

static void test_reply_is_tampered_with(void **state)
{
    struct both *both = *state;
    assert_int_equal(nas_accept(&both->nas, realm.nas_keytab, shown(both)), GSS_S_COMPLETE);
    ((uint8_t *)both->nas.reply.value)[both->nas.reply.length - 1] ^= 1;
    assert_int_equal(step(both, nas_reply(&both->nas)), STEP_REFUSED);
}

/* A file server that proves nothing, or wants NTLM. */
static void test_no_reply(void **state)
{
    struct both *both = *state;
    (void)shown(both);
    const struct spnego_response empty = {.state = SPNEGO_COMPLETED};
    expect_refused(both, answer(both, &empty), REFUSAL_NO_MECHANISM);
}

static void test_ntlm_wanted(void **state)
{
    struct both *both = *state;
    (void)shown(both);
    const struct spnego_response ntlm = {
        .state = SPNEGO_INCOMPLETE,
        .mechanism = spnego_oid(SPNEGO_NTLM),
        .token = {(const uint8_t *)"NTLMSSP", 8},
    };
    expect_refused(both, answer(both, &ntlm), REFUSAL_OTHER_MECHANISM);
}

static void test_rejected(void **state)
{
    struct both *both = *state;
    (void)shown(both);
    const struct spnego_response reject = {.state = SPNEGO_REJECT};
    expect_refused(both, answer(both, &reject), REFUSAL_NO_MECHANISM);
}

static void test_garbage(void **state)
{
    struct both *both = *state;
    (void)shown(both);
    expect_refused(both, step(both, (struct span){(const uint8_t *)"junk", 4}), REFUSAL_MALFORMED);
}

static void test_token_before_the_first(void **state)
{
    struct both *both = *state;
    expect_refused(both, step(both, (struct span){(const uint8_t *)"junk", 4}),
                   REFUSAL_OUT_OF_ORDER);
}

/* A file server that has another key says so, and is not our user's. */
static void test_other_key(void **state)
{
    struct both *both = *state;
    struct span token = shown(both);
    assert_true(GSS_ERROR(nas_accept(&both->nas, realm.own_keytab, token)));
    if (both->nas.reply.length)
        assert_int_equal(step(both, nas_reply(&both->nas)), STEP_REFUSED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_with_spnego_of_mit),
        CASE(test_with_bare_answer),
        CASE(test_file_server_asks_for_mic),
        CASE(test_mic_owed_is_missing),
        CASE(test_mic_is_wrong),
        CASE(test_token_in_place_of_mic),
        CASE(test_reply_is_tampered_with),
        CASE(test_no_reply),
        CASE(test_ntlm_wanted),
        CASE(test_rejected),
        CASE(test_garbage),
        CASE(test_token_before_the_first),
        CASE(test_other_key),
    };
    return cmocka_run_group_tests(tests, realm_start, realm_stop);
}
