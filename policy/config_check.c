/*
 * Checks of single values, and of what stands beside the two lists.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/plain.h"

enum { FILE_NAME_MAX = 4095, USER_NAME_MAX = 256, NETBIOS_NAME_MAX = 15, DNS_NAME_MAX = 253 };

/* What Windows does not allow in a NetBIOS name. */
static const char netbios_without[] = "\\/:*?\"<>|";

bool config_refuse(struct config_checking *checking, const char *path, const char *format, ...)
{
    char text[sizeof checking->error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    config_error_set(checking->error, config_document_line(checking->document, path), "%s: %s",
                     path, text);
    return false;
}

bool config_check_number(struct config_checking *checking, const char *path)
{
    const struct config_range *range = config_range_of(path);
    const char *text = config_document_text(checking->document, path);
    uint64_t number;
    if (!text || !range)
        return true;
    /* libcyaml takes 010 for 8 and a great negative number for a positive one. */
    if (plain_number(text, &number) && number >= range->least && number <= range->most)
        return true;
    return config_refuse(checking, path, "must be a whole number from %u to %u, not %s",
                         range->least, range->most, config_quote(text).text);
}

bool config_check_given(struct config_checking *checking, const char *path, const char *value,
                        const char *example)
{
    if (value && value[0])
        return true;
    if (config_document_has(checking->document, path))
        return config_refuse(checking, path, "is empty; give it a value, like %s", example);
    return config_refuse(checking, path, "is missing; add it, like \"%s\"", example);
}

bool config_check_name(struct config_checking *checking, const char *path, const char *value,
                       const char *example, size_t most, const char *without)
{
    if (!config_check_given(checking, path, value, example))
        return false;
    if (!plain_printable(value) || strchr(value, ' '))
        return config_refuse(checking, path, "%s has spaces or unprintable characters; remove them",
                             config_quote(value).text);
    size_t bad = strcspn(value, without);
    if (value[bad])
        return config_refuse(checking, path, "%s must not contain \"%c\"; write it like %s",
                             config_quote(value).text, value[bad], example);
    if (strlen(value) > most)
        return config_refuse(checking, path, "%s has %zu bytes; at most %zu are allowed",
                             config_quote(value).text, strlen(value), most);
    return true;
}

bool config_check_most(struct config_checking *checking, const char *list, unsigned count,
                       unsigned most)
{
    if (count <= most)
        return true;
    return config_refuse(checking, config_path_entry(list, most).text,
                         "is one too many; at most %u are allowed", most);
}

bool config_check_file(struct config_checking *checking, const char *path, const char *value)
{
    if (!value)
        return true;
    if (!plain_printable(value))
        return config_refuse(checking, path, "%s has unprintable characters; remove them",
                             config_quote(value).text);
    /* The processes do not keep the directory in which the supervisor was started. */
    if (value[0] != '/')
        return config_refuse(checking, path, "%s is not an absolute path; begin it with \"/\"",
                             config_quote(value).text);
    size_t size = strlen(value);
    if (value[size - 1] == '/' || size > FILE_NAME_MAX)
        return config_refuse(checking, path, "%s cannot be a file; name a file in it",
                             config_quote(value).text);
    return true;
}

/* A name, or a uid in plain digits; not root, which would give up nothing. */
static bool check_user(struct config_checking *checking, const char *path, const char *value,
                       const char *example)
{
    uint64_t uid;
    if (!config_check_name(checking, path, value, example, USER_NAME_MAX, ":/,"))
        return false;
    bool number = value[strspn(value, "0123456789")] == '\0';
    if (number && (!plain_number(value, &uid) || uid >= UINT32_MAX))
        return config_refuse(checking, path, "%s is no uid; give a user name or a decimal uid",
                             config_quote(value).text);
    if (strcmp(value, "root") == 0 || strcmp(value, "0") == 0)
        return config_refuse(checking, path, "is root; give it an account of its own, like %s",
                             example);
    return true;
}

static bool check_users(struct config_checking *checking)
{
    const struct config_users *users = &checking->config->users;
    if (!check_user(checking, "users.worker", users->worker, "countersign") ||
        !check_user(checking, "users.keeper", users->keeper, "countersign-keeper") ||
        !check_user(checking, "users.recorder", users->recorder, "countersign-audit"))
        return false;
    /* A process may look into another one of the same user, and the keeper has every secret. */
    if (strcmp(users->keeper, users->worker) == 0)
        return config_refuse(checking, "users.keeper",
                             "is the same as users.worker; the keeper needs an account of its own");
    if (strcmp(users->keeper, users->recorder) == 0)
        return config_refuse(
            checking, "users.keeper",
            "is the same as users.recorder; the keeper needs an account of its own");
    return true;
}

static bool check_limits(struct config_checking *checking)
{
    static const char *const paths[] = {"limits.connections",
                                        "limits.connections_per_source",
                                        "limits.login_timeout",
                                        "limits.sessions_per_connection",
                                        "limits.interim_hold",
                                        "limits.memory",
                                        "audit.fold",
                                        "authentication.failures",
                                        "authentication.failures_per_source",
                                        "authentication.failures_per_user",
                                        "authentication.delay_max",
                                        "workers"};
    const struct config_limits *limits = &checking->config->limits;
    for (size_t i = 0; i < CYAML_ARRAY_LEN(paths); i++)
        if (!config_check_number(checking, paths[i]))
            return false;
    if (limits->connections_per_source > limits->connections)
        return config_refuse(checking, "limits.connections_per_source",
                             "is more than limits.connections (%u); lower it or raise the other",
                             limits->connections);
    return true;
}

static bool check_audit(struct config_checking *checking)
{
    const struct config_audit *audit = &checking->config->audit;
    if (!config_check_file(checking, "audit.file", audit->file))
        return false;
    if (!audit->file && !audit->syslog)
        return config_refuse(
            checking, "audit.file",
            "is empty and audit.syslog is off: nothing would be recorded; give one");
    return true;
}

static bool check_own_names(struct config_checking *checking)
{
    const struct config *config = checking->config;
    if (!config_check_name(checking, "netbios_name", config->netbios_name, "FILES",
                           NETBIOS_NAME_MAX, netbios_without) ||
        !config_check_name(checking, "netbios_domain", config->netbios_domain, "WORKGROUP",
                           NETBIOS_NAME_MAX, netbios_without) ||
        !config_check_name(checking, "dns_name", config->dns_name, "files.example.com",
                           DNS_NAME_MAX, netbios_without))
        return false;
    return !config->dns_domain[0] ||
           config_check_name(checking, "dns_domain", config->dns_domain, "example.com",
                             DNS_NAME_MAX, netbios_without);
}

bool config_check_process(struct config_checking *checking)
{
    return config_check_file(checking, "credentials", checking->config->credentials) &&
           (!checking->config->state || !checking->config->state[0] ||
            config_check_file(checking, "state", checking->config->state)) &&
           check_audit(checking) && check_users(checking) && check_limits(checking) &&
           check_own_names(checking);
}

bool config_check(const struct config *config, struct config_document *document,
                  struct config_error *error)
{
    struct config_checking checking = {config, document, error};
    /* First what the others' defaults come from. */
    return config_check_kerberos(&checking) && config_check_upstreams(&checking) &&
           config_check_listeners(&checking) && config_check_rules(&checking) &&
           config_check_process(&checking);
}
