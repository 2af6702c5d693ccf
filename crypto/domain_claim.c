#include "crypto/domain_claim.h"

#include <string.h>

#include "crypto/text.h"

/* The last number of a SID, when the rest is the domain's; UINT32_MAX when it is not. */
static uint32_t number_in(const struct sid *domain, const struct sid *sid)
{
    if (domain->size == 0 || sid->size != domain->size + sizeof(uint32_t))
        return UINT32_MAX;
    uint32_t number = get_le32(&sid->bytes[domain->size]);
    struct sid there;
    return sid_append(domain, number, &there) && sid_equal(&there, sid) ? number : UINT32_MAX;
}

/* The built-in accounts and global groups (MS-DTYP 2.4.2.4), which have members of their own domain
 * alone. Universal groups and those local to the domain (518, 519, 517 and so on) may have others.
 */
static bool is_for_own_users(uint32_t number)
{
    return (number >= 500 && number <= 516) || (number >= 520 && number <= 522) ||
           (number >= 525 && number <= 526);
}

static bool claims_sids_of(const struct pac *pac, const struct sid *domain)
{
    if (domain->size == 0)
        return false;
    if (sid_equal(&pac->domain_sid, domain) || number_in(domain, &pac->user) != UINT32_MAX)
        return true;
    for (size_t i = 0; i < pac->sids.count; i++)
        if (is_for_own_users(number_in(domain, &pac->sids.at[i])))
            return true;
    return false;
}

static bool claims(const struct domain_claim *claim, const struct domain_binding *binding)
{
    return text_same_name(claim->domain, binding->name) ||
           claims_sids_of(claim->pac, &binding->sid);
}

static bool is_listed(const struct accept_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->domains_count; i++)
        if (text_same_name(policy->domains[i].name, name))
            return true;
    return false;
}

static bool listed_hold(const struct domain_claim *claim, const struct accept_policy *policy)
{
    for (size_t i = 0; i < policy->domains_count; i++)
        if (strcmp(policy->domains[i].realm, claim->client_realm) != 0 &&
            claims(claim, &policy->domains[i]))
            return false;
    return true;
}

/* Winbind tells the realm in lower case. */
static bool joined_holds(const struct domain_claim *claim, const struct domain_names *names)
{
    const struct domain_binding binding = {names->domain, names->dns_domain, names->sid};
    return text_same_name(claim->client_realm, names->dns_domain) || !claims(claim, &binding);
}

bool domain_claim_holds(const struct domain_claim *claim, const struct accept_policy *policy,
                        struct domain *joined)
{
    struct domain_names names;
    if (strcmp(claim->own_realm, claim->client_realm) == 0)
        return true;
    if (!listed_hold(claim, policy))
        return false;
    bool known = joined && domain_names(joined, &names);
    if (known && !is_listed(policy, names.domain) && !joined_holds(claim, &names))
        return false;
    return is_listed(policy, policy->netbios_domain) ||
           (known && text_same_name(names.domain, policy->netbios_domain)) ||
           !text_same_name(claim->domain, policy->netbios_domain);
}
