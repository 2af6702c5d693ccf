#include "proxy/credentials_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(const char *help)
{
    fprintf(stderr, "%s", help);
    return COMMAND_USAGE;
}

/* False when the argument contradicts another, or is none. */
static bool take_option(int option, struct credentials_request *request)
{
    switch (option) {
    case OPTION_CONFIG: request->config = optarg; return request->file == NULL;
    case OPTION_FILE: request->file = optarg; return request->config == NULL;
    case OPTION_DOMAIN: request->domain = optarg; return true;
    case OPTION_MAPPED:
        request->mapped = true;
        request->target = optarg;
        return true;
    case OPTION_KERBEROS: request->kerberos = true; return request->keytab == NULL;
    case OPTION_KEYTAB: request->keytab = optarg; return !request->kerberos;
    default: return false;
    }
}

static int run_subcommand(const char *command, const struct credentials_subcommand *subcommand,
                          int argc, char **argv)
{
    struct credentials_request request = {0};
    struct user_file file;
    int option;
    optind = 0; /* the GNU way to begin anew: the caller may have parsed options too */
    while ((option = getopt_long(argc, argv, "", subcommand->options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            printf("%s", subcommand->help);
            return COMMAND_OK;
        }
        if (!take_option(option, &request))
            return usage(subcommand->help);
    }
    int operands = argc - optind;
    if (operands < subcommand->operands_min || operands > subcommand->operands_max)
        return usage(subcommand->help);
    if ((request.kerberos || request.keytab) && !request.mapped)
        return usage(subcommand->help);
    request.operands = (const char *const *)&argv[optind];
    request.count = (size_t)operands;
    bool ok = user_file_find(command, request.config, request.file, &file) &&
              subcommand->run(&request, &file);
    free(file.path);
    return ok ? COMMAND_OK : COMMAND_FAILED;
}

int credentials_command_run(const struct credentials_command *command, int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s", command->overview);
        return COMMAND_OK;
    }
    for (size_t i = 0; argc >= 2 && i < command->count; i++) {
        if (strcmp(argv[1], command->subcommands[i].name) == 0)
            return run_subcommand(command->name, &command->subcommands[i], argc - 1, argv + 1);
    }
    return usage(command->overview);
}
