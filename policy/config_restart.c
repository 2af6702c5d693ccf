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

const char *config_needs_restart(const struct config *running, const struct config *wanted)
{
    const struct config_users *was = &running->users, *is = &wanted->users;
    const struct config_authentication *guessed = &running->authentication,
                                       *guessing = &wanted->authentication;
    const struct {
        const char *option;
        bool stays;
    } options[] = {
        {"workers", running->workers == wanted->workers},
        /* Before `users`: it changes what is the default there. */
        {"winbind", running->winbind == wanted->winbind},
        {"users.worker", same(was->worker, is->worker)},
        {"users.keeper", same(was->keeper, is->keeper)},
        {"users.recorder", same(was->recorder, is->recorder)},
        {"users.keeper_groups", same_list(was->keeper_groups, was->keeper_groups_count,
                                          is->keeper_groups, is->keeper_groups_count)},
        {"audit.file", same(running->audit.file, wanted->audit.file)},
        {"audit.syslog", running->audit.syslog == wanted->audit.syslog},
        {"audit.fold", running->audit.fold == wanted->audit.fold},
        {"authentication.failures", guessed->failures == guessing->failures},
        {"authentication.failures_per_source",
         guessed->failures_per_source == guessing->failures_per_source},
        {"authentication.failures_per_user",
         guessed->failures_per_user == guessing->failures_per_user},
        {"authentication.delay_max", guessed->delay_max == guessing->delay_max},
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
