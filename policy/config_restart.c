/*
 * What a reload cannot change: what the processes gave up or opened at their start for good.
 */
#include <string.h>

#include "policy/config.h"

static bool same(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool same_list(char *const *one, unsigned one_count, char *const *other,
                      unsigned other_count)
{
    if (one_count != other_count)
        return false;
    for (unsigned i = 0; i < one_count; i++)
        if (!same(one[i], other[i]))
            return false;
    return true;
}

static bool same_users(const struct config_users *one, const struct config_users *other)
{
    return same(one->worker, other->worker) && same(one->keeper, other->keeper) &&
           same(one->recorder, other->recorder) &&
           same_list(one->keeper_groups, one->keeper_groups_count, other->keeper_groups,
                     other->keeper_groups_count);
}

static bool same_authentication(const struct config_authentication *one,
                                const struct config_authentication *other)
{
    return one->failures == other->failures &&
           one->failures_per_source == other->failures_per_source &&
           one->failures_per_user == other->failures_per_user && one->delay_max == other->delay_max;
}

static bool same_audit(const struct config_audit *one, const struct config_audit *other)
{
    return same(one->file, other->file) && one->syslog == other->syslog && one->fold == other->fold;
}

const char *config_needs_restart(const struct config *running, const struct config *wanted)
{
    const struct {
        const char *option;
        bool stays;
    } options[] = {
        {"workers", running->workers == wanted->workers},
        /* Before `users`: it changes what is the default there. */
        {"winbind", running->winbind == wanted->winbind},
        {"users", same_users(&running->users, &wanted->users)},
        {"audit", same_audit(&running->audit, &wanted->audit)},
        {"authentication", same_authentication(&running->authentication, &wanted->authentication)},
        {"state", same(running->state, wanted->state)},
        {"kerberos.config", same(running->kerberos.config, wanted->kerberos.config)},
        {"limits.connections", running->limits.connections == wanted->limits.connections},
        {"limits.memory", running->limits.memory == wanted->limits.memory},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (!options[i].stays)
            return options[i].option;
    return NULL;
}
