/*
 * One authentication attempt for tests: a client that can break any rule, with or without SPNEGO,
 * against an acceptor.
 */
#ifndef COUNTERSIGN_TESTS_ACCEPT_ATTEMPT_H
#define COUNTERSIGN_TESTS_ACCEPT_ATTEMPT_H

#include "tests/unit/ntlm_peer.h"

#include "crypto/der.h"

#define ALICE               "alice", "WORK", "Alice.Pw1"
#define LIST_NTLM           "300c060a2b06010401823702020a"
#define LIST_KERBEROS_FIRST "301706092a864886f712010202060a2b06010401823702020a"
#define LIST_NTLM_FIRST     "3017060a2b06010401823702020a06092a864886f712010202"
#define LIST_KERBEROS       "300b06092a864886f712010202"

static const char *const accept_names[] = {"files.example.com", "10.0.0.7"};

static inline struct accept_policy plain_policy(void)
{
    return (struct accept_policy){.mic = MIC_ANNOUNCED,
                                  .target_name = TARGET_NAME_IF_PRESENT,
                                  .names = accept_names,
                                  .names_count = 2,
                                  .netbios_name = "PROXY",
                                  .netbios_domain = "WORK",
                                  .dns_name = "proxy.example.com",
                                  .dns_domain = "example.com",
                                  .challenge_lifetime_s = 60};
}

struct lookup {
    unsigned calls;
    char user[IDENTITY_NAME_MAX];
    char domain[IDENTITY_NAME_MAX];
};

static inline enum nt_hash_found find(void *context, const char *user, const char *domain,
                                      uint8_t hash[NT_HASH_SIZE])
{
    struct lookup *lookup = context;
    lookup->calls++;
    strcpy(lookup->user, user);
    strcpy(lookup->domain, domain);
    if (text_same_name(user, "alice"))
        return nt_hash_of_password("Alice.Pw1", hash) ? NT_HASH_PLAIN : NT_HASH_NONE;
    if (text_same_name(user, "J\xc3\xb6rg"))
        return nt_hash_of_password("J\xc3\xb6rg.Pw1", hash) ? NT_HASH_PLAIN : NT_HASH_NONE;
    if (text_same_name(user, "administrator"))
        return nt_hash_of_password("Password01!", hash) ? NT_HASH_PLAIN : NT_HASH_NONE;
    if (text_same_name(user, "root"))
        return nt_hash_of_password("pw1", hash) ? NT_HASH_PLAIN : NT_HASH_NONE;
    memset(hash, 0, NT_HASH_SIZE); /* a careless lookup */
    return NT_HASH_NONE;
}

/* One attempt against one acceptor. */
struct attempt {
    struct accept_policy policy;
    struct acceptor *acceptor;
    struct lookup lookup;
    struct peer peer;
    const char *list; /* SPNEGO with this MechTypeList (hexadecimal); raw when NULL */
    bool no_list_mic; /* the client sends none */
    bool bad_list_mic;
    uint8_t token[TOKEN_MAX];
    uint8_t reply[TOKEN_MAX];
    uint8_t challenge[NTLM_CHALLENGE_MAX];
    size_t challenge_size;
    struct spnego_response last;
    uint8_t last_bytes[1024];
};

static inline struct attempt *attempt_new(const char *user, const char *domain,
                                          const char *password)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    assert_non_null(attempt);
    attempt->policy = plain_policy();
    attempt->acceptor = acceptor_new(&attempt->policy, "");
    assert_non_null(attempt->acceptor);
    attempt->peer = (struct peer){.user = user, .domain = domain, .password = password};
    return attempt;
}

static inline void attempt_free(struct attempt *attempt)
{
    acceptor_free(attempt->acceptor);
    free(attempt);
}

/* One step with a copy of exactly the token's size; the reply stays in attempt->reply. */
static inline enum step step(struct attempt *attempt, struct span token, struct span *reply)
{
    struct writer writer = writer_over(attempt->reply, sizeof attempt->reply);
    uint8_t *copy = malloc(token.size + 1);
    assert_non_null(copy);
    if (token.size)
        memcpy(&copy[1], token.at, token.size);
    const struct accept_backend backend = {.lookup = find, .lookup_context = &attempt->lookup};
    enum step step =
        acceptor_step(attempt->acceptor, (struct span){&copy[1], token.size}, &backend, &writer);
    free(copy);
    *reply = writer_span(&writer);
    assert_true(writer_done(&writer));
    if (step == STEP_REFUSED)
        assert_int_equal(reply->size, 0);
    return step;
}

static inline void write_init(struct writer *writer, struct span list, struct span token)
{
    size_t octets = der_size(token.size), rest = token.size ? der_size(octets) : 0;
    size_t fields = der_size(list.size) + rest, choice = der_size(fields);
    der_write_head(writer, DER_APPLICATION_0, 8 + der_size(choice));
    write_bytes(writer, "\x06\x06\x2b\x06\x01\x05\x05\x02", 8);
    der_write_head(writer, DER_CONTEXT_0, choice);
    der_write_head(writer, DER_SEQUENCE, fields);
    der_write(writer, DER_CONTEXT_0, list);
    if (token.size) {
        der_write_head(writer, DER_CONTEXT_2, octets);
        der_write(writer, DER_OCTET_STRING, token);
    }
}

/* The client's next token: its first with the list, later ones as NegTokenResp, or bare. */
static inline struct span wrap(struct attempt *attempt, bool first, struct span token,
                               struct span mic)
{
    uint8_t list[256];
    struct writer writer = writer_over(attempt->token, sizeof attempt->token);
    const struct spnego_response response = {SPNEGO_NO_STATE, {NULL, 0}, token, mic};
    if (!attempt->list)
        return token;
    if (first)
        write_init(&writer, (struct span){list, from_hex(attempt->list, list, sizeof list)}, token);
    else
        spnego_response_write(&writer, &response);
    assert_true(writer_done(&writer));
    return writer_span(&writer);
}

static inline struct span unwrap(const struct attempt *attempt, struct span reply,
                                 struct spnego_response *response)
{
    *response = (struct spnego_response){.state = SPNEGO_NO_STATE};
    if (!attempt->list)
        return reply;
    assert_true(spnego_response_read(reply, response));
    return response->token;
}

/* NEGOTIATE, up to our CHALLENGE. With another mechanism first, the optimistic token is for that.
 */
static inline enum step begin(struct attempt *attempt)
{
    static const uint8_t ticket[] = "a Kerberos token";
    const struct span none = {NULL, 0};
    struct span reply, negotiate = peer_negotiate(&attempt->peer);
    struct spnego_response response;
    bool other_first = attempt->list && strcmp(attempt->list, LIST_KERBEROS_FIRST) == 0;
    struct span first = other_first ? (struct span){ticket, sizeof ticket} : negotiate;
    enum step result = step(attempt, wrap(attempt, true, first, none), &reply);
    if (other_first && result == STEP_CONTINUE) {
        assert_int_equal(unwrap(attempt, reply, &response).size, 0);
        assert_int_equal(response.state, SPNEGO_REQUEST_MIC);
        assert_true(span_equal(response.mechanism, spnego_oid(SPNEGO_NTLM)));
        result = step(attempt, wrap(attempt, false, negotiate, none), &reply);
    }
    if (result == STEP_REFUSED)
        return result;
    struct span challenge = unwrap(attempt, reply, &response);
    if (attempt->list) {
        assert_int_equal(response.state, SPNEGO_INCOMPLETE);
        assert_int_equal(response.mechanism.size > 0, !other_first);
    }
    attempt->challenge_size = challenge.size;
    memcpy(attempt->challenge, challenge.at, challenge.size);
    return result;
}

/* AUTHENTICATE, and what the acceptor says to it. */
static inline enum step finish(struct attempt *attempt)
{
    uint8_t mic[NTLM_MAC_SIZE] = {0}, list[256];
    const struct span challenge = {attempt->challenge, attempt->challenge_size};
    struct span reply, authenticate = peer_authenticate(&attempt->peer, challenge);
    bool with_mic = attempt->list && !attempt->no_list_mic;
    if (with_mic) {
        size_t size = from_hex(attempt->list, list, sizeof list);
        peer_mac(&attempt->peer, (struct span){list, size}, mic);
        mic[5] ^= attempt->bad_list_mic;
    }
    const struct span mic_span = {mic, with_mic ? sizeof mic : 0};
    enum step result = step(attempt, wrap(attempt, false, authenticate, mic_span), &reply);
    if (result == STEP_DONE && attempt->list) {
        assert_true(reply.size <= sizeof attempt->last_bytes);
        memcpy(attempt->last_bytes, reply.at, reply.size);
        unwrap(attempt, (struct span){attempt->last_bytes, reply.size}, &attempt->last);
    } else {
        assert_int_equal(reply.size, 0);
    }
    return result;
}

static inline enum step run(struct attempt *attempt)
{
    enum step result = begin(attempt);
    return result == STEP_CONTINUE ? finish(attempt) : result;
}

/* It went well: the keys are the same, and SPNEGO ended as it should. */
static inline void check_done(const struct attempt *attempt)
{
    struct session_key key;
    const struct identity *identity = acceptor_identity(attempt->acceptor);
    acceptor_session_key(attempt->acceptor, &key);
    assert_int_equal(key.size, 16);
    assert_memory_equal(key.bytes, attempt->peer.key, 16);
    assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_NONE);
    assert_int_equal(identity->mechanism, MECHANISM_NTLM);
    assert_int_equal(identity->spnego, attempt->list != NULL);
    assert_int_equal(identity->mic_present, attempt->peer.mic);
    assert_string_equal(identity->user, attempt->peer.user);
    assert_string_equal(identity->domain, attempt->peer.domain);
    assert_int_equal(attempt->lookup.calls, 1);
    assert_string_equal(attempt->lookup.user, attempt->peer.user);
    if (!attempt->list)
        return;
    assert_int_equal(attempt->last.state, SPNEGO_COMPLETED);
    assert_int_equal(attempt->last.mic.size, attempt->no_list_mic ? 0 : 16);
    uint8_t list[256];
    size_t size = from_hex(attempt->list, list, sizeof list);
    if (!attempt->no_list_mic)
        assert_true(ntlm_mac_right(attempt->peer.key, attempt->peer.agreed, NTLM_FROM_SERVER,
                                   (struct span){list, size}, attempt->last.mic));
}

/* Runs it to its end and frees it: REFUSAL_NONE for a login. */
static inline void expect(struct attempt *attempt, enum refusal refusal)
{
    struct session_key key;
    struct span reply;
    enum step result = run(attempt);
    if (refusal == REFUSAL_NONE) {
        if (result != STEP_DONE)
            fail_msg("refused: %s", refusal_name(acceptor_refusal(attempt->acceptor)));
        check_done(attempt);
    } else {
        assert_int_equal(result, STEP_REFUSED);
        assert_string_equal(refusal_name(acceptor_refusal(attempt->acceptor)),
                            refusal_name(refusal));
    }
    /* The end is the end: whatever comes, no key any more. */
    const struct span again = {attempt->peer.message, attempt->peer.message_size};
    const struct span none = {NULL, 0};
    for (int i = 0; i < 2; i++) {
        const struct span token = i ? wrap(attempt, false, again, none) : none;
        assert_int_equal(step(attempt, token, &reply), STEP_REFUSED);
        assert_int_equal(acceptor_refusal(attempt->acceptor), REFUSAL_OUT_OF_ORDER);
    }
    acceptor_session_key(attempt->acceptor, &key);
    assert_int_equal(key.size, 0);
    attempt_free(attempt);
}

/* An attempt as a modern client makes it, for a test to break. */
static inline struct attempt *modern(const char *list)
{
    struct attempt *attempt = attempt_new(ALICE);
    attempt->list = list;
    attempt->peer.mic = true;
    attempt->peer.target = "cifs/files.example.com";
    return attempt;
}

#endif
