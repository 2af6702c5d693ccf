/*
 * One attempt of a Kerberos client against an acceptor.
 */
#ifndef COUNTERSIGN_TESTS_KERBEROS_ATTEMPT_H
#define COUNTERSIGN_TESTS_KERBEROS_ATTEMPT_H

#include "tests/unit/kerberos_peer.h"

#include "crypto/accept.h"
#include "crypto/evidence.h"
#include "crypto/groups.h"
#include "crypto/kerberos_replay.h"
#include "crypto/spnego.h"

static const char *const kerberos_names[] = {"files.example.com", "files"};
static struct replays *replay_table;
static struct groups *kerberos_groups; /* NULL: none are named */

static inline int kerberos_setup(void **state)
{
    void *memory = calloc(1, replays_size());
    replay_table = memory ? replays_init(memory) : NULL;
    return replay_table && realm_setup(state) == 0 ? 0 : -1;
}

static inline int kerberos_teardown(void **state)
{
    free(replay_table);
    return realm_teardown(state);
}

/* Each test begins with alice's service in the keytab, kvno 1, all types. */
static inline int kerberos_fresh(void **state)
{
    (void)state;
    keytab_clear();
    keytab_add(CIFS_FILES, 1, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    keytab_add(CIFS_FILES, 1, ENCTYPE_AES128_CTS_HMAC_SHA1_96);
    keytab_add(CIFS_FILES, 1, ENCTYPE_AES256_CTS_HMAC_SHA384_192);
    keytab_add(CIFS_FILES, 1, ENCTYPE_ARCFOUR_HMAC);
    return 0;
}

static inline struct accept_policy kerberos_policy(void)
{
    return (struct accept_policy){.target_name = TARGET_NAME_IF_PRESENT,
                                  .names = kerberos_names,
                                  .names_count = 2,
                                  .netbios_name = "FILES",
                                  .netbios_domain = "CORP",
                                  .keytab = realm_keytab};
}

static inline enum nt_hash_found nobody(void *context, const char *user, const char *domain,
                                        uint8_t hash[NT_HASH_SIZE])
{
    (void)context, (void)user, (void)domain, (void)hash;
    return NT_HASH_NONE;
}

static inline struct accept_backend kerberos_backend(void)
{
    return (struct accept_backend){
        .lookup = nobody, .groups = kerberos_groups, .replays = replay_table};
}

/* One step with a copy of exactly the token's size. `reply` has room for TOKEN_MAX bytes. */
static inline enum step acceptor_takes(struct acceptor *acceptor, struct span token, uint8_t *reply,
                                       struct span *answer)
{
    const struct accept_backend backend = kerberos_backend();
    struct writer writer = writer_over(reply, TOKEN_MAX);
    uint8_t *copy = malloc(token.size + 1);
    assert_non_null(copy);
    if (token.size)
        memcpy(&copy[1], token.at, token.size);
    enum step step =
        acceptor_step(acceptor, (struct span){&copy[1], token.size}, &backend, &writer);
    free(copy);
    assert_true(writer_done(&writer));
    *answer = writer_span(&writer);
    if (step == STEP_REFUSED)
        assert_int_equal(answer->size, 0);
    return step;
}

/* What becomes of a bare first token; REFUSAL_NONE when it is taken. */
static inline enum refusal verdict_on(const struct accept_policy *policy, struct span token,
                                      struct identity *identity)
{
    static uint8_t reply[TOKEN_MAX];
    struct span answer;
    struct session_key key;
    struct acceptor *acceptor = acceptor_new(policy, "");
    assert_non_null(acceptor);
    enum step step = acceptor_takes(acceptor, token, reply, &answer);
    enum refusal refusal = acceptor_refusal(acceptor);
    assert_int_equal(step == STEP_DONE, refusal == REFUSAL_NONE);
    acceptor_session_key(acceptor, &key);
    assert_int_equal(key.size > 0, refusal == REFUSAL_NONE);
    struct evidence *evidence = acceptor_take_evidence(acceptor);
    assert_int_equal(evidence != NULL, refusal == REFUSAL_NONE);
    assert_null(acceptor_take_evidence(acceptor));
    evidence_release(evidence);
    if (identity)
        *identity = *acceptor_identity(acceptor);
    acceptor_free(acceptor);
    return refusal;
}

static inline void expect_refusal(enum refusal got, enum refusal expected)
{
    assert_string_equal(refusal_name(got), refusal_name(expected));
}

/* The verdict on a ticket that `peer` shows. */
static inline enum refusal verdict_by(const struct accept_policy *policy,
                                      const struct ticket_wish *wish, const struct bare_peer *peer,
                                      struct identity *identity)
{
    uint8_t token[PEER_TOKEN_MAX];
    krb5_creds creds = make_ticket(wish);
    enum refusal refusal =
        verdict_on(policy, bare_peer_token(peer, &creds, token, sizeof token), identity);
    krb5_free_cred_contents(realm, &creds);
    return refusal;
}

static inline void expect_ticket(const struct accept_policy *policy, const struct ticket_wish *wish,
                                 enum refusal refusal)
{
    static const struct bare_peer peer = {.mutual = true};
    struct identity identity;
    expect_refusal(verdict_by(policy, wish, &peer, &identity), refusal);
    assert_int_equal(identity.mechanism, MECHANISM_KERBEROS);
    assert_int_equal(identity.authority,
                     refusal == REFUSAL_NONE ? AUTHORITY_KERBEROS : AUTHORITY_NONE);
}

#endif
