#include "crypto/kerberos_examine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What one examination holds on to. */
struct examination {
    krb5_context context;
    krb5_keytab keytab;
    krb5_ccache cache;
    struct service_facts *facts;
};

static void copy_error(krb5_context context, krb5_error_code code, char *text, size_t size)
{
    const char *message = krb5_get_error_message(context, code);
    (void)snprintf(text, size, "%s", message);
    krb5_free_error_message(context, message);
}

/* Names with what MIT puts before the path of a file. */
krb5_error_code examine_open_keytab(krb5_context context, const char *path, krb5_keytab *keytab)
{
    char name[4096];
    int length = snprintf(name, sizeof name, "FILE:%s", path);
    if (length < 0 || (size_t)length >= sizeof name)
        return ENAMETOOLONG;
    return krb5_kt_resolve(context, name, keytab);
}

static bool is_aes(krb5_enctype type)
{
    return type == ENCTYPE_AES128_CTS_HMAC_SHA1_96 || type == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ||
           type == ENCTYPE_AES128_CTS_HMAC_SHA256_128 || type == ENCTYPE_AES256_CTS_HMAC_SHA384_192;
}

/* Calls `visit` for every key; stops when it answers false. */
static krb5_error_code walk(krb5_context context, krb5_keytab keytab,
                            bool (*visit)(void *argument, krb5_context context,
                                          const krb5_keytab_entry *entry),
                            void *argument)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(context, keytab, &cursor);
    if (code)
        return code;
    bool more = true;
    while (more && (code = krb5_kt_next_entry(context, keytab, &entry, &cursor)) == 0) {
        more = visit(argument, context, &entry);
        (void)krb5_free_keytab_entry_contents(context, &entry);
    }
    (void)krb5_kt_end_seq_get(context, keytab, &cursor);
    return code == KRB5_KT_END ? 0 : code;
}

static bool count_key(void *argument, krb5_context context, const krb5_keytab_entry *entry)
{
    struct keytab_facts *facts = argument;
    (void)context;
    facts->keys++;
    facts->aes_keys += is_aes(entry->key.enctype);
    return true;
}

void keytab_examine(const char *path, struct keytab_facts *facts)
{
    krb5_context context;
    krb5_keytab keytab;
    *facts = (struct keytab_facts){.state = KEYTAB_BROKEN};
    if (access(path, R_OK) != 0) {
        facts->state = errno == ENOENT || errno == ENOTDIR ? KEYTAB_ABSENT : KEYTAB_FORBIDDEN;
        return;
    }
    krb5_error_code code = krb5_init_context(&context);
    if (code) {
        copy_error(NULL, code, facts->text, sizeof facts->text);
        return;
    }
    code = examine_open_keytab(context, path, &keytab);
    if (code == 0) {
        code = walk(context, keytab, count_key, facts);
        (void)krb5_kt_close(context, keytab);
    }
    if (code)
        copy_error(context, code, facts->text, sizeof facts->text);
    else
        facts->state = facts->keys ? KEYTAB_GOOD : KEYTAB_EMPTY;
    krb5_free_context(context);
}

/* The principals of a keytab, each once: few enough to be looked through. */
struct principals {
    struct named_key {
        char name[EXAMINE_NAME_MAX];
        unsigned kvno;
    } * at;
    size_t count;
    bool short_of_memory;
};

static bool note_principal(void *argument, krb5_context context, const krb5_keytab_entry *entry)
{
    struct principals *list = argument;
    char *name = NULL;
    if (krb5_unparse_name(context, entry->principal, &name))
        return true;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->at[i].name, name) == 0) {
            if (entry->vno > list->at[i].kvno)
                list->at[i].kvno = entry->vno;
            krb5_free_unparsed_name(context, name);
            return true;
        }
    }
    struct named_key *grown = reallocarray(list->at, list->count + 1, sizeof *grown);
    if (grown) {
        list->at = grown;
        struct named_key *key = &list->at[list->count++];
        key->kvno = entry->vno;
        (void)snprintf(key->name, sizeof key->name, "%s", name);
    }
    list->short_of_memory = !grown;
    krb5_free_unparsed_name(context, name);
    return grown;
}

MUST_USE static bool read_principals(const char *path, struct principals *list)
{
    krb5_context context;
    krb5_keytab keytab;
    *list = (struct principals){0};
    if (krb5_init_context(&context))
        return false;
    bool read = examine_open_keytab(context, path, &keytab) == 0;
    if (read) {
        read = walk(context, keytab, note_principal, list) == 0 && !list->short_of_memory;
        (void)krb5_kt_close(context, keytab);
    }
    krb5_free_context(context);
    if (!read) {
        free(list->at);
        *list = (struct principals){0};
    }
    return read;
}

/* "cifs/files.example.com@EXAMPLE.COM" is that service, whatever its realm. */
static bool names_service(const char *principal, const char *service)
{
    const char *realm = strrchr(principal, '@');
    size_t length = realm ? (size_t)(realm - principal) : strlen(principal);
    const char *own_realm = strrchr(service, '@');
    size_t wanted = own_realm ? (size_t)(own_realm - service) : strlen(service);
    return length == wanted && strncasecmp(principal, service, length) == 0;
}

enum examine_outcome examine_outcome_of(krb5_error_code code)
{
    switch (code) {
    case 0: return EXAMINE_GOOD;
    case KRB5_KDC_UNREACH:
    case KRB5_REALM_UNKNOWN:
    case KRB5_REALM_CANT_RESOLVE:
    case KRB5_CONFIG_NODEFREALM: return EXAMINE_NO_KDC;
    case KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN:
    case KRB5_KT_NOTFOUND: return EXAMINE_ACCOUNT_UNKNOWN;
    case KRB5KDC_ERR_PREAUTH_FAILED:
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
    case KRB5KDC_ERR_ETYPE_NOSUPP: return EXAMINE_KEY_WRONG;
    case KRB5KDC_ERR_CLIENT_REVOKED:
    case KRB5KDC_ERR_NAME_EXP:
    case KRB5KDC_ERR_KEY_EXP: return EXAMINE_ACCOUNT_LOCKED;
    case KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN: return EXAMINE_SERVICE_UNKNOWN;
    case KRB5KRB_AP_ERR_SKEW:
    case KRB5_KDCREP_SKEW: return EXAMINE_SKEW;
    default: return EXAMINE_OTHER;
    }
}

static void conclude(struct examination *examination, krb5_error_code code)
{
    struct service_facts *facts = examination->facts;
    facts->outcome = examine_outcome_of(code);
    facts->text[0] = '\0';
    if (code)
        copy_error(examination->context, code, facts->text, sizeof facts->text);
}

/* libkrb5 follows the KDC's clock from its answer on, so what it corrects by is the difference. */
static void note_clock(struct examination *examination)
{
    krb5_timestamp seconds;
    krb5_int32 microseconds;
    if (krb5_get_time_offsets(examination->context, &seconds, &microseconds))
        return;
    examination->facts->clock_known = true;
    examination->facts->clock_ahead = seconds;
}

/* A ticket-granting ticket for `name` with the keytab's key, into the cache. */
static krb5_error_code enter(struct examination *examination, const char *name)
{
    krb5_context context = examination->context;
    krb5_principal principal;
    krb5_creds tgt;
    krb5_error_code code = krb5_parse_name(context, name, &principal);
    if (code)
        return code;
    code = krb5_get_init_creds_keytab(context, &tgt, principal, examination->keytab, 0, NULL, NULL);
    if (code == 0) {
        note_clock(examination);
        code = krb5_cc_initialize(context, examination->cache, tgt.client);
        if (code == 0)
            code = krb5_cc_store_cred(context, examination->cache, &tgt);
        krb5_free_cred_contents(context, &tgt);
    }
    krb5_free_principal(context, principal);
    return code;
}

/* Of several failures the one that tells more than "unknown" is told. */
static krb5_error_code enter_as_anybody(struct examination *examination,
                                        const struct principals *list)
{
    krb5_error_code telling = KRB5_KT_NOTFOUND;
    for (size_t i = 0; i < list->count; i++) {
        krb5_error_code code = enter(examination, list->at[i].name);
        if (code == 0) {
            (void)snprintf(examination->facts->account, EXAMINE_NAME_MAX, "%s", list->at[i].name);
            return 0;
        }
        if (examine_outcome_of(telling) == EXAMINE_ACCOUNT_UNKNOWN)
            telling = code;
        if (examine_outcome_of(code) == EXAMINE_NO_KDC)
            break;
    }
    return telling;
}

static void note_versions(struct service_facts *facts, const struct principals *list,
                          const char *service)
{
    for (size_t i = 0; i < list->count; i++)
        if (names_service(list->at[i].name, service) && list->at[i].kvno > facts->keytab_kvno)
            facts->keytab_kvno = list->at[i].kvno;
}

/* Opens the ticket as a service would. */
static void open_ticket(struct examination *examination, const krb5_creds *creds)
{
    struct service_facts *facts = examination->facts;
    krb5_ticket *ticket;
    krb5_error_code code = krb5_decode_ticket(&creds->ticket, &ticket);
    if (code) {
        conclude(examination, code);
        return;
    }
    facts->ticket_kvno = ticket->enc_part.kvno;
    facts->weak = !is_aes(ticket->enc_part.enctype) || !is_aes(creds->keyblock.enctype);
    code = krb5_server_decrypt_ticket_keytab(examination->context, examination->keytab, ticket);
    conclude(examination, code);
    if (code)
        facts->outcome = EXAMINE_TICKET_CLOSED;
    krb5_free_ticket(examination->context, ticket);
}

krb5_error_code examine_take_realm(krb5_context context, krb5_const_principal from,
                                   krb5_principal to)
{
    char realm[EXAMINE_NAME_MAX];
    int length = snprintf(realm, sizeof realm, "%.*s", (int)from->realm.length, from->realm.data);
    if (length < 0 || (size_t)length >= sizeof realm)
        return ENAMETOOLONG;
    return krb5_set_principal_realm(context, to, realm);
}

static void get_ticket(struct examination *examination, const char *service)
{
    krb5_context context = examination->context;
    krb5_creds wanted = {0}, *creds = NULL;
    krb5_error_code code = krb5_cc_get_principal(context, examination->cache, &wanted.client);
    if (code == 0)
        code = krb5_parse_name(context, service, &wanted.server);
    if (code == 0 && !strchr(service, '@'))
        code = examine_take_realm(context, wanted.client, wanted.server);
    if (code == 0)
        code = krb5_get_credentials(context, 0, examination->cache, &wanted, &creds);
    if (code == 0) {
        open_ticket(examination, creds);
        krb5_free_creds(context, creds);
    } else {
        conclude(examination, code);
    }
    krb5_free_cred_contents(context, &wanted);
}

static void examine(struct examination *examination, const char *path, const char *service,
                    const char *account)
{
    struct principals list;
    if (!read_principals(path, &list)) {
        conclude(examination, KRB5_KT_NOTFOUND);
        return;
    }
    krb5_error_code code;
    if (account) {
        (void)snprintf(examination->facts->account, EXAMINE_NAME_MAX, "%s", account);
        code = enter(examination, account);
    } else {
        code = enter_as_anybody(examination, &list);
    }
    note_versions(examination->facts, &list, service);
    free(list.at);
    if (code)
        conclude(examination, code);
    else
        get_ticket(examination, service);
}

void service_examine(const char *path, const char *service, const char *account,
                     struct service_facts *facts)
{
    struct examination examination = {.facts = facts};
    *facts = (struct service_facts){.outcome = EXAMINE_OTHER};
    krb5_error_code code = krb5_init_context(&examination.context);
    if (code) {
        copy_error(NULL, code, facts->text, sizeof facts->text);
        return;
    }
    code = examine_open_keytab(examination.context, path, &examination.keytab);
    if (code == 0) {
        code = krb5_cc_new_unique(examination.context, "MEMORY", NULL, &examination.cache);
        if (code == 0) {
            examine(&examination, path, service, account);
            (void)krb5_cc_destroy(examination.context, examination.cache);
        }
        (void)krb5_kt_close(examination.context, examination.keytab);
    }
    if (code)
        conclude(&examination, code);
    krb5_free_context(examination.context);
}
