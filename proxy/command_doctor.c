#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/doctor.h"
#include "proxy/subcommand.h"

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: countersign doctor [--config FILE] [--user NAME]\n"
            "\n"
            "Does what `countersign check` does, and tries what the configuration relies on: do\n"
            "the listeners' names lead here, does the KDC know our services, do the keytabs open\n"
            "tickets for them, do the clocks agree, may our account act for users, does winbind\n"
            "answer. Each problem comes with what to do. Nothing is changed. To be run as root on\n"
            "the host that Countersign runs on.\n"
            "\n"
            "  --config FILE  the configuration; %s unless given\n"
            "  --user NAME    try the logins `delegate` and `transition` for this user\n"
            "\n"
            "The exit status is 0 when all is usable, warnings or not, else 1.\n",
            COMMAND_CONFIG_PATH);
    return status;
}

static void examine(struct check *check, const struct config *config, const char *user)
{
    check_users(check, config);
    check_credentials(check, config);
    check_kerberos(check, config);
    check_listeners(check, config);
    doctor_names(check, config);
    doctor_services(check, config);
    doctor_delegation(check, config, user);
    check_winbind(check, config, false);
    for (unsigned i = 0; i < config->upstreams_count; i++)
        check_upstream(check, &config->upstreams[i]);
}

static int examine_file(const char *path, const char *user)
{
    struct check check = {0};
    struct config *config = check_config(path);
    if (!config)
        return COMMAND_FAILED;
    /* As the keeper will see it, whatever the administrator's shell has set. */
    unsetenv("KRB5_KTNAME");
    unsetenv("KRB5CCNAME");
    if (setenv("KRB5_CONFIG", config->kerberos.config, 1) == 0)
        examine(&check, config, user);
    else
        check_problem(&check, "no memory");
    config_free(config);
    return check_conclude(&check);
}

int command_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = COMMAND_CONFIG_PATH, *user = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:u:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'u': user = optarg; break;
        case 'h': return usage(stdout, COMMAND_OK);
        default: return usage(stderr, COMMAND_USAGE);
        }
    }
    if (optind != argc)
        return usage(stderr, COMMAND_USAGE);
    return examine_file(path, user);
}
