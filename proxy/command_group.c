#include "crypto/credentials.h"
#include "proxy/credentials_command.h"

#include <limits.h>
#include <stdio.h>

static bool complain(const struct user_file *file, const struct credentials_error *error)
{
    return user_file_complain("group", file->path, error->line, error->text);
}

static bool group_add(const struct credentials_request *request, const struct user_file *file)
{
    const char *group = request->operands[0];
    struct credentials_error error;
    if (!credentials_group_add(file->path, group, &request->operands[1], request->count - 1,
                               file->owner, file->group, &error))
        return complain(file, &error);
    printf("%s: the group %s is in the file now\n", file->path, group);
    return true;
}

static bool group_remove(const struct credentials_request *request, const struct user_file *file)
{
    const char *group = request->operands[0];
    struct credentials_error error;
    if (!credentials_group_remove(file->path, group, &request->operands[1], request->count - 1,
                                  &error))
        return complain(file, &error);
    if (request->count > 1)
        printf("%s: they are no longer in the group %s\n", file->path, group);
    else
        printf("%s: the group %s is no longer in the file\n", file->path, group);
    return true;
}

static void print_group(void *context, const char *name, const char *members)
{
    (void)context;
    printf("%s\t%s\n", name, members);
}

static bool group_list(const struct credentials_request *request, const struct user_file *file)
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

static const struct option options[] = {FILE_OPTIONS, {0}};

static const struct credentials_subcommand subcommands[] = {
    {"add", options, 1, INT_MAX, group_add,
     "usage: countersign group add [--config FILE | --file FILE] GROUP [MEMBER...]\n"
     "\n"
     "Puts members into a group, which is made when there is none. A MEMBER is a local user, or\n"
     "DOMAIN\\USER, or USER@REALM for somebody who comes with Kerberos.\n"
     "\n" FILE_HELP},
    {"remove", options, 1, INT_MAX, group_remove,
     "usage: countersign group remove [--config FILE | --file FILE] GROUP [MEMBER...]\n"
     "\n"
     "Takes members out of a group or, when none is named, removes the group.\n"
     "\n" FILE_HELP},
    {"list", options, 0, 0, group_list,
     "usage: countersign group list [--config FILE | --file FILE]\n"
     "\n"
     "Lists groups, one a line: the name, a tab, the members separated by commas.\n"
     "\n" FILE_HELP},
};

static const char overview[] =
    "usage: countersign group add|remove|list ...\n"
    "\n"
    "Edits the groups of the credentials file, which rules name as @GROUP. 'countersign group add\n"
    "--help' and so on tell more.\n";

int command_group(int argc, char **argv)
{
    static const struct credentials_command command = {"group", overview, subcommands,
                                                       sizeof subcommands / sizeof subcommands[0]};
    return credentials_command_run(&command, argc, argv);
}
