/*
 * A KDB module for the tests' KDC: MIT's own db2 back end, which refuses constrained delegation,
 * with an answer to the one question it leaves open. A principal's string attribute "delegate_to"
 * lists, separated by spaces, the services it may ask tickets for in a user's name.
 *
 * DB2_MODULE is the path of the back end.
 */
#include <dlfcn.h>
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
}
