#include "crypto/kerberos_keys.h"

#include "crypto/target_name.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static bool open_keytab(krb5_context context, const char *path, krb5_keytab *keytab)
{
    char name[PATH_MAX + sizeof "FILE:"];
    int length = snprintf(name, sizeof name, "FILE:%s", path);
    return length > 0 && (size_t)length < sizeof name &&
           krb5_kt_resolve(context, name, keytab) == 0;
}

/* libkrb5 knows keytabs in memory by name; each of ours is another one. */
static bool make_memory(krb5_context context, struct kerberos_keys *keys)
{
    static atomic_ulong number;
    (void)snprintf(keys->name, sizeof keys->name, "MEMORY:countersign-%lu",
                   atomic_fetch_add(&number, 1));
    return krb5_kt_resolve(context, keys->name, &keys->keytab) == 0;
}

/* The account itself, or one of the listener's services. */
static bool may_stand_in(krb5_context context, const struct accept_policy *policy,
                         krb5_const_principal service, krb5_const_principal entry)
{
    char *name;
    if (!krb5_realm_compare(context, service, entry))
        return false;
    if (krb5_princ_size(context, entry) == 1)
        return true;
    if (krb5_unparse_name_flags(context, entry, KRB5_PRINCIPAL_UNPARSE_NO_REALM, &name) != 0)
        return false;
    bool ours = target_service_matches(name, policy);
    krb5_free_unparsed_name(context, name);
    return ours;
}

/* One pass over the keytab: entries of that very name, or those that may stand in. */
static krb5_error_code copy_keys(krb5_context context, const struct accept_policy *policy,
                                 krb5_const_principal service, bool exact, krb5_keytab from,
                                 krb5_keytab to, unsigned *count)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code added = 0;
    krb5_error_code code = krb5_kt_start_seq_get(context, from, &cursor);
    if (code != 0)
        return code;
    while (added == 0 && (code = krb5_kt_next_entry(context, from, &entry, &cursor)) == 0) {
        if (exact ? krb5_principal_compare(context, service, entry.principal)
                  : may_stand_in(context, policy, service, entry.principal)) {
            added = krb5_kt_add_entry(context, to, &entry);
            ++*count;
        }
        krb5_free_keytab_entry_contents(context, &entry);
    }
    krb5_kt_end_seq_get(context, from, &cursor);
    return added != 0 ? added : code == KRB5_KT_END ? 0 : code;
}

enum refusal kerberos_keys_read(krb5_context context, const struct accept_policy *policy,
                                krb5_const_principal service, struct kerberos_keys *keys)
{
    krb5_keytab file;
    unsigned count = 0;
    memset(keys, 0, sizeof *keys);
    if (!make_memory(context, keys))
        return REFUSAL_INTERNAL;
    if (!open_keytab(context, policy->keytab, &file))
        return REFUSAL_KEYTAB;
    krb5_error_code code = copy_keys(context, policy, service, true, file, keys->keytab, &count);
    if (code == 0 && count == 0)
        code = copy_keys(context, policy, service, false, file, keys->keytab, &count);
    krb5_kt_close(context, file);
    return code == 0 && count > 0 ? REFUSAL_NONE : REFUSAL_KEYTAB;
}

void kerberos_keys_free(krb5_context context, struct kerberos_keys *keys)
{
    if (keys->keytab)
        krb5_kt_close(context, keys->keytab);
    keys->keytab = NULL;
}
