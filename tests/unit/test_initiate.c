/* The initiator: against our own acceptor, and against servers that offer less or do wrong. */
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/ntlm_vectors.h"

#include "crypto/initiate.h"

static const char *const names[] = {"nas.example.com"};

static const struct accept_policy strict = {.mic = MIC_REQUIRED,
                                            .target_name = TARGET_NAME_REQUIRED,
                                            .names = names,
                                            .names_count = 1,
                                            .netbios_name = "NAS",
                                            .netbios_domain = "WORK",
                                            .dns_name = "nas.example.com"};

static enum nt_hash_found find(void *context, const char *user, const char *domain,
                               uint8_t hash[NT_HASH_SIZE])
{
    strcpy(context, domain);
    return text_same_name(user, "bob") && nt_hash_of_password("Bob.Pw1", hash) ? NT_HASH_PLAIN
                                                                               : NT_HASH_NONE;
}

static struct initiator *bob(const char *domain, const char *password)
{
    uint8_t hash[NT_HASH_SIZE];
    assert_true(nt_hash_of_password(password, hash));
    struct initiator *initiator = initiator_new("bob", domain, hash, "cifs/nas.example.com");
    assert_non_null(initiator);
    return initiator;
}

/* Tokens on their way. */
struct wire {
    uint8_t bytes[TOKEN_MAX];
    size_t size;
};

static enum step initiate(struct initiator *initiator, struct span token, struct wire *out)
{
    uint8_t *copy = malloc(token.size + 1);
    struct writer writer = writer_over(out->bytes, sizeof out->bytes);
    assert_non_null(copy);
    if (token.size)
        memcpy(&copy[1], token.at, token.size);
    enum step step = initiator_step(initiator, (struct span){&copy[1], token.size}, &writer);
    free(copy);
    out->size = writer_size(&writer);
    return step;
}

static struct span on(const struct wire *wire)
{
    return (struct span){wire->bytes, wire->size};
}

static void with_our_acceptor(void **state)
{
    (void)state;
    static const char *const domains[][2] = {{"WORK", "WORK"}, {"work", "work"}, {"", "NAS"}};
    for (size_t i = 0; i < 3; i++) {
        char domain[IDENTITY_NAME_MAX];
        static struct wire out, back;
        struct session_key ours, theirs;
        struct initiator *initiator = bob(domains[i][0], "Bob.Pw1");
        struct acceptor *acceptor = acceptor_new(&strict, "");
        assert_int_equal(initiate(initiator, (struct span){NULL, 0}, &out), STEP_CONTINUE);
        struct writer writer = writer_over(back.bytes, sizeof back.bytes);
        const struct accept_backend backend = {.lookup = find, .lookup_context = domain};
        assert_int_equal(acceptor_step(acceptor, on(&out), &backend, &writer), STEP_CONTINUE);
        assert_false(initiator_session_key(initiator, &ours));
        assert_int_equal(ours.size, 0);
        assert_int_equal(initiate(initiator, writer_span(&writer), &out), STEP_CONTINUE);
        assert_true(initiator_session_key(initiator, &ours));
        writer = writer_over(back.bytes, sizeof back.bytes);
        assert_int_equal(acceptor_step(acceptor, on(&out), &backend, &writer), STEP_DONE);
        acceptor_session_key(acceptor, &theirs);
        assert_int_equal(initiate(initiator, writer_span(&writer), &out), STEP_DONE);
        assert_int_equal(out.size, 0);
        assert_true(initiator_session_key(initiator, &ours));
        assert_int_equal(ours.size, 16);
        assert_int_equal(theirs.size, 16);
        assert_memory_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
        assert_string_equal(domain, domains[i][1]);
        const struct identity *identity = acceptor_identity(acceptor);
        assert_string_equal(identity->target_name, "cifs/nas.example.com");
        assert_true(identity->mic_present);
        /* nothing more to say */
        assert_int_equal(initiate(initiator, writer_span(&writer), &out), STEP_REFUSED);
        assert_int_equal(initiator_refusal(initiator), REFUSAL_OUT_OF_ORDER);
        assert_false(initiator_session_key(initiator, &ours));
        initiator_free(initiator);
        acceptor_free(acceptor);
    }
}

static void wrong_password(void **state)
{
    (void)state;
    char domain[IDENTITY_NAME_MAX];
    static struct wire out, back;
    struct initiator *initiator = bob("WORK", "Bob.Pw2");
    struct acceptor *acceptor = acceptor_new(&strict, "");
    assert_int_equal(initiate(initiator, (struct span){NULL, 0}, &out), STEP_CONTINUE);
    struct writer writer = writer_over(back.bytes, sizeof back.bytes);
    const struct accept_backend backend = {.lookup = find, .lookup_context = domain};
    assert_int_equal(acceptor_step(acceptor, on(&out), &backend, &writer), STEP_CONTINUE);
    assert_int_equal(initiate(initiator, writer_span(&writer), &out), STEP_CONTINUE);
    assert_int_equal(acceptor_step(acceptor, on(&out), &backend, &writer), STEP_REFUSED);
    assert_int_equal(acceptor_refusal(acceptor), REFUSAL_WRONG_PASSWORD);
    initiator_free(initiator);
    acceptor_free(acceptor);
}

/* A server that says what it is told to. */
struct server {
    uint32_t clear, set; /* in the flags of a good CHALLENGE */
    bool no_timestamp;   /* as ksmbd, without the MIC then */
    bool own_flags;      /* pairs that are the client's to say */
    bool no_computer, repeat, broken_pairs;
    enum spnego_state state;
    const char *mechanism; /* an OID; NTLMSSP when NULL, none when empty */
    bool raw;              /* no SPNEGO around it */
    bool type_3;
};

static const uint8_t server_challenge[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void write_info(const struct server *server, struct writer *writer)
{
    const struct span lie = {(const uint8_t *)"l\0i\0e\0", 6};
    if (!server->no_computer)
        assert_true(av_write_text(writer, AV_NB_COMPUTER, "OLDNAS"));
    if (!server->no_timestamp)
        av_write_le64(writer, AV_TIMESTAMP, 77);
    if (server->repeat)
        av_write_le64(writer, AV_TIMESTAMP, 78);
    if (server->own_flags) {
        av_write_le32(writer, AV_FLAGS, 0);
        av_write(writer, AV_TARGET_NAME, lie);
        av_write(writer, AV_CHANNEL_BINDINGS, lie);
    }
    av_write_end(writer);
    assert_true(writer_done(writer));
}

static struct span server_says(const struct server *server, struct wire *wire)
{
    uint8_t info[512], bytes[1024];
    struct writer info_writer = writer_over(info, sizeof info);
    struct writer writer = writer_over(bytes, sizeof bytes);
    struct writer out = writer_over(wire->bytes, sizeof wire->bytes);
    struct ntlm_challenge challenge = {.flags = (0xe28a8215 & ~server->clear) | server->set};
    memcpy(challenge.server_challenge, server_challenge, 8);
    write_info(server, &info_writer);
    challenge.target_info = writer_span(&info_writer);
    challenge.target_info.size -= server->broken_pairs;
    ntlm_challenge_write(&writer, &challenge);
    assert_true(writer_done(&writer));
    bytes[8] = server->type_3 ? 3 : 2;
    const struct spnego_response response = {
        .state = server->state,
        .mechanism = server->mechanism ? (struct span){(const uint8_t *)server->mechanism,
                                                       strlen(server->mechanism)}
                                       : spnego_oid(SPNEGO_NTLM),
        .token = writer_span(&writer),
    };
    if (server->raw)
        write_span(&out, response.token);
    else
        spnego_response_write(&out, &response);
    wire->size = writer_size(&out);
    return on(wire);
}

/* The initiator after that CHALLENGE, with its answer in `out`. */
static enum step after(struct initiator *initiator, const struct server *server, struct wire *out)
{
    static struct wire back;
    assert_int_equal(initiate(initiator, (struct span){NULL, 0}, out), STEP_CONTINUE);
    return initiate(initiator, server_says(server, &back), out);
}

static void servers_that_offer_less(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct server server;
        enum refusal refusal;
    } cases[] = {
        {"a good one", {.state = SPNEGO_INCOMPLETE}, REFUSAL_NONE},
        {"request-mic", {.state = SPNEGO_REQUEST_MIC}, REFUSAL_NONE},
        {"no state", {.state = SPNEGO_NO_STATE}, REFUSAL_NONE},
        {"no mechanism", {.state = SPNEGO_INCOMPLETE, .mechanism = ""}, REFUSAL_NONE},
        {"its own flags", {.state = SPNEGO_INCOMPLETE, .own_flags = true}, REFUSAL_NONE},
        {"no timestamp", {.state = SPNEGO_INCOMPLETE, .no_timestamp = true}, REFUSAL_NONE},
        {"nameless", {.state = SPNEGO_INCOMPLETE, .no_computer = true}, REFUSAL_NONE},
        {"no UNICODE", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_UNICODE}, REFUSAL_FLAGS},
        {"no SIGN", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_SIGN}, REFUSAL_FLAGS},
        {"no ESS", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_EXTENDED}, REFUSAL_FLAGS},
        {"no TARGET_INFO", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_TARGET_INFO}, REFUSAL_FLAGS},
        {"no 128", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_128}, REFUSAL_FLAGS},
        {"no KEY_EXCH", {.state = SPNEGO_INCOMPLETE, .clear = NTLM_KEY_EXCH}, REFUSAL_FLAGS},
        {"anonymous", {.state = SPNEGO_INCOMPLETE, .set = NTLM_ANONYMOUS}, REFUSAL_ANONYMOUS},
        {"completed", {.state = SPNEGO_COMPLETED}, REFUSAL_ANONYMOUS},
        {"reject", {.state = SPNEGO_REJECT}, REFUSAL_NO_MECHANISM},
        {"Kerberos",
         {.state = SPNEGO_INCOMPLETE, .mechanism = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"},
         REFUSAL_OTHER_MECHANISM},
        {"raw", {.state = SPNEGO_INCOMPLETE, .raw = true}, REFUSAL_MALFORMED},
        {"type 3", {.state = SPNEGO_INCOMPLETE, .type_3 = true}, REFUSAL_MALFORMED},
        {"a pair twice", {.state = SPNEGO_INCOMPLETE, .repeat = true}, REFUSAL_MALFORMED},
        {"pairs cut short", {.state = SPNEGO_INCOMPLETE, .broken_pairs = true}, REFUSAL_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct wire out;
        struct session_key key;
        struct initiator *initiator = bob("WORK", "Bob.Pw1");
        enum step step = after(initiator, &cases[i].server, &out);
        if (initiator_refusal(initiator) != cases[i].refusal)
            fail_msg("%s: %s", cases[i].what, refusal_name(initiator_refusal(initiator)));
        assert_int_equal(step, cases[i].refusal ? STEP_REFUSED : STEP_CONTINUE);
        assert_int_equal(initiator_session_key(initiator, &key), cases[i].refusal == REFUSAL_NONE);
        if (cases[i].refusal)
            assert_int_equal(out.size, 0);
        initiator_free(initiator);
    }
}

/* What stands in the AUTHENTICATE, with and without a timestamp in the CHALLENGE. */
static void the_authenticate(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        static struct wire out;
        static const uint8_t zeros[24];
        struct server server = {.state = SPNEGO_INCOMPLETE, .own_flags = true, .no_timestamp = old};
        struct initiator *initiator = bob("", "Bob.Pw1");
        struct spnego_response token;
        struct ntlm_authenticate answer;
        struct av_list pairs;
        struct span blob;
        uint8_t room[PEER_TEXT_MAX], hash[16], owf[16], proof[16];
        uint32_t flags = 0;
        assert_int_equal(after(initiator, &server, &out), STEP_CONTINUE);
        assert_true(spnego_response_read(on(&out), &token));
        assert_int_equal(token.mic.size, 16);
        assert_true(ntlm_authenticate_read(token.token, &answer));
        assert_true(span_slice(answer.nt_response, 44, answer.nt_response.size - 44, &blob));
        assert_true(av_list_read(blob, &pairs));
        assert_false(av_list_repeats(&pairs));
        assert_int_equal(av_list_le32(&pairs, AV_FLAGS, &flags), !old);
        assert_int_equal(flags, old ? 0 : AV_FLAG_MIC);
        assert_true(span_equal(av_list_find(&pairs, AV_TARGET_NAME)->value,
                               text_span("cifs/nas.example.com", room)));
        assert_true(
            span_equal(av_list_find(&pairs, AV_CHANNEL_BINDINGS)->value, (struct span){zeros, 16}));
        assert_true(span_equal(answer.domain, text_span("OLDNAS", room)));
        assert_int_equal(span_equal(answer.lm_response, (struct span){zeros, 24}), !old);
        assert_int_equal(span_equal(answer.mic, (struct span){zeros, 16}), old);
        /* the LMv2 response of old servers is right too */
        assert_true(nt_hash_of_password("Bob.Pw1", hash));
        assert_true(ntlm_owf_v2(hash, "BOB", answer.domain, owf));
        assert_int_equal(answer.lm_response.size, 24);
        assert_true(
            ntlm_proof(owf, server_challenge, (struct span){&answer.lm_response.at[16], 8}, proof));
        assert_int_equal(
            span_equal((struct span){answer.lm_response.at, 16}, (struct span){proof, 16}), old);
        /* time: the server's, or our own */
        uint64_t time = get_le64(&answer.nt_response.at[24]);
        assert_true(old ? ntlm_now() - time < 100000000 : time == 77);
        initiator_free(initiator);
    }
}

/* The file server's last token, after a CHALLENGE with that state. */
enum { NO_MIC, RIGHT, WRONG, CLIENTS };
static const struct {
    const char *what;
    bool empty;
    enum spnego_state before, last;
    int mic;
    bool token;
    enum refusal refusal;
} lasts[] = {
    {"Samba", false, SPNEGO_INCOMPLETE, SPNEGO_COMPLETED, RIGHT, false, REFUSAL_NONE},
    {"ksmbd", false, SPNEGO_INCOMPLETE, SPNEGO_COMPLETED, NO_MIC, false, REFUSAL_NONE},
    {"no state", false, SPNEGO_INCOMPLETE, SPNEGO_NO_STATE, RIGHT, false, REFUSAL_NONE},
    {"empty", true, SPNEGO_INCOMPLETE, SPNEGO_NO_STATE, NO_MIC, false, REFUSAL_NONE},
    {"wrong", false, SPNEGO_INCOMPLETE, SPNEGO_COMPLETED, WRONG, false,
     REFUSAL_MECH_LIST_MIC_WRONG},
    {"our own", false, SPNEGO_INCOMPLETE, SPNEGO_COMPLETED, CLIENTS, false,
     REFUSAL_MECH_LIST_MIC_WRONG},
    {"asked, given", false, SPNEGO_REQUEST_MIC, SPNEGO_COMPLETED, RIGHT, false, REFUSAL_NONE},
    {"asked, not given", false, SPNEGO_REQUEST_MIC, SPNEGO_COMPLETED, NO_MIC, false,
     REFUSAL_MECH_LIST_MIC_MISSING},
    {"asked, empty", true, SPNEGO_REQUEST_MIC, SPNEGO_COMPLETED, NO_MIC, false,
     REFUSAL_MECH_LIST_MIC_MISSING},
    {"reject", false, SPNEGO_INCOMPLETE, SPNEGO_REJECT, RIGHT, false, REFUSAL_WRONG_PASSWORD},
    {"more", false, SPNEGO_INCOMPLETE, SPNEGO_INCOMPLETE, RIGHT, false, REFUSAL_OUT_OF_ORDER},
    {"a token", false, SPNEGO_INCOMPLETE, SPNEGO_COMPLETED, RIGHT, true, REFUSAL_OUT_OF_ORDER},
};

static void last_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lasts / sizeof *lasts; i++) {
        static struct wire out, back;
        struct server server = {.state = lasts[i].before};
        struct initiator *initiator = bob("WORK", "Bob.Pw1");
        struct session_key key;
        uint8_t mic[16];
        assert_int_equal(after(initiator, &server, &out), STEP_CONTINUE);
        assert_true(initiator_session_key(initiator, &key));
        assert_true(ntlm_mac(key.bytes, NTLM_KEY_EXCH,
                             lasts[i].mic == CLIENTS ? NTLM_FROM_CLIENT : NTLM_FROM_SERVER,
                             spnego_ntlm_list(), mic));
        mic[4] ^= lasts[i].mic == WRONG;
        const struct spnego_response response = {
            .state = lasts[i].last,
            .token = {(const uint8_t *)"x", lasts[i].token},
            .mic = {mic, lasts[i].mic == NO_MIC ? 0 : sizeof mic},
        };
        struct writer writer = writer_over(back.bytes, sizeof back.bytes);
        if (!lasts[i].empty)
            spnego_response_write(&writer, &response);
        enum step step = initiate(initiator, writer_span(&writer), &out);
        if (initiator_refusal(initiator) != lasts[i].refusal)
            fail_msg("%s: %s", lasts[i].what, refusal_name(initiator_refusal(initiator)));
        assert_int_equal(step, lasts[i].refusal ? STEP_REFUSED : STEP_DONE);
        assert_int_equal(initiator_session_key(initiator, &key), lasts[i].refusal == REFUSAL_NONE);
        initiator_free(initiator);
    }
}

/* The captured CHALLENGEs of Windows and Samba are good enough; cut anywhere they are refused. */
static void captured_challenges(void **state)
{
    (void)state;
    const char *hex[] = {WINDOWS_CHALLENGE, SAMBA_CHALLENGE};
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[1024];
        size_t size = from_hex(hex[i], bytes, sizeof bytes);
        for (size_t cut = 0; cut <= size; cut++) {
            static struct wire out;
            struct initiator *initiator = bob("WORK", "Bob.Pw1");
            assert_int_equal(initiate(initiator, (struct span){NULL, 0}, &out), STEP_CONTINUE);
            assert_int_equal(initiate(initiator, (struct span){bytes, cut}, &out),
                             cut == size ? STEP_CONTINUE : STEP_REFUSED);
            initiator_free(initiator);
        }
    }
}

static void names_that_do_not_fit(void **state)
{
    (void)state;
    char longest[IDENTITY_TARGET_MAX + 1];
    uint8_t hash[NT_HASH_SIZE] = {0};
    struct initiator *initiator;
    memset(longest, 'x', sizeof longest);
    longest[IDENTITY_NAME_MAX - 1] = '\0';
    initiator = initiator_new(longest, longest, hash, longest);
    assert_non_null(initiator);
    initiator_free(initiator);
    longest[IDENTITY_NAME_MAX - 1] = 'x';
    longest[IDENTITY_NAME_MAX] = '\0';
    assert_null(initiator_new(longest, "", hash, "cifs/x"));
    assert_null(initiator_new("x", longest, hash, "cifs/x"));
    longest[IDENTITY_NAME_MAX] = 'x';
    longest[IDENTITY_TARGET_MAX] = '\0';
    assert_null(initiator_new("x", "", hash, longest));
    assert_null(initiator_new("\xff", "", hash, "cifs/x"));
    initiator_free(NULL);
}

static void no_room_and_no_beginning(void **state)
{
    (void)state;
    uint8_t small[64];
    static struct wire out, back;
    struct server server = {.state = SPNEGO_INCOMPLETE};
    struct session_key key;
    struct writer writer = writer_over(small, sizeof small);
    struct initiator *initiator = bob("WORK", "Bob.Pw1");
    assert_int_equal(initiator_step(initiator, (struct span){NULL, 0}, &writer), STEP_REFUSED);
    assert_int_equal(initiator_refusal(initiator), REFUSAL_INTERNAL);
    initiator_free(initiator);
    initiator = bob("WORK", "Bob.Pw1");
    assert_int_equal(initiate(initiator, (struct span){NULL, 0}, &out), STEP_CONTINUE);
    writer = writer_over(small, sizeof small);
    assert_int_equal(initiator_step(initiator, server_says(&server, &back), &writer), STEP_REFUSED);
    assert_int_equal(initiator_refusal(initiator), REFUSAL_INTERNAL);
    assert_false(initiator_session_key(initiator, &key));
    initiator_free(initiator);
    initiator = bob("WORK", "Bob.Pw1");
    assert_int_equal(initiate(initiator, server_says(&server, &back), &out), STEP_REFUSED);
    assert_int_equal(initiator_refusal(initiator), REFUSAL_OUT_OF_ORDER);
    initiator_free(initiator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_our_acceptor),
        cmocka_unit_test(wrong_password),
        cmocka_unit_test(servers_that_offer_less),
        cmocka_unit_test(the_authenticate),
        cmocka_unit_test(last_tokens),
        cmocka_unit_test(captured_challenges),
        cmocka_unit_test(names_that_do_not_fit),
        cmocka_unit_test(no_room_and_no_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
