/*
 * `countersign check`: what can be told without asking anybody, from the configuration and this
 * host.
 */
#include <stdio.h>
#include <unistd.h>

#include "crypto/credentials.h"
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
}

/* Whose the file must be: who the keeper will be. False when that account is not there. */
static bool find_owner(const struct config *config, unsigned *owner)
{
    struct process_user user;
    *owner = geteuid();
    if (*owner != 0)
        return true;
    if (!config->users.keeper || !process_find_user(config->users.keeper, &user))
        return false;
    *owner = user.uid;
    return true;
}

static bool uses_login(const struct config *config, enum config_login login)
{
    for (unsigned i = 0; i < config->upstreams_count; i++)
        for (unsigned j = 0; j < config->upstreams[i].login_count; j++)
            if (config->upstreams[i].login[j] == login)
                return true;
    return false;
}

static void check_entries(struct check *check, const struct config *config,
                          const struct credentials *credentials)
{
    size_t users = credentials_users(credentials), mapped = credentials_mapped(credentials);
    check_say("credentials: %s: %zu user%s, %zu mapped account%s", config->credentials, users,
              users == 1 ? "" : "s", mapped, mapped == 1 ? "" : "s");
    if (users == 0)
        check_problem(check, "there is no user in it, so nobody can log in; add one with "
                             "`countersign user add`");
    if (mapped == 0 && uses_login(config, CONFIG_LOGIN_MAPPED))
        check_warning(check, "an upstream uses the login `mapped`, and no account is mapped; add "
                             "one with `countersign user add --mapped`");
}

void check_credentials(struct check *check, const struct config *config)
{
    struct credentials_error error;
    unsigned owner;
    if (!config->credentials)
        return;
    if (!find_owner(config, &owner)) {
        check_say("credentials: %s", config->credentials);
        check_problem(check, "not looked at: it must belong to users.keeper, which is no account");
        return;
    }
    struct credentials *credentials = credentials_read(config->credentials, owner, &error);
    if (!credentials) {
        check_say("credentials: %s", config->credentials);
        if (error.line)
            check_problem(check, "%s:%u: %s", config->credentials, error.line, error.text);
        else
            check_problem(check, "%s: %s", config->credentials, error.text);
        return;
    }
    check_entries(check, config, credentials);
    credentials_free(credentials);
}
