#include "crypto/credentials.h"
#include "proxy/subcommand.h"
#include "proxy/user_file.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const char *config;
    const char *file;
    const char *group; /* NULL where the subcommand takes none */
    const char *const *members;
    size_t count;
};

static bool complain(const struct user_file *file, const struct credentials_error *error)
{
    return user_file_complain("group", file->path, error->line, error->text);
}

static bool group_add(const struct request *request, const struct user_file *file)
{
    struct credentials_error error;
    if (!credentials_group_add(file->path, request->group, request->members, request->count,
                               file->owner, file->group, &error))
        return complain(file, &error);
    printf("%s: the group %s is in the file now\n", file->path, request->group);
    return true;
}

static bool group_remove(const struct request *request, const struct user_file *file)
{
    struct credentials_error error;
    if (!credentials_group_remove(file->path, request->group, request->members, request->count,
                                  &error))
        return complain(file, &error);
    if (request->count)
        printf("%s: they are no longer in the group %s\n", file->path, request->group);
    else
        printf("%s: the group %s is no longer in the file\n", file->path, request->group);
    return true;
}

static void print_group(void *context, const char *name, const char *members)
{
    (void)context;
    printf("%s\t%s\n", name, members);
}

static bool group_list(const struct request *request, const struct user_file *file)
{
    struct credentials_error error;
    struct credentials *credentials = credentials_read(file->path, file->owner, &error);
    (void)request;
    if (!credentials)
        return complain(file, &error);
    credentials_each_group(credentials, print_group, NULL);
    credentials_free(credentials);
    return true;
}

#define FILE_HELP                                                                                  \
    "  --config FILE   take the credentials file from this configuration\n"                        \
    "                  (default " COMMAND_CONFIG_PATH ")\n"                                        \
    "  --file FILE     the credentials file itself\n"

static const struct subcommand {
    const char *name;
    int operands_min, operands_max;
    bool (*run)(const struct request *request, const struct user_file *file);
    const char *help;
} subcommands[] = {
    {"add", 1, INT_MAX, group_add,
     "usage: countersign group add [--config FILE | --file FILE] GROUP [MEMBER...]\n"
     "\n"
     "Puts members into a group, which is made when there is none. A MEMBER is a local user, or\n"
     "DOMAIN\\USER, or USER@REALM for somebody who comes with Kerberos.\n"
     "\n" FILE_HELP},
    {"remove", 1, INT_MAX, group_remove,
     "usage: countersign group remove [--config FILE | --file FILE] GROUP [MEMBER...]\n"
     "\n"
     "Takes members out of a group or, when none is named, removes the group.\n"
     "\n" FILE_HELP},
    {"list", 0, 0, group_list,
     "usage: countersign group list [--config FILE | --file FILE]\n"
     "\n"
     "Lists groups, one a line: the name, a tab, the members separated by commas.\n"
     "\n" FILE_HELP},
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static const char overview[] =
    "usage: countersign group add|remove|list ...\n"
    "\n"
    "Edits the groups of the credentials file, which rules name as @GROUP. 'countersign group add\n"
    "--help' and so on tell more.\n";

static int usage(const struct subcommand *subcommand)
{
    fprintf(stderr, "%s", subcommand ? subcommand->help : overview);
    return COMMAND_USAGE;
}

enum { OPTION_CONFIG = 'c', OPTION_FILE = 'f', OPTION_HELP = 'h' };

/* False when the argument contradicts another, or is none. */
static bool take_option(int option, struct request *request)
{
    switch (option) {
    case OPTION_CONFIG: request->config = optarg; return request->file == NULL;
    case OPTION_FILE: request->file = optarg; return request->config == NULL;
    default: return false;
    }
}

static int run_subcommand(const struct subcommand *subcommand, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, OPTION_CONFIG},
                                            {"file", required_argument, NULL, OPTION_FILE},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {0}};
    struct request request = {0};
    struct user_file file;
    int option;
    optind = 0; /* the GNU way to begin anew: the caller may have parsed options too */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            printf("%s", subcommand->help);
            return COMMAND_OK;
        }
        if (!take_option(option, &request))
            return usage(subcommand);
    }
    int operands = argc - optind;
    if (operands < subcommand->operands_min || operands > subcommand->operands_max)
        return usage(subcommand);
    if (operands) {
        request.group = argv[optind];
        request.members = (const char *const *)&argv[optind + 1];
        request.count = (size_t)operands - 1;
    }
    bool ok = user_file_find("group", request.config, request.file, &file) &&
              subcommand->run(&request, &file);
    free(file.path);
    return ok ? COMMAND_OK : COMMAND_FAILED;
}

int command_group(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s", overview);
        return COMMAND_OK;
    }
    for (size_t i = 0; argc >= 2 && i < SUBCOMMANDS; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return run_subcommand(&subcommands[i], argc - 1, argv + 1);
    }
    return usage(NULL);
}
