/*
 * Checks of rules: of each by itself, and that each can be reached.
 */
#include <string.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/network.h"
#include "policy/plain.h"
#include "policy/rule.h"

enum { RULES_MAX = 256, LIST_MAX = 256, GROUPS_MAX = 256, RULE_NAME_MAX = 128, WHO_MAX = 512 };

/* The rule in hand. */
struct rule_checking {
    struct config_checking *checking;
    const struct config_rule *rule;
    struct config_path where; /* "rules[0]" */
};

static struct config_path option(const struct rule_checking *in, const char *name)
{
    return config_path_option(in->where.text, name);
}

static bool is_given(const struct rule_checking *in, const char *name)
{
    return config_document_has(in->checking->document, option(in, name).text);
}

#define REFUSE(in, name, ...) config_refuse((in)->checking, option(in, name).text, __VA_ARGS__)

typedef bool check_entry(struct config_checking *checking, const char *path, const char *entry);

/* A list that is given has entries, not too many, each of them right. */
static bool check_list(const struct rule_checking *in, const char *name, char *const *entries,
                       unsigned count, check_entry *check)
{
    struct config_path list = option(in, name);
    if (count == 0)
        return !is_given(in, name) ||
               REFUSE(in, name, "is empty, so nothing would match; add an entry or remove it");
    if (!config_check_most(in->checking, list.text, count, LIST_MAX))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!check(in->checking, config_path_entry(list.text, i).text, entries[i]))
            return false;
    return true;
}

static bool check_who(struct config_checking *checking, const char *path, const char *who)
{
    if (!config_check_given(checking, path, who, "alice"))
        return false;
    const char *name = who[0] == '@' ? &who[1] : who;
    const char *slash = strchr(name, '\\');
    if (!plain_printable(who) || strlen(who) > WHO_MAX)
        return config_refuse(checking, path, "%s has unprintable characters or is too long",
                             config_quote(who).text);
    if (!name[0] || (slash && (slash == name || !slash[1])))
        return config_refuse(checking, path,
                             "%s is no name; write alice, CORP\\alice, alice@EXAMPLE.COM or "
                             "\"@group\"",
                             config_quote(who).text);
    return true;
}

static bool check_network(struct config_checking *checking, const char *path, const char *text)
{
    struct network network;
    if (!config_check_given(checking, path, text, "192.0.2.0/24"))
        return false;
    switch (network_read(text, &network)) {
    case NETWORK_GOOD: return true;
    case NETWORK_HOST_BITS:
        return config_refuse(checking, path,
                             "%s has bits set beyond its prefix; write the network's own address, "
                             "or a longer prefix",
                             config_quote(text).text);
    case NETWORK_MALFORMED: break;
    }
    return config_refuse(checking, path,
                         "%s is no network; write it like 192.0.2.0/24, 2001:db8::/32 or "
                         "192.0.2.7",
                         config_quote(text).text);
}

static bool check_listener(struct config_checking *checking, const char *path, const char *name)
{
    if (!config_check_given(checking, path, name, "lan"))
        return false;
    for (unsigned i = 0; i < checking->config->listeners_count; i++)
        if (strcmp(checking->config->listeners[i].name, name) == 0)
            return true;
    return config_refuse(checking, path, "there is no listener named %s; correct the name",
                         config_quote(name).text);
}

static bool check_upstream(struct config_checking *checking, const char *path, const char *name)
{
    if (!config_check_given(checking, path, name, "nas"))
        return false;
    for (unsigned i = 0; i < checking->config->upstreams_count; i++)
        if (strcmp(checking->config->upstreams[i].name, name) == 0)
            return true;
    return config_refuse(checking, path, "there is no upstream named %s; correct the name",
                         config_quote(name).text);
}

static bool check_pipe(struct config_checking *checking, const char *path, const char *pipe)
{
    return config_check_name(checking, path, pipe, "spoolss", RULE_NAME_MAX, "/\\");
}

static bool check_lists(const struct rule_checking *in)
{
    const struct config_rule *rule = in->rule;
    const struct config_rule_from *from = &rule->from;
    const struct config_rule_to *to = &rule->to;
    return check_list(in, "who", rule->who, rule->who_count, check_who) &&
           check_list(in, "from.network", from->network, from->network_count, check_network) &&
           check_list(in, "from.listener", from->listener, from->listener_count, check_listener) &&
           check_list(in, "to.upstream", to->upstream, to->upstream_count, check_upstream) &&
           check_list(in, "to.share", to->share, to->share_count, config_check_share) &&
           check_list(in, "to.pipe", to->pipe, to->pipe_count, check_pipe);
}

static bool check_words(const struct rule_checking *in)
{
    const struct config_rule_when *when = &in->rule->when;
    const struct {
        const char *name;
        unsigned count;
    } lists[] = {{"when.mechanism", when->mechanism_count},
                 {"when.dialect", when->dialect_count},
                 {"when.signing", when->signing_count},
                 {"when.cipher", when->cipher_count},
                 {"when.target_name", when->target_name_count}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i].count == 0 && is_given(in, lists[i].name))
            return REFUSE(in, lists[i].name,
                          "is empty, so nothing would match; add an entry or remove it");
    return true;
}

static bool only(const uint32_t *list, unsigned count, uint32_t value)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] != value)
            return false;
    return count > 0;
}

static bool all_below(const struct config_rule_when *when, enum config_dialect least)
{
    for (unsigned i = 0; i < when->dialect_count; i++)
        if (when->dialect[i] >= (uint32_t)least)
            return false;
    return when->dialect_count > 0;
}

/* A demand that nobody whom the rule matches can meet is a refusal in disguise. */
static bool check_demands_possible(const struct rule_checking *in)
{
    const struct config_rule_when *when = &in->rule->when;
    const struct config_rule_demand *demand = &in->rule->demand;
    bool kerberos = demand->kerberos || demand->mutual_authentication;
    if (kerberos && only(when->mechanism, when->mechanism_count, CONFIG_MECHANISM_NTLM))
        return REFUSE(in, "demand",
                      "asks for Kerberos of logins that are NTLM; nobody could meet it: write "
                      "\"then: refuse\" instead");
    if (demand->encryption && (only(when->cipher, when->cipher_count, CONFIG_CIPHER_NONE) ||
                               all_below(when, CONFIG_SMB_3_0)))
        return REFUSE(in, "demand",
                      "asks for encryption of clients that cannot encrypt; nobody could meet it: "
                      "write \"then: refuse\" instead");
    if (all_below(when, demand->min_dialect))
        return REFUSE(in, "demand.min_dialect",
                      "%s is above every dialect under \"when\"; nobody could meet it: write "
                      "\"then: refuse\" instead",
                      config_dialect_name((uint16_t)demand->min_dialect));
    return true;
}

/* Clients of a listener with `encryption: off` cannot encrypt. */
static bool check_encryption_possible(const struct rule_checking *in)
{
    const struct config *config = in->checking->config;
    const struct config_rule_from *from = &in->rule->from;
    if (!in->rule->demand.encryption)
        return true;
    for (unsigned i = 0; i < config->listeners_count; i++) {
        bool concerned = from->listener_count == 0;
        for (unsigned j = 0; j < from->listener_count; j++)
            concerned |= strcmp(from->listener[j], config->listeners[i].name) == 0;
        if (concerned && config->listeners[i].encryption != CONFIG_ENCRYPTION_OFF)
            return true;
    }
    return REFUSE(in, "demand",
                  "asks for encryption, but the listeners have \"encryption: off\"; nobody could "
                  "meet it: set \"encryption: allowed\" there");
}

static bool check_preset(const struct rule_checking *in)
{
    const struct config_rule *rule = in->rule;
    if (!is_given(in, "preset") || rule->preset != CONFIG_PRESET_NO_NTLM)
        return true;
    if (is_given(in, "when.mechanism"))
        return REFUSE(in, "when.mechanism",
                      "is what \"preset: no-ntlm\" says already; remove one of them");
    if (rule->then == CONFIG_ALLOW)
        return REFUSE(in, "then",
                      "is allow, and \"preset: no-ntlm\" refuses; write refuse or audit, or "
                      "nothing");
    return true;
}

static bool check_action(const struct rule_checking *in)
{
    const struct config_rule *rule = in->rule;
    if (!is_given(in, "then") && !is_given(in, "preset"))
        return config_refuse(in->checking, in->where.text,
                             "does not say what happens; add \"then: allow\", \"then: refuse\" or "
                             "\"then: audit\"");
    if (rule->then == CONFIG_REFUSE && rule_demands(&rule->demand))
        return REFUSE(in, is_given(in, "demand") ? "demand" : "then",
                      "demands something of what is refused; write \"then: allow\", which refuses "
                      "what does not meet the demands, or remove them");
    if (is_given(in, "authenticated_rpc") && rule->to.pipe_count == 0)
        return REFUSE(in, "authenticated_rpc",
                      "is about pipes; say which under \"to\", like \"to: {pipe: [spoolss]}\"");
    if (rule->authenticated_rpc == CONFIG_ALLOW && rule->then == CONFIG_REFUSE)
        return REFUSE(in, "authenticated_rpc", "is allow, and the pipe is refused; remove one");
    return true;
}

static bool check_objects(const struct rule_checking *in)
{
    const struct config_rule_to *to = &in->rule->to;
    if (to->pipe_count == 0)
        return true;
    for (unsigned i = 0; i < to->share_count; i++)
        if (!rule_share_has_pipes(to->share[i]))
            return REFUSE(in, "to.share",
                          "%s has no pipes, which are in IPC$ only; remove share or pipe",
                          config_quote(to->share[i]).text);
    if (in->rule->demand.read_only)
        return REFUSE(in, "demand.read_only", "has no meaning for pipes; remove it");
    return true;
}

/* Its name is its own, and it can be reached. */
static bool check_place(const struct rule_checking *in, unsigned index)
{
    const struct config_rule *rules = in->checking->config->rules;
    for (unsigned i = 0; i < index; i++) {
        if (plain_same(rules[i].name, in->rule->name))
            return REFUSE(in, "name", "%s is the name of rules[%u] too; rename one of them",
                          config_quote(in->rule->name).text, i);
        if (rule_covers(&rules[i], in->rule))
            return config_refuse(
                in->checking, in->where.text,
                "is never reached: rule %s in line %u matches all that it does; "
                "move it up, or remove it",
                config_quote(rules[i].name).text,
                config_document_line(in->checking->document, config_path_entry("rules", i).text));
    }
    return true;
}

static bool check_rule(struct config_checking *checking, unsigned index)
{
    const struct rule_checking in = {checking, &checking->config->rules[index],
                                     config_path_entry("rules", index)};
    return config_check_name(checking, option(&in, "name").text, in.rule->name, "name: no-ntlm",
                             RULE_NAME_MAX, "") &&
           check_lists(&in) && check_words(&in) && check_preset(&in) && check_action(&in) &&
           check_objects(&in) && check_demands_possible(&in) && check_encryption_possible(&in) &&
           check_place(&in, index);
}

bool config_check_rules(struct config_checking *checking)
{
    const struct config *config = checking->config;
    if (!config_check_most(checking, "rules", config->rules_count, RULES_MAX))
        return false;
    for (unsigned i = 0; i < config->rules_count; i++)
        if (!check_rule(checking, i))
            return false;
    if (config->groups_count > GROUPS_MAX)
        return config_refuse(checking, "rules", "name %u groups; at most %d are allowed",
                             config->groups_count, (int)GROUPS_MAX);
    return true;
}
