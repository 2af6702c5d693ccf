/* The acceptor's rules: every refusal beside the same attempt unbroken. */
#include "tests/unit/accept_attempt.h"

static const char *const lists[] = {NULL, LIST_NTLM, LIST_NTLM_FIRST, LIST_KERBEROS_FIRST};
enum { LISTS = sizeof lists / sizeof *lists };

/* Each breaks one thing in an attempt that is otherwise good. */
enum { ANY = -1 };
struct breach {
    const char *what;
    enum refusal refusal;
    struct peer peer;     /* what differs from a modern client's */
    bool no_mic;          /* … which else has one */
    const char *target;   /* instead of ours; "" for none */
    int mic, target_name; /* policy, when not ANY */
};

static const uint8_t bound[16] = {1}, unbound[16];

static const struct breach breaches[] = {
    {"nothing", REFUSAL_NONE, {0}, .mic = MIC_REQUIRED, .target_name = TARGET_NAME_REQUIRED},

    {"no SIGN", REFUSAL_FLAGS, {.clear = NTLM_SIGN}, .mic = ANY, .target_name = ANY},
    {"no KEY_EXCH", REFUSAL_FLAGS, {.clear = NTLM_KEY_EXCH}, .mic = ANY, .target_name = ANY},
    {"no ESS", REFUSAL_FLAGS, {.clear = NTLM_EXTENDED}, .mic = ANY, .target_name = ANY},
    {"no 128", REFUSAL_FLAGS, {.clear = NTLM_128}, .mic = ANY, .target_name = ANY},
    {"no UNICODE", REFUSAL_FLAGS, {.clear = NTLM_UNICODE}, .mic = ANY, .target_name = ANY},
    {"never 128", REFUSAL_FLAGS, {.flags = 0x42088215}, .mic = ANY, .target_name = ANY},
    {"a key not granted",
     REFUSAL_FLAGS,
     {.flags = 0x22088215, .set = NTLM_KEY_EXCH},
     .mic = ANY,
     .target_name = ANY},
    {"no key asked", REFUSAL_NONE, {.flags = 0x22088215}, .mic = ANY, .target_name = ANY},

    {"NTLMv1", REFUSAL_NTLMV1, {.response = PEER_V1}, .mic = ANY, .target_name = ANY},
    {"NTLMv1, no ESS",
     REFUSAL_NTLMV1,
     {.response = PEER_V1, .clear = NTLM_EXTENDED},
     .mic = ANY,
     .target_name = ANY},
    {"LM only", REFUSAL_NTLMV1, {.response = PEER_LM_ONLY}, .mic = ANY, .target_name = ANY},

    {"anonymous flag", REFUSAL_ANONYMOUS, {.set = NTLM_ANONYMOUS}, .mic = ANY, .target_name = ANY},
    {"empty user", REFUSAL_ANONYMOUS, {.user = ""}, .mic = ANY, .target_name = ANY},
    {"empty response", REFUSAL_ANONYMOUS, {.response = PEER_EMPTY}, .mic = ANY, .target_name = ANY},

    {"guest", REFUSAL_GUEST, {.user = "guest"}, .mic = ANY, .target_name = ANY},
    {"Guest", REFUSAL_GUEST, {.user = "GUEST"}, .mic = ANY, .target_name = ANY},
    {"unknown user", REFUSAL_UNKNOWN_USER, {.user = "mallory"}, .mic = ANY, .target_name = ANY},
    {"wrong password",
     REFUSAL_WRONG_PASSWORD,
     {.password = "Alice.Pw2"},
     .mic = ANY,
     .target_name = ANY},
    {"wrong password and all else",
     REFUSAL_WRONG_PASSWORD,
     {.password = "x", .omit = AV_TIMESTAMP, .mic_bad = true},
     .target = "cifs/evil",
     .mic = ANY,
     .target_name = ANY},

    {"no NB domain", REFUSAL_AV_PAIRS, {.omit = AV_NB_DOMAIN}, .mic = ANY, .target_name = ANY},
    {"no NB computer", REFUSAL_AV_PAIRS, {.omit = AV_NB_COMPUTER}, .mic = ANY, .target_name = ANY},
    {"no DNS domain", REFUSAL_AV_PAIRS, {.omit = AV_DNS_DOMAIN}, .mic = ANY, .target_name = ANY},
    {"no DNS name", REFUSAL_AV_PAIRS, {.omit = AV_DNS_COMPUTER}, .mic = ANY, .target_name = ANY},
    {"no timestamp",
     REFUSAL_AV_PAIRS,
     {.omit = AV_TIMESTAMP},
     .no_mic = true,
     .mic = ANY,
     .target_name = ANY},
    {"other NB domain", REFUSAL_AV_PAIRS, {.change = AV_NB_DOMAIN}, .mic = ANY, .target_name = ANY},
    {"other NB computer",
     REFUSAL_AV_PAIRS,
     {.change = AV_NB_COMPUTER},
     .mic = ANY,
     .target_name = ANY},
    {"other DNS domain",
     REFUSAL_AV_PAIRS,
     {.change = AV_DNS_DOMAIN},
     .mic = ANY,
     .target_name = ANY},
    {"other DNS name",
     REFUSAL_AV_PAIRS,
     {.change = AV_DNS_COMPUTER},
     .mic = ANY,
     .target_name = ANY},
    {"a pair twice", REFUSAL_AV_PAIRS, {.repeat = true}, .mic = ANY, .target_name = ANY},
    {"flags of two bytes",
     REFUSAL_AV_PAIRS,
     {.av_flags_short = true},
     .no_mic = true,
     .mic = ANY,
     .target_name = ANY},
    {"other timestamp", REFUSAL_STALE, {.change = AV_TIMESTAMP}, .mic = ANY, .target_name = ANY},

    {"MIC unannounced, allowed",
     REFUSAL_NONE,
     {0},
     .no_mic = true,
     .mic = MIC_ANNOUNCED,
     .target_name = ANY},
    {"MIC unannounced, required",
     REFUSAL_MIC_MISSING,
     {0},
     .no_mic = true,
     .mic = MIC_REQUIRED,
     .target_name = ANY},
    {"bytes where a MIC would be",
     REFUSAL_NONE,
     {.mic_unannounced = true},
     .no_mic = true,
     .mic = MIC_ANNOUNCED,
     .target_name = ANY},
    {"… do not count as one",
     REFUSAL_MIC_MISSING,
     {.mic_unannounced = true},
     .no_mic = true,
     .mic = MIC_REQUIRED,
     .target_name = ANY},
    {"MIC announced, no room",
     REFUSAL_MIC_MISSING,
     {.mic_unplaced = true},
     .no_mic = true,
     .mic = ANY,
     .target_name = ANY},
    {"MIC zeroed", REFUSAL_MIC_WRONG, {.mic_zero = true}, .mic = ANY, .target_name = ANY},
    {"MIC changed", REFUSAL_MIC_WRONG, {.mic_bad = true}, .mic = ANY, .target_name = ANY},
    {"MIC right, at 64",
     REFUSAL_NONE,
     {.mic_early = true},
     .mic = MIC_REQUIRED,
     .target_name = ANY},
    {"MIC changed, at 64",
     REFUSAL_MIC_WRONG,
     {.mic_early = true, .mic_bad = true},
     .mic = ANY,
     .target_name = ANY},

    {"by port",
     REFUSAL_NONE,
     {0},
     .target = "cifs/files.example.com:445",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"with the dot that ends a name",
     REFUSAL_NONE,
     {0},
     .target = "cifs/files.example.com.",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"by address",
     REFUSAL_NONE,
     {0},
     .target = "cifs/10.0.0.7",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"in capitals",
     REFUSAL_NONE,
     {0},
     .target = "CIFS/FILES.Example.COM",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"another server",
     REFUSAL_TARGET_NAME_WRONG,
     {0},
     .target = "cifs/other.example.com",
     .mic = ANY,
     .target_name = TARGET_NAME_IF_PRESENT},
    {"another server, required",
     REFUSAL_TARGET_NAME_WRONG,
     {0},
     .target = "cifs/10.0.0.8",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"another server, off",
     REFUSAL_NONE,
     {0},
     .target = "cifs/other.example.com",
     .mic = ANY,
     .target_name = TARGET_NAME_OFF},
    {"another service",
     REFUSAL_TARGET_NAME_WRONG,
     {0},
     .target = "http/files.example.com",
     .mic = ANY,
     .target_name = ANY},
    {"no name", REFUSAL_NONE, {0}, .target = "", .mic = ANY, .target_name = ANY},
    {"no name, required",
     REFUSAL_TARGET_NAME_MISSING,
     {0},
     .target = "",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"empty name, required",
     REFUSAL_TARGET_NAME_MISSING,
     {.target_empty = true},
     .target = "",
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},
    {"untrusted, wrong",
     REFUSAL_NONE,
     {.av_flags = AV_FLAG_UNTRUSTED_SPN},
     .target = "cifs/evil",
     .mic = ANY,
     .target_name = TARGET_NAME_IF_PRESENT},
    {"untrusted, right, required",
     REFUSAL_TARGET_NAME_MISSING,
     {.av_flags = AV_FLAG_UNTRUSTED_SPN},
     .mic = ANY,
     .target_name = TARGET_NAME_REQUIRED},

    {"bound to a channel",
     REFUSAL_CHANNEL_BINDINGS,
     {.bindings = bound, .bindings_size = 16},
     .mic = ANY,
     .target_name = ANY},
    {"bindings of another size",
     REFUSAL_CHANNEL_BINDINGS,
     {.bindings = unbound, .bindings_size = 15},
     .mic = ANY,
     .target_name = ANY},
    {"bound to none",
     REFUSAL_NONE,
     {.bindings = unbound, .bindings_size = 16},
     .mic = ANY,
     .target_name = ANY},

    {"a short response",
     REFUSAL_MALFORMED,
     {.response = PEER_SHORT},
     .mic = ANY,
     .target_name = ANY},
    {"RespType 2", REFUSAL_MALFORMED, {.response_type = true}, .mic = ANY, .target_name = ANY},
    {"no end of pairs", REFUSAL_MALFORMED, {.no_end = true}, .mic = ANY, .target_name = ANY},
    {"a short key", REFUSAL_MALFORMED, {.key_short = true}, .mic = ANY, .target_name = ANY},
};

static struct attempt *breach_attempt(const struct breach *breach, const char *list)
{
    struct attempt *attempt = modern(list);
    struct peer good = attempt->peer;
    attempt->peer = breach->peer;
    if (!attempt->peer.user)
        attempt->peer.user = good.user;
    if (!attempt->peer.password)
        attempt->peer.password = good.password;
    attempt->peer.domain = good.domain;
    attempt->peer.mic = !breach->no_mic;
    attempt->peer.target = breach->target ? breach->target : good.target;
    if (!*attempt->peer.target)
        attempt->peer.target = NULL;
    if (breach->mic != ANY)
        attempt->policy.mic = (enum mic_level)breach->mic;
    if (breach->target_name != ANY)
        attempt->policy.target_name = (enum target_name_level)breach->target_name;
    return attempt;
}

static void broken_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        for (size_t j = 0; j < LISTS; j++) {
            struct attempt *attempt = breach_attempt(&breaches[i], lists[j]);
            enum step result = run(attempt);
            enum refusal refusal = acceptor_refusal(attempt->acceptor);
            if (refusal != breaches[i].refusal ||
                (result == STEP_DONE) != (refusal == REFUSAL_NONE))
                fail_msg("%s, list %zu: %s", breaches[i].what, j, refusal_name(refusal));
            assert_true(attempt->lookup.calls <= 1);
            attempt_free(attempt);
            expect(breach_attempt(&breaches[i], lists[j]), breaches[i].refusal);
        }
    }
}

/* The address that the client connected to is a name of a transparent listener; only an address is,
 * and only there. */
static void called_addresses(void **state)
{
    static const struct {
        bool transparent;
        const char *called, *target;
        enum refusal refusal;
    } cases[] = {
        {true, "192.0.2.9", "cifs/192.0.2.9", REFUSAL_NONE},
        {true, "192.0.2.9", "cifs/192.0.2.10", REFUSAL_TARGET_NAME_WRONG},
        {true, "2001:db8::9", "cifs/2001:DB8:0::9", REFUSAL_NONE},
        {true, "2001:db8::9", "cifs/2001:db8::10", REFUSAL_TARGET_NAME_WRONG},
        {true, "", "cifs/192.0.2.9", REFUSAL_TARGET_NAME_WRONG},
        {true, "evil", "cifs/evil", REFUSAL_TARGET_NAME_WRONG},
        {true, "192.0.2.9", "cifs/files.example.com", REFUSAL_NONE},
        {false, "192.0.2.9", "cifs/192.0.2.9", REFUSAL_TARGET_NAME_WRONG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt *attempt = modern(NULL);
        acceptor_free(attempt->acceptor);
        attempt->policy.transparent = cases[i].transparent;
        attempt->acceptor = acceptor_new(&attempt->policy, cases[i].called);
        assert_non_null(attempt->acceptor);
        attempt->peer.target = cases[i].target;
        expect(attempt, cases[i].refusal);
    }
}

/* In which way there is no name, which is all the same to the policy. */
static void absent_names(void **state)
{
    static const struct {
        const char *target;
        struct peer peer;
        const char *absence;
    } cases[] = {
        {NULL, {0}, "absent"},
        {NULL, {.target_empty = true}, "empty"},
        {"cifs/files.example.com", {.av_flags = AV_FLAG_UNTRUSTED_SPN}, "untrusted"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt *attempt = modern(NULL);
        attempt->peer.target = cases[i].target;
        attempt->peer.target_empty = cases[i].peer.target_empty;
        attempt->peer.av_flags = cases[i].peer.av_flags;
        assert_int_equal(run(attempt), STEP_DONE);
        const struct identity *identity = acceptor_identity(attempt->acceptor);
        assert_string_equal(identity->target_name, "");
        assert_string_equal(target_absence_name(identity->target_absence), cases[i].absence);
        attempt_free(attempt);
    }
}

/* Who it claims to be is known also of those who are refused. */
static void refused_identities(void **state)
{
    (void)state;
    struct attempt *attempt = attempt_new("mallory", "EVIL", "x");
    attempt->list = LIST_NTLM;
    attempt->peer.target = "cifs/other";
    assert_int_equal(run(attempt), STEP_REFUSED);
    const struct identity *identity = acceptor_identity(attempt->acceptor);
    assert_string_equal(identity->user, "mallory");
    assert_string_equal(identity->domain, "EVIL");
    assert_string_equal(identity->target_name, "cifs/other");
    assert_int_equal(identity->mechanism, MECHANISM_NTLM);
    assert_true(identity->spnego);
    assert_false(identity->mic_present);
    attempt_free(attempt);
}

static void list_mics(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool none, bad;
        enum refusal refusal;
    } cases[] = {
        {LIST_NTLM, false, false, REFUSAL_NONE},
        {LIST_NTLM, true, false, REFUSAL_NONE},
        {LIST_NTLM, false, true, REFUSAL_MECH_LIST_MIC_WRONG},
        {LIST_NTLM_FIRST, true, false, REFUSAL_NONE},
        {LIST_NTLM_FIRST, false, true, REFUSAL_MECH_LIST_MIC_WRONG},
        {LIST_KERBEROS_FIRST, false, false, REFUSAL_NONE},
        {LIST_KERBEROS_FIRST, true, false, REFUSAL_MECH_LIST_MIC_MISSING},
        {LIST_KERBEROS_FIRST, false, true, REFUSAL_MECH_LIST_MIC_WRONG},
        {LIST_KERBEROS, false, false, REFUSAL_NO_MECHANISM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt *attempt = modern(cases[i].list);
        attempt->no_list_mic = cases[i].none;
        attempt->bad_list_mic = cases[i].bad;
        expect(attempt, cases[i].refusal);
    }
}

/* The list was cut on the way: the client's MIC is over the one it sent, ours over what came. */
static void cut_list(void **state)
{
    (void)state;
    struct attempt *attempt = modern(LIST_NTLM);
    assert_int_equal(begin(attempt), STEP_CONTINUE);
    attempt->list = LIST_KERBEROS_FIRST;
    assert_int_equal(finish(attempt), STEP_REFUSED);
    assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_MECH_LIST_MIC_WRONG);
    attempt_free(attempt);
}

/* With a MIC no bit of the answer can be changed; what NTProofStr covers cannot even without. */
static void tampered(void **state)
{
    (void)state;
    for (int with_mic = 0; with_mic < 2; with_mic++) {
        for (size_t at = 0, size = 1; at < size; at++) {
            struct attempt *attempt = modern(NULL);
            struct ntlm_authenticate message;
            struct span reply, blob;
            attempt->peer.mic = with_mic;
            assert_int_equal(begin(attempt), STEP_CONTINUE);
            struct span challenge = {attempt->challenge, attempt->challenge_size};
            struct span answer = peer_authenticate(&attempt->peer, challenge);
            assert_true(ntlm_authenticate_read(answer, &message));
            assert_true(span_slice(message.nt_response, 0, message.nt_response.size, &blob));
            size = answer.size;
            bool proven = &attempt->peer.message[at] >= blob.at &&
                          &attempt->peer.message[at] < &blob.at[blob.size];
            attempt->peer.message[at] ^= 1u << at % 8;
            enum step result = step(attempt, answer, &reply);
            if (with_mic || proven)
                assert_int_equal(result, STEP_REFUSED);
            attempt_free(attempt);
        }
    }
}

/* The announcement of the MIC taken back on the way: the proof is wrong then. */
static void announcement_taken_back(void **state)
{
    (void)state;
    for (int take_back = 0; take_back < 2; take_back++) {
        struct attempt *attempt = modern(NULL);
        struct ntlm_authenticate message;
        struct av_list pairs;
        struct span reply, info;
        assert_int_equal(begin(attempt), STEP_CONTINUE);
        struct span challenge = {attempt->challenge, attempt->challenge_size};
        struct span answer = peer_authenticate(&attempt->peer, challenge);
        assert_true(ntlm_authenticate_read(answer, &message));
        assert_true(span_slice(message.nt_response, 44, message.nt_response.size - 44, &info));
        assert_true(av_list_read(info, &pairs));
        size_t at = (size_t)(av_list_find(&pairs, AV_FLAGS)->value.at - answer.at);
        assert_int_equal(attempt->peer.message[at], AV_FLAG_MIC);
        if (take_back)
            attempt->peer.message[at] = 0;
        assert_int_equal(step(attempt, answer, &reply), take_back ? STEP_REFUSED : STEP_DONE);
        if (take_back)
            assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_WRONG_PASSWORD);
        attempt_free(attempt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_rules),     cmocka_unit_test(absent_names),
        cmocka_unit_test(called_addresses), cmocka_unit_test(refused_identities),
        cmocka_unit_test(list_mics),        cmocka_unit_test(cut_list),
        cmocka_unit_test(tampered),         cmocka_unit_test(announcement_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
