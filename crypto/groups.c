#include "crypto/groups.h"

#include "crypto/keeper_account.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASK_AGAIN_S = 60 };

enum kind { GROUP_LOCAL, GROUP_OF_DOMAIN, GROUP_SID };

struct group {
    const char *name;
    enum kind kind;
    /* Of a domain, until its SID is there. */
    bool known;
    bool told;        /* that there is none */
    time_t ask_again; /* CLOCK_MONOTONIC; 0: at once */
    struct sid sid;
};

struct groups {
    const struct credentials *credentials;
    struct domain *domain;
    pthread_mutex_t lock; /* of what is found out about the groups */
    size_t count;
    struct group at[];
};

static struct group group_named(const char *name)
{
    struct group group = {.name = name};
    if (sid_parse(name, &group.sid))
        group.kind = GROUP_SID;
    else
        group.kind = strchr(name, '\\') ? GROUP_OF_DOMAIN : GROUP_LOCAL;
    group.known = group.kind == GROUP_SID;
    return group;
}

struct groups *groups_new(const char *const *names, size_t count,
                          const struct credentials *credentials, struct domain *domain)
{
    if (count > IDENTITY_GROUPS_MAX)
        return NULL;
    struct groups *groups = calloc(1, sizeof *groups + count * sizeof groups->at[0]);
    if (!groups || pthread_mutex_init(&groups->lock, NULL) != 0) {
        free(groups);
        return NULL;
    }
    groups->credentials = credentials;
    groups->domain = domain;
    groups->count = count;
    for (size_t i = 0; i < count; i++)
        groups->at[i] = group_named(names[i]);
    return groups;
}

void groups_free(struct groups *groups)
{
    if (!groups)
        return;
    pthread_mutex_destroy(&groups->lock);
    free(groups);
}

static time_t seconds(void)
{
    struct timespec now;
    /* Cannot fail: every Linux has this clock. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* What is known of it; true when winbind is to be asked. */
static bool look(struct groups *groups, const struct group *group, bool *known, struct sid *sid)
{
    pthread_mutex_lock(&groups->lock);
    *known = group->known;
    *sid = group->sid;
    bool ask = !group->known && groups->domain && group->ask_again <= seconds();
    pthread_mutex_unlock(&groups->lock);
    return ask;
}

static void keep(struct groups *groups, struct group *group, bool found, const struct sid *sid)
{
    pthread_mutex_lock(&groups->lock);
    bool tell = !found && !group->told;
    group->known = found;
    group->told = !found;
    if (found)
        group->sid = *sid;
    else
        group->ask_again = seconds() + ASK_AGAIN_S;
    pthread_mutex_unlock(&groups->lock);
    if (tell)
        (void)fprintf(stderr, "countersign: keeper: the domain has no group %s: nobody is in it\n",
                      group->name);
}

/* Whether one of the SIDs is the group's; false when that cannot be found out now. */
MUST_USE static bool in_domain_group(struct groups *groups, struct group *group,
                                     const struct sids *sids, bool *member)
{
    struct sid sid;
    bool known;
    *member = false;
    if (sids->count == 0)
        return true;
    if (look(groups, group, &known, &sid)) {
        enum domain_found found = domain_group(groups->domain, group->name, &sid);
        if (found == DOMAIN_NOT_ASKED)
            return false;
        known = found == DOMAIN_FOUND;
        keep(groups, group, known, &sid);
    }
    *member = known && sids_contain(sids, &sid);
    return true;
}

static bool is_member(const struct credentials *credentials, const char *group, const char *domain,
                      const char *user)
{
    char name[ACCOUNT_NAME_MAX];
    return !strchr(domain, '\\') && !strchr(user, '\\') &&
           account_name(domain, user, name, sizeof name) &&
           credentials_in_group(credentials, group, name);
}

/* What a client only says of its domain counts as little as for its account. */
static bool in_local_group(const struct credentials *credentials, const char *group,
                           const struct identity *identity)
{
    char domain[IDENTITY_NAME_MAX];
    const char *realm = identity_realm(identity->principal);
    if (identity->authority == AUTHORITY_LOCAL) {
        account_entry_domain(credentials, identity, domain, sizeof domain);
        return is_member(credentials, group, domain, identity->user);
    }
    return (*identity->domain && is_member(credentials, group, identity->domain, identity->user)) ||
           (*realm && is_member(credentials, group, realm, identity->user)) ||
           (*identity->principal && credentials_in_group(credentials, group, identity->principal));
}

static enum groups_marked mark_local(const struct groups *groups, const char *group,
                                     const struct identity *identity, bool *member)
{
    if (!groups->credentials)
        return GROUPS_MARKED;
    *member = in_local_group(groups->credentials, group, identity);
    bool untold = !*member && identity_domain_untold(identity) &&
                  credentials_group_names_domain_user(groups->credentials, group, identity->user);
    return untold ? GROUPS_PAC_MISSING : GROUPS_MARKED;
}

enum groups_marked groups_mark(struct groups *groups, const struct sids *sids,
                               struct identity *identity)
{
    memset(identity->groups, 0, sizeof identity->groups);
    for (size_t i = 0; i < groups->count; i++) {
        struct group *group = &groups->at[i];
        enum groups_marked marked = GROUPS_MARKED;
        bool member = false;
        switch (group->kind) {
        case GROUP_LOCAL: marked = mark_local(groups, group->name, identity, &member); break;
        case GROUP_SID: member = sids_contain(sids, &group->sid); break;
        case GROUP_OF_DOMAIN:
            if (!in_domain_group(groups, group, sids, &member))
                marked = GROUPS_NOT_ASKED;
            break;
        }
        if (marked != GROUPS_MARKED)
            return marked;
        if (member)
            identity->groups[i / 8] |= (uint8_t)(1 << i % 8);
    }
    return GROUPS_MARKED;
}

enum refusal groups_refusal(enum groups_marked marked)
{
    switch (marked) {
    case GROUPS_MARKED: return REFUSAL_NONE;
    case GROUPS_NOT_ASKED: return REFUSAL_DOMAIN_UNAVAILABLE;
    case GROUPS_PAC_MISSING: return REFUSAL_PAC_MISSING;
    }
    return REFUSAL_INTERNAL;
}

bool groups_ask_domain(struct groups *groups)
{
    struct sid sid;
    bool known, asks = false;
    for (size_t i = 0; !asks && i < groups->count; i++)
        asks = groups->at[i].kind == GROUP_OF_DOMAIN && look(groups, &groups->at[i], &known, &sid);
    return asks;
}

const char *groups_problem(const char *name, const struct credentials *credentials, bool winbind)
{
    const struct group group = group_named(name);
    switch (group.kind) {
    case GROUP_SID: break;
    case GROUP_OF_DOMAIN:
        return winbind ? NULL
                       : "only winbind could find its SID, and it is not used; write the SID, or "
                         "set `winbind: true`";
    case GROUP_LOCAL:
        if (!credentials || !credentials_has_group(credentials, name))
            return "the credentials file has no such group; add it with `countersign group add`, "
                   "or write DOMAIN\\NAME for a group of a domain";
        break;
    }
    return NULL;
}
