#include "proxy/user_file.h"

#include "policy/config.h"
#include "proxy/subcommand.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool user_file_complain(const char *command, const char *what, unsigned line, const char *text)
{
    if (line == 0)
        fprintf(stderr, "countersign %s: %s: %s\n", command, what, text);
    else
        fprintf(stderr, "countersign %s: %s:%u: %s\n", command, what, line, text);
    return false;
}

/* The keeper must be able to read the file again when it is no longer root. */
static bool give_to_keeper(const char *command, const char *keeper, struct user_file *file)
{
    char *end;
    errno = 0;
    unsigned long uid = strtoul(keeper, &end, 10);
    bool number =
        *keeper >= '0' && *keeper <= '9' && *end == '\0' && errno == 0 && uid < UINT32_MAX;
    const struct passwd *user = number ? getpwuid((uid_t)uid) : getpwnam(keeper);
    if (!user && !number)
        return user_file_complain(command, keeper, 0,
                                  "the configuration's users.keeper is no user of this system");
    file->owner = user ? user->pw_uid : (unsigned)uid;
    file->group = user ? user->pw_gid : getegid();
    return true;
}

static bool from_config(const char *command, const char *path, struct user_file *file)
{
    struct config_error error;
    struct config *config = config_read(path, &error);
    if (!config)
        return user_file_complain(command, path, error.line, error.text);
    bool ok = config->credentials != NULL ||
              user_file_complain(command, path, 0, "it names no 'credentials' file");
    if (ok && geteuid() == 0 && config->users.keeper)
        ok = give_to_keeper(command, config->users.keeper, file);
    file->path = ok ? strdup(config->credentials) : NULL;
    config_free(config);
    return ok && (file->path || user_file_complain(command, path, 0, "out of memory"));
}

/* Without a configuration nobody says who the keeper is: what root names keeps the owner it has. */
static bool by_name(const char *command, const char *path, struct user_file *file)
{
    struct stat stat;
    if (geteuid() == 0 && lstat(path, &stat) == 0) {
        file->owner = stat.st_uid;
        file->group = stat.st_gid;
    }
    file->path = strdup(path);
    return file->path || user_file_complain(command, path, 0, "out of memory");
}

bool user_file_find(const char *command, const char *config, const char *file,
                    struct user_file *found)
{
    *found = (struct user_file){NULL, geteuid(), getegid()};
    if (file)
        return by_name(command, file, found);
    return from_config(command, config ? config : COMMAND_CONFIG_PATH, found);
}
