/*
 * A real MIT KDC for unit tests, and a file server's acceptor, MIT's own, that takes its tickets.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_KERBEROS_REALM_H
#define COUNTERSIGN_TESTS_UNIT_KERBEROS_REALM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/cursor.h"
#include "crypto/kdf.h"

#define OWN_SERVICE   "cifs/proxy.mit.test@MIT.TEST"
#define NAS_SERVICE   "cifs/nas.mit.test@MIT.TEST"
#define OTHER_SERVICE "cifs/other.mit.test@MIT.TEST"

struct realm {
    char directory[64];
    char own_keytab[96], nas_keytab[96], svc_keytab[96];
    pid_t kdc;
};

static struct realm realm;

static inline unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f2c0809)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static inline void realm_file(const char *name, char *path, size_t size)
{
    assert_true(snprintf(path, size, "%s/%s", realm.directory, name) < (int)size);
}

static inline void run_shell(const char *format, ...)
{
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    assert_true(vsnprintf(command, sizeof command, format, arguments) < (int)sizeof command);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static inline int realm_start(void **state)
{
    char config[96], pid[96];
    (void)state;
    (void)snprintf(realm.directory, sizeof realm.directory, "/tmp/countersign-realm-XXXXXX");
    assert_non_null(mkdtemp(realm.directory));
    run_shell("tests/unit/realm %s 127.44.8.9 %u", realm.directory, free_port());
    realm_file("krb5.conf", config, sizeof config);
    realm_file("proxy.keytab", realm.own_keytab, sizeof realm.own_keytab);
    realm_file("nas.keytab", realm.nas_keytab, sizeof realm.nas_keytab);
    realm_file("svc.keytab", realm.svc_keytab, sizeof realm.svc_keytab);
    realm_file("pid", pid, sizeof pid);
    FILE *file = fopen(pid, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &realm.kdc), 1);
    (void)fclose(file);
    assert_int_equal(setenv("KRB5_CONFIG", config, 1), 0);
    assert_int_equal(setenv("KRB5RCACHENAME", "none:", 1), 0);
    assert_int_equal(setenv("KRB5CCNAME", "MEMORY:nobody", 1), 0);
    return 0;
}

static inline int realm_stop(void **state)
{
    (void)state;
    if (realm.kdc) {
        (void)kill(realm.kdc, SIGCONT);
        (void)kill(realm.kdc, SIGTERM);
    }
    run_shell("rm -rf %s", realm.directory);
    return 0;
}

/* A ticket for a service, as a user's computer gets it by his password. */
static inline krb5_creds user_ticket(const char *user, const char *password, const char *service)
{
    krb5_context context;
    krb5_principal principal;
    krb5_creds creds;
    krb5_get_init_creds_opt *options;
    assert_int_equal(krb5_init_context(&context), 0);
    assert_int_equal(krb5_parse_name(context, user, &principal), 0);
    assert_int_equal(krb5_get_init_creds_opt_alloc(context, &options), 0);
    krb5_get_init_creds_opt_set_forwardable(options, 1);
    assert_int_equal(krb5_get_init_creds_password(context, &creds, principal, password, NULL, NULL,
                                                  0, service, options),
                     0);
    krb5_get_init_creds_opt_free(context, options);
    krb5_free_principal(context, principal);
    krb5_free_context(context);
    return creds;
}

static inline void free_ticket(krb5_creds *creds)
{
    krb5_context context;
    assert_int_equal(krb5_init_context(&context), 0);
    krb5_free_cred_contents(context, creds);
    krb5_free_context(context);
}

/* The file server's side of one authentication. */
struct acceptor_of_nas {
    gss_ctx_id_t context;
    gss_cred_id_t credential;
    gss_buffer_desc reply;
    char client[128];
    struct session_key key;
};

/* Takes a token of MIT's own mechanism `mechanism`; GSS_S_COMPLETE or GSS_S_CONTINUE_NEEDED. */
static inline OM_uint32 nas_accept(struct acceptor_of_nas *nas, const char *keytab,
                                   struct span token)
{
    OM_uint32 minor, major;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc text, input = {.length = token.size, .value = (void *)(uintptr_t)token.at};
    gss_key_value_element_desc element = {"keytab", keytab};
    gss_key_value_set_desc store = {1, &element};
    if (!nas->credential)
        assert_false(GSS_ERROR(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE,
                                                     GSS_C_NO_OID_SET, GSS_C_ACCEPT, &store,
                                                     &nas->credential, NULL, NULL)));
    (void)gss_release_buffer(&minor, &nas->reply);
    major = gss_accept_sec_context(&minor, &nas->context, nas->credential, &input,
                                   GSS_C_NO_CHANNEL_BINDINGS, &name, NULL, &nas->reply, NULL, NULL,
                                   NULL);
    if (major == GSS_S_COMPLETE) {
        gss_buffer_set_t set;
        assert_false(GSS_ERROR(gss_display_name(&minor, name, &text, NULL)));
        (void)snprintf(nas->client, sizeof nas->client, "%.*s", (int)text.length,
                       (char *)text.value);
        (void)gss_release_buffer(&minor, &text);
        assert_false(GSS_ERROR(gss_inquire_sec_context_by_oid(&minor, nas->context,
                                                              GSS_C_INQ_SSPI_SESSION_KEY, &set)));
        nas->key.size = set->elements[0].length;
        memcpy(nas->key.bytes, set->elements[0].value, nas->key.size);
        (void)gss_release_buffer_set(&minor, &set);
    }
    (void)gss_release_name(&minor, &name);
    return major;
}

static inline struct span nas_reply(const struct acceptor_of_nas *nas)
{
    return (struct span){nas->reply.value, nas->reply.length};
}

static inline void nas_end(struct acceptor_of_nas *nas)
{
    OM_uint32 minor;
    (void)gss_release_buffer(&minor, &nas->reply);
    (void)gss_delete_sec_context(&minor, &nas->context, GSS_C_NO_BUFFER);
    (void)gss_release_cred(&minor, &nas->credential);
}

#endif
