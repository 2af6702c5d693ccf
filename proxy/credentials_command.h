/*
 * The commands `user` and `group`: subcommands that read or change the credentials file.
 */
#ifndef COUNTERSIGN_PROXY_CREDENTIALS_COMMAND_H
#define COUNTERSIGN_PROXY_CREDENTIALS_COMMAND_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/subcommand.h"
#include "proxy/user_file.h"

/* What a subcommand was asked for. The texts are the command line's own. */
struct credentials_request {
    const char *config;
    const char *file;
    const char *domain;
    bool mapped;
    const char *target; /* --mapped ACCOUNT, where it takes one */
    bool kerberos;
    const char *keytab;
    const char *const *operands;
    size_t count; /* of them */
};

/* What getopt_long() answers for each option that a subcommand may have. */
enum credentials_option {
    OPTION_CONFIG = 'c',
    OPTION_FILE = 'f',
    OPTION_DOMAIN = 'd',
    OPTION_MAPPED = 'm',
    OPTION_KERBEROS = 'k',
    OPTION_KEYTAB = 't',
    OPTION_HELP = 'h',
};

/* What every subcommand has, in its table of options and in its help. */
#define FILE_OPTIONS                                                                               \
    {"config", required_argument, NULL, OPTION_CONFIG},                                            \
        {"file", required_argument, NULL, OPTION_FILE},                                            \
    {                                                                                              \
        "help", no_argument, NULL, OPTION_HELP                                                     \
    }
#define FILE_HELP                                                                                  \
    "  --config FILE   take the credentials file from this configuration\n"                        \
    "                  (default " COMMAND_CONFIG_PATH ")\n"                                        \
    "  --file FILE     the credentials file itself\n"

struct credentials_subcommand {
    const char *name;
    const struct option *options;
    int operands_min, operands_max;
    /* False with what is wrong on standard error. */
    bool (*run)(const struct credentials_request *request, const struct user_file *file);
    const char *help;
};

struct credentials_command {
    const char *name;
    const char *overview; /* of all subcommands */
    const struct credentials_subcommand *subcommands;
    size_t count;
};

/* Runs the subcommand that argv[1] names on the credentials file that its options mean; the exit
 * status. */
int credentials_command_run(const struct credentials_command *command, int argc, char **argv);

#endif
