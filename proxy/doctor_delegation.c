/*
 * `countersign doctor`: whether our own account can act for users at the file server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/delegation_examine.h"
#include "proxy/doctor.h"

static void tell_account(struct check *check, const struct config_upstream *upstream,
                         const struct delegation_facts *facts)
{
    switch (facts->outcome) {
    case EXAMINE_NO_KDC:
        check_problem(check,
                      "no KDC answers (%s); look at kerberos.config, DNS, and port 88 from here",
                      facts->text);
        return;
    case EXAMINE_ACCOUNT_UNKNOWN:
        check_problem(check,
                      "the KDC does not let %s in: give its account this user principal name, and "
                      "export %s again",
                      upstream->service, upstream->keytab);
        return;
    case EXAMINE_KEY_WRONG:
        check_problem(check,
                      "the KDC has another key for %s than %s; the password was changed: export "
                      "the keytab again",
                      upstream->service, upstream->keytab);
        return;
    case EXAMINE_ACCOUNT_LOCKED:
        check_problem(check, "the account of %s is disabled, expired or locked (%s); enable it",
                      upstream->service, facts->text);
        return;
    case EXAMINE_SKEW:
        check_problem(check,
                      "the clocks of this host and of the KDC differ too much (%s); set the "
                      "clock, with chrony or systemd-timesyncd",
                      facts->text);
        return;
    default:
        check_problem(check, "no ticket for %s with %s: %s", upstream->service, upstream->keytab,
                      facts->text);
        return;
    }
}

static void tell(struct check *check, const struct config_upstream *upstream, const char *user,
                 const struct delegation_facts *facts)
{
    switch (facts->failed) {
    case DELEGATION_ACCOUNT: tell_account(check, upstream, facts); return;
    case DELEGATION_TARGET:
        check_problem(check,
                      "the KDC does not know cifs/%s (%s): set server_name to the name under which "
                      "the domain knows the file server",
                      upstream->server_name, facts->text);
        return;
    case DELEGATION_SELF:
        check_problem(
            check,
            "no ticket in the name of %s (%s): is that a user of the domain, and does the "
            "account have the right to ask?",
            user, facts->text);
        return;
    case DELEGATION_PROXY:
        check_problem(check, "%s may not act for %s at cifs/%s (%s): %s", upstream->service, user,
                      upstream->server_name, facts->text,
                      facts->forwardable
                          ? "add it to the account's list (msDS-AllowedToDelegateTo, samba-tool "
                            "delegation add-service, ipa servicedelegationrule)"
                          : "the user is sensitive or protected, or the account lacks the right "
                            "for any protocol (TrustedToAuthForDelegation, samba-tool delegation "
                            "for-any-protocol, ipa --ok-to-auth-as-delegate)");
        return;
    case DELEGATION_DONE: break;
    }
    if (user)
        check_say("  it can act for %s at cifs/%s", user, upstream->server_name);
    else
        check_say("  it has a ticket for cifs/%s; --user NAME tries to act for a user",
                  upstream->server_name);
}

/* `EXAMPLE\alice` and `alice` are both alice to the KDC of our account's realm. */
static const char *without_domain(const char *user)
{
    const char *backslash = user ? strchr(user, '\\') : NULL;
    return backslash ? backslash + 1 : user;
}

void doctor_delegation(struct check *check, const struct config *config, const char *user)
{
    const char *name = without_domain(user);
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        struct delegation_facts facts;
        char target[EXAMINE_NAME_MAX];
        if (!config_logs_in_by(upstream, CONFIG_LOGIN_DELEGATE) &&
            !config_logs_in_by(upstream, CONFIG_LOGIN_TRANSITION))
            continue;
        if (!upstream->service || !upstream->keytab)
            continue;
        check_say("account %s, for upstream %s:", upstream->service, upstream->name);
        (void)snprintf(target, sizeof target, "cifs/%s", upstream->server_name);
        delegation_examine(upstream->keytab, upstream->service, target, name, &facts);
        tell(check, upstream, name, &facts);
    }
}
