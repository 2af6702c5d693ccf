#include "proxy/keytab_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool wrong(char *error, size_t size, const char *what)
{
    snprintf(error, size, "%s", what);
    return false;
}

static bool check_access(const struct stat *file, const struct process_user *keeper, char *error,
                         size_t size)
{
    bool of_keeper = file->st_uid == keeper->uid;
    if (!of_keeper && file->st_uid != 0) {
        snprintf(
            error, size,
            "belongs to user %u; it must belong to the keeper's user (%u) or to root: chown it",
            (unsigned)file->st_uid, (unsigned)keeper->uid);
        return false;
    }
    if (file->st_mode & (S_IRWXO | S_IWGRP))
        return wrong(error, size,
                     "can be read or changed by others than the keeper: chmod it to 0600, or to "
                     "0640 with the keeper's group");
    if (file->st_mode & S_IRGRP && file->st_gid != keeper->gid)
        return wrong(error, size,
                     "can be read by a group that is not the keeper's own: chmod it to 0600, or "
                     "chgrp it");
    bool readable = of_keeper ? file->st_mode & S_IRUSR : file->st_mode & S_IRGRP;
    /* Started without root, everything runs as one user. */
    if (!readable && keeper->uid != 0)
        return wrong(error, size,
                     "cannot be read by the keeper's user: chown it to that user, mode 0600");
    return true;
}

bool keytab_check(const char *path, const struct process_user *keeper, char *error, size_t size)
{
    struct stat file;
    if (stat(path, &file) != 0) {
        snprintf(error, size, "cannot be used: %s", strerror(errno));
        return false;
    }
    if (!S_ISREG(file.st_mode))
        return wrong(error, size, "is not a regular file");
    if (file.st_size == 0)
        return wrong(error, size, "is empty; export the key of the service into it");
    return check_access(&file, keeper, error, size);
}

static size_t add(const char *paths[KEYTABS_MAX], size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(paths[i], path) == 0)
            return count;
    if (count < KEYTABS_MAX)
        paths[count++] = path;
    return count;
}

size_t keytab_list(const struct config *config, const char *paths[KEYTABS_MAX])
{
    size_t count = 0;
    for (unsigned i = 0; i < config->listeners_count; i++)
        if (config_takes(&config->listeners[i], CONFIG_MECHANISM_KERBEROS))
            count = add(paths, count, config->listeners[i].keytab);
    for (unsigned i = 0; i < config->upstreams_count; i++)
        if (config_logs_in_by(&config->upstreams[i], CONFIG_LOGIN_DELEGATE) ||
            config_logs_in_by(&config->upstreams[i], CONFIG_LOGIN_TRANSITION))
            count = add(paths, count, config->upstreams[i].keytab);
    return count;
}
