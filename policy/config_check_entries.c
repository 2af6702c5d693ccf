/*
 * Checks of listeners and upstreams.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

/* What both kinds of entry have. */
#define LEG_OF(entry)                                                                              \
    (&(const struct config_leg){(entry)->min_dialect, (entry)->max_dialect, (entry)->signing,      \
                                (entry)->signing_count, (entry)->encryption, (entry)->ciphers,     \
                                (entry)->ciphers_count, (entry)->encrypted_shares,                 \
                                (entry)->encrypted_shares_count})

enum { ENTRIES_MAX = 64, NAMES_MAX = 256, NAME_MAX_SIZE = 128, HOST_MAX_SIZE = 253 };

/* An address in a form in which equal ones are equal: "::1" and "0::1" are. */
struct numeric {
    unsigned char bytes[sizeof(struct in6_addr)];
    int family; /* 0: not numeric */
};

static struct numeric numeric_of(const char *text)
{
    struct numeric numeric = {.family = 0};
    if (inet_pton(AF_INET, text, numeric.bytes) == 1)
        numeric.family = AF_INET;
    else if (inet_pton(AF_INET6, text, numeric.bytes) == 1)
        numeric.family = AF_INET6;
    return numeric;
}

/* Something is in the list, and not more than there may be. */
static bool check_count(struct config_checking *checking, const char *list, unsigned count)
{
    if (count == 0)
        return config_refuse(checking, list, "is %s; at least one is needed",
                             config_document_has(checking->document, list) ? "empty" : "missing");
    return config_check_most(checking, list, count, ENTRIES_MAX);
}

static bool check_known_names(struct config_checking *checking, const char *where,
                              const struct config_listener *listener)
{
    struct config_path list = config_path_option(where, "names");
    if (!config_check_most(checking, list.text, listener->names_count, NAMES_MAX))
        return false;
    for (unsigned i = 0; i < listener->names_count; i++) {
        const char *name = listener->names[i];
        struct config_path path = config_path_entry(list.text, i);
        /* Clients' target names are compared without their service class and port. */
        if (!config_check_name(checking, path.text, name, "files.example.com", HOST_MAX_SIZE,
                               "/\\"))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (strcasecmp(name, listener->names[j]) == 0)
                return config_refuse(checking, path.text, "%s is in the list already; remove it",
                                     config_quote(name).text);
    }
    return true;
}

static bool same_place(const struct config_listener *a, const struct config_listener *b)
{
    struct numeric left = numeric_of(a->address), right = numeric_of(b->address);
    return a->port == b->port && left.family == right.family &&
           memcmp(left.bytes, right.bytes, sizeof left.bytes) == 0;
}

/* Against the listeners before this one. */
static bool check_unlike(struct config_checking *checking, const char *where, unsigned index)
{
    const struct config_listener *listeners = checking->config->listeners;
    const struct config_listener *listener = &listeners[index];
    for (unsigned i = 0; i < index; i++) {
        if (strcmp(listener->name, listeners[i].name) == 0)
            return config_refuse(checking, config_path_option(where, "name").text,
                                 "%s is the name of listeners[%u] too; rename one of them",
                                 config_quote(listener->name).text, i);
        if (same_place(listener, &listeners[i]))
            return config_refuse(checking, config_path_option(where, "address").text,
                                 "%s port %u is where listeners[%u] listens; change one of them",
                                 config_quote(listener->address).text, listener->port, i);
    }
    return true;
}

static bool check_upstream_known(struct config_checking *checking, const char *where,
                                 const struct config_listener *listener)
{
    struct config_path path = config_path_option(where, "upstream");
    if (!config_check_given(checking, path.text, listener->upstream, "upstream: nas"))
        return false;
    if (config_upstream_of(checking->config, listener))
        return true;
    return config_refuse(checking, path.text,
                         "there is no upstream named %s; add it under upstreams, or correct the "
                         "name",
                         config_quote(listener->upstream).text);
}

static bool check_posture(struct config_checking *checking, const char *where,
                          const struct config_listener *listener)
{
    if (listener->encryption == CONFIG_ENCRYPTION_OFF
            ? !config_document_has(checking->document, config_path_option(where, "posture").text)
            : (int)listener->posture == (int)listener->encryption)
        return true;
    return config_refuse(checking, config_path_option(where, "posture").text,
                         "says another thing than \"encryption\"; the two are one choice "
                         "(signing is allowed, encryption-if-offered is if-offered, encryption is "
                         "required): remove one of them");
}

static bool check_listener(struct config_checking *checking, unsigned index)
{
    const struct config_listener *listener = &checking->config->listeners[index];
    struct config_path where = config_path_entry("listeners", index);
    struct config_path address = config_path_option(where.text, "address");
    if (!config_check_name(checking, config_path_option(where.text, "name").text, listener->name,
                           "name: lan", NAME_MAX_SIZE, "") ||
        !config_check_given(checking, address.text, listener->address, "address: 0.0.0.0"))
        return false;
    if (!numeric_of(listener->address).family)
        return config_refuse(checking, address.text,
                             "%s is not a numeric address; write one of this host's, or 0.0.0.0 "
                             "or :: for all",
                             config_quote(listener->address).text);
    return config_check_number(checking, config_path_option(where.text, "port").text) &&
           check_upstream_known(checking, where.text, listener) &&
           check_known_names(checking, where.text, listener) &&
           check_posture(checking, where.text, listener) &&
           config_check_leg(checking, where.text, LEG_OF(listener)) &&
           config_check_mechanisms(checking, where.text, listener) &&
           check_unlike(checking, where.text, index);
}

bool config_check_listeners(struct config_checking *checking)
{
    if (!check_count(checking, "listeners", checking->config->listeners_count))
        return false;
    for (unsigned i = 0; i < checking->config->listeners_count; i++)
        if (!check_listener(checking, i))
            return false;
    return true;
}

static bool check_logins(struct config_checking *checking, const char *where,
                         const struct config_upstream *upstream)
{
    struct config_path path = config_path_option(where, "login");
    if (upstream->login_count == 0)
        return config_refuse(checking, path.text,
                             "is empty; nobody could log in: list at least one of same, mapped, "
                             "ticket, delegate, transition");
    for (unsigned i = 0; i < upstream->login_count; i++) {
        struct config_path entry = config_path_entry(path.text, i);
        for (unsigned j = 0; j < i; j++)
            if (upstream->login[i] == upstream->login[j])
                return config_refuse(checking, entry.text, "is in the list already; remove it");
        bool written = config_document_has(checking->document, entry.text);
        if (!config_check_login(checking, written ? entry.text : path.text, upstream,
                                upstream->login[i]))
            return false;
    }
    return true;
}

static bool check_host(struct config_checking *checking, const char *path, const char *address)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_";
    if (!config_check_name(checking, path, address, "address: 192.0.2.10", HOST_MAX_SIZE, ""))
        return false;
    if (numeric_of(address).family || address[strspn(address, allowed)] == '\0')
        return true;
    return config_refuse(checking, path, "%s is neither a numeric address nor a host name",
                         config_quote(address).text);
}

static bool check_connections(struct config_checking *checking, const char *path, uint32_t number)
{
    uint32_t all = checking->config->limits.connections;
    if (!config_check_number(checking, path))
        return false;
    return number <= all ||
           config_refuse(checking, path,
                         "is more than limits.connections (%u); lower it or raise the other", all);
}

static bool check_upstream(struct config_checking *checking, unsigned index)
{
    const struct config_upstream *upstreams = checking->config->upstreams;
    const struct config_upstream *upstream = &upstreams[index];
    struct config_path where = config_path_entry("upstreams", index);
    struct config_path name = config_path_option(where.text, "name");
    if (!config_check_name(checking, name.text, upstream->name, "name: nas", NAME_MAX_SIZE, ""))
        return false;
    for (unsigned i = 0; i < index; i++)
        if (strcmp(upstream->name, upstreams[i].name) == 0)
            return config_refuse(checking, name.text,
                                 "%s is the name of upstreams[%u] too; rename one of them",
                                 config_quote(upstream->name).text, i);
    return check_host(checking, config_path_option(where.text, "address").text,
                      upstream->address) &&
           config_check_number(checking, config_path_option(where.text, "port").text) &&
           config_check_name(checking, config_path_option(where.text, "server_name").text,
                             upstream->server_name, "nas.example.com", HOST_MAX_SIZE, "/\\") &&
           check_logins(checking, where.text, upstream) &&
           config_check_service(checking, where.text, upstream) &&
           config_check_leg(checking, where.text, LEG_OF(upstream)) &&
           config_check_number(checking, config_path_option(where.text, "connect_timeout").text) &&
           check_connections(checking, config_path_option(where.text, "connections").text,
                             upstream->connections);
}

bool config_check_upstreams(struct config_checking *checking)
{
    if (!check_count(checking, "upstreams", checking->config->upstreams_count))
        return false;
    for (unsigned i = 0; i < checking->config->upstreams_count; i++)
        if (!check_upstream(checking, i))
            return false;
    return true;
}
