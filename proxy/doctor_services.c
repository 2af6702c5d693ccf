/*
 * `countersign doctor`: our services at the KDC. A ticket is asked for with the keytab's own key
 * and opened again, as a client and a service would do it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kerberos_examine.h"
#include "proxy/doctor.h"

enum { SKEW_MOST_S = 300, SKEW_NOTABLE_S = 60, NAME_TEXT_MAX = 600 };

/* True when there are keys to go on with. */
static bool tell_keytab(struct check *check, const char *path)
{
    struct keytab_facts facts;
    keytab_examine(path, &facts);
    switch (facts.state) {
    case KEYTAB_GOOD: break;
    case KEYTAB_ABSENT:
        check_problem(check, "there is no keytab %s; export one from the domain (docs/login)",
                      path);
        return false;
    case KEYTAB_FORBIDDEN:
        check_problem(check, "the keytab %s cannot be read; run this as root", path);
        return false;
    case KEYTAB_BROKEN:
        check_problem(check, "%s is no keytab (%s); export it again", path, facts.text);
        return false;
    case KEYTAB_EMPTY:
        check_problem(check, "the keytab %s has no key; export it again", path);
        return false;
    }
    if (facts.aes_keys == 0)
        check_problem(check,
                      "the keytab %s has no AES key; set the account's encryption types to AES, "
                      "change its password, and export it again",
                      path);
    return true;
}

static void tell_clock(struct check *check, const struct service_facts *facts)
{
    int32_t ahead = facts->clock_ahead;
    if (!facts->clock_known)
        return;
    if (abs(ahead) > SKEW_MOST_S)
        check_problem(check,
                      "the KDC's clock is %d s %s of this host's, and Kerberos allows %d; set the "
                      "clock, with chrony or systemd-timesyncd",
                      abs(ahead), ahead > 0 ? "ahead" : "behind", SKEW_MOST_S);
    else if (abs(ahead) > SKEW_NOTABLE_S)
        check_warning(check, "the KDC's clock is %d s %s of this host's; set it before it is %d",
                      abs(ahead), ahead > 0 ? "ahead" : "behind", SKEW_MOST_S);
    else
        check_say("  the clock agrees with the KDC's");
}

static void tell_closed(struct check *check, const char *path, const char *service,
                        const struct service_facts *facts)
{
    if (facts->keytab_kvno == 0)
        check_problem(check,
                      "the keytab %s has no key for %s, so no ticket for it can be opened; export "
                      "the key of the account that has this name (setspn -Q %s tells which)",
                      path, service, service);
    else
        check_problem(check,
                      "tickets for %s cannot be opened: the KDC uses key version %u, the keytab %s "
                      "has version %u%s; the account's password was changed, so export it again",
                      service, facts->ticket_kvno, path, facts->keytab_kvno,
                      facts->ticket_kvno == facts->keytab_kvno ? " of another key" : "");
}

static void tell_outcome(struct check *check, const char *path, const char *service,
                         const struct service_facts *facts)
{
    switch (facts->outcome) {
    case EXAMINE_GOOD:
        check_say("  a ticket for %s can be had and opened (key version %u)", service,
                  facts->ticket_kvno);
        if (facts->weak)
            check_problem(check,
                          "but it is not AES: set the account's encryption types to AES "
                          "(msDS-SupportedEncryptionTypes 24), and change its password once");
        return;
    case EXAMINE_NO_KDC:
        check_problem(check,
                      "no KDC answers (%s); look at kerberos.config, DNS, and port 88 from here",
                      facts->text);
        return;
    case EXAMINE_ACCOUNT_UNKNOWN:
        check_problem(check,
                      "the KDC does not let in %s%s: it does not know it as a user; set the "
                      "account's user principal name to its service's name, and export again",
                      *facts->account ? facts->account : "any name of the keytab ",
                      *facts->account ? "" : path);
        return;
    case EXAMINE_KEY_WRONG:
        check_problem(check,
                      "the KDC has another key than the keytab %s (%s); the account's password was "
                      "changed: export the keytab again",
                      path, facts->text);
        return;
    case EXAMINE_ACCOUNT_LOCKED:
        check_problem(check, "the account is disabled, expired or locked (%s); enable it",
                      facts->text);
        return;
    case EXAMINE_SERVICE_UNKNOWN:
        check_problem(check,
                      "the KDC does not know %s, so clients get no ticket for it; add the name to "
                      "the account (setspn -S, samba-tool spn add, ipa service-add)",
                      service);
        return;
    case EXAMINE_TICKET_CLOSED: tell_closed(check, path, service, facts); return;
    case EXAMINE_SKEW:
        check_problem(check,
                      "the clocks of this host and of the KDC differ too much (%s); set the clock, "
                      "with chrony or systemd-timesyncd",
                      facts->text);
        return;
    case EXAMINE_OTHER: check_problem(check, "%s: %s", service, facts->text); return;
    }
}

static void check_service(struct check *check, const char *path, const char *service,
                          const char *account)
{
    struct service_facts facts;
    service_examine(path, service, account, &facts);
    tell_clock(check, &facts);
    tell_outcome(check, path, service, &facts);
}

static bool is_numeric(const char *name)
{
    return strspn(name, "0123456789.") == strlen(name) || strchr(name, ':');
}

/* Without a list of services: `cifs` at each name. Nobody asks for tickets for an address. */
static void check_listener_services(struct check *check, const struct config_listener *listener)
{
    char service[NAME_TEXT_MAX];
    unsigned checked = 0;
    for (unsigned i = 0; i < listener->services_count; i++, checked++)
        check_service(check, listener->keytab, listener->services[i], NULL);
    if (listener->services_count == 0) {
        for (unsigned i = 0; i < listener->names_count; i++) {
            if (is_numeric(listener->names[i]))
                continue;
            (void)snprintf(service, sizeof service, "cifs/%s", listener->names[i]);
            check_service(check, listener->keytab, service, NULL);
            checked++;
        }
    }
    if (checked == 0)
        check_warning(check, "the listener has no name that a ticket could be for; add to `names` "
                             "what clients call it");
}

void doctor_services(struct check *check, const struct config *config)
{
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (!config_takes(listener, CONFIG_MECHANISM_KERBEROS))
            continue;
        check_say("services of listener %s, keytab %s:", listener->name, listener->keytab);
        if (tell_keytab(check, listener->keytab))
            check_listener_services(check, listener);
    }
}
