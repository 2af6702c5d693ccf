/* Kerberos within SPNEGO: which mechanism is taken, and how the list of them is confirmed. */
#include "tests/unit/kerberos_attempt.h"

#include <pthread.h>

static const gss_OID_desc spnego_mechanism_oid = {6, "\x2b\x06\x01\x05\x05\x02"};

/* A client that writes SPNEGO by hand around MIT's Kerberos. */
struct talk {
    struct accept_policy policy;
    struct acceptor *acceptor;
    struct gss_peer peer;
    krb5_creds creds;
    struct span list;
    uint8_t list_bytes[128];
    uint8_t token[TOKEN_MAX];
    uint8_t reply[TOKEN_MAX];
    struct spnego_response last;
};

static struct talk *talk_new(const enum spnego_mechanism *mechanisms, size_t count, bool mutual)
{
    static const struct ticket_wish wish = {0};
    struct talk *talk = calloc(1, sizeof *talk);
    assert_non_null(talk);
    talk->policy = kerberos_policy();
    talk->creds = make_ticket(&wish);
    talk->acceptor = acceptor_new(&talk->policy, "");
    assert_non_null(talk->acceptor);
    gss_peer_begin(&talk->peer, &talk->creds, mutual);
    assert_int_equal(gss_peer_step(&talk->peer, (struct span){NULL, 0}), !mutual);
    struct writer writer = writer_over(talk->list_bytes, sizeof talk->list_bytes);
    spnego_list_write(&writer, mechanisms, count);
    talk->list = writer_span(&writer);
    return talk;
}

static void talk_free(struct talk *talk)
{
    gss_peer_end(&talk->peer);
    acceptor_free(talk->acceptor);
    krb5_free_cred_contents(realm, &talk->creds);
    free(talk);
}

/* The acceptor's answer goes to talk->last, or is empty. */
static enum step send(struct talk *talk, const struct writer *writer)
{
    struct span answer;
    assert_true(writer_done(writer));
    enum step step = acceptor_takes(talk->acceptor, writer_span(writer), talk->reply, &answer);
    talk->last = (struct spnego_response){.state = SPNEGO_NO_STATE};
    if (answer.size)
        assert_true(spnego_response_read(answer, &talk->last));
    return step;
}

static enum step send_init(struct talk *talk, struct span token)
{
    struct writer writer = writer_over(talk->token, sizeof talk->token);
    spnego_init_write(&writer, talk->list, token);
    return send(talk, &writer);
}

static enum step send_response(struct talk *talk, struct span token, struct span mic)
{
    const struct spnego_response response = {.state = SPNEGO_NO_STATE, .token = token, .mic = mic};
    struct writer writer = writer_over(talk->token, sizeof talk->token);
    spnego_response_write(&writer, &response);
    return send(talk, &writer);
}

static void check_key(struct talk *talk)
{
    struct session_key key;
    uint8_t theirs[64];
    acceptor_session_key(talk->acceptor, &key);
    assert_int_equal(key.size, gss_peer_key(&talk->peer, theirs));
    assert_memory_equal(key.bytes, theirs, key.size);
    assert_true(acceptor_identity(talk->acceptor)->spnego);
    assert_int_equal(acceptor_identity(talk->acceptor)->mechanism, MECHANISM_KERBEROS);
    struct evidence *evidence = acceptor_take_evidence(talk->acceptor);
    assert_non_null(evidence);
    evidence_release(evidence);
}

/* The client's first choice: one round, with the mechanism it named. */
static void first_choice(void **state)
{
    (void)state;
    static const enum spnego_mechanism lists[][3] = {
        {SPNEGO_KERBEROS, SPNEGO_MS_KERBEROS, SPNEGO_NTLM},
        {SPNEGO_MS_KERBEROS, SPNEGO_KERBEROS, SPNEGO_NTLM},
        {SPNEGO_KERBEROS, SPNEGO_NTLM, SPNEGO_NTLM},
        {SPNEGO_KERBEROS, SPNEGO_KERBEROS, SPNEGO_KERBEROS},
    };
    for (size_t i = 0; i < 2 * sizeof lists / sizeof *lists; i++) {
        bool mutual = i % 2;
        struct talk *talk = talk_new(lists[i / 2], 3, mutual);
        talk->policy.refuse_ntlm = i >= 4;
        enum step step = send_init(talk, gss_peer_token(&talk->peer));
        expect_refusal(acceptor_refusal(talk->acceptor), REFUSAL_NONE);
        assert_int_equal(step, STEP_DONE);
        assert_int_equal(talk->last.state, SPNEGO_COMPLETED);
        assert_int_equal(spnego_mechanism(talk->last.mechanism), lists[i / 2][0]);
        assert_int_equal(talk->last.token.size > 0, mutual);
        assert_int_equal(talk->last.mic.size, 0);
        if (mutual)
            assert_true(gss_peer_step(&talk->peer, talk->last.token));
        check_key(talk);
        talk_free(talk);
    }
}

/* A first choice whose token comes in the second round. */
static void no_optimistic_token(void **state)
{
    (void)state;
    static const enum spnego_mechanism list[] = {SPNEGO_MS_KERBEROS, SPNEGO_NTLM};
    const struct span none = {NULL, 0};
    struct talk *talk = talk_new(list, 2, true);
    assert_int_equal(send_init(talk, none), STEP_CONTINUE);
    assert_int_equal(talk->last.state, SPNEGO_INCOMPLETE);
    assert_int_equal(spnego_mechanism(talk->last.mechanism), SPNEGO_MS_KERBEROS);
    assert_int_equal(send_response(talk, gss_peer_token(&talk->peer), none), STEP_DONE);
    assert_int_equal(talk->last.state, SPNEGO_COMPLETED);
    assert_true(gss_peer_step(&talk->peer, talk->last.token));
    check_key(talk);
    talk_free(talk);
}

enum mic { MIC_GOOD, MIC_BAD, MIC_NONE, MIC_OTHER_LIST };

static struct span client_mic(struct talk *talk, enum mic kind, uint8_t mic[128])
{
    static const uint8_t other[] = {0x30, 0x00};
    struct span over = talk->list;
    if (kind == MIC_NONE)
        return (struct span){NULL, 0};
    if (kind == MIC_OTHER_LIST)
        over = (struct span){other, sizeof other};
    size_t size = gss_peer_mic(&talk->peer, over, mic);
    mic[size - 1] ^= kind == MIC_BAD;
    return (struct span){mic, size};
}

/* Kerberos after something that we do not take: the list has to be confirmed by both. */
static void second_choice(void **state)
{
    (void)state;
    static const enum spnego_mechanism list[] = {SPNEGO_NTLM, SPNEGO_KERBEROS};
    static const uint8_t other[] = "NTLMSSP";
    for (enum mic kind = MIC_GOOD; kind <= MIC_OTHER_LIST; kind++) {
        for (int mutual = 0; mutual < 2; mutual++) {
            uint8_t mic[128];
            const struct span none = {NULL, 0};
            struct talk *talk = talk_new(list, 2, mutual);
            talk->policy.refuse_ntlm = true;
            assert_int_equal(send_init(talk, (struct span){other, sizeof other}), STEP_CONTINUE);
            assert_int_equal(talk->last.state, SPNEGO_REQUEST_MIC);
            assert_int_equal(spnego_mechanism(talk->last.mechanism), SPNEGO_KERBEROS);
            enum step step;
            if (mutual) {
                assert_int_equal(send_response(talk, gss_peer_token(&talk->peer), none),
                                 STEP_CONTINUE);
                assert_int_equal(talk->last.state, SPNEGO_INCOMPLETE);
                assert_true(gss_peer_step(&talk->peer, talk->last.token));
                assert_true(gss_peer_mic_right(&talk->peer, talk->list, talk->last.mic));
                step = send_response(talk, none, client_mic(talk, kind, mic));
                assert_int_equal(talk->last.mic.size, 0);
            } else {
                step =
                    send_response(talk, gss_peer_token(&talk->peer), client_mic(talk, kind, mic));
                if (step == STEP_CONTINUE) { /* it may still come */
                    assert_int_equal(kind, MIC_NONE);
                    step = send_response(talk, none, none);
                }
            }
            expect_refusal(acceptor_refusal(talk->acceptor), kind == MIC_GOOD ? REFUSAL_NONE
                                                             : kind == MIC_NONE
                                                                 ? REFUSAL_MECH_LIST_MIC_MISSING
                                                                 : REFUSAL_MECH_LIST_MIC_WRONG);
            if (step == STEP_DONE)
                check_key(talk);
            else
                assert_null(acceptor_take_evidence(talk->acceptor));
            talk_free(talk);
        }
    }
}

/* A MIC that is not needed is checked all the same. */
static void unneeded_mic(void **state)
{
    (void)state;
    static const enum spnego_mechanism list[] = {SPNEGO_KERBEROS};
    for (enum mic kind = MIC_GOOD; kind <= MIC_OTHER_LIST; kind++) {
        uint8_t mic[128];
        const struct span none = {NULL, 0};
        bool good = kind == MIC_GOOD || kind == MIC_NONE;
        struct talk *talk = talk_new(list, 1, false);
        assert_int_equal(send_init(talk, none), STEP_CONTINUE);
        enum step step =
            send_response(talk, gss_peer_token(&talk->peer), client_mic(talk, kind, mic));
        assert_int_equal(step, good ? STEP_DONE : STEP_REFUSED);
        expect_refusal(acceptor_refusal(talk->acceptor),
                       good ? REFUSAL_NONE : REFUSAL_MECH_LIST_MIC_WRONG);
        if (kind == MIC_GOOD)
            assert_true(gss_peer_mic_right(&talk->peer, talk->list, talk->last.mic));
        talk_free(talk);
    }
}

static void policies(void **state)
{
    (void)state;
    enum { KERBEROS_ONLY, NTLM_ONLY, BOTH, NEITHER };
    static const struct {
        enum spnego_mechanism list[2];
        int policy;
        enum refusal refusal;
        enum spnego_mechanism chosen;
    } cases[] = {
        {{SPNEGO_KERBEROS, SPNEGO_NTLM}, BOTH, REFUSAL_NONE, SPNEGO_KERBEROS},
        {{SPNEGO_NTLM, SPNEGO_KERBEROS}, BOTH, REFUSAL_NONE, SPNEGO_NTLM},
        {{SPNEGO_KERBEROS, SPNEGO_NTLM}, NTLM_ONLY, REFUSAL_NONE, SPNEGO_NTLM},
        {{SPNEGO_NTLM, SPNEGO_KERBEROS}, KERBEROS_ONLY, REFUSAL_NONE, SPNEGO_KERBEROS},
        {{SPNEGO_OTHER, SPNEGO_MS_KERBEROS}, BOTH, REFUSAL_NONE, SPNEGO_MS_KERBEROS},
        {{SPNEGO_NTLM, SPNEGO_NTLM}, KERBEROS_ONLY, REFUSAL_NTLM, SPNEGO_OTHER},
        {{SPNEGO_KERBEROS, SPNEGO_MS_KERBEROS}, NTLM_ONLY, REFUSAL_NO_MECHANISM, SPNEGO_OTHER},
        {{SPNEGO_OTHER, SPNEGO_OTHER}, BOTH, REFUSAL_NO_MECHANISM, SPNEGO_OTHER},
        {{SPNEGO_KERBEROS, SPNEGO_KERBEROS}, NEITHER, REFUSAL_NO_MECHANISM, SPNEGO_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk *talk = talk_new(cases[i].list, 2, true);
        bool kerberos = cases[i].policy == KERBEROS_ONLY || cases[i].policy == BOTH;
        talk->policy.keytab = kerberos ? realm_keytab : NULL;
        talk->policy.refuse_ntlm = cases[i].policy == KERBEROS_ONLY || cases[i].policy == NEITHER;
        enum step step = send_init(talk, (struct span){NULL, 0});
        expect_refusal(acceptor_refusal(talk->acceptor), cases[i].refusal);
        if (cases[i].refusal == REFUSAL_NONE) {
            assert_int_equal(step, STEP_CONTINUE);
            assert_int_equal(spnego_mechanism(talk->last.mechanism), cases[i].chosen);
            assert_int_equal(talk->last.state, cases[i].list[0] == cases[i].chosen
                                                   ? SPNEGO_INCOMPLETE
                                                   : SPNEGO_REQUEST_MIC);
        }
        talk_free(talk);
    }
}

/* NTLMSSP without SPNEGO, where only Kerberos is taken. */
static void bare_ntlm(void **state)
{
    (void)state;
    static const uint8_t negotiate[] = "NTLMSSP\0\1\0\0\0\x15\x82\x08\x62";
    struct accept_policy policy = kerberos_policy();
    policy.refuse_ntlm = true;
    expect_refusal(verdict_on(&policy, (struct span){negotiate, 16}, NULL), REFUSAL_NTLM);
}

/* The client's credential, for MIT's SPNEGO with Kerberos alone. */
static void use_spnego(struct gss_peer *peer)
{
    OM_uint32 minor, major;
    char *cache;
    gss_OID_set_desc kerberos = {1, peer->mechanism};
    gss_OID_set_desc spnego = {1, (gss_OID)(uintptr_t)&spnego_mechanism_oid};
    must_krb5(krb5_cc_get_full_name(realm, peer->cache, &cache));
    gss_key_value_element_desc element = {"ccache", cache};
    const gss_key_value_set_desc store = {1, &element};
    (void)gss_release_cred(&minor, &peer->credential);
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &spnego, GSS_C_INITIATE, &store,
                                  &peer->credential, NULL, NULL);
    must_gss(major, minor);
    major = gss_set_neg_mechs(&minor, peer->credential, &kerberos);
    must_gss(major, minor);
    krb5_free_string(realm, cache);
    peer->mechanism = spnego.elements;
}

/* MIT's own SPNEGO on the other side. */
static void mit_spnego(void **state)
{
    (void)state;
    for (int mutual = 0; mutual < 2; mutual++) {
        struct talk *talk = talk_new(NULL, 0, mutual);
        struct span answer;
        gss_peer_end(&talk->peer);
        gss_peer_begin(&talk->peer, &talk->creds, mutual);
        use_spnego(&talk->peer);
        assert_false(gss_peer_step(&talk->peer, (struct span){NULL, 0}));
        enum step step =
            acceptor_takes(talk->acceptor, gss_peer_token(&talk->peer), talk->reply, &answer);
        expect_refusal(acceptor_refusal(talk->acceptor), REFUSAL_NONE);
        assert_int_equal(step, STEP_DONE);
        assert_true(gss_peer_step(&talk->peer, answer));
        assert_int_equal(talk->peer.token_size, 0);
        check_key(talk);
        talk_free(talk);
    }
}

/* Tokens cut at every length within SPNEGO. */
static void cut_tokens(void **state)
{
    (void)state;
    static const enum spnego_mechanism list[] = {SPNEGO_KERBEROS};
    struct talk *talk = talk_new(list, 1, true);
    struct writer writer = writer_over(talk->token, sizeof talk->token);
    spnego_init_write(&writer, talk->list, gss_peer_token(&talk->peer));
    for (size_t cut = 0; cut < writer_size(&writer); cut++)
        expect_refusal(verdict_on(&talk->policy, (struct span){talk->token, cut}, NULL),
                       REFUSAL_MALFORMED);
    expect_refusal(verdict_on(&talk->policy, writer_span(&writer), NULL), REFUSAL_NONE);
    talk_free(talk);
}

/* Threads of the pool, each with clients of its own; one replay of everything. */
enum { THREADS = 4, ROUNDS = 20 };
struct load {
    uint8_t tokens[ROUNDS][4096];
    struct span spans[ROUNDS];
    unsigned taken, replayed;
};

static void *take_all(void *argument)
{
    struct load *load = argument;
    const struct accept_policy policy = kerberos_policy();
    const struct accept_backend backend = kerberos_backend();
    uint8_t *bytes = malloc(TOKEN_MAX);
    for (int i = 0; i < 2 * ROUNDS && bytes; i++) {
        struct acceptor *acceptor = acceptor_new(&policy, "");
        struct writer writer = writer_over(bytes, TOKEN_MAX);
        if (acceptor &&
            acceptor_step(acceptor, load->spans[i % ROUNDS], &backend, &writer) == STEP_DONE)
            load->taken++;
        else if (acceptor && acceptor_refusal(acceptor) == REFUSAL_REPLAY)
            load->replayed++;
        acceptor_free(acceptor);
    }
    free(bytes);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    static const struct bare_peer peer = {.mutual = true};
    static const struct ticket_wish wish = {0};
    static struct load loads[THREADS];
    pthread_t ids[THREADS];
    krb5_creds creds = make_ticket(&wish);
    for (int i = 0; i < THREADS; i++)
        for (int j = 0; j < ROUNDS; j++)
            loads[i].spans[j] = i == 1 ? loads[0].spans[j] /* two race for the same tokens */
                                       : bare_peer_token(&peer, &creds, loads[i].tokens[j],
                                                         sizeof loads[i].tokens[j]);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, take_all, &loads[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    assert_int_equal(loads[0].taken + loads[1].taken, ROUNDS);
    assert_int_equal(loads[0].replayed + loads[1].replayed, 3 * ROUNDS);
    for (int i = 2; i < THREADS; i++) {
        assert_int_equal(loads[i].taken, ROUNDS);
        assert_int_equal(loads[i].replayed, ROUNDS);
    }
    krb5_free_cred_contents(realm, &creds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_choice, kerberos_fresh),
        cmocka_unit_test_setup(no_optimistic_token, kerberos_fresh),
        cmocka_unit_test_setup(second_choice, kerberos_fresh),
        cmocka_unit_test_setup(unneeded_mic, kerberos_fresh),
        cmocka_unit_test_setup(policies, kerberos_fresh),
        cmocka_unit_test_setup(bare_ntlm, kerberos_fresh),
        cmocka_unit_test_setup(mit_spnego, kerberos_fresh),
        cmocka_unit_test_setup(cut_tokens, kerberos_fresh),
        cmocka_unit_test_setup(threads, kerberos_fresh),
    };
    return cmocka_run_group_tests(tests, kerberos_setup, kerberos_teardown);
}
