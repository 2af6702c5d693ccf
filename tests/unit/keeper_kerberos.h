/*
 * Clients and file servers that speak Kerberos, around a keeper, with a real KDC.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_KEEPER_KERBEROS_H
#define COUNTERSIGN_TESTS_UNIT_KEEPER_KERBEROS_H

#include "tests/unit/keeper_roles.h"
#include "tests/unit/kerberos_realm.h"

#include "crypto/kerberos_initiate.h"

enum { LISTENER_OWN, LISTENER_NAS, KERBEROS_LISTENERS };
enum {
    BY_TICKET,
    BY_DELEGATE,
    BY_TRANSITION,
    BY_MAPPED,
    BY_TICKET_OR_DELEGATE,
    BY_DELEGATE_OR_MAPPED,
    BY_TICKET_OR_SAME,
    BY_SAME,
    BY_TRANSITION_OR_SAME,
    BY_MAPPED_OR_TRANSITION,
    KERBEROS_UPSTREAMS,
};

/* alice is in the file as a user of the realm, bob as a local user; carol's password is wrong.
 * An alice of some domain is mapped to an account of her own. */
static const char kerberos_credentials[] = "user:MIT.TEST\\alice:" ALICE_HASH "\n"
                                           "user:bob:" BOB_HASH "\n"
                                           "user:carol:" CAROL_HASH "\n"
                                           "mapped:carol:svc@MIT.TEST:password=Wrong.Pw\n"
                                           "mapped:MIT\\alice:svc@MIT.TEST:password=Svc.Pw4\n"
                                           "mapped:*:svc@MIT.TEST:password=Svc.Pw4\n";

static const char *const own_names[] = {"proxy.mit.test"};
static const char *const nas_mit_names[] = {"nas.mit.test"};
static const char *const own_services[] = {"cifs/proxy.mit.test"};
static const char *const nas_services[] = {"cifs/nas.mit.test"};

static struct keeper_listener kerberos_listeners[KERBEROS_LISTENERS];
static struct keeper_upstream kerberos_upstreams[KERBEROS_UPSTREAMS];
static const struct keeper_settings kerberos_settings = {
    .listeners = kerberos_listeners,
    .listeners_count = KERBEROS_LISTENERS,
    .upstreams = kerberos_upstreams,
    .upstreams_count = KERBEROS_UPSTREAMS,
    .threads = 2,
    .remote_threads = 2,
};

static inline struct keeper_upstream upstream_by(enum login_kind first, enum login_kind second,
                                                 size_t count)
{
    return (struct keeper_upstream){
        .name = "nas",
        .target = "cifs/nas.mit.test",
        .address = "192.0.2.1:445",
        .logins = {first, second},
        .logins_count = count,
        .service = OWN_SERVICE,
        .keytab = realm.own_keytab,
    };
}

static inline int start_kerberos_keeper(void **state)
{
    const struct accept_policy policy = {
        .mic = MIC_ANNOUNCED,
        .target_name = TARGET_NAME_OFF,
        .netbios_name = "PROXY",
        .netbios_domain = "WORKGROUP",
        .dns_name = "proxy.mit.test",
        .dns_domain = "mit.test",
        .challenge_lifetime_s = 60,
        .names_count = 1,
        .services_count = 1,
    };
    struct keeper_listener *own = &kerberos_listeners[LISTENER_OWN];
    struct keeper_listener *nas = &kerberos_listeners[LISTENER_NAS];
    *own = (struct keeper_listener){"own", policy};
    own->accept.names = own_names;
    own->accept.services = own_services;
    own->accept.keytab = realm.own_keytab;
    *nas = (struct keeper_listener){"nas", policy};
    nas->accept.names = nas_mit_names;
    nas->accept.services = nas_services;
    nas->accept.keytab = realm.nas_keytab;
    struct keeper_upstream *up = kerberos_upstreams;
    up[BY_TICKET] = upstream_by(LOGIN_TICKET, LOGIN_SAME, 1);
    up[BY_DELEGATE] = upstream_by(LOGIN_DELEGATE, LOGIN_SAME, 1);
    up[BY_TRANSITION] = upstream_by(LOGIN_TRANSITION, LOGIN_SAME, 1);
    up[BY_MAPPED] = upstream_by(LOGIN_MAPPED, LOGIN_SAME, 1);
    up[BY_TICKET_OR_DELEGATE] = upstream_by(LOGIN_TICKET, LOGIN_DELEGATE, 2);
    up[BY_DELEGATE_OR_MAPPED] = upstream_by(LOGIN_DELEGATE, LOGIN_MAPPED, 2);
    up[BY_TICKET_OR_SAME] = upstream_by(LOGIN_TICKET, LOGIN_SAME, 2);
    up[BY_SAME] = upstream_by(LOGIN_SAME, LOGIN_SAME, 1);
    up[BY_MAPPED_OR_TRANSITION] = upstream_by(LOGIN_MAPPED, LOGIN_TRANSITION, 2);
    up[BY_TRANSITION_OR_SAME] = upstream_by(LOGIN_TRANSITION, LOGIN_SAME, 2);
    return start_keeper_with(state, &kerberos_settings, kerberos_credentials);
}

/* A user logs in with a ticket for `service`; the handle of the proof, and what is told of him. */
static inline struct identity prove_ticket(struct harness *harness, struct played *worker,
                                           uint64_t attempt, uint64_t link, const char *user,
                                           const char *password, const char *service,
                                           uint8_t handle[KEEPER_HANDLE_SIZE])
{
    static uint8_t bytes[TOKEN_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    struct keeper_proven proven;
    struct session_key key;
    enum refusal refusal;
    krb5_creds creds = user_ticket(user, password, service);
    struct kerberos_initiator *client = kerberos_initiator_new(&creds, &refusal);
    assert_non_null(client);
    free_ticket(&creds);
    assert_int_equal(kerberos_initiator_step(client, (struct span){NULL, 0}, &writer),
                     STEP_CONTINUE);
    send_accept(worker, attempt, link,
                strcmp(service, NAS_SERVICE) == 0 ? LISTENER_NAS : LISTENER_OWN,
                writer_span(&writer));
    struct letter *letter = expect_letter(harness, worker, KEEPER_PROVEN);
    assert_true(keeper_proven_read(letter_body(letter), &proven));
    writer = writer_over(bytes, sizeof bytes);
    assert_int_equal(kerberos_initiator_step(client, proven.token, &writer), STEP_DONE);
    assert_true(kerberos_initiator_session_key(client, &key));
    assert_int_equal(key.size, proven.key.size);
    assert_memory_equal(key.bytes, proven.key.bytes, key.size);
    assert_string_equal(proven.identity.principal, user);
    memcpy(handle, proven.handle, KEEPER_HANDLE_SIZE);
    kerberos_initiator_free(client);
    free(letter);
    return proven.identity;
}

/* What a login must be, and what the file server must see. */
struct kerberos_login {
    const char *login;
    const char *account;
    const char *fallback; /* empty: none */
};

/* After send_login(): the file server takes the keeper's ticket. */
static inline struct keeper_logged_in serve_kerberos(struct harness *harness, struct played *worker,
                                                     uint64_t attempt, struct kerberos_login as)
{
    struct acceptor_of_nas nas = {.client = ""};
    struct keeper_continue message;
    struct keeper_logged_in logged_in;
    struct letter *letter = expect_letter(harness, worker, KEEPER_CONTINUE);
    assert_true(keeper_continue_read(letter_body(letter), &message));
    assert_true(message.attempt == attempt);
    assert_true(span_is(message.login, as.login));
    assert_true(span_is(message.account, as.account));
    assert_true(span_is(message.fallback, as.fallback));
    assert_int_equal(message.fell_back, *as.fallback != '\0');
    /* The key comes with the end: before the AP-REP there is none. */
    assert_int_equal(message.key.size, 0);
    assert_int_equal(nas_accept(&nas, realm.nas_keytab, message.token), GSS_S_COMPLETE);
    free(letter);
    assert_string_equal(nas.client, as.account);
    send_step(worker, attempt, nas_reply(&nas));
    letter = expect_letter(harness, worker, KEEPER_LOGGED_IN);
    assert_true(keeper_logged_in_read(letter_body(letter), &logged_in));
    assert_true(logged_in.attempt == attempt);
    assert_int_equal(logged_in.key.size, nas.key.size);
    assert_memory_equal(logged_in.key.bytes, nas.key.bytes, nas.key.size);
    assert_true(logged_in.expires > time(NULL));
    nas_end(&nas);
    free(letter);
    return logged_in;
}

static inline bool is_nothing(const uint8_t handle[KEEPER_HANDLE_SIZE])
{
    static const uint8_t nothing[KEEPER_HANDLE_SIZE];
    return memcmp(handle, nothing, sizeof nothing) == 0;
}

#endif
