/*
 * Rules as they are after reading: presets written out, groups listed.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

static bool fill_no_ntlm(struct config_rule *rule)
{
    if (rule->when.mechanism_count)
        return true; /* a contradiction, which the check tells */
    rule->when.mechanism = malloc(sizeof *rule->when.mechanism);
    if (!rule->when.mechanism)
        return false;
    rule->when.mechanism[0] = CONFIG_MECHANISM_NTLM;
    rule->when.mechanism_count = 1;
    return true;
}

/* `then`: the option is given. */
static bool fill_preset(struct config_rule *rule, bool then)
{
    switch (rule->preset) {
    case CONFIG_PRESET_HARDENED_UNC:
        rule->demand.kerberos = rule->demand.mutual_authentication = true;
        return true;
    case CONFIG_PRESET_NO_NTLM:
        if (!then)
            rule->then = CONFIG_REFUSE;
        return fill_no_ntlm(rule);
    case CONFIG_PRESET_ENCRYPT: rule->demand.encryption = true; return true;
    case CONFIG_PRESET_NONE: break;
    }
    return true;
}

static bool add_group(struct config *config, const char *group)
{
    if (config_group_index(config, group) < config->groups_count)
        return true;
    char **longer =
        realloc(config->groups, (config->groups_count + (size_t)1) * sizeof *config->groups);
    if (!longer)
        return false;
    config->groups = longer;
    longer[config->groups_count] = strdup(group);
    return longer[config->groups_count] && ++config->groups_count;
}

static bool fill_rule(struct config *config, struct config_rule *rule, bool preset, bool then,
                      bool authenticated_rpc)
{
    if (preset && !fill_preset(rule, then))
        return false;
    if (!authenticated_rpc)
        rule->authenticated_rpc = CONFIG_REFUSE;
    for (unsigned i = 0; i < rule->who_count; i++)
        if (rule->who[i] && rule->who[i][0] == '@' && !add_group(config, &rule->who[i][1]))
            return false;
    return true;
}

bool config_rules_fill(struct config *config, struct config_document *document)
{
    for (unsigned i = 0; i < config->rules_count; i++) {
        struct config_path where = config_path_entry("rules", i);
        const char *const options[] = {"preset", "then", "authenticated_rpc"};
        bool has[3];
        for (size_t j = 0; j < 3; j++)
            has[j] = config_document_has(document, config_path_option(where.text, options[j]).text);
        if (!fill_rule(config, &config->rules[i], has[0], has[1], has[2]))
            return false;
    }
    return true;
}
