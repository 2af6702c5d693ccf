/* The acceptor: real logins, the order of tokens, age, and tokens that are none. */
#include "tests/unit/accept_attempt.h"
#include "tests/unit/ntlm_vectors.h"

#include "crypto/ntlm_accept.h"

#include <time.h>

static const char *const lists[] = {NULL, LIST_NTLM, LIST_NTLM_FIRST, LIST_KERBEROS_FIRST};
enum { LISTS = sizeof lists / sizeof *lists };

static void modern_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++)
        expect(modern(lists[i]), REFUSAL_NONE);
}

/* What PROTOCOL rules say of a CHALLENGE. */
static void the_challenge(void **state)
{
    (void)state;
    struct attempt *attempt = modern(NULL);
    struct ntlm_challenge challenge;
    struct av_list pairs;
    uint8_t room[PEER_TEXT_MAX], first[8];
    uint64_t time;
    assert_int_equal(begin(attempt), STEP_CONTINUE);
    struct span bytes = {attempt->challenge, attempt->challenge_size};
    assert_true(ntlm_challenge_read(bytes, &challenge));
    assert_int_equal(challenge.flags, 0x628a8215);
    assert_true(av_list_read(challenge.target_info, &pairs));
    assert_int_equal(pairs.count, 5);
    static const struct {
        enum av_id id;
        const char *text;
    } texts[] = {{AV_NB_DOMAIN, "WORK"},
                 {AV_NB_COMPUTER, "PROXY"},
                 {AV_DNS_DOMAIN, "example.com"},
                 {AV_DNS_COMPUTER, "proxy.example.com"}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pairs.pairs[i].id, texts[i].id);
        assert_true(span_equal(pairs.pairs[i].value, text_span(texts[i].text, room)));
    }
    assert_true(av_list_le64(&pairs, AV_TIMESTAMP, &time));
    assert_true(ntlm_now() - time < 10000000);
    assert_null(av_list_find(&pairs, AV_FLAGS));
    assert_true(span_equal(challenge.target_name, text_span("PROXY", room)));
    memcpy(first, challenge.server_challenge, sizeof first);
    attempt_free(attempt);
    /* no DNS domain known, nothing optional asked for; and never the same challenge */
    attempt = modern(NULL);
    attempt->policy.dns_domain = attempt->policy.netbios_domain = NULL;
    attempt->peer.flags = NTLM_UNICODE;
    assert_int_equal(begin(attempt), STEP_CONTINUE);
    bytes = (struct span){attempt->challenge, attempt->challenge_size};
    assert_true(ntlm_challenge_read(bytes, &challenge));
    assert_int_equal(challenge.flags, 0x008a8215);
    assert_true(av_list_read(challenge.target_info, &pairs));
    assert_int_equal(pairs.count, 4);
    assert_true(span_equal(pairs.pairs[0].value, text_span("PROXY", room)));
    assert_memory_not_equal(first, challenge.server_challenge, 8);
    attempt_free(attempt);
}

/* Clients as they are in the field, some without a MIC: the default policy must let them all in. */
static void real_clients(void **state)
{
    (void)state;
    static const struct {
        const char *name, *list, *target;
        uint32_t flags;
        bool no_version, no_list_mic, mic, mic_early;
    } clients[] = {
        {"smbclient", LIST_NTLM, "cifs/files.example.com", 0, false, false, true, false},
        {"smbprotocol", NULL, "cifs/10.0.0.7", 0xe0088205, true, false, true, true},
        {"go-smb2", LIST_NTLM, NULL, 0, false, false, true, false},
        {"libsmb2", NULL, "cifs/files.example.com:445", 0xa0080207, true, false, false, false},
        {"impacket", LIST_NTLM, "cifs/PROXY", 0xe0888235, true, true, false, false},
        {"pike", LIST_NTLM, NULL, 0xe0081237, false, true, false, false},
        {"Linux", NULL, NULL, 0xe2088235, false, false, false, false},
        {"Windows", LIST_NTLM, "cifs/files.example.com", 0xe2088297, false, false, true, false},
    };
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        struct attempt *attempt = attempt_new(ALICE);
        attempt->list = clients[i].list;
        attempt->no_list_mic = clients[i].no_list_mic;
        attempt->peer.target = clients[i].target;
        attempt->peer.flags = clients[i].flags;
        attempt->peer.no_version = clients[i].no_version;
        attempt->peer.mic = clients[i].mic;
        attempt->peer.mic_early = clients[i].mic_early;
        enum step result = run(attempt);
        if (result != STEP_DONE)
            fail_msg("%s: %s", clients[i].name, refusal_name(acceptor_refusal(attempt->acceptor)));
        check_done(attempt);
        attempt_free(attempt);
    }
}

static void names_and_case(void **state)
{
    (void)state;
    static const char *const users[][3] = {
        {"ALICE", "WORK", "Alice.Pw1"},
        {"aLiCe", "work", "Alice.Pw1"},
        {"alice", "", "Alice.Pw1"},
        {"alice", "anything.else", "Alice.Pw1"},
        {"j\xc3\xb6rg", "W\xc3\xb6rk", "J\xc3\xb6rg.Pw1"},
    };
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        struct attempt *attempt = attempt_new(users[i][0], users[i][1], users[i][2]);
        attempt->list = LIST_NTLM;
        attempt->peer.mic = true;
        expect(attempt, REFUSAL_NONE);
    }
}

/* NTLMSSP first in the list, but no token with it: asked for, and no mechListMIC needed. */
static void no_optimistic_token(void **state)
{
    (void)state;
    const struct span none = {NULL, 0};
    struct attempt *attempt = modern(LIST_NTLM);
    struct spnego_response response;
    struct span reply;
    assert_int_equal(step(attempt, wrap(attempt, true, none, none), &reply), STEP_CONTINUE);
    assert_int_equal(unwrap(attempt, reply, &response).size, 0);
    assert_int_equal(response.state, SPNEGO_INCOMPLETE);
    assert_true(span_equal(response.mechanism, spnego_oid(SPNEGO_NTLM)));
    struct span negotiate = peer_negotiate(&attempt->peer);
    assert_int_equal(step(attempt, wrap(attempt, false, negotiate, none), &reply), STEP_CONTINUE);
    struct span challenge = unwrap(attempt, reply, &response);
    memcpy(attempt->challenge, challenge.at, challenge.size);
    attempt->challenge_size = challenge.size;
    attempt->no_list_mic = true;
    assert_int_equal(finish(attempt), STEP_DONE);
    check_done(attempt);
    attempt_free(attempt);
}

static void out_of_order(void **state)
{
    (void)state;
    const struct span none = {NULL, 0};
    struct span reply;
    for (size_t i = 0; i < 2; i++) {
        /* an AUTHENTICATE for somebody else's CHALLENGE comes first */
        struct attempt *other = modern(NULL), *attempt = modern(lists[i]);
        assert_int_equal(begin(other), STEP_CONTINUE);
        struct span challenge = {other->challenge, other->challenge_size};
        struct span answer = peer_authenticate(&other->peer, challenge);
        assert_int_equal(step(attempt, wrap(attempt, true, answer, none), &reply), STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_OUT_OF_ORDER);
        attempt_free(attempt);
        /* … or answers ours: the proof is for another challenge */
        attempt = modern(lists[i]);
        assert_int_equal(begin(attempt), STEP_CONTINUE);
        assert_int_equal(step(attempt, wrap(attempt, false, answer, none), &reply), STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_WRONG_PASSWORD);
        /* … and then it is too late for the right one */
        assert_int_equal(finish(attempt), STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_OUT_OF_ORDER);
        attempt_free(attempt);
        attempt_free(other);
        /* two NEGOTIATEs */
        attempt = modern(lists[i]);
        assert_int_equal(begin(attempt), STEP_CONTINUE);
        struct span negotiate = peer_negotiate(&attempt->peer);
        assert_int_equal(step(attempt, wrap(attempt, false, negotiate, none), &reply),
                         STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_OUT_OF_ORDER);
        attempt_free(attempt);
    }
}

/* A challenge lives as long as the policy says; 0 stands for the default. */
static void stale_challenge(void **state)
{
    (void)state;
    static const struct {
        unsigned lifetime;
        enum refusal refusal;
    } cases[] = {{1, REFUSAL_STALE}, {600, REFUSAL_NONE}, {0, REFUSAL_NONE}};
    struct attempt *attempts[3];
    for (size_t i = 0; i < 3; i++) {
        attempts[i] = modern(LIST_NTLM);
        attempts[i]->policy.challenge_lifetime_s = cases[i].lifetime;
        assert_int_equal(begin(attempts[i]), STEP_CONTINUE);
    }
    nanosleep(&(struct timespec){1, 50000000}, NULL);
    for (size_t i = 0; i < 3; i++) {
        finish(attempts[i]);
        assert_int_equal(acceptor_refusal(attempts[i]->acceptor), cases[i].refusal);
        assert_int_equal(attempts[i]->lookup.calls, cases[i].refusal == REFUSAL_NONE);
        attempt_free(attempts[i]);
    }
}

static void garbage(void **state)
{
    (void)state;
    static const uint8_t big[TOKEN_MAX + 1] = "NTLMSSP\0\1";
    const struct span cases[] = {{NULL, 0},
                                 {(const uint8_t *)"NTLMSSP", 8},
                                 {(const uint8_t *)"NTLMSSP\0\4\0\0\0\0\0\0\0", 16},
                                 {(const uint8_t *)"NTLMSSP\0\2\0\0\0\0\0\0\0", 16},
                                 {(const uint8_t *)"NTLMSSP\0\1\0\0\0\0\0\0", 15},
                                 {(const uint8_t *)"\xa1\x02\x30\x00", 4},
                                 {(const uint8_t *)"\x60\x00", 2},
                                 {big, sizeof big},
                                 {big, sizeof big - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt *attempt = modern(NULL);
        struct span reply;
        assert_int_equal(step(attempt, cases[i], &reply), STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_MALFORMED);
        attempt_free(attempt);
        /* the same after the CHALLENGE */
        attempt = modern(NULL);
        assert_int_equal(begin(attempt), STEP_CONTINUE);
        assert_int_equal(step(attempt, cases[i], &reply), STEP_REFUSED);
        assert_int_equal(attempt->lookup.calls, 0);
        attempt_free(attempt);
    }
}

/* Too much, no room, no name. */
static void limits(void **state)
{
    (void)state;
    /* a good first token with more behind it than a token may have */
    for (int more = 0; more < 2; more++) {
        static uint8_t long_token[TOKEN_MAX + 1];
        struct attempt *attempt = modern(LIST_NTLM);
        struct span reply, none = {NULL, 0};
        struct span token = wrap(attempt, true, peer_negotiate(&attempt->peer), none);
        memcpy(long_token, token.at, token.size);
        assert_int_equal(step(attempt, (struct span){long_token, TOKEN_MAX + (size_t)more}, &reply),
                         more ? STEP_REFUSED : STEP_CONTINUE);
        attempt_free(attempt);
    }
    /* no room for the reply */
    struct attempt *attempt = modern(NULL);
    uint8_t small[16];
    struct writer writer = writer_over(small, sizeof small);
    const struct accept_backend backend = {.lookup = find, .lookup_context = &attempt->lookup};
    assert_int_equal(
        acceptor_step(attempt->acceptor, peer_negotiate(&attempt->peer), &backend, &writer),
        STEP_REFUSED);
    assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_INTERNAL);
    attempt_free(attempt);
    /* a policy without a name to give */
    attempt = modern(NULL);
    attempt->policy.netbios_name = NULL;
    expect(attempt, REFUSAL_INTERNAL);
    acceptor_free(NULL);
}

/* Both tokens of a login cut at every length: refused each time, nothing read beyond the end. */
static void truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++) {
        for (size_t round = 0; round < 2; round++) {
            for (size_t cut = 0, size = 1; cut < size; cut++) {
                struct attempt *attempt = modern(lists[i]);
                struct span reply, token, none = {NULL, 0};
                if (round == 0) {
                    token = wrap(attempt, true, peer_negotiate(&attempt->peer), none);
                } else {
                    assert_int_equal(begin(attempt), STEP_CONTINUE);
                    struct span challenge = {attempt->challenge, attempt->challenge_size};
                    token =
                        wrap(attempt, false, peer_authenticate(&attempt->peer, challenge), none);
                }
                size = token.size;
                enum step result = step(attempt, (struct span){token.at, cut}, &reply);
                /* a raw NEGOTIATE needs no more than its flags */
                bool enough = round == 0 && !lists[i] && cut >= 16;
                assert_int_equal(result, enough ? STEP_CONTINUE : STEP_REFUSED);
                attempt_free(attempt);
            }
        }
    }
}

/* A captured login against the challenge that was captured with it. */
static enum refusal replay(const char *init_hex, const char *challenge_hex,
                           const char *authenticate_hex, const char *own_name,
                           struct identity *identity, uint8_t key[16])
{
    uint8_t bytes[3][1024];
    const char *hex[] = {init_hex, challenge_hex, authenticate_hex};
    struct span token[3];
    struct spnego_init init;
    struct spnego_response challenge, authenticate;
    struct lookup lookup = {0};
    const struct accept_backend backend = {.lookup = find, .lookup_context = &lookup};
    const char *const own[] = {own_name};
    const struct accept_policy policy = {.mic = MIC_REQUIRED,
                                         .target_name = TARGET_NAME_REQUIRED,
                                         .names = own,
                                         .names_count = 1,
                                         .netbios_name = "ELSE"};
    for (size_t i = 0; i < 3; i++)
        token[i] = (struct span){bytes[i], from_hex(hex[i], bytes[i], sizeof bytes[i])};
    assert_true(spnego_init_read(token[0], &init));
    assert_true(spnego_response_read(token[1], &challenge));
    assert_true(spnego_response_read(token[2], &authenticate));
    struct ntlm_accept *accept = malloc(sizeof *accept);
    assert_non_null(accept);
    ntlm_accept_start(accept, &policy);
    assert_int_equal(ntlm_accept_negotiate(accept, init.token, &backend), REFUSAL_NONE);
    memcpy(accept->challenge, challenge.token.at, challenge.token.size);
    accept->challenge_size = challenge.token.size;
    memset(identity, 0, sizeof *identity);
    enum refusal refusal = ntlm_accept_authenticate(accept, authenticate.token, &backend, identity);
    memcpy(key, accept->session_key, 16);
    assert_int_equal(ntlm_accept_authenticate(accept, authenticate.token, &backend, identity),
                     REFUSAL_OUT_OF_ORDER);
    free(accept);
    return refusal;
}

static void captured_logins(void **state)
{
    (void)state;
    static struct identity identity;
    uint8_t key[16], want[16];
    assert_int_equal(
        replay(WINDOWS_INIT, WINDOWS_CHALLENGE, WINDOWS_AUTHENTICATE, "sut311", &identity, key),
        REFUSAL_NONE);
    assert_string_equal(identity.user, "administrator");
    assert_string_equal(identity.domain, "SUT311");
    assert_string_equal(identity.workstation, "DRIVER311");
    assert_string_equal(identity.target_name, "cifs/SUT311");
    assert_true(identity.mic_present);
    assert_int_equal(
        replay(SAMBA_INIT, SAMBA_CHALLENGE, SAMBA_AUTHENTICATE, "127.0.0.1", &identity, key),
        REFUSAL_NONE);
    from_hex("64ee9f19e000a9bfa47e920ef9475425", want, sizeof want);
    assert_memory_equal(key, want, 16);
    assert_int_equal(
        replay(SAMBA_INIT, SAMBA_CHALLENGE, SAMBA_AUTHENTICATE, "127.0.0.2", &identity, key),
        REFUSAL_TARGET_NAME_WRONG);
    /* the answer to another challenge */
    assert_int_equal(
        replay(SAMBA_INIT, WINDOWS_CHALLENGE, SAMBA_AUTHENTICATE, "127.0.0.1", &identity, key),
        REFUSAL_WRONG_PASSWORD);
}

static void refusal_names(void **state)
{
    (void)state;
    for (int i = 0; i < REFUSAL_COUNT; i++) {
        const char *name = refusal_name((enum refusal)i);
        assert_non_null(name);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, refusal_name((enum refusal)j));
    }
    assert_string_equal(refusal_name(REFUSAL_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modern_clients),
        cmocka_unit_test(the_challenge),
        cmocka_unit_test(real_clients),
        cmocka_unit_test(names_and_case),
        cmocka_unit_test(no_optimistic_token),
        cmocka_unit_test(out_of_order),
        cmocka_unit_test(stale_challenge),
        cmocka_unit_test(garbage),
        cmocka_unit_test(limits),
        cmocka_unit_test(truncated),
        cmocka_unit_test(captured_logins),
        cmocka_unit_test(refusal_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
