/*
 * A KDB module for the tests' KDC: MIT's own db2 back end, which refuses constrained delegation,
 * with an answer to the one question it leaves open. A principal's string attribute "delegate_to"
 * lists, separated by spaces, the services it may ask tickets for in a user's name.
 *
 * A user's string attribute "logon_info" is, in hexadecimal, what his PAC says of him (MS-PAC 2.5).
 * What comes from the KDC of another realm is passed on as it is.
 *
 * DB2_MODULE is the path of the back end.
 */
#include <dlfcn.h>
#include <errno.h>
#include <kdb.h>
#include <krb5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern kdb_vftabl kdb_function_table;
kdb_vftabl kdb_function_table;

static bool lists(const char *services, const char *service)
{
    size_t size = strlen(service);
    for (const char *at = services; (at = strstr(at, service)) != NULL; at += size) {
        bool begins = at == services || at[-1] == ' ';
        if (begins && (at[size] == ' ' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Without a target the KDC asks whether there is any service the principal may delegate to. */
static krb5_error_code may_delegate(krb5_context context, krb5_const_principal client,
                                    const krb5_db_entry *server, krb5_const_principal target)
{
    (void)client;
    char *services = NULL;
    char *service = NULL;
    krb5_error_code error =
        krb5_dbe_get_string(context, (krb5_db_entry *)server, "delegate_to", &services);
    if (error == 0 && target != NULL) {
        error = krb5_unparse_name(context, target, &service);
    }
    bool allowed = error == 0 && services != NULL && (service == NULL || lists(services, service));
    krb5_dbe_free_string(context, services);
    krb5_free_unparsed_name(context, service);
    return allowed ? 0 : KRB5KDC_ERR_BADOPTION;
}

static int digit(char text)
{
    const char *digits = "0123456789abcdef";
    const char *found = text != '\0' ? strchr(digits, text) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* In its place; the number of bytes. */
static size_t from_hexadecimal(char *text)
{
    size_t size = 0;
    for (; digit(text[2 * size]) >= 0 && digit(text[2 * size + 1]) >= 0; size++) {
        text[size] = (char)(digit(text[2 * size]) << 4 | digit(text[2 * size + 1]));
    }
    return size;
}

static krb5_error_code add_logon_info(krb5_context context, krb5_db_entry *client, krb5_pac pac)
{
    char *text = NULL;
    krb5_error_code error = krb5_dbe_get_string(context, client, "logon_info", &text);
    if (error == 0 && text != NULL) {
        krb5_data data = {.length = (unsigned)from_hexadecimal(text), .data = text};
        error = krb5_pac_add_buffer(context, pac, KRB5_PAC_LOGON_INFO, &data);
    }
    krb5_dbe_free_string(context, text);
    return error;
}

static krb5_error_code issue_pac(krb5_context context, unsigned int flags, krb5_db_entry *client,
                                 krb5_keyblock *replaced, krb5_db_entry *server,
                                 krb5_db_entry *krbtgt, krb5_timestamp authtime, krb5_pac old_pac,
                                 krb5_pac new_pac, krb5_data ***indicators)
{
    krb5_data data;
    (void)flags, (void)replaced, (void)server, (void)krbtgt, (void)authtime, (void)indicators;
    if (old_pac == NULL) {
        return client != NULL ? add_logon_info(context, client, new_pac) : 0;
    }
    krb5_error_code error = krb5_pac_get_buffer(context, old_pac, KRB5_PAC_LOGON_INFO, &data);
    if (error != 0) {
        return error == ENOENT ? 0 : error;
    }
    error = krb5_pac_add_buffer(context, new_pac, KRB5_PAC_LOGON_INFO, &data);
    krb5_free_data_contents(context, &data);
    return error;
}

__attribute__((constructor)) static void wrap(void)
{
    void *module = dlopen(DB2_MODULE, RTLD_NOW | RTLD_LOCAL);
    kdb_vftabl *table = module != NULL ? dlsym(module, "kdb_function_table") : NULL;
    if (table == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    kdb_function_table = *table;
    kdb_function_table.check_allowed_to_delegate = may_delegate;
    kdb_function_table.issue_pac = issue_pac;
}
