#include <stdio.h>
#include <string.h>

#include "proxy/subcommand.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", command_run, "run the proxy"},
    {"check", command_check, "read the configuration and say what is wrong with it"},
    {"doctor", command_doctor, "try what the configuration relies on: names, keys, clocks, rights"},
    {"forget", command_forget, "forget what a client or file server once could"},
    {"audit", command_audit, "read the audit log, and who would break under a stricter rule"},
    {"reload", command_reload, "read configuration and credentials again"},
    {"user", command_user, "add, remove and list users in the credentials file"},
    {"group", command_group, "the same with groups"},
    {"version", command_version, "print the versions of countersign and its libraries"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int usage(FILE *to, int status)
{
    fprintf(to, "usage: countersign COMMAND [OPTION…]\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(to,
            "\n`countersign COMMAND --help` tells the options. The configuration is read from\n"
            "%s unless --config names another file.\n",
            COMMAND_CONFIG_PATH);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return usage(stderr, COMMAND_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        return usage(stdout, COMMAND_OK);
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "countersign: there is no command %s\n", argv[1]);
    return usage(stderr, COMMAND_USAGE);
}
