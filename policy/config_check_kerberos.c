/*
 * Checks of what has to do with Kerberos and domains: who is asked whether a client is who it says,
 * and what is shown to a file server.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/plain.h"

enum {
    SERVICES_MAX = 256,
    PRINCIPAL_MAX = 500,
    GROUPS_MAX = 16,
    GROUP_NAME_MAX = 256,
    DOMAINS_MAX = 256,
    DOMAIN_NAME_LENGTH_MAX = 15,
    REALM_MAX = 255,
};

static bool check_no_repeated_mechanism(struct config_checking *checking, const char *list,
                                        const struct config_listener *listener)
{
    for (unsigned i = 1; i < listener->mechanisms_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (listener->mechanisms[i] == listener->mechanisms[j])
                return config_refuse(checking, config_path_entry(list, i).text,
                                     "is in the list already; remove it");
    return true;
}

/* "cifs/files.example.com": class and host, no realm. */
static bool check_service(struct config_checking *checking, const char *path, const char *service)
{
    static const char example[] = "cifs/files.example.com";
    if (!config_check_name(checking, path, service, example, PRINCIPAL_MAX, "@\\:"))
        return false;
    const char *slash = strchr(service, '/');
    if (slash && slash != service && slash[1] && !strchr(&slash[1], '/'))
        return true;
    return config_refuse(checking, path, "%s is no service; write it like %s",
                         config_quote(service).text, example);
}

static bool check_services(struct config_checking *checking, const char *where,
                           const struct config_listener *listener)
{
    struct config_path list = config_path_option(where, "services");
    if (!config_check_most(checking, list.text, listener->services_count, SERVICES_MAX))
        return false;
    for (unsigned i = 0; i < listener->services_count; i++) {
        struct config_path path = config_path_entry(list.text, i);
        if (!check_service(checking, path.text, listener->services[i]))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (strcasecmp(listener->services[i], listener->services[j]) == 0)
                return config_refuse(checking, path.text, "%s is in the list already; remove it",
                                     config_quote(listener->services[i]).text);
    }
    return true;
}

/* What is only there for Kerberos says that Kerberos was meant. */
static bool check_without_kerberos(struct config_checking *checking, const char *where,
                                   const struct config_listener *listener)
{
    struct config_path keytab = config_path_option(where, "keytab");
    struct config_path services = config_path_option(where, "services");
    static const char told[] = "is given, but mechanisms has no kerberos; add it there, or remove "
                               "this";
    if (listener->keytab && config_document_has(checking->document, keytab.text))
        return config_refuse(checking, keytab.text, "%s", told);
    if (listener->services_count)
        return config_refuse(checking, services.text, "%s", told);
    return true;
}

bool config_check_mechanisms(struct config_checking *checking, const char *where,
                             const struct config_listener *listener)
{
    const struct config *config = checking->config;
    struct config_path list = config_path_option(where, "mechanisms");
    if (listener->mechanisms_count == 0)
        return config_refuse(checking, list.text,
                             "is empty; nobody could log in: list kerberos, ntlm or both");
    if (!check_no_repeated_mechanism(checking, list.text, listener) ||
        !config_check_file(checking, config_path_option(where, "keytab").text, listener->keytab))
        return false;
    bool kerberos = config_takes(listener, CONFIG_MECHANISM_KERBEROS);
    if (kerberos && !listener->keytab)
        return config_refuse(checking, list.text,
                             "has kerberos, which needs a keytab; add \"keytab: "
                             "/etc/countersign/keeper.keytab\" here or under kerberos");
    if (config_takes(listener, CONFIG_MECHANISM_NTLM) && !config->credentials && !config->winbind)
        return config_refuse(checking, list.text,
                             "has ntlm, but there is nobody to ask; add \"credentials: "
                             "/etc/countersign/credentials\" or \"winbind: true\"%s",
                             kerberos ? ", or remove ntlm" : "");
    return kerberos ? check_services(checking, where, listener)
                    : check_without_kerberos(checking, where, listener);
}

static const char *login_text(enum config_login login)
{
    switch (login) {
    case CONFIG_LOGIN_SAME: return "same";
    case CONFIG_LOGIN_MAPPED: return "mapped";
    case CONFIG_LOGIN_TICKET: return "ticket";
    case CONFIG_LOGIN_DELEGATE: return "delegate";
    case CONFIG_LOGIN_TRANSITION: return "transition";
    }
    return "login";
}

/* A listener of this upstream to which clients bring tickets. */
static bool gets_tickets(const struct config *config, const struct config_upstream *upstream)
{
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->upstream && strcmp(listener->upstream, upstream->name) == 0 &&
            config_takes(listener, CONFIG_MECHANISM_KERBEROS))
            return true;
    }
    return false;
}

bool config_check_login(struct config_checking *checking, const char *path,
                        const struct config_upstream *upstream, enum config_login login)
{
    const struct config *config = checking->config;
    bool by_ticket = login == CONFIG_LOGIN_TICKET || login == CONFIG_LOGIN_DELEGATE;
    bool by_account = login == CONFIG_LOGIN_DELEGATE || login == CONFIG_LOGIN_TRANSITION;
    const char *name = login_text(login);
    if (!by_ticket && !by_account && (!config->credentials || !config->credentials[0]))
        return config_refuse(checking, path,
                             "%s needs a credentials file; add \"credentials: "
                             "/etc/countersign/credentials\"",
                             name);
    if (by_account && !upstream->service)
        return config_refuse(checking, path,
                             "%s needs an account of our own; add \"service: "
                             "cifs/files.example.com@EXAMPLE.COM\" to this upstream",
                             name);
    if (by_account && !upstream->keytab)
        return config_refuse(checking, path,
                             "%s needs the key of its account; add \"keytab: "
                             "/etc/countersign/keeper.keytab\" here or under kerberos",
                             name);
    if (by_ticket && !gets_tickets(config, upstream))
        return config_refuse(checking, path,
                             "%s needs the client's ticket, but no listener of this upstream takes "
                             "kerberos; give one a keytab, or kerberos one for all",
                             name);
    return true;
}

/* "cifs/files.example.com@EXAMPLE.COM": whole, since libraries would guess the realm. */
static bool check_principal(struct config_checking *checking, const char *path, const char *value)
{
    static const char example[] = "cifs/files.example.com@EXAMPLE.COM";
    if (!config_check_name(checking, path, value, example, PRINCIPAL_MAX, "\\:"))
        return false;
    const char *at = strchr(value, '@');
    if (at && at != value && at[1] && !strchr(&at[1], '@'))
        return true;
    return config_refuse(checking, path, "%s has no realm; write it like %s",
                         config_quote(value).text, example);
}

bool config_check_service(struct config_checking *checking, const char *where,
                          const struct config_upstream *upstream)
{
    struct config_path service = config_path_option(where, "service");
    struct config_path keytab = config_path_option(where, "keytab");
    if (upstream->service && !check_principal(checking, service.text, upstream->service))
        return false;
    return config_check_file(checking, keytab.text, upstream->keytab);
}

static bool check_keeper_groups(struct config_checking *checking)
{
    static const char path[] = "users.keeper_groups";
    const struct config_users *users = &checking->config->users;
    if (!config_check_most(checking, path, users->keeper_groups_count, GROUPS_MAX))
        return false;
    for (unsigned i = 0; i < users->keeper_groups_count; i++) {
        const char *group = users->keeper_groups[i];
        struct config_path entry = config_path_entry(path, i);
        if (!config_check_name(checking, entry.text, group, "winbindd_priv", GROUP_NAME_MAX, ":/,"))
            return false;
        if (strcmp(group, "root") == 0 || strcmp(group, "0") == 0)
            return config_refuse(checking, entry.text,
                                 "is root's group; name one with less rights, like winbindd_priv");
    }
    return true;
}

/* "S-1-5-21-1-2-3": what every domain has (MS-DTYP 2.4.2.4), numbers without leading zeros. */
static bool is_domain_sid(const char *sid)
{
    static const char prefix[] = "S-1-5-21";
    unsigned numbers = 0;
    const char *at = sid + sizeof prefix - 1;
    if (strncasecmp(sid, prefix, sizeof prefix - 1) != 0)
        return false;
    for (; *at == '-'; numbers++) {
        char *end;
        const char *digits = at + 1;
        size_t length = strspn(digits, "0123456789");
        if (length == 0 || length > 10 || (digits[0] == '0' && length > 1) ||
            strtoull(digits, &end, 10) > UINT32_MAX)
            return false;
        at = end;
    }
    return *at == '\0' && numbers == 3;
}

static bool check_domain(struct config_checking *checking, unsigned index)
{
    const struct config_kerberos *kerberos = &checking->config->kerberos;
    const struct config_domain *domain = &kerberos->domains[index];
    struct config_path where = config_path_entry("kerberos.domains", index);
    struct config_path name = config_path_option(where.text, "name");
    struct config_path realm = config_path_option(where.text, "realm");
    if (!config_check_given(checking, name.text, domain->name, "CORP") ||
        !config_check_name(checking, name.text, domain->name, "CORP", DOMAIN_NAME_LENGTH_MAX,
                           "\\/:*?\"<>|") ||
        !config_check_given(checking, realm.text, domain->realm, "CORP.EXAMPLE.COM") ||
        !config_check_name(checking, realm.text, domain->realm, "CORP.EXAMPLE.COM", REALM_MAX,
                           "@/\\"))
        return false;
    if (domain->sid && !is_domain_sid(domain->sid))
        return config_refuse(checking, config_path_option(where.text, "sid").text,
                             "%s is no SID of a domain; write it like S-1-5-21-1-2-3",
                             config_quote(domain->sid).text);
    for (unsigned i = 0; i < index; i++)
        if (plain_same(kerberos->domains[i].name, domain->name))
            return config_refuse(checking, name.text,
                                 "%s is in the list already; a domain has one realm",
                                 config_quote(domain->name).text);
    return true;
}

static bool check_domains(struct config_checking *checking)
{
    unsigned count = checking->config->kerberos.domains_count;
    if (!config_check_most(checking, "kerberos.domains", count, DOMAINS_MAX))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!check_domain(checking, i))
            return false;
    return true;
}

static bool check_winbind(struct config_checking *checking)
{
    const struct config *config = checking->config;
    if (!config->winbind)
        return true;
    for (unsigned i = 0; i < config->listeners_count; i++)
        if (config_takes(&config->listeners[i], CONFIG_MECHANISM_NTLM))
            return true;
    return config_refuse(checking, "winbind",
                         "is on, but no listener takes ntlm; add it to their mechanisms, or set "
                         "\"winbind: false\"");
}

bool config_check_kerberos(struct config_checking *checking)
{
    const struct config_kerberos *kerberos = &checking->config->kerberos;
    return config_check_file(checking, "kerberos.keytab", kerberos->keytab) &&
           config_check_given(checking, "kerberos.config", kerberos->config, "/etc/krb5.conf") &&
           config_check_file(checking, "kerberos.config", kerberos->config) &&
           check_domains(checking) && check_winbind(checking) && check_keeper_groups(checking);
}
