#include "proxy/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/smb2.h"

_Static_assert((int)CONFIG_HMAC_SHA256 == (int)SIGNING_HMAC_SHA256, "signing");
_Static_assert((int)CONFIG_AES_CMAC == (int)SIGNING_AES_CMAC, "signing");
_Static_assert((int)CONFIG_AES_GMAC == (int)SIGNING_AES_GMAC, "signing");
_Static_assert((int)CONFIG_AES_128_CCM == (int)CIPHER_AES_128_CCM, "ciphers");
_Static_assert((int)CONFIG_AES_128_GCM == (int)CIPHER_AES_128_GCM, "ciphers");
_Static_assert((int)CONFIG_AES_256_CCM == (int)CIPHER_AES_256_CCM, "ciphers");
_Static_assert((int)CONFIG_AES_256_GCM == (int)CIPHER_AES_256_GCM, "ciphers");
_Static_assert((int)CONFIG_LOGIN_SAME == (int)LOGIN_SAME, "login");
_Static_assert((int)CONFIG_LOGIN_MAPPED == (int)LOGIN_MAPPED, "login");
_Static_assert((int)CONFIG_LOGIN_TICKET == (int)LOGIN_TICKET, "login");
_Static_assert((int)CONFIG_LOGIN_DELEGATE == (int)LOGIN_DELEGATE, "login");
_Static_assert((int)CONFIG_LOGIN_TRANSITION == (int)LOGIN_TRANSITION, "login");
_Static_assert((int)CONFIG_MIC_ANNOUNCED == (int)MIC_ANNOUNCED, "mic");
_Static_assert((int)CONFIG_MIC_REQUIRED == (int)MIC_REQUIRED, "mic");
_Static_assert((int)CONFIG_TARGET_NAME_OFF == (int)TARGET_NAME_OFF, "target_name");
_Static_assert((int)CONFIG_TARGET_NAME_IF_PRESENT == (int)TARGET_NAME_IF_PRESENT, "target_name");
_Static_assert((int)CONFIG_TARGET_NAME_REQUIRED == (int)TARGET_NAME_REQUIRED, "target_name");
_Static_assert((int)CONFIG_SMB_2_0_2 == (int)SMB_2_0_2, "dialect");
_Static_assert((int)CONFIG_SMB_2_1 == (int)SMB_2_1, "dialect");
_Static_assert((int)CONFIG_SMB_3_0 == (int)SMB_3_0, "dialect");
_Static_assert((int)CONFIG_SMB_3_0_2 == (int)SMB_3_0_2, "dialect");
_Static_assert((int)CONFIG_SMB_3_1_1 == (int)SMB_3_1_1, "dialect");

enum {
    KEEPER_THREADS = 4,
    /* Each can wait for a KDC or a domain controller, which are asked by so many at once at most.
     */
    KEEPER_REMOTE_THREADS = 8,
    CHALLENGE_LIFETIME_S = 60,
    OWN_NAMES = 3, /* the address, the NetBIOS and the DNS name, beside a listener's own list */
};

static bool is_wildcard(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static bool fill_names(const struct config *config, const struct config_listener *listener,
                       struct accept_policy *policy)
{
    const char **names = calloc(listener->names_count + OWN_NAMES, sizeof *names);
    size_t count = 0;

    if (names == NULL) {
        return false;
    }
    for (unsigned i = 0; i < listener->names_count; i++) {
        names[count++] = listener->names[i];
    }
    policy->transparent = listener->transparent;
    policy->all_addresses = is_wildcard(listener->address);
    if (!policy->all_addresses) {
        names[count++] = listener->address;
    }
    names[count++] = config->netbios_name;
    names[count++] = config->dns_name;
    policy->names = names;
    policy->names_count = count;
    return true;
}

void settings_mechanisms(const struct config_listener *listener, struct accept_policy *policy)
{
    policy->refuse_ntlm = !config_takes(listener, CONFIG_MECHANISM_NTLM);
    if (config_takes(listener, CONFIG_MECHANISM_KERBEROS)) {
        policy->keytab = listener->keytab;
        policy->services = (const char *const *)listener->services;
        policy->services_count = listener->services_count;
    }
}

/* A domain's NetBIOS name or a SID; realms have dots, and are known without a PAC. */
static bool only_pac_tells(const char *name)
{
    const char *backslash = strchr(name, '\\');
    const char *dot = strchr(name, '.');
    return backslash ? !dot || dot > backslash : strncasecmp(name, "S-1-", 4) == 0;
}

bool settings_need_pac(const struct config *config)
{
    for (unsigned i = 0; i < config->rules_count; i++) {
        const struct config_rule *rule = &config->rules[i];
        for (unsigned j = 0; j < rule->who_count; j++) {
            if (only_pac_tells(rule->who[j] + (rule->who[j][0] == '@'))) {
                return true;
            }
        }
    }
    return false;
}

/* One list for all listeners; NULL when there is no memory. */
static struct domain_binding *bind_domains(const struct config_kerberos *kerberos)
{
    struct domain_binding *domains = calloc(kerberos->domains_count + 1, sizeof *domains);

    for (unsigned i = 0; domains != NULL && i < kerberos->domains_count; i++) {
        const struct config_domain *domain = &kerberos->domains[i];
        domains[i] = (struct domain_binding){.name = domain->name, .realm = domain->realm};
        if (domain->sid != NULL && !sid_parse(domain->sid, &domains[i].sid)) {
            free(domains);
            return NULL;
        }
    }
    return domains;
}

static bool fill_listener(const struct config *config, const struct config_listener *listener,
                          const struct domain_binding *domains, struct keeper_listener *to)
{
    to->name = listener->name;
    to->accept = (struct accept_policy){
        .mic = (enum mic_level)listener->mic,
        .target_name = (enum target_name_level)listener->target_name,
        .netbios_name = config->netbios_name,
        .netbios_domain = config->netbios_domain,
        .dns_name = config->dns_name,
        .dns_domain = config->dns_domain,
        .challenge_lifetime_s = CHALLENGE_LIFETIME_S,
        .allow_rc4 = config->kerberos.rc4 == CONFIG_RC4_ALLOW,
        .pac_required = settings_need_pac(config),
        .domains = domains,
        .domains_count = config->kerberos.domains_count,
    };
    settings_mechanisms(listener, &to->accept);
    return fill_names(config, listener, &to->accept);
}

/* The SPN of the file server (MS-SMB2 3.2.4.2.3: "cifs/" and the server's name). */
static bool fill_upstream(const struct config_upstream *upstream, struct keeper_upstream *to)
{
    char *target = NULL;
    char *address = NULL;

    if (upstream->login_count > KEEPER_LOGINS_MAX ||
        asprintf(&target, "cifs/%s", upstream->server_name) < 0) {
        return false;
    }
    to->target = target;
    if (asprintf(&address, "%s:%u", upstream->address, (unsigned)upstream->port) < 0) {
        return false;
    }
    to->address = address;
    to->name = upstream->name;
    to->service = upstream->service;
    to->keytab = upstream->keytab;
    to->logins_count = upstream->login_count;
    for (unsigned i = 0; i < upstream->login_count; i++) {
        to->logins[i] = (enum login_kind)upstream->login[i];
    }
    return true;
}

/* The arrays are the settings' own; keeper_settings shows them as const. */
static bool fill(const struct config *config, struct keeper_settings *settings)
{
    struct keeper_listener *listeners = calloc(config->listeners_count, sizeof *listeners);
    struct keeper_upstream *upstreams = calloc(config->upstreams_count, sizeof *upstreams);

    settings->listeners = listeners;
    settings->upstreams = upstreams;
    settings->domains = bind_domains(&config->kerberos);
    if (listeners == NULL || upstreams == NULL || settings->domains == NULL) {
        return false;
    }
    settings->listeners_count = config->listeners_count;
    settings->upstreams_count = config->upstreams_count;
    for (unsigned i = 0; i < config->listeners_count; i++) {
        if (!fill_listener(config, &config->listeners[i], settings->domains, &listeners[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        if (!fill_upstream(&config->upstreams[i], &upstreams[i])) {
            return false;
        }
    }
    return true;
}

static void free_settings(struct keeper_settings *settings)
{
    struct config *config = settings->owner;
    settings_free(settings);
    config_free(config);
}

void settings_own(struct keeper_settings *settings, struct config *config)
{
    settings->owner = config;
    settings->free = free_settings;
}

/* In the keeper: the configuration that the texts are borrowed from stays with them. */
static struct keeper_settings *read_settings(struct span text, char *problem, size_t size)
{
    struct config_error error;
    struct config *config = config_parse((const char *)text.at, text.size, &error);
    struct keeper_settings *settings = config ? settings_for_keeper(config) : NULL;

    if (config == NULL) {
        snprintf(problem, size, "line %u: %s", error.line, error.text);
    } else if (settings == NULL) {
        snprintf(problem, size, "out of memory");
        config_free(config);
    } else {
        settings_own(settings, config);
    }
    return settings;
}

struct keeper_settings *settings_for_keeper(const struct config *config)
{
    struct keeper_settings *settings = calloc(1, sizeof *settings);

    if (settings == NULL) {
        return NULL;
    }
    settings->read = read_settings;
    settings->credentials = config->credentials;
    settings->threads = KEEPER_THREADS;
    settings->remote_threads = KEEPER_REMOTE_THREADS;
    settings->winbind = config->winbind;
    settings->groups = (const char *const *)config->groups;
    settings->groups_count = config->groups_count;
    if (!fill(config, settings)) {
        settings_free(settings);
        return NULL;
    }
    return settings;
}

void settings_free(struct keeper_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    for (size_t i = 0; i < settings->listeners_count; i++) {
        free((void *)settings->listeners[i].accept.names);
    }
    for (size_t i = 0; i < settings->upstreams_count; i++) {
        free((void *)settings->upstreams[i].target);
        free((void *)settings->upstreams[i].address);
    }
    free((void *)settings->listeners);
    free((void *)settings->upstreams);
    free((void *)settings->domains);
    free(settings);
}
