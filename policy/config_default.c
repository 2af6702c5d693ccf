/*
 * Defaults. proxy.yaml shows each of them; a unit test compares.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

enum { SMB_PORT = 445, HOST_NAME_SIZE = 256, NETBIOS_NAME_MAX = 15 };

struct filling {
    struct config_document *document;
    const char *where; /* of the options that are filled: "", "listeners[0]" */
    bool failed;       /* out of memory */
};

/* True when the option is not in the document. */
static bool absent(const struct filling *filling, const char *option)
{
    struct config_path path = config_path_option(filling->where, option);
    return !config_document_has(filling->document, path.text);
}

static void fill_number(const struct filling *filling, const char *option, uint32_t *number,
                        uint32_t value)
{
    if (absent(filling, option))
        *number = value;
}

static void fill_port(const struct filling *filling, uint16_t *port)
{
    if (absent(filling, "port"))
        *port = SMB_PORT;
}

static void fill_text(struct filling *filling, const char *option, char **text, const char *value)
{
    if (!absent(filling, option) || !value)
        return;
    *text = strdup(value);
    filling->failed |= !*text;
}

static void fill_signing(struct filling *filling, enum config_signing **signing, unsigned *count)
{
    static const enum config_signing values[] = {CONFIG_AES_GMAC, CONFIG_AES_CMAC,
                                                 CONFIG_HMAC_SHA256};
    if (!absent(filling, "signing"))
        return;
    *signing = malloc(sizeof values);
    filling->failed |= !*signing;
    if (!*signing)
        return;
    memcpy(*signing, values, sizeof values);
    *count = sizeof values / sizeof values[0];
}

static void fill_ciphers(struct filling *filling, enum config_cipher **ciphers, unsigned *count)
{
    static const enum config_cipher values[] = {CONFIG_AES_128_GCM, CONFIG_AES_256_GCM,
                                                CONFIG_AES_128_CCM, CONFIG_AES_256_CCM};
    if (!absent(filling, "ciphers"))
        return;
    *ciphers = malloc(sizeof values);
    filling->failed |= !*ciphers;
    if (!*ciphers)
        return;
    memcpy(*ciphers, values, sizeof values);
    *count = sizeof values / sizeof values[0];
}

static void fill_encryption(const struct filling *filling, enum config_encryption *encryption)
{
    if (absent(filling, "encryption"))
        *encryption = CONFIG_ENCRYPTION_ALLOWED;
}

/* `posture` and `encryption` say the same; what both say is checked afterwards. */
static void fill_posture(const struct filling *filling, struct config_listener *listener)
{
    if (!absent(filling, "posture") && absent(filling, "encryption"))
        listener->encryption = (enum config_encryption)listener->posture;
    else if (absent(filling, "posture"))
        listener->posture = listener->encryption == CONFIG_ENCRYPTION_OFF
                                ? CONFIG_POSTURE_SIGNING
                                : (enum config_posture)listener->encryption;
}

static void fill_login(struct filling *filling, struct config_upstream *upstream)
{
    if (!absent(filling, "login"))
        return;
    upstream->login = malloc(sizeof *upstream->login);
    filling->failed |= !upstream->login;
    if (!upstream->login)
        return;
    upstream->login[0] = CONFIG_LOGIN_SAME;
    upstream->login_count = 1;
}

static void fill_dialects(const struct filling *filling, enum config_dialect *least,
                          enum config_dialect *most)
{
    if (absent(filling, "min_dialect"))
        *least = CONFIG_SMB_2_0_2;
    if (absent(filling, "max_dialect"))
        *most = CONFIG_SMB_3_1_1;
}

/* Kerberos where there is a key for it, and NTLM where there is somebody to ask. */
static void fill_mechanisms(struct filling *filling, const struct config *config,
                            struct config_listener *listener)
{
    enum config_mechanism *list;
    bool kerberos = listener->keytab != NULL;
    bool ntlm = !kerberos || config->credentials || config->winbind;
    if (!absent(filling, "mechanisms"))
        return;
    listener->mechanisms = list = malloc(2 * sizeof *list);
    filling->failed |= !list;
    if (list && kerberos)
        list[listener->mechanisms_count++] = CONFIG_MECHANISM_KERBEROS;
    if (list && ntlm)
        list[listener->mechanisms_count++] = CONFIG_MECHANISM_NTLM;
}

static void fill_listener(struct filling *filling, const struct config *config,
                          struct config_listener *listener)
{
    fill_text(filling, "keytab", &listener->keytab, config->kerberos.keytab);
    fill_mechanisms(filling, config, listener);
    fill_port(filling, &listener->port);
    fill_dialects(filling, &listener->min_dialect, &listener->max_dialect);
    fill_signing(filling, &listener->signing, &listener->signing_count);
    fill_encryption(filling, &listener->encryption);
    fill_posture(filling, listener);
    fill_ciphers(filling, &listener->ciphers, &listener->ciphers_count);
    if (absent(filling, "multi_protocol"))
        listener->multi_protocol = CONFIG_MULTI_PROTOCOL_ACCEPT;
    if (absent(filling, "mic"))
        listener->mic = CONFIG_MIC_ANNOUNCED;
    if (absent(filling, "target_name"))
        listener->target_name = CONFIG_TARGET_NAME_IF_PRESENT;
    if (absent(filling, "downgrade"))
        listener->downgrade = CONFIG_DOWNGRADE_RECORD;
}

static void fill_upstream(struct filling *filling, const struct config *config,
                          struct config_upstream *upstream)
{
    fill_text(filling, "keytab", &upstream->keytab, config->kerberos.keytab);
    fill_port(filling, &upstream->port);
    fill_text(filling, "server_name", &upstream->server_name, upstream->address);
    fill_login(filling, upstream);
    fill_dialects(filling, &upstream->min_dialect, &upstream->max_dialect);
    fill_signing(filling, &upstream->signing, &upstream->signing_count);
    fill_encryption(filling, &upstream->encryption);
    fill_ciphers(filling, &upstream->ciphers, &upstream->ciphers_count);
    for (unsigned i = 0; i < upstream->quirks_count; i++)
        upstream->quirk_bits |= upstream->quirks[i];
    if (absent(filling, "downgrade"))
        upstream->downgrade = CONFIG_DOWNGRADE_RECORD;
    fill_number(filling, "connect_timeout", &upstream->connect_timeout, 5000);
    fill_number(filling, "connections", &upstream->connections, config->limits.connections);
}

static void fill_limits(struct filling *filling, struct config_limits *limits)
{
    fill_number(filling, "connections", &limits->connections, 4096);
    fill_number(filling, "connections_per_source", &limits->connections_per_source,
                limits->connections < 512 ? limits->connections : 512);
    fill_number(filling, "login_timeout", &limits->login_timeout, 60000);
    fill_number(filling, "sessions_per_connection", &limits->sessions_per_connection, 256);
    fill_number(filling, "interim_hold", &limits->interim_hold, 1000);
    fill_number(filling, "memory", &limits->memory, 1024);
}

static void fill_authentication(struct filling *filling,
                                struct config_authentication *authentication)
{
    fill_number(filling, "failures", &authentication->failures, 5);
    fill_number(filling, "failures_per_source", &authentication->failures_per_source, 50);
    fill_number(filling, "failures_per_user", &authentication->failures_per_user, 50);
    fill_number(filling, "delay_max", &authentication->delay_max, 300000);
}

/* Our names, from the host's: "files.example.com" is FILES for NetBIOS. */
static void fill_names(struct filling *filling, struct config *config)
{
    char host[HOST_NAME_SIZE] = "", netbios[NETBIOS_NAME_MAX + 1] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        snprintf(host, sizeof host, "countersign");
    for (size_t i = 0; i < NETBIOS_NAME_MAX && host[i] && host[i] != '.'; i++)
        netbios[i] = (char)toupper((unsigned char)host[i]);
    fill_text(filling, "netbios_name", &config->netbios_name, netbios);
    fill_text(filling, "netbios_domain", &config->netbios_domain, "WORKGROUP");
    fill_text(filling, "dns_name", &config->dns_name, host);
    if (!config->dns_domain && config->dns_name) {
        const char *dot = strchr(config->dns_name, '.');
        bool given = !absent(filling, "dns_domain"); /* and empty */
        config->dns_domain = strdup(dot && !given ? &dot[1] : "");
        filling->failed |= !config->dns_domain;
    }
}

/* winbind shows the pipe by which passwords are checked to one group only; Debian's name of it. */
static void fill_keeper_groups(struct filling *filling, const struct config *config,
                               struct config_users *users)
{
    if (!absent(filling, "keeper_groups") || !config->winbind)
        return;
    users->keeper_groups = calloc(1, sizeof *users->keeper_groups);
    if (users->keeper_groups)
        users->keeper_groups[0] = strdup("winbindd_priv");
    if (users->keeper_groups && users->keeper_groups[0])
        users->keeper_groups_count = 1;
    filling->failed |= !users->keeper_groups_count;
}

static void fill_top(struct filling *filling, struct config *config)
{
    filling->where = "kerberos";
    fill_text(filling, "config", &config->kerberos.config, "/etc/krb5.conf");
    filling->where = "";
    if (absent(filling, "otherwise"))
        config->otherwise = CONFIG_ALLOW;
    filling->where = "audit";
    fill_text(filling, "file", &config->audit.file, "/var/log/countersign/audit.json");
    filling->where = "users";
    fill_text(filling, "worker", &config->users.worker, "countersign");
    fill_text(filling, "keeper", &config->users.keeper, "countersign-keeper");
    fill_text(filling, "recorder", &config->users.recorder, "countersign-audit");
    fill_keeper_groups(filling, config, &config->users);
    filling->where = "audit";
    fill_number(filling, "fold", &config->audit.fold, 60000);
    filling->where = "authentication";
    fill_authentication(filling, &config->authentication);
    filling->where = "limits";
    fill_limits(filling, &config->limits);
    filling->where = "";
    fill_text(filling, "state", &config->state, "/var/lib/countersign/state");
    fill_names(filling, config);
}

bool config_fill(struct config *config, struct config_document *document,
                 struct config_error *error)
{
    struct filling filling = {.document = document};
    fill_top(&filling, config);
    for (unsigned i = 0; i < config->listeners_count; i++) {
        struct config_path where = config_path_entry("listeners", i);
        filling.where = where.text;
        fill_listener(&filling, config, &config->listeners[i]);
    }
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        struct config_path where = config_path_entry("upstreams", i);
        filling.where = where.text;
        fill_upstream(&filling, config, &config->upstreams[i]);
    }
    filling.failed |= !config_rules_fill(config, document);
    if (filling.failed)
        config_error_set(error, 0, "out of memory");
    return !filling.failed;
}
