/*
 * A realm without a KDC, and its clients: tickets are made here with libkrb5 from keys that are in
 * the test's keytab, and shown by MIT's own GSSAPI, or by libkrb5 directly where a client must
 * break a rule that GSSAPI keeps.
 */
#ifndef COUNTERSIGN_TESTS_KERBEROS_PEER_H
#define COUNTERSIGN_TESTS_KERBEROS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>

#include "crypto/cursor.h"
#include "crypto/der.h"

/* What a KDC uses; libkrb5 has them, its header does not. */
krb5_error_code krb5_encrypt_tkt_part(krb5_context, const krb5_keyblock *, krb5_ticket *);
krb5_error_code encode_krb5_ticket(const krb5_ticket *, krb5_data **);

#define REALM       "EXAMPLE.COM"
#define CIFS_FILES  "cifs/files.example.com@" REALM
#define ALICE_PRINC "alice@" REALM

enum { PEER_TOKEN_MAX = 32768 };

static char realm_dir[] = "/tmp/countersign-kerberos-XXXXXX";
static char realm_keytab[128], realm_config[128];
static krb5_context realm;

static inline void must_krb5(krb5_error_code code)
{
    if (code != 0)
        fail_msg("libkrb5: %s", krb5_get_error_message(realm, code));
}

static inline void must_gss(OM_uint32 major, OM_uint32 minor)
{
    if (GSS_ERROR(major))
        fail_msg("GSSAPI: %x, %s", major, krb5_get_error_message(realm, (krb5_error_code)minor));
}

static inline int realm_setup(void **state)
{
    (void)state;
    if (!mkdtemp(realm_dir))
        return -1;
    (void)snprintf(realm_keytab, sizeof realm_keytab, "%s/keytab", realm_dir);
    (void)snprintf(realm_config, sizeof realm_config, "%s/krb5.conf", realm_dir);
    FILE *file = fopen(realm_config, "w");
    if (!file)
        return -1;
    (void)fputs("[libdefaults]\n default_realm = " REALM "\n dns_lookup_kdc = false\n"
                " dns_lookup_realm = false\n rdns = false\n dns_canonicalize_hostname = false\n"
                " allow_weak_crypto = true\n allow_rc4 = true\n",
                file);
    if (fclose(file) != 0 || setenv("KRB5_CONFIG", realm_config, 1) != 0)
        return -1;
    return krb5_init_context(&realm) == 0 ? 0 : -1;
}

static inline int realm_teardown(void **state)
{
    (void)state;
    krb5_free_context(realm);
    (void)unlink(realm_keytab);
    (void)unlink(realm_config);
    return rmdir(realm_dir);
}

static inline krb5_principal principal(const char *name)
{
    krb5_principal read;
    must_krb5(krb5_parse_name(realm, name, &read));
    return read;
}

/* A key that its principal, number and type decide. */
static inline void make_key(const char *name, int kvno, krb5_enctype etype, krb5_keyblock *key)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%s %d", name, kvno);
    const krb5_data password = {.length = (unsigned)strlen(text), .data = text};
    const krb5_data salt = {.length = 4, .data = (char *)(uintptr_t) "salt"};
    must_krb5(krb5_c_string_to_key(realm, etype, &password, &salt, key));
}

static inline void keytab_add(const char *name, int kvno, krb5_enctype etype)
{
    char path[160];
    krb5_keytab keytab;
    krb5_keytab_entry entry = {.principal = principal(name), .vno = (krb5_kvno)kvno};
    (void)snprintf(path, sizeof path, "WRFILE:%s", realm_keytab);
    make_key(name, kvno, etype, &entry.key);
    must_krb5(krb5_kt_resolve(realm, path, &keytab));
    must_krb5(krb5_kt_add_entry(realm, keytab, &entry));
    krb5_kt_close(realm, keytab);
    krb5_free_keytab_entry_contents(realm, &entry);
}

static inline void keytab_clear(void)
{
    (void)unlink(realm_keytab);
}

/* Zeros: alice's ticket for cifs/files, AES-256 throughout, valid for ten hours. */
struct ticket_wish {
    const char *client;
    const char *service;  /* in the ticket */
    const char *key_of;   /* whose key encrypts it; `service` when NULL */
    int kvno;             /* 1 when 0 */
    krb5_enctype etype;   /* of the ticket */
    krb5_enctype session; /* of its session key */
    int starts, ends;     /* seconds from now; `ends` 36000 when 0 */
    krb5_flags flags;
    krb5_data pac_logon; /* the PAC's LOGON_INFO; none when empty */
    bool pac_forged;     /* … signed with another key */
    bool pac_bare;       /* … without LOGON_INFO */
    const char *target;  /* client target (authorization data 144) */
};

static inline void add_pac(const struct ticket_wish *wish, krb5_enc_tkt_part *part,
                           const krb5_keyblock *key)
{
    krb5_pac pac;
    krb5_keyblock other;
    krb5_data data;
    make_key("krbtgt", 1, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &other);
    must_krb5(krb5_pac_init(realm, &pac));
    if (!wish->pac_bare)
        must_krb5(krb5_pac_add_buffer(realm, pac, KRB5_PAC_LOGON_INFO, &wish->pac_logon));
    must_krb5(krb5_pac_sign(realm, pac, part->times.authtime, part->client,
                            wish->pac_forged ? &other : key, &other, &data));
    krb5_authdata pac_data = {.ad_type = KRB5_AUTHDATA_WIN2K_PAC,
                              .length = data.length,
                              .contents = (krb5_octet *)data.data};
    krb5_authdata *list[] = {&pac_data, NULL};
    must_krb5(krb5_encode_authdata_container(realm, KRB5_AUTHDATA_IF_RELEVANT, list,
                                             &part->authorization_data));
    krb5_free_data_contents(realm, &data);
    krb5_free_keyblock_contents(realm, &other);
    krb5_pac_free(realm, pac);
}

static inline void add_target(const char *target, krb5_creds *creds)
{
    krb5_octet bytes[512];
    krb5_authdata data = {.ad_type = 144, .contents = bytes};
    krb5_authdata *list[] = {&data, NULL};
    for (; *target; target++) {
        bytes[data.length++] = (krb5_octet)*target;
        bytes[data.length++] = 0;
    }
    must_krb5(
        krb5_encode_authdata_container(realm, KRB5_AUTHDATA_IF_RELEVANT, list, &creds->authdata));
}

/* The ticket as the client holds it; freed with krb5_free_cred_contents(). */
static inline krb5_creds make_ticket(const struct ticket_wish *wish)
{
    const char *service = wish->service ? wish->service : CIFS_FILES;
    krb5_timestamp now = (krb5_timestamp)time(NULL);
    krb5_keyblock key;
    krb5_creds creds = {.client = principal(wish->client ? wish->client : ALICE_PRINC),
                        .server = principal(service),
                        .times = {.authtime = now + wish->starts,
                                  .starttime = now + wish->starts,
                                  .endtime = now + (wish->ends ? wish->ends : 36000)},
                        .ticket_flags = wish->flags};
    krb5_enctype etype = wish->etype ? wish->etype : ENCTYPE_AES256_CTS_HMAC_SHA1_96;
    make_key(wish->key_of ? wish->key_of : service, wish->kvno ? wish->kvno : 1, etype, &key);
    must_krb5(krb5_c_make_random_key(
        realm, wish->session ? wish->session : ENCTYPE_AES256_CTS_HMAC_SHA1_96, &creds.keyblock));
    krb5_enc_tkt_part part = {.flags = wish->flags,
                              .session = &creds.keyblock,
                              .client = creds.client,
                              .transited = {.tr_type = KRB5_DOMAIN_X500_COMPRESS},
                              .times = creds.times};
    krb5_ticket ticket = {.server = creds.server, .enc_part2 = &part};
    krb5_data *der;
    if (wish->pac_logon.length)
        add_pac(wish, &part, &key);
    must_krb5(krb5_encrypt_tkt_part(realm, &key, &ticket));
    ticket.enc_part.kvno = (krb5_kvno)(wish->kvno ? wish->kvno : 1);
    must_krb5(encode_krb5_ticket(&ticket, &der));
    creds.ticket = *der;
    free(der);
    if (wish->target)
        add_target(wish->target, &creds);
    krb5_free_authdata(realm, part.authorization_data);
    krb5_free_data_contents(realm, &ticket.enc_part.ciphertext);
    krb5_free_keyblock_contents(realm, &key);
    return creds;
}

/* A client on MIT's GSSAPI. */
struct gss_peer {
    gss_cred_id_t credential;
    gss_ctx_id_t context;
    gss_name_t target;
    gss_OID mechanism;
    OM_uint32 flags;
    krb5_ccache cache;
    uint8_t token[PEER_TOKEN_MAX];
    size_t token_size;
};

static inline void gss_peer_begin(struct gss_peer *peer, krb5_creds *creds, bool mutual)
{
    OM_uint32 minor, major;
    char *name;
    memset(peer, 0, sizeof *peer);
    must_krb5(krb5_cc_new_unique(realm, "MEMORY", NULL, &peer->cache));
    must_krb5(krb5_cc_initialize(realm, peer->cache, creds->client));
    must_krb5(krb5_cc_store_cred(realm, peer->cache, creds));
    must_krb5(krb5_unparse_name(realm, creds->server, &name));
    gss_buffer_desc text = {strlen(name), name};
    major = gss_import_name(&minor, &text, GSS_KRB5_NT_PRINCIPAL_NAME, &peer->target);
    must_gss(major, minor);
    krb5_free_unparsed_name(realm, name);
    major = gss_krb5_import_cred(&minor, peer->cache, NULL, NULL, &peer->credential);
    must_gss(major, minor);
    peer->mechanism = (gss_OID)(uintptr_t)gss_mech_krb5;
    peer->flags = GSS_C_INTEG_FLAG | (mutual ? GSS_C_MUTUAL_FLAG : 0);
}

/* Takes the acceptor's token; true when the context is established. Its own is in peer->token. */
static inline bool gss_peer_step(struct gss_peer *peer, struct span token)
{
    OM_uint32 minor, ignored;
    gss_buffer_desc input = {token.size, (void *)(uintptr_t)token.at}, output;
    OM_uint32 major = gss_init_sec_context(&minor, peer->credential, &peer->context, peer->target,
                                           peer->mechanism, peer->flags, 0, NULL, &input, NULL,
                                           &output, NULL, NULL);
    must_gss(major, minor);
    assert_true(output.length <= sizeof peer->token);
    peer->token_size = output.length;
    if (output.length)
        memcpy(peer->token, output.value, output.length);
    (void)gss_release_buffer(&ignored, &output);
    return major == GSS_S_COMPLETE;
}

static inline struct span gss_peer_token(const struct gss_peer *peer)
{
    return (struct span){peer->token, peer->token_size};
}

/* The session key as the client sees it; its size. */
static inline size_t gss_peer_key(const struct gss_peer *peer, uint8_t key[64])
{
    OM_uint32 minor, major;
    gss_buffer_set_t set;
    major = gss_inquire_sec_context_by_oid(&minor, peer->context, GSS_C_INQ_SSPI_SESSION_KEY, &set);
    must_gss(major, minor);
    size_t size = set->elements[0].length;
    assert_true(size <= 64);
    memcpy(key, set->elements[0].value, size);
    (void)gss_release_buffer_set(&minor, &set);
    return size;
}

static inline size_t gss_peer_mic(const struct gss_peer *peer, struct span over, uint8_t mic[128])
{
    OM_uint32 minor, major;
    gss_buffer_desc message = {over.size, (void *)(uintptr_t)over.at}, token;
    major = gss_get_mic(&minor, peer->context, GSS_C_QOP_DEFAULT, &message, &token);
    must_gss(major, minor);
    size_t size = token.length;
    assert_true(size <= 128);
    memcpy(mic, token.value, size);
    (void)gss_release_buffer(&minor, &token);
    return size;
}

static inline bool gss_peer_mic_right(const struct gss_peer *peer, struct span over,
                                      struct span mic)
{
    OM_uint32 minor;
    gss_buffer_desc message = {over.size, (void *)(uintptr_t)over.at};
    gss_buffer_desc token = {mic.size, (void *)(uintptr_t)mic.at};
    return gss_verify_mic(&minor, peer->context, &message, &token, NULL) == GSS_S_COMPLETE;
}

static inline void gss_peer_end(struct gss_peer *peer)
{
    OM_uint32 minor;
    (void)gss_delete_sec_context(&minor, &peer->context, GSS_C_NO_BUFFER);
    (void)gss_release_cred(&minor, &peer->credential);
    (void)gss_release_name(&minor, &peer->target);
    krb5_cc_destroy(realm, peer->cache);
}

/* A client on libkrb5 alone, which can do what GSSAPI does not. */
struct bare_peer {
    int clock;            /* its clock, in seconds from ours */
    krb5_enctype subkey;  /* of its subkey; 0: it chooses none */
    bool mutual;          /* asks for mutual authentication */
    bool bound;           /* bound to some TLS channel */
    bool no_gss_checksum; /* a checksum of Kerberos and not of GSSAPI */
    uint32_t more_flags;  /* GSSAPI flags in the checksum */
};

/* Its first token, framed as GSSAPI would. */
static inline struct span bare_peer_token(const struct bare_peer *peer, krb5_creds *creds,
                                          uint8_t *to, size_t size)
{
    uint8_t checksum[24] = {16};
    krb5_context context;
    krb5_auth_context auth = NULL;
    krb5_keyblock subkey;
    krb5_data in = {.length = sizeof checksum, .data = (char *)checksum}, out;
    memset(&checksum[4], peer->bound ? 7 : 0, 16);
    put_le32(&checksum[20],
             GSS_C_INTEG_FLAG | (peer->mutual ? GSS_C_MUTUAL_FLAG : 0) | peer->more_flags);
    must_krb5(krb5_init_context(&context));
    must_krb5(krb5_set_real_time(context, (krb5_timestamp)(time(NULL) + peer->clock), 0));
    must_krb5(krb5_auth_con_init(context, &auth));
    if (peer->no_gss_checksum)
        in.length = 0;
    else
        must_krb5(krb5_auth_con_set_req_cksumtype(context, auth, 0x8003));
    krb5_flags options = peer->mutual ? AP_OPTS_MUTUAL_REQUIRED : 0;
    if (peer->subkey) {
        must_krb5(krb5_c_make_random_key(context, peer->subkey, &subkey));
        must_krb5(krb5_auth_con_setsendsubkey(context, auth, &subkey));
        krb5_free_keyblock_contents(context, &subkey);
        options |= AP_OPTS_USE_SUBKEY;
    }
    must_krb5(krb5_mk_req_extended(context, &auth, options, &in, creds, &out));
    struct writer writer = writer_over(to, size);
    der_write_head(&writer, DER_APPLICATION_0, 13 + out.length);
    write_bytes(&writer, "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00", 13);
    write_bytes(&writer, out.data, out.length);
    assert_true(writer_done(&writer));
    krb5_free_data_contents(context, &out);
    krb5_auth_con_free(context, auth);
    krb5_free_context(context);
    return writer_span(&writer);
}

#endif
