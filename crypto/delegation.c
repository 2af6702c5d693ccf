#include "crypto/delegation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

/* A cache in memory of the account of `tgt`, for krb5_cc_destroy(), which wipes it. */
static krb5_error_code cache_of(krb5_context context, const krb5_creds *tgt, krb5_ccache *cache)
{
    krb5_creds lent = *tgt;
    krb5_error_code code = krb5_cc_new_unique(context, "MEMORY", NULL, cache);
    if (code != 0)
        return code;
    code = krb5_cc_initialize(context, *cache, tgt->client);
    if (code == 0)
        code = krb5_cc_store_cred(context, *cache, &lent);
    OPENSSL_cleanse(&lent, sizeof lent);
    if (code != 0)
        (void)krb5_cc_destroy(context, *cache);
    return code;
}

static krb5_error_code get(krb5_context context, const krb5_creds *tgt, krb5_flags options,
                           krb5_creds *wanted, krb5_creds *creds)
{
    krb5_ccache cache;
    krb5_creds *got = NULL;
    krb5_error_code code = cache_of(context, tgt, &cache);
    if (code != 0)
        return code;
    code = krb5_get_credentials(context, options | KRB5_GC_NO_STORE, cache, wanted, &got);
    (void)krb5_cc_destroy(context, cache);
    if (code != 0)
        return code;
    *creds = *got;
    OPENSSL_cleanse(got, sizeof *got);
    free(got);
    return 0;
}

krb5_error_code service_ticket(krb5_context context, const krb5_creds *tgt, krb5_principal service,
                               krb5_creds *creds)
{
    krb5_creds wanted = {.client = tgt->client, .server = service};
    return get(context, tgt, 0, &wanted, creds);
}

krb5_error_code delegation_proxy(krb5_context context, const krb5_creds *tgt,
                                 const krb5_creds *evidence, krb5_principal service,
                                 krb5_creds *creds)
{
    krb5_creds wanted = {
        .client = tgt->client,
        .server = service,
        .second_ticket = evidence->ticket,
    };
    return get(context, tgt, KRB5_GC_CONSTRAINED_DELEGATION, &wanted, creds);
}

/* The ticket for the cache's own account: what S4U2Self gave. */
static krb5_error_code take_own_ticket(krb5_context context, krb5_ccache cache, krb5_principal self,
                                       krb5_creds *evidence)
{
    krb5_cc_cursor cursor;
    bool found = false;
    krb5_error_code code = krb5_cc_start_seq_get(context, cache, &cursor);
    if (code != 0)
        return code;
    while (!found && krb5_cc_next_cred(context, cache, &cursor, evidence) == 0) {
        found = krb5_principal_compare(context, evidence->server, self);
        if (!found)
            krb5_free_cred_contents(context, evidence);
    }
    (void)krb5_cc_end_seq_get(context, cache, &cursor);
    return found ? 0 : KRB5_CC_NOTFOUND;
}

/* GSSAPI tells what it has got only by storing it. */
static krb5_error_code unpack(krb5_context context, gss_cred_id_t impersonated, krb5_principal self,
                              krb5_creds *evidence)
{
    krb5_ccache cache;
    OM_uint32 minor = 0;
    krb5_error_code code = krb5_cc_new_unique(context, "MEMORY", NULL, &cache);
    if (code != 0)
        return code;
    if (GSS_ERROR(gss_krb5_copy_ccache(&minor, impersonated, cache)))
        code = minor ? (krb5_error_code)minor : KRB5_CC_NOTFOUND;
    else
        code = take_own_ticket(context, cache, self, evidence);
    (void)krb5_cc_destroy(context, cache);
    return code;
}

static krb5_error_code import_user(const char *user, bool enterprise, gss_name_t *name)
{
    OM_uint32 minor = 0;
    gss_buffer_desc text = {.length = strlen(user), .value = (void *)(uintptr_t)user};
    gss_OID kind =
        enterprise ? GSS_KRB5_NT_ENTERPRISE_NAME : (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME;
    if (GSS_ERROR(gss_import_name(&minor, &text, kind, name)))
        return minor ? (krb5_error_code)minor : ENOMEM;
    return 0;
}

static krb5_error_code impersonate(krb5_ccache cache, gss_name_t user, gss_cred_id_t *impersonated)
{
    OM_uint32 minor = 0, ignored;
    gss_cred_id_t own = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc kerberos = {1, (gss_OID)(uintptr_t)gss_mech_krb5};
    OM_uint32 major = gss_krb5_import_cred(&minor, cache, NULL, NULL, &own);
    if (!GSS_ERROR(major))
        major = gss_acquire_cred_impersonate_name(&minor, own, user, GSS_C_INDEFINITE, &kerberos,
                                                  GSS_C_INITIATE, impersonated, NULL, NULL);
    (void)gss_release_cred(&ignored, &own);
    if (GSS_ERROR(major))
        return minor ? (krb5_error_code)minor : KRB5_CC_NOTFOUND;
    return 0;
}

krb5_error_code delegation_self(krb5_context context, const krb5_creds *tgt, const char *user,
                                bool enterprise, krb5_creds *evidence)
{
    krb5_ccache cache;
    OM_uint32 minor;
    gss_name_t name = GSS_C_NO_NAME;
    gss_cred_id_t impersonated = GSS_C_NO_CREDENTIAL;
    krb5_error_code code = cache_of(context, tgt, &cache);
    if (code != 0)
        return code;
    code = import_user(user, enterprise, &name);
    if (code == 0)
        code = impersonate(cache, name, &impersonated);
    if (code == 0)
        code = unpack(context, impersonated, tgt->client, evidence);
    (void)gss_release_cred(&minor, &impersonated);
    (void)gss_release_name(&minor, &name);
    (void)krb5_cc_destroy(context, cache);
    return code;
}
