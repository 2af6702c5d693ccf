#include "crypto/delegation_examine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/delegation.h"

/* What one examination holds on to. */
struct delegation {
    krb5_context context;
    krb5_keytab keytab;
    krb5_principal own;
    krb5_principal target;
    krb5_creds tgt;
    krb5_creds evidence;
    struct delegation_facts *facts;
};

static bool passed(struct delegation *delegation, enum delegation_step step, krb5_error_code code)
{
    struct delegation_facts *facts = delegation->facts;
    if (code == 0)
        return true;
    const char *message = krb5_get_error_message(delegation->context, code);
    (void)snprintf(facts->text, sizeof facts->text, "%s", message);
    krb5_free_error_message(delegation->context, message);
    facts->failed = step;
    facts->outcome = examine_outcome_of(code);
    return false;
}

static krb5_error_code open_account(struct delegation *delegation, const char *path,
                                    const char *account)
{
    krb5_context context = delegation->context;
    krb5_get_init_creds_opt *options;
    krb5_error_code code = examine_open_keytab(context, path, &delegation->keytab);
    if (code == 0)
        code = krb5_parse_name(context, account, &delegation->own);
    if (code == 0)
        code = krb5_get_init_creds_opt_alloc(context, &options);
    if (code)
        return code;
    krb5_get_init_creds_opt_set_forwardable(options, 1);
    code = krb5_get_init_creds_keytab(context, &delegation->tgt, delegation->own,
                                      delegation->keytab, 0, NULL, options);
    krb5_get_init_creds_opt_free(context, options);
    return code;
}

/* The file server's name in the realm of our account. */
static krb5_error_code reach_target(struct delegation *delegation, const char *target)
{
    krb5_creds creds;
    krb5_context context = delegation->context;
    krb5_error_code code = krb5_parse_name(context, target, &delegation->target);
    if (code == 0)
        code = examine_take_realm(context, delegation->own, delegation->target);
    if (code == 0)
        code = service_ticket(context, &delegation->tgt, delegation->target, &creds);
    if (code == 0)
        krb5_free_cred_contents(context, &creds);
    return code;
}

static krb5_error_code be_user(struct delegation *delegation, const char *user)
{
    char name[2 * EXAMINE_NAME_MAX];
    const krb5_data *realm = &delegation->own->realm;
    int length = snprintf(name, sizeof name, "%s@%.*s", user, (int)realm->length, realm->data);
    if (length < 0 || (size_t)length >= sizeof name)
        return ENAMETOOLONG;
    krb5_error_code code =
        delegation_self(delegation->context, &delegation->tgt, name, false, &delegation->evidence);
    if (code == 0)
        delegation->facts->forwardable = delegation->evidence.ticket_flags & TKT_FLG_FORWARDABLE;
    return code;
}

static krb5_error_code go_there(struct delegation *delegation)
{
    krb5_creds creds;
    krb5_error_code code = delegation_proxy(delegation->context, &delegation->tgt,
                                            &delegation->evidence, delegation->target, &creds);
    if (code == 0)
        krb5_free_cred_contents(delegation->context, &creds);
    return code;
}

static void try(struct delegation *delegation, const char *path, const char *account,
                const char *target, const char *user)
{
    if (!passed(delegation, DELEGATION_ACCOUNT, open_account(delegation, path, account)) ||
        !passed(delegation, DELEGATION_TARGET, reach_target(delegation, target)) || !user ||
        !passed(delegation, DELEGATION_SELF, be_user(delegation, user)))
        return;
    (void)passed(delegation, DELEGATION_PROXY, go_there(delegation));
}

void delegation_examine(const char *path, const char *account, const char *target, const char *user,
                        struct delegation_facts *facts)
{
    struct delegation delegation = {.facts = facts};
    *facts = (struct delegation_facts){.failed = DELEGATION_DONE, .outcome = EXAMINE_GOOD};
    krb5_error_code code = krb5_init_context(&delegation.context);
    if (code) {
        *facts = (struct delegation_facts){.failed = DELEGATION_ACCOUNT, .outcome = EXAMINE_OTHER};
        (void)snprintf(facts->text, sizeof facts->text, "libkrb5 cannot start, error %d",
                       (int)code);
        return;
    }
    try(&delegation, path, account, target, user);
    krb5_free_cred_contents(delegation.context, &delegation.evidence);
    krb5_free_cred_contents(delegation.context, &delegation.tgt);
    krb5_free_principal(delegation.context, delegation.target);
    krb5_free_principal(delegation.context, delegation.own);
    if (delegation.keytab)
        (void)krb5_kt_close(delegation.context, delegation.keytab);
    krb5_free_context(delegation.context);
}
