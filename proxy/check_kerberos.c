/*
 * `countersign check`: keytabs and winbind.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "crypto/domain.h"
#include "proxy/check.h"
#include "proxy/keytab_check.h"

static void check_keytab(struct check *check, const struct config *config, const char *path)
{
    struct process_user keeper;
    char error[256];
    check_say("keytab: %s", path);
    if (!check_find_keeper(config, &keeper))
        check_problem(check, "not looked at: it must belong to users.keeper, which is no account");
    else if (!keytab_check(path, &keeper, error, sizeof error))
        check_problem(check, "%s %s", path, error);
}

void check_kerberos(struct check *check, const struct config *config)
{
    const char *paths[KEYTABS_MAX];
    size_t count = keytab_list(config, paths);
    for (size_t i = 0; i < count; i++)
        check_keytab(check, config, paths[i]);
    if (count && access(config->kerberos.config, R_OK) != 0)
        check_warning(check,
                      "kerberos.config %s: %s; without it, realms and KDCs are looked for in DNS",
                      config->kerberos.config, strerror(errno));
    if (count && config->kerberos.rc4 == CONFIG_RC4_ALLOW)
        check_warning(check, "kerberos.rc4 is allow: whoever asks for an RC4 ticket can guess the "
                             "account's password offline; refuse it as soon as accounts have AES "
                             "keys");
}

static void ask_winbind(struct check *check)
{
    struct domain *domain = domain_new();
    struct domain_names names;
    const char *problem = domain ? domain_problem(domain) : "out of memory";
    if (domain && domain_names(domain, &names))
        check_say("  this host is %s in the domain %s (%s)", names.computer, names.domain,
                  names.dns_domain);
    if (problem)
        check_problem(check, "%s", problem);
    domain_free(domain);
}

void check_winbind(struct check *check, const struct config *config, bool offline)
{
    if (!config->winbind)
        return;
    check_say("winbind: asked about NTLM logins of domain users");
    if (!domain_available())
        check_problem(check, "this program was built without libwbclient; install its development "
                             "files and build again, or set \"winbind: false\"");
    else if (!offline)
        ask_winbind(check);
    if (geteuid() == 0 && config->users.keeper_groups_count == 0)
        check_problem(check,
                      "users.keeper_groups is empty, so the keeper may not ask winbind; name "
                      "the group of winbindd's privileged pipe, like winbindd_priv");
}
