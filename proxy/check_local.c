/*
 * `countersign check`: what can be told without asking anybody, from the configuration and this
 * host.
 */
#include <stdio.h>
#include <unistd.h>

#include "crypto/credentials.h"
#include "crypto/groups.h"
#include "proxy/check.h"
#include "proxy/process.h"
#include "proxy/smb2.h"

static void check_listener(struct check *check, const struct config_listener *listener)
{
    check_say("listener %s: %s port %u, for upstream %s; dialects %s to %s", listener->name,
              listener->address, listener->port, listener->upstream,
              smb2_dialect_name((uint16_t)listener->min_dialect),
              smb2_dialect_name((uint16_t)listener->max_dialect));
    if (listener->mic == CONFIG_MIC_ANNOUNCED)
        check_say("  note: an NTLM login without an integrity code is allowed and recorded "
                  "(mic_absent); mic: required refuses it, when no client needs it any more");
    if (listener->target_name == CONFIG_TARGET_NAME_OFF)
        check_warning(check, "target_name is off: a login that was meant for another server is "
                             "taken here; if-present refuses such a relayed login");
    else if (listener->target_name == CONFIG_TARGET_NAME_IF_PRESENT)
        check_say("  note: an NTLM login that names no server is allowed and recorded "
                  "(target_name_absent); target_name: required refuses it");
    if (listener->max_dialect < CONFIG_SMB_3_1_1)
        check_warning(check, "max_dialect keeps clients from 3.1.1, the only dialect that protects "
                             "the negotiation itself");
}

void check_listeners(struct check *check, const struct config *config)
{
    for (unsigned i = 0; i < config->listeners_count; i++)
        check_listener(check, &config->listeners[i]);
}

void check_rules(const struct config *config)
{
    static const char *const otherwise[] = {"allowed", "refused", "allowed and recorded"};
    check_say("rules: %u; where none matches it is %s", config->rules_count,
              otherwise[config->otherwise]);
}

static void check_user(struct check *check, const char *option, const char *name)
{
    struct process_user user;
    if (!name)
        check_problem(check, "%s is missing; name an account without rights of its own", option);
    else if (!process_find_user(name, &user))
        check_problem(check,
                      "%s: there is no account %s, or it is root; add it, with `useradd "
                      "--system`, or name another",
                      option, name);
}

void check_users(struct check *check, const struct config *config)
{
    if (geteuid() != 0)
        return;
    check_user(check, "users.worker", config->users.worker);
    check_user(check, "users.keeper", config->users.keeper);
    check_user(check, "users.recorder", config->users.recorder);
    for (unsigned i = 0; i < config->users.keeper_groups_count; i++) {
        struct process_user none = {.uid = 0};
        if (!process_add_group(config->users.keeper_groups[i], &none))
            check_problem(check,
                          "users.keeper_groups: there is no group %s, or it is root's; correct the "
                          "name, or install what makes it",
                          config->users.keeper_groups[i]);
    }
}

bool check_find_keeper(const struct config *config, struct process_user *keeper)
{
    *keeper = (struct process_user){.uid = geteuid(), .gid = getegid()};
    if (keeper->uid != 0)
        return true;
    return config->users.keeper && process_find_user(config->users.keeper, keeper);
}

static bool takes_ntlm(const struct config *config)
{
    for (unsigned i = 0; i < config->listeners_count; i++)
        if (config_takes(&config->listeners[i], CONFIG_MECHANISM_NTLM))
            return true;
    return false;
}

static bool uses_login(const struct config *config, enum config_login login)
{
    for (unsigned i = 0; i < config->upstreams_count; i++)
        if (config_logs_in_by(&config->upstreams[i], login))
            return true;
    return false;
}

/* Nobody is in a group that is not known: a rule for it says nothing. */
static void check_groups(struct check *check, const struct config *config,
                         const struct credentials *credentials)
{
    for (unsigned i = 0; i < config->groups_count; i++) {
        const char *problem = groups_problem(config->groups[i], credentials, config->winbind);
        if (problem)
            check_warning(check, "rules name the group @%s: %s", config->groups[i], problem);
    }
}

static void check_entries(struct check *check, const struct config *config,
                          const struct credentials *credentials)
{
    size_t users = credentials_users(credentials), mapped = credentials_mapped(credentials);
    check_say("credentials: %s: %zu user%s, %zu mapped account%s", config->credentials, users,
              users == 1 ? "" : "s", mapped, mapped == 1 ? "" : "s");
    if (users == 0 && takes_ntlm(config) && !config->winbind)
        check_problem(check, "there is no user in it, so nobody can log in by NTLM; add one with "
                             "`countersign user add`");
    else if (users == 0 && uses_login(config, CONFIG_LOGIN_SAME))
        check_warning(check, "an upstream uses the login `same`, and there is no user in it; add "
                             "one with `countersign user add`");
    if (mapped == 0 && uses_login(config, CONFIG_LOGIN_MAPPED))
        check_warning(check, "an upstream uses the login `mapped`, and no account is mapped; add "
                             "one with `countersign user add --mapped`");
}

void check_credentials(struct check *check, const struct config *config)
{
    struct credentials_error error;
    struct process_user keeper;
    if (!config->credentials) {
        check_groups(check, config, NULL);
        return;
    }
    if (!check_find_keeper(config, &keeper)) {
        check_say("credentials: %s", config->credentials);
        check_problem(check, "not looked at: it must belong to users.keeper, which is no account");
        return;
    }
    struct credentials *credentials = credentials_read(config->credentials, keeper.uid, &error);
    if (!credentials) {
        check_say("credentials: %s", config->credentials);
        if (error.line)
            check_problem(check, "%s:%u: %s", config->credentials, error.line, error.text);
        else
            check_problem(check, "%s: %s", config->credentials, error.text);
        return;
    }
    check_entries(check, config, credentials);
    check_groups(check, config, credentials);
    credentials_free(credentials);
}
