#include "policy/rule.h"

#include <string.h>

#include "policy/network.h"
#include "policy/plain.h"

/* Whether a rule matches what is known. */
enum match {
    MATCH_NO,
    MATCH_LATER, /* so far; it names a share or pipe that is not known yet */
    MATCH_YES,
};

bool rule_pipe_is_ordinary(const char *pipe)
{
    static const char *const ordinary[] = {"srvsvc", "wkssvc", "lsarpc", "samr"};
    for (size_t i = 0; i < sizeof ordinary / sizeof ordinary[0]; i++)
        if (plain_same(ordinary[i], pipe))
            return true;
    return false;
}

bool rule_share_has_pipes(const char *share)
{
    return plain_same(share, "IPC$");
}

static bool in_group(const struct config *config, const struct rule_facts *facts, const char *group)
{
    unsigned index = config_group_index(config, group);
    return facts->groups && index < config->groups_count &&
           facts->groups[index / 8] >> (index % 8) & 1;
}

static bool is_realm_of(const char *domain, const char *principal)
{
    const char *at = principal ? strrchr(principal, '@') : NULL;
    return at && plain_same(domain, at + 1);
}

/* "CORP\alice": both parts. The domain may be written as the realm, whichever of the two the ticket
 * tells. */
static bool is_qualified_user(const struct rule_facts *facts, const char *who, const char *slash)
{
    char domain[256];
    size_t size = (size_t)(slash - who);
    if (!facts->domain || size >= sizeof domain)
        return false;
    memcpy(domain, who, size);
    domain[size] = '\0';
    return (plain_same(domain, facts->domain) || is_realm_of(domain, facts->principal)) &&
           plain_same(&slash[1], facts->user);
}

static bool is_somebody(const struct config *config, const struct rule_facts *facts,
                        const char *who)
{
    const char *slash = strchr(who, '\\');
    if (who[0] == '@')
        return in_group(config, facts, &who[1]);
    if (slash)
        return is_qualified_user(facts, who, slash);
    if (strchr(who, '@'))
        return facts->principal && plain_same(who, facts->principal);
    return plain_same(who, facts->user);
}

static bool who_matches(const struct config *config, const struct config_rule *rule,
                        const struct rule_facts *facts)
{
    for (unsigned i = 0; i < rule->who_count; i++)
        if (is_somebody(config, facts, rule->who[i]))
            return true;
    return rule->who_count == 0;
}

/* Names of listeners and upstreams are written exactly. */
static bool named(char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return count == 0;
}

static bool from_matches(const struct config_rule *rule, const struct rule_facts *facts)
{
    const struct config_rule_from *from = &rule->from;
    bool inside = from->network_count == 0;
    for (unsigned i = 0; i < from->network_count && !inside; i++) {
        struct network network;
        inside = network_read(from->network[i], &network) == NETWORK_GOOD &&
                 network_has(&network, facts->address);
    }
    return inside && named(from->listener, from->listener_count, facts->listener);
}

static bool target_matches(enum config_target target, const struct rule_facts *facts)
{
    switch (target) {
    case CONFIG_TARGET_GIVEN: return facts->target_given;
    case CONFIG_TARGET_ABSENT: return !facts->target_given;
    case CONFIG_TARGET_MISMATCH: return facts->target_mismatch;
    }
    return false;
}

static bool listed(const uint32_t *list, unsigned count, uint32_t value)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return count == 0;
}

static bool when_matches(const struct config_rule *rule, const struct rule_facts *facts)
{
    const struct config_rule_when *when = &rule->when;
    bool target = when->target_name_count == 0;
    for (unsigned i = 0; i < when->target_name_count; i++)
        target = target || target_matches((enum config_target)when->target_name[i], facts);
    return target && listed(when->mechanism, when->mechanism_count, facts->mechanism) &&
           listed(when->dialect, when->dialect_count, facts->dialect) &&
           listed(when->signing, when->signing_count, facts->signing) &&
           listed(when->cipher, when->cipher_count, facts->cipher);
}

static bool pipe_named(const struct config_rule_to *to, const char *pipe)
{
    for (unsigned i = 0; i < to->pipe_count; i++)
        if (strcmp(to->pipe[i], "*") == 0 || plain_same(to->pipe[i], pipe))
            return true;
    return false;
}

static enum match to_matches(const struct config_rule *rule, const struct rule_facts *facts)
{
    const struct config_rule_to *to = &rule->to;
    bool has_object = to->share_count || to->pipe_count;
    if (!named(to->upstream, to->upstream_count, facts->upstream))
        return MATCH_NO;
    if (facts->stage == RULE_AT_LOGIN)
        return has_object ? MATCH_LATER : MATCH_YES;
    if (to->share_count && !config_share_listed(to->share, to->share_count, facts->share))
        return MATCH_NO;
    if (to->pipe_count == 0)
        return MATCH_YES;
    if (!facts->pipe)
        return rule_share_has_pipes(facts->share) ? MATCH_LATER : MATCH_NO;
    return pipe_named(to, facts->pipe) ? MATCH_YES : MATCH_NO;
}

static enum match matches(const struct config *config, const struct config_rule *rule,
                          const struct rule_facts *facts)
{
    if (!from_matches(rule, facts) || !when_matches(rule, facts) ||
        !who_matches(config, rule, facts))
        return MATCH_NO;
    return to_matches(rule, facts);
}

/* The first demand that cannot be met, or NULL. */
static const char *unmet(const struct config_rule_demand *demand, const struct rule_facts *facts)
{
    if (demand->kerberos && facts->mechanism != CONFIG_MECHANISM_KERBEROS)
        return "kerberos";
    if (demand->mutual_authentication && !facts->mutual)
        return "mutual_authentication";
    if (facts->dialect < demand->min_dialect)
        return "min_dialect";
    if (demand->encryption && facts->cipher == CONFIG_CIPHER_NONE)
        return "encryption";
    if (demand->pin && facts->less)
        return "pin";
    return NULL;
}

bool rule_demands(const struct config_rule_demand *demand)
{
    return demand->encryption || demand->kerberos || demand->mutual_authentication ||
           demand->min_dialect || demand->read_only || demand->pin;
}

bool rule_demands_pin(const struct config *config)
{
    for (unsigned i = 0; i < config->rules_count; i++)
        if (config->rules[i].demand.pin)
            return true;
    return false;
}

static void set(struct rule_verdict *verdict, enum rule_outcome what, const char *reason)
{
    verdict->what = what;
    verdict->reason = reason;
}

/* What a rule that matches comes to. */
static void carry_out(const struct config_rule *rule, const struct rule_facts *facts,
                      struct rule_verdict *verdict)
{
    const struct config_rule_demand *demand = &rule->demand;
    const char *reason = unmet(demand, facts);
    bool records = rule->then == CONFIG_AUDIT;
    verdict->rule = rule->name;
    if (rule->then == CONFIG_REFUSE) {
        set(verdict, RULE_REFUSE, "rule");
        return;
    }
    if (reason)
        set(verdict, records ? RULE_AUDIT : RULE_REFUSE, reason);
    else if (records && !rule_demands(demand))
        set(verdict, RULE_AUDIT, "rule");
    verdict->encryption = demand->encryption && !records;
    verdict->read_only = demand->read_only && !records;
    verdict->read_only_audit = demand->read_only && records;
    if (rule->to.pipe_count) {
        verdict->authenticated_rpc = rule->authenticated_rpc == CONFIG_ALLOW || records;
        verdict->rpc_audit = records && rule->authenticated_rpc != CONFIG_ALLOW;
    }
}

static void carry_out_otherwise(const struct config *config, struct rule_verdict *verdict)
{
    if (config->otherwise == CONFIG_REFUSE)
        set(verdict, RULE_REFUSE, "no_rule");
    else if (config->otherwise == CONFIG_AUDIT)
        set(verdict, RULE_AUDIT, "no_rule");
}

/* The client learns at the share whether it has to encrypt, so what a rule about pipes demands of
 * that holds for all of IPC$. */
static bool demands_of_pipes(const struct config_rule *rule, const struct rule_facts *facts)
{
    return facts->stage == RULE_AT_SHARE && facts->cipher != CONFIG_CIPHER_NONE &&
           rule->then == CONFIG_ALLOW && rule->demand.encryption;
}

void rule_judge(const struct config *config, const struct rule_facts *facts,
                struct rule_verdict *verdict)
{
    /* An earlier rule may still allow it; and would, if what is audited were enforced. */
    bool may_follow = false, would_follow = false, encryption = false;
    enum match match = MATCH_NO;
    unsigned i = 0;
    *verdict = (struct rule_verdict){.what = RULE_ALLOW};
    for (; i < config->rules_count; i++) {
        match = matches(config, &config->rules[i], facts);
        if (match == MATCH_YES)
            break;
        if (match == MATCH_LATER) {
            const struct config_rule *rule = &config->rules[i];
            bool records = rule->then == CONFIG_AUDIT;
            may_follow |= rule->then != CONFIG_REFUSE;
            would_follow |= rule->then == CONFIG_ALLOW || (records && rule_demands(&rule->demand));
            encryption |= demands_of_pipes(rule, facts);
        }
    }
    verdict->index = i;
    if (i < config->rules_count)
        carry_out(&config->rules[i], facts, verdict);
    else
        carry_out_otherwise(config, verdict);
    if ((verdict->what == RULE_REFUSE && may_follow) ||
        (verdict->what == RULE_AUDIT && would_follow))
        *verdict = (struct rule_verdict){.what = RULE_ALLOW, .index = config->rules_count};
    verdict->encryption |= encryption;
    bool pipe_is_named = i < config->rules_count && config->rules[i].to.pipe_count;
    if (facts->stage == RULE_AT_PIPE && verdict->what != RULE_REFUSE && !pipe_is_named &&
        !rule_pipe_is_ordinary(facts->pipe))
        set(verdict, RULE_REFUSE, "pipe");
}
