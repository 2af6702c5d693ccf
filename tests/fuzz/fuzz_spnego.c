/* SPNEGO tokens, and whole conversations: the input is a sequence of tokens (le16 length, bytes)
 * for an acceptor and for an initiator. Nobody gets in who does not know the key; of Kerberos there
 * is none. */
#include "crypto/accept.h"
#include "crypto/initiate.h"
#include "crypto/spnego.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 8 };

static uint8_t buffer[2 * TOKEN_MAX];

static void must(bool truth)
{
    if (!truth)
        abort();
}

static enum nt_hash_found find(void *context, const char *user, const char *domain,
                               uint8_t found[NT_HASH_SIZE])
{
    (void)user;
    (void)domain;
    ++*(unsigned *)context;
    memset(found, 7, NT_HASH_SIZE);
    return NT_HASH_PLAIN;
}

static void one_token(struct span input)
{
    struct spnego_init init;
    struct spnego_response first, second;
    if (spnego_init_read(input, &init)) {
        must(init.mech_list.size > 0 && init.offers_count > 0);
        struct writer writer = writer_over(buffer, sizeof buffer);
        struct spnego_init again;
        spnego_init_write(&writer, init.mech_list, init.token);
        if (writer_done(&writer)) {
            must(spnego_init_read(writer_span(&writer), &again));
            must(span_equal(again.mech_list, init.mech_list) &&
                 span_equal(again.token, init.token));
        }
    }
    if (spnego_response_read(input, &first)) {
        struct writer writer = writer_over(buffer, sizeof buffer);
        spnego_response_write(&writer, &first);
        if (writer_done(&writer)) {
            must(spnego_response_read(writer_span(&writer), &second));
            must(first.state == second.state && span_equal(first.mechanism, second.mechanism) &&
                 span_equal(first.token, second.token) && span_equal(first.mic, second.mic));
        }
    }
}

static bool next_token(struct reader *reader, struct span *token)
{
    uint16_t size;
    return read_le16(reader, &size) && read_span(reader, size, token);
}

static void with_acceptor(struct span input)
{
    static const struct accept_policy policy = {
        .keytab = "/dev/null", .netbios_name = "PROXY", .dns_name = "proxy.example.com"};
    struct acceptor *acceptor = acceptor_new(&policy, "");
    struct reader reader = reader_over_span(input);
    struct span token;
    struct session_key key;
    unsigned lookups = 0;
    bool ended = false;
    must(acceptor != NULL);
    const struct accept_backend backend = {.lookup = find, .lookup_context = &lookups};
    for (int i = 0; i < STEPS_MAX && next_token(&reader, &token); i++) {
        struct writer writer = writer_over(buffer, TOKEN_MAX);
        enum step step = acceptor_step(acceptor, token, &backend, &writer);
        must(step != STEP_DONE && (step == STEP_REFUSED || !ended));
        must((step == STEP_REFUSED) == (acceptor_refusal(acceptor) != REFUSAL_NONE));
        must(writer_done(&writer) && (step != STEP_REFUSED || writer_size(&writer) == 0));
        ended = step == STEP_REFUSED;
        acceptor_session_key(acceptor, &key);
        must(key.size == 0);
    }
    must(lookups <= 1);
    acceptor_free(acceptor);
}

static void with_initiator(struct span input)
{
    static const uint8_t hash[NT_HASH_SIZE] = {9};
    struct initiator *initiator = initiator_new("user", "DOMAIN", hash, "cifs/nas");
    struct reader reader = reader_over_span(input);
    struct span token = {NULL, 0};
    struct session_key key;
    bool ended = false;
    must(initiator != NULL);
    for (int i = 0; i < STEPS_MAX && (i == 0 || next_token(&reader, &token)); i++) {
        struct writer writer = writer_over(buffer, TOKEN_MAX);
        enum step step = initiator_step(initiator, token, &writer);
        must(writer_done(&writer) && (step == STEP_REFUSED || !ended));
        must((step == STEP_REFUSED) == (initiator_refusal(initiator) != REFUSAL_NONE));
        must(step != STEP_REFUSED || !initiator_session_key(initiator, &key));
        must(step != STEP_DONE || initiator_session_key(initiator, &key));
        ended = step != STEP_CONTINUE;
    }
    initiator_free(initiator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span input = {data, size};
    one_token(input);
    with_acceptor(input);
    with_initiator(input);
    return 0;
}
