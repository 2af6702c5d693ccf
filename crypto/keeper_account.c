#include "crypto/keeper_account.h"

#include <stdio.h>
#include <string.h>

#include "crypto/text.h"

bool account_name(const char *domain, const char *user, char *to, size_t size)
{
    int length = snprintf(to, size, "%s%s%s", domain, *domain ? "\\" : "", user);
    return length >= 0 && (size_t)length < size;
}

/* The domain of a user's entry, which credentials_find_user() does not tell. */
struct entry_search {
    char name[ACCOUNT_NAME_MAX]; /* DOMAIN\user */
    char *domain;                /* stays empty when the entry has none */
    size_t domain_size;
};

static void look_at_entry(void *context, enum credentials_kind kind, const char *name,
                          const char *target)
{
    struct entry_search *search = context;
    const char *backslash = strchr(name, '\\');
    (void)target;
    if (kind == CREDENTIALS_USER && backslash && text_same_name(name, search->name))
        (void)snprintf(search->domain, search->domain_size, "%.*s", (int)(backslash - name), name);
}

void account_entry_domain(const struct credentials *credentials, const struct identity *identity,
                          char *domain, size_t size)
{
    struct entry_search search = {.domain = domain, .domain_size = size};
    *domain = '\0';
    if (*identity->domain &&
        account_name(identity->domain, identity->user, search.name, sizeof search.name))
        credentials_each(credentials, look_at_entry, &search);
}

/* An entry with the identity's domain goes before one without. */
MUST_USE static bool same_local(const struct credentials *credentials,
                                const struct identity *identity, struct account *account)
{
    if (!credentials_find_user(credentials, identity->user, identity->domain, account->nt_hash))
        return false;
    account_entry_domain(credentials, identity, account->domain, sizeof account->domain);
    return true;
}

MUST_USE static bool same_of_domain(const struct credentials *credentials,
                                    const struct identity *identity, struct account *account)
{
    const char *const domains[] = {identity->domain, identity_realm(identity->principal)};
    for (int i = 0; i < 2; i++) {
        if (credentials_find_domain_user(credentials, identity->user, domains[i],
                                         account->nt_hash)) {
            (void)snprintf(account->domain, sizeof account->domain, "%s", domains[i]);
            return true;
        }
    }
    return false;
}

bool account_same(const struct credentials *credentials, const struct identity *identity,
                  struct account *account)
{
    *account = (struct account){.key = ACCOUNT_NT_HASH};
    (void)snprintf(account->user, sizeof account->user, "%s", identity->user);
    return identity->authority == AUTHORITY_LOCAL ? same_local(credentials, identity, account)
                                                  : same_of_domain(credentials, identity, account);
}

/* The domain that the identity is known to be of: what a client only says of itself picks no
 * mapping. */
static void proven_domain(const struct credentials *credentials, const struct identity *identity,
                          char *domain, size_t size)
{
    if (identity->authority == AUTHORITY_LOCAL)
        account_entry_domain(credentials, identity, domain, size);
    else
        (void)snprintf(domain, size, "%s", identity->domain);
}

static bool may_be_another(const struct credentials *credentials, const struct identity *identity,
                           bool same_first)
{
    return identity_domain_untold(identity) &&
           (credentials_name_domain_user(credentials, CREDENTIALS_MAPPED, identity->user) ||
            (same_first &&
             credentials_name_domain_user(credentials, CREDENTIALS_USER, identity->user)));
}

enum account_mapping account_mapped(const struct credentials *credentials,
                                    const struct identity *identity, bool at_home, bool same_first,
                                    struct account *account)
{
    char domain[IDENTITY_NAME_MAX];
    bool plain = identity->authority == AUTHORITY_LOCAL || at_home;
    proven_domain(credentials, identity, domain, sizeof domain);
    if (credentials_find_mapped(credentials, identity->user, domain, CREDENTIALS_EXACT, account) ||
        credentials_find_mapped(credentials, identity->user, identity_realm(identity->principal),
                                CREDENTIALS_EXACT, account))
        return ACCOUNT_MAPPED;
    if (may_be_another(credentials, identity, same_first))
        return ACCOUNT_UNTOLD;
    return credentials_find_mapped(credentials, identity->user, "",
                                   plain ? CREDENTIALS_PLAIN : CREDENTIALS_EVERYBODY, account)
               ? ACCOUNT_MAPPED
               : ACCOUNT_UNMAPPED;
}
