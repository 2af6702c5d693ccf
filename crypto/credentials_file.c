/* The credentials file on disk: what it must be to be believed, and how it is replaced. */
#include "crypto/credentials_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail_open(struct credentials_error *error)
{
    switch (errno) {
    case ENOENT:
        return credentials_fail(error, 0,
                                "does not exist; make it with 'countersign user add', or correct "
                                "'credentials' in the configuration");
    case ELOOP:
        return credentials_fail(error, 0, "is a symbolic link; name the file that it points to");
    default: return credentials_fail(error, 0, "cannot be opened: %s", strerror(errno));
    }
}

/* Others who can read the file have everybody's passwords in all but name; others who can write it
 * choose who may log in. */
static bool check_stat(const struct stat *stat, const unsigned *owner,
                       struct credentials_error *error)
{
    if (!S_ISREG(stat->st_mode))
        return credentials_fail(error, 0, "is not a regular file; name one that is");
    if (stat->st_mode & 077)
        return credentials_fail(error, 0, "is open to others (mode %04o); chmod 600 it",
                                stat->st_mode & 07777);
    if (owner && stat->st_uid != *owner && stat->st_uid != 0)
        return credentials_fail(error, 0, "belongs to uid %u, not to uid %u or root; chown it",
                                (unsigned)stat->st_uid, *owner);
    if (stat->st_size > CREDENTIALS_FILE_MAX)
        return credentials_fail(error, 0, "is longer than %d bytes; split or shorten it",
                                CREDENTIALS_FILE_MAX);
    return true;
}

/* Reads to the end of the file, which must be where fstat() saw it. */
static bool read_all(int fd, struct file_bytes *file, size_t size, struct credentials_error *error)
{
    file->bytes = malloc(size + 1);
    if (!file->bytes)
        return credentials_fail(error, 0, "out of memory");
    for (;;) {
        ssize_t got = read(fd, &file->bytes[file->size], size + 1 - file->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return credentials_fail(error, 0, "cannot be read: %s", strerror(errno));
        file->size += (size_t)got;
        if (file->size > size)
            return credentials_fail(error, 0, "grew while it was read; try again");
        if (got == 0)
            return true;
    }
}

enum file_result file_load(int directory, const char *name, const unsigned *owner,
                           struct file_bytes *file, struct credentials_error *error)
{
    struct stat stat;
    *file = (struct file_bytes){0};
    *error = (struct credentials_error){0};
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        enum file_result result = errno == ENOENT ? FILE_MISSING : FILE_REFUSED;
        fail_open(error);
        return result;
    }
    bool ok = fstat(fd, &stat) == 0 || credentials_fail(error, 0, "cannot be examined");
    ok = ok && check_stat(&stat, owner, error) && read_all(fd, file, (size_t)stat.st_size, error);
    close(fd);
    if (!ok) {
        file_wipe(file);
        return FILE_REFUSED;
    }
    file->owner = stat.st_uid;
    file->group = stat.st_gid;
    return FILE_READ;
}

void file_wipe(struct file_bytes *file)
{
    if (file->bytes)
        OPENSSL_cleanse(file->bytes, file->size);
    free(file->bytes);
    *file = (struct file_bytes){0};
}

static bool name_parts(const char *path, struct file_place *place, char **directory)
{
    char *whole = strdup(path), *last = strdup(path);
    bool ok = false;
    *directory = NULL;
    if (whole && last) {
        const char *name = basename(last);
        size_t length = strlen(name);
        *directory = strdup(dirname(whole));
        /* A dot before and ".new" after still fit. */
        ok = *directory && length + sizeof ".new" < sizeof place->name &&
             snprintf(place->name, sizeof place->name, "%s", name) > 0 &&
             snprintf(place->new_name, sizeof place->new_name, ".%s.new", name) > 0;
    }
    free(whole);
    free(last);
    return ok;
}

bool place_enter(const char *path, struct file_place *place, struct credentials_error *error)
{
    char *directory;
    *error = (struct credentials_error){0};
    place->directory = -1;
    if (!name_parts(path, place, &directory)) {
        free(directory);
        return credentials_fail(error, 0, "the name of the file is too long");
    }
    place->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (place->directory < 0)
        return credentials_fail(error, 0, "its directory cannot be opened: %s", strerror(errno));
    while (flock(place->directory, LOCK_EX) != 0) {
        if (errno != EINTR) {
            place_leave(place);
            return credentials_fail(error, 0, "its directory cannot be locked: %s",
                                    strerror(errno));
        }
    }
    return true;
}

void place_leave(struct file_place *place)
{
    if (place->directory >= 0)
        close(place->directory);
    place->directory = -1;
}

/* Only root gives files away; the group is nobody's business at mode 0600. */
static bool give_to_owner(int fd, const struct file_bytes *file)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return false;
    bool same_group = stat.st_gid == file->group || geteuid() != 0;
    return (stat.st_uid == file->owner && same_group) || fchown(fd, file->owner, file->group) == 0;
}

static bool write_all(int fd, struct span bytes)
{
    struct reader reader = reader_over_span(bytes);
    while (reader_left(&reader)) {
        ssize_t put = write(fd, reader.at, reader_left(&reader));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0 || !read_skip(&reader, (size_t)put))
            return false;
    }
    return true;
}

bool file_replace(const struct file_place *place, const struct file_bytes *file,
                  struct credentials_error *error)
{
    /* What an edit that was cut short has left: nobody edits now, the directory is locked. */
    unlinkat(place->directory, place->new_name, 0);
    int fd = openat(place->directory, place->new_name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return credentials_fail(error, 0, "no new file can be made beside it: %s", strerror(errno));
    bool ok = fchmod(fd, 0600) == 0 && give_to_owner(fd, file) &&
              write_all(fd, (struct span){file->bytes, file->size}) && fsync(fd) == 0;
    int cause = errno;
    if (close(fd) != 0 && ok) {
        cause = errno;
        ok = false;
    }
    if (ok && renameat(place->directory, place->new_name, place->directory, place->name) != 0) {
        cause = errno;
        ok = false;
    }
    if (!ok) {
        unlinkat(place->directory, place->new_name, 0);
        return credentials_fail(error, 0, "the new file cannot be written: %s", strerror(cause));
    }
    /* The change is made; that it also survives a crash of the machine is asked for, not required:
     * not every file system can. */
    (void)fsync(place->directory);
    return true;
}
