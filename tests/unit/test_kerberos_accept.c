/* Tickets that are taken, and each kind that is not. */
#include "tests/unit/kerberos_attempt.h"
#include "tests/unit/ntlm_peer.h"
#include "tests/unit/pac_vectors.h"

#define AES256      ENCTYPE_AES256_CTS_HMAC_SHA1_96
#define AES128      ENCTYPE_AES128_CTS_HMAC_SHA1_96
#define AES256_SHA2 ENCTYPE_AES256_CTS_HMAC_SHA384_192
#define RC4         ENCTYPE_ARCFOUR_HMAC

static uint8_t reply[TOKEN_MAX];

/* MIT's client, without SPNEGO: both sides have the same key, and the client knows us. */
static void encryption_types(void **state)
{
    (void)state;
    /* clients say what else they can do, and get an AES-256 subkey from us for anything but RC4 */
    static const struct {
        krb5_enctype ticket, session;
        bool rc4;
    } cases[] = {
        {AES256, AES256, false}, {AES128, AES128, false},
        {AES256, AES128, false}, {AES256_SHA2, AES256_SHA2, false},
        {RC4, AES256, true},     {AES256, RC4, true},
        {RC4, RC4, true},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        bool mutual = i % 2;
        const struct ticket_wish wish = {.etype = cases[i / 2].ticket,
                                         .session = cases[i / 2].session};
        struct accept_policy policy = kerberos_policy();
        struct gss_peer *peer = malloc(sizeof *peer);
        struct session_key key;
        struct span answer, none = {NULL, 0};
        uint8_t theirs[64];
        krb5_creds creds = make_ticket(&wish);
        policy.allow_rc4 = cases[i / 2].rc4;
        struct acceptor *acceptor = acceptor_new(&policy, "");
        assert_non_null(acceptor);
        assert_non_null(peer);
        gss_peer_begin(peer, &creds, mutual);
        assert_int_equal(gss_peer_step(peer, none), !mutual);
        enum step step = acceptor_takes(acceptor, gss_peer_token(peer), reply, &answer);
        expect_refusal(acceptor_refusal(acceptor), REFUSAL_NONE);
        assert_int_equal(step, STEP_DONE);
        assert_int_equal(answer.size > 0, mutual);
        if (mutual)
            assert_true(gss_peer_step(peer, answer));
        acceptor_session_key(acceptor, &key);
        assert_int_equal(key.size, gss_peer_key(peer, theirs));
        if (cases[i / 2].session == AES256)
            assert_int_equal(key.size, 32);
        assert_memory_equal(key.bytes, theirs, key.size);
        assert_int_equal(acceptor_identity(acceptor)->mutual, mutual);
        gss_peer_end(peer);
        free(peer);
        acceptor_free(acceptor);
        krb5_free_cred_contents(realm, &creds);
    }
}

static void who_it_is(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true, .subkey = AES256};
    static const struct ticket_wish wish = {.ends = 1000};
    static struct identity identity;
    int64_t before = time(NULL);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    assert_int_equal(identity.mechanism, MECHANISM_KERBEROS);
    assert_int_equal(identity.authority, AUTHORITY_KERBEROS);
    assert_string_equal(identity.user, "alice");
    assert_string_equal(identity.domain, REALM);
    assert_string_equal(identity.principal, ALICE_PRINC);
    assert_string_equal(identity.target_name, "cifs/files.example.com");
    assert_false(identity.spnego);
    assert_true(identity.mutual);
    assert_in_range(identity.expires, before + 1000, before + 1010);
}

/* What the upstream legs get: a ticket that can be shown again. */
static void evidence_is_a_ticket(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static const struct ticket_wish wish = {0};
    uint8_t token[PEER_TOKEN_MAX];
    struct span answer;
    krb5_creds creds = make_ticket(&wish), again;
    struct acceptor *acceptor = acceptor_new(&policy, "");
    assert_non_null(acceptor);
    assert_int_equal(acceptor_takes(acceptor, bare_peer_token(&peer, &creds, token, sizeof token),
                                    reply, &answer),
                     STEP_DONE);
    struct evidence *evidence = acceptor_take_evidence(acceptor);
    acceptor_free(acceptor);
    assert_string_equal(evidence_service(evidence), CIFS_FILES);
    assert_string_equal(evidence_client(evidence), ALICE_PRINC);
    assert_ptr_equal(evidence_hold(evidence), evidence);
    evidence_release(evidence);
    assert_int_equal(evidence_creds(evidence, realm, &again), 0);
    evidence_release(evidence);
    assert_int_equal(again.times.endtime, creds.times.endtime);
    assert_int_equal(again.keyblock.length, creds.keyblock.length);
    assert_memory_equal(again.keyblock.contents, creds.keyblock.contents, creds.keyblock.length);
    assert_int_equal(again.ticket.length, creds.ticket.length);
    assert_memory_equal(again.ticket.data, creds.ticket.data, creds.ticket.length);
    expect_refusal(verdict_on(&policy, bare_peer_token(&peer, &again, token, sizeof token), NULL),
                   REFUSAL_NONE);
    krb5_free_cred_contents(realm, &again);
    krb5_free_cred_contents(realm, &creds);
    evidence_release(NULL);
    assert_null(evidence_hold(NULL));
}

static void rc4_and_des(void **state)
{
    (void)state;
    struct accept_policy policy = kerberos_policy();
    struct bare_peer peer = {.mutual = true, .subkey = RC4};
    static const struct ticket_wish good = {0};
    for (int allowed = 0; allowed < 2; allowed++) {
        enum refusal refusal = allowed ? REFUSAL_NONE : REFUSAL_ENCRYPTION_TYPE;
        policy.allow_rc4 = allowed;
        expect_ticket(&policy, &(struct ticket_wish){.etype = RC4}, refusal);
        expect_ticket(&policy, &(struct ticket_wish){.session = RC4}, refusal);
        expect_refusal(verdict_by(&policy, &good, &peer, NULL), refusal);
        keytab_add(CIFS_FILES, 1, ENCTYPE_DES3_CBC_SHA1);
        expect_ticket(&policy, &(struct ticket_wish){.etype = ENCTYPE_DES3_CBC_SHA1},
                      REFUSAL_ENCRYPTION_TYPE);
        expect_ticket(&policy, &(struct ticket_wish){.session = ENCTYPE_DES3_CBC_SHA1},
                      REFUSAL_ENCRYPTION_TYPE);
    }
}

static void services(void **state)
{
    (void)state;
    static const char *const listed[] = {"cifs/other.example.com", "host/files.example.com"};
    static const struct {
        const char *service; /* all with the key of cifs/files */
        bool own, by_list;
    } cases[] = {
        {CIFS_FILES, true, false},
        {"CIFS/Files.Example.COM@" REALM, true, false},
        {"cifs/files@" REALM, true, false},
        {"cifs/other.example.com@" REALM, false, true},
        {"host/files.example.com@" REALM, false, true},
        {"HTTP/files.example.com@" REALM, false, false},
        {"cifs/files.example.com.evil.com@" REALM, false, false},
        {"files.example.com@" REALM, false, false},
        {"cifs/files.example.com/more@" REALM, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct ticket_wish wish = {.service = cases[i].service, .key_of = CIFS_FILES};
        struct accept_policy policy = kerberos_policy();
        keytab_add("FILES$@" REALM, 7, AES256); /* the account's own name, with another key */
        expect_ticket(&policy, &wish, cases[i].own ? REFUSAL_NONE : REFUSAL_TICKET_SERVICE);
        policy.services = listed;
        policy.services_count = 2;
        kerberos_fresh(NULL);
        keytab_add(cases[i].service, 3, AES128);
        const struct ticket_wish other = {.service = cases[i].service, .etype = AES128, .kvno = 3};
        expect_ticket(&policy, &other, cases[i].by_list ? REFUSAL_NONE : REFUSAL_TICKET_SERVICE);
        kerberos_fresh(NULL);
    }
}

/* The name in a ticket can be changed under way, so no key opens what names another entry. */
static void keys_of_other_services(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    keytab_add("HTTP/web.example.com@" REALM, 1, AES256);
    keytab_add("FILES$@" REALM, 1, AES256);
    expect_ticket(&policy, &(struct ticket_wish){.key_of = "HTTP/web.example.com@" REALM},
                  REFUSAL_TICKET_KEY);
    const struct ticket_wish renamed = {.service = "cifs/files@" REALM,
                                        .key_of = "HTTP/web.example.com@" REALM};
    expect_ticket(&policy, &renamed, REFUSAL_TICKET_KEY);
    /* a name of the account that the keytab does not list */
    const struct ticket_wish account = {.service = "cifs/files@" REALM, .key_of = "FILES$@" REALM};
    expect_ticket(&policy, &account, REFUSAL_NONE);
    /* … in another realm */
    const struct ticket_wish foreign = {.service = "cifs/files@OTHER.COM",
                                        .key_of = "FILES$@" REALM};
    expect_ticket(&policy, &foreign, REFUSAL_KEYTAB);
}

/* Keys are changed without telling us; tickets of the old one go on for a while. */
static void key_rollover(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    expect_ticket(&policy, &(struct ticket_wish){.kvno = 2}, REFUSAL_TICKET_KEY);
    keytab_add(CIFS_FILES, 2, AES256);
    expect_ticket(&policy, &(struct ticket_wish){.kvno = 2}, REFUSAL_NONE);
    expect_ticket(&policy, &(struct ticket_wish){.kvno = 1}, REFUSAL_NONE);
    keytab_clear();
    keytab_add(CIFS_FILES, 2, AES256);
    expect_ticket(&policy, &(struct ticket_wish){.kvno = 2}, REFUSAL_NONE);
    expect_ticket(&policy, &(struct ticket_wish){.kvno = 1}, REFUSAL_TICKET_KEY);
}

static void keytabs(void **state)
{
    (void)state;
    struct accept_policy policy = kerberos_policy();
    static const struct ticket_wish wish = {0};
    keytab_clear();
    expect_ticket(&policy, &wish, REFUSAL_KEYTAB);
    keytab_add("HTTP/web.example.com@" REALM, 1, AES256);
    expect_ticket(&policy, &wish, REFUSAL_KEYTAB);
    FILE *file = fopen(realm_keytab, "w");
    assert_non_null(file);
    assert_true(fputs("this is no keytab", file) >= 0);
    assert_int_equal(fclose(file), 0);
    expect_ticket(&policy, &wish, REFUSAL_KEYTAB);
    policy.keytab = realm_dir;
    expect_ticket(&policy, &wish, REFUSAL_KEYTAB);
    /* two services with keys of their own */
    policy = kerberos_policy();
    kerberos_fresh(NULL);
    keytab_add("cifs/files@" REALM, 5, AES128);
    expect_ticket(&policy, &wish, REFUSAL_NONE);
    const struct ticket_wish second = {.service = "cifs/files@" REALM, .etype = AES128, .kvno = 5};
    expect_ticket(&policy, &second, REFUSAL_NONE);
    policy.keytab = NULL;
    static const struct bare_peer peer = {.mutual = true};
    expect_refusal(verdict_by(&policy, &wish, &peer, NULL), REFUSAL_NO_MECHANISM);
}

static void times(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct ticket_wish good = {0};
    static const struct {
        int starts, ends, clock;
        enum refusal refusal;
    } cases[] = {
        {-1000, 0, 280, REFUSAL_NONE},
        {-1000, 0, -280, REFUSAL_NONE},
        {-1000, 0, 320, REFUSAL_CLOCK_SKEW},
        {-1000, 0, -320, REFUSAL_CLOCK_SKEW},
        {-36000, -400, -200, REFUSAL_TICKET_EXPIRED},
        {400, 36000, 200, REFUSAL_TICKET_EXPIRED},
        {-36000, -400, -3600, REFUSAL_TICKET_EXPIRED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct ticket_wish wish = {.starts = cases[i].starts, .ends = cases[i].ends};
        const struct bare_peer peer = {.mutual = true, .clock = cases[i].clock};
        expect_refusal(verdict_by(&policy, &wish, &peer, NULL), cases[i].refusal);
    }
    static const struct bare_peer plain = {.mutual = false};
    const struct ticket_wish invalid = {.flags = TKT_FLG_INVALID};
    expect_refusal(verdict_by(&policy, &invalid, &plain, NULL), REFUSAL_TICKET_EXPIRED);
    expect_refusal(verdict_by(&policy, &good, &plain, NULL), REFUSAL_NONE);
}

static void replays(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static const struct ticket_wish wish = {0};
    uint8_t first[PEER_TOKEN_MAX], second[PEER_TOKEN_MAX];
    krb5_creds creds = make_ticket(&wish);
    struct span token = bare_peer_token(&peer, &creds, first, sizeof first);
    expect_refusal(verdict_on(&policy, token, NULL), REFUSAL_NONE);
    expect_refusal(verdict_on(&policy, token, NULL), REFUSAL_REPLAY);
    /* the same ticket with another authenticator */
    expect_refusal(verdict_on(&policy, bare_peer_token(&peer, &creds, second, sizeof second), NULL),
                   REFUSAL_NONE);
    expect_refusal(verdict_on(&policy, token, NULL), REFUSAL_REPLAY);
    krb5_free_cred_contents(realm, &creds);
}

static void what_clients_say(void **state)
{
    (void)state;
    struct accept_policy policy = kerberos_policy();
    static const struct ticket_wish good = {0};
    static const struct {
        const char *target;
        enum refusal refusal;
    } targets[] = {
        {"cifs/files.example.com", REFUSAL_NONE},
        {"host/FILES", REFUSAL_NONE},
        {"cifs/fileserver2", REFUSAL_TARGET_NAME_WRONG},
        {"HTTP/files.example.com", REFUSAL_TARGET_NAME_WRONG},
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const struct ticket_wish wish = {.target = targets[i].target};
        expect_ticket(&policy, &wish, targets[i].refusal);
    }
    policy.target_name = TARGET_NAME_OFF;
    expect_ticket(&policy, &(struct ticket_wish){.target = "cifs/fileserver2"}, REFUSAL_NONE);
    /* a TLS channel that SMB has not; what DCE-RPC does; no checksum of GSSAPI, as of old clients
     */
    expect_refusal(verdict_by(&policy, &good, &(struct bare_peer){.bound = true}, NULL),
                   REFUSAL_CHANNEL_BINDINGS);
    const struct bare_peer dce = {.mutual = true, .more_flags = GSS_C_DCE_STYLE};
    expect_refusal(verdict_by(&policy, &good, &dce, NULL), REFUSAL_MALFORMED);
    expect_refusal(verdict_by(&policy, &good, &(struct bare_peer){.no_gss_checksum = true}, NULL),
                   REFUSAL_NONE);
}

static void anonymous(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    expect_ticket(&policy,
                  &(struct ticket_wish){.client = "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS"},
                  REFUSAL_ANONYMOUS);
    expect_ticket(&policy, &(struct ticket_wish){.client = "WELLKNOWN/ANONYMOUS@" REALM},
                  REFUSAL_ANONYMOUS);
    expect_ticket(&policy, &(struct ticket_wish){.flags = TKT_FLG_ANONYMOUS}, REFUSAL_ANONYMOUS);
}

static void odd_clients(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static struct identity identity;
    const struct ticket_wish enterprise = {.client = "alice\\@corp.com@" REALM};
    expect_refusal(verdict_by(&policy, &enterprise, &peer, &identity), REFUSAL_NONE);
    assert_string_equal(identity.user, "alice@corp.com");
    const struct ticket_wish foreign = {.client = "bob/admin@OTHER.COM"};
    expect_refusal(verdict_by(&policy, &foreign, &peer, &identity), REFUSAL_NONE);
    assert_string_equal(identity.user, "bob/admin");
    assert_string_equal(identity.domain, "OTHER.COM");
    expect_ticket(&policy, &(struct ticket_wish){.client = "a\x01lice@" REALM}, REFUSAL_MALFORMED);
    expect_ticket(&policy, &(struct ticket_wish){.client = "\xff@" REALM}, REFUSAL_MALFORMED);
}

/* The domain's name comes from the PAC, which has to be the KDC's. */
static void with_a_pac(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static struct identity identity;
    uint8_t bytes[2048];
    struct ticket_wish wish = {.pac_logon = {.data = (char *)bytes}};
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    assert_string_equal(identity.user, "alice");
    assert_string_equal(identity.domain, "CORP");
    assert_string_equal(identity.principal, ALICE_PRINC);
    assert_int_equal(identity.sid.size, 28);
    wish.pac_forged = true;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_KERBEROS);
    wish.pac_forged = false;
    wish.pac_logon.length -= 16;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_KERBEROS);
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_BOB, bytes, sizeof bytes);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    assert_string_equal(identity.domain, REALM);
    wish.pac_bare = true;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    wish.pac_forged = true;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_KERBEROS);
}

/* A KDC that our own trusts may vouch for its own users, and for nobody of our domain. */
static void claims_of_another_realm(void **state)
{
    (void)state;
    struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static struct identity identity;
    uint8_t bytes[2048];
    struct domain_binding corp = {.name = "CORP", .realm = "OTHER.COM"};
    struct ticket_wish wish = {.client = "mallory@OTHER.COM", .pac_logon = {.data = (char *)bytes}};
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_DOMAIN_CLAIMED);
    assert_int_equal(identity.authority, AUTHORITY_NONE);
    /* … the same ticket where CORP is known to be that realm's */
    policy.domains = &corp;
    policy.domains_count = 1;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    assert_string_equal(identity.domain, "CORP");
    /* … by its SID alone, of a ticket that tells no name */
    corp.realm = REALM;
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_BOB, bytes, sizeof bytes);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    assert_true(sid_parse("S-1-5-21-1111-2222-3333", &corp.sid));
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_DOMAIN_CLAIMED);
    wish.client = ALICE_PRINC;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    /* a realm that calls itself like our domain */
    wish = (struct ticket_wish){.client = "mallory@CORP"};
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_DOMAIN_CLAIMED);
}

static void too_many_groups(void **state)
{
    (void)state;
    enum { ROOM = 16 * 1024 };
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static struct identity identity;
    uint8_t *bytes = malloc(ROOM);
    struct ticket_wish wish = {.pac_logon = {.data = (char *)bytes}};
    assert_non_null(bytes);
    wish.pac_logon.length = (unsigned)pac_build_crowded(PAC_OF_ALICE, 1015, bytes, ROOM);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    wish.pac_logon.length = (unsigned)pac_build_crowded(PAC_OF_ALICE, 1025, bytes, ROOM);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_TOO_MANY_GROUPS);
    free(bytes);
}

/* Where it is required, no ticket without one gets in, nor one whose PAC tells no groups. */
static void without_a_pac(void **state)
{
    (void)state;
    struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static struct identity identity;
    uint8_t bytes[2048];
    struct ticket_wish wish = {.pac_logon = {.data = (char *)bytes}};
    policy.pac_required = true;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_PAC_MISSING);
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    wish.pac_bare = true;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_PAC_MISSING);
}

/* Groups that the configuration names by SID, found in the PAC; no winbind is asked. */
static void groups_of_the_pac(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static const char *const names[] = {"S-1-5-21-1111-2222-3333-1200",
                                        "S-1-5-21-1111-2222-3333-1201", "S-1-5-21-4-5-6-1400",
                                        "S-1-5-21-1111-2222-3333-1103"};
    static const bool member[] = {true, false, true, true};
    static struct identity identity;
    uint8_t bytes[2048];
    struct ticket_wish wish = {.pac_logon = {.data = (char *)bytes}};
    wish.pac_logon.length = (unsigned)pac_build(PAC_OF_ALICE, bytes, sizeof bytes);
    kerberos_groups = groups_new(names, 4, NULL, NULL);
    assert_non_null(kerberos_groups);
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(identity_in_group(&identity, i), member[i]);
    wish.pac_logon.length = 0;
    expect_refusal(verdict_by(&policy, &wish, &peer, &identity), REFUSAL_NONE);
    for (unsigned i = 0; i < 4; i++)
        assert_false(identity_in_group(&identity, i));
    groups_free(kerberos_groups);
    kerberos_groups = NULL;
}

/* GSSAPI knows more mechanisms than we take, and whatever else is installed. */
static void other_mechanisms(void **state)
{
    (void)state;
    static const struct {
        const char *oid;
        size_t size;
        enum refusal refusal;
    } cases[] = {
        {"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", 9, REFUSAL_NONE},
        {"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02", 9, REFUSAL_NONE},           /* Windows 2000's */
        {"\x2b\x05\x01\x05\x02", 5, REFUSAL_MALFORMED},                      /* before RFC 1964 */
        {"\x2b\x06\x01\x05\x02\x05", 6, REFUSAL_MALFORMED},                  /* IAKERB */
        {"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a", 10, REFUSAL_MALFORMED}, /* NTLMSSP */
        {"\x2b\x06\x01\x05\x05\x02", 6, REFUSAL_MALFORMED},                  /* SPNEGO in itself */
    };
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static const struct ticket_wish wish = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t token[PEER_TOKEN_MAX], framed[PEER_TOKEN_MAX];
        krb5_creds creds = make_ticket(&wish);
        struct span frame, oid;
        struct reader reader =
            reader_over_span(bare_peer_token(&peer, &creds, token, sizeof token));
        assert_true(der_expect(&reader, DER_APPLICATION_0, &frame));
        reader = reader_over_span(frame);
        assert_true(der_expect(&reader, DER_OID, &oid));
        struct writer writer = writer_over(framed, sizeof framed);
        der_write_head(&writer, DER_APPLICATION_0, der_size(cases[i].size) + reader_left(&reader));
        der_write(&writer, DER_OID, (struct span){(const uint8_t *)cases[i].oid, cases[i].size});
        write_span(&writer, reader_rest(&reader));
        expect_refusal(verdict_on(&policy, writer_span(&writer), NULL), cases[i].refusal);
        krb5_free_cred_contents(realm, &creds);
    }
}

/* A good token, cut at every length, with every byte changed, and with one more. */
static void broken_tokens(void **state)
{
    (void)state;
    const struct accept_policy policy = kerberos_policy();
    static const struct bare_peer peer = {.mutual = true};
    static const struct ticket_wish wish = {0};
    uint8_t token[PEER_TOKEN_MAX];
    krb5_creds creds = make_ticket(&wish);
    struct span good = bare_peer_token(&peer, &creds, token, sizeof token);
    for (size_t cut = 0; cut < good.size; cut++)
        expect_refusal(verdict_on(&policy, (struct span){good.at, cut}, NULL), REFUSAL_MALFORMED);
    token[good.size] = 0;
    expect_refusal(verdict_on(&policy, (struct span){good.at, good.size + 1}, NULL),
                   REFUSAL_MALFORMED);
    for (size_t i = 0; i < good.size; i++) {
        token[i] ^= 0x20;
        struct identity identity;
        /* the case of the service's name, the type of a name, options nobody has: no difference */
        if (verdict_on(&policy, good, &identity) == REFUSAL_NONE)
            expect_refusal(verdict_on(&policy, good, NULL), REFUSAL_REPLAY);
        token[i] ^= 0x20;
    }
    krb5_free_cred_contents(realm, &creds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(encryption_types, kerberos_fresh),
        cmocka_unit_test_setup(who_it_is, kerberos_fresh),
        cmocka_unit_test_setup(evidence_is_a_ticket, kerberos_fresh),
        cmocka_unit_test_setup(rc4_and_des, kerberos_fresh),
        cmocka_unit_test_setup(services, kerberos_fresh),
        cmocka_unit_test_setup(keys_of_other_services, kerberos_fresh),
        cmocka_unit_test_setup(key_rollover, kerberos_fresh),
        cmocka_unit_test_setup(keytabs, kerberos_fresh),
        cmocka_unit_test_setup(times, kerberos_fresh),
        cmocka_unit_test_setup(replays, kerberos_fresh),
        cmocka_unit_test_setup(what_clients_say, kerberos_fresh),
        cmocka_unit_test_setup(anonymous, kerberos_fresh),
        cmocka_unit_test_setup(odd_clients, kerberos_fresh),
        cmocka_unit_test_setup(with_a_pac, kerberos_fresh),
        cmocka_unit_test_setup(claims_of_another_realm, kerberos_fresh),
        cmocka_unit_test_setup(too_many_groups, kerberos_fresh),
        cmocka_unit_test_setup(without_a_pac, kerberos_fresh),
        cmocka_unit_test_setup(groups_of_the_pac, kerberos_fresh),
        cmocka_unit_test_setup(other_mechanisms, kerberos_fresh),
        cmocka_unit_test_setup(broken_tokens, kerberos_fresh),
    };
    return cmocka_run_group_tests(tests, kerberos_setup, kerberos_teardown);
}
