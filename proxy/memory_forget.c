/*
 * Requests to forget, from whoever may write beside the state file to the recorder: a file of
 * lines, locked while it is written and while it is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/memory_file.h"

enum { REQUESTS_SIZE_MAX = 64 * 1024, FILE_MODE = 0600 };

static const char *const words[MEMORY_KINDS] = {
    [MEMORY_ADDRESS] = "address", [MEMORY_GUID] = "guid", [MEMORY_UPSTREAM] = "upstream"};

static int open_requests(const char *path, int flags)
{
    char beside[PATH_MAX];
    int size = snprintf(beside, sizeof beside, "%s.forget", path);
    if (size < 0 || (size_t)size >= sizeof beside) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(beside, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, FILE_MODE);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool forget_ask(const char *path, const struct forget_request *request)
{
    char line[MEMORY_NAME_MAX + 32];
    int size = request->all
                   ? snprintf(line, sizeof line, "all\n")
                   : snprintf(line, sizeof line, "%s %s\n", words[request->kind], request->name);
    int fd = open_requests(path, O_WRONLY | O_APPEND | O_CREAT);
    if (fd < 0)
        return false;
    bool written = write(fd, line, (size_t)size) == size;
    int because = errno;
    close(fd);
    errno = because;
    return written;
}

bool forget_done(const char *path)
{
    struct stat status;
    int fd = open_requests(path, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT;
    bool empty = fstat(fd, &status) == 0 && status.st_size == 0;
    close(fd);
    return empty;
}

static bool parse(const char *line, struct forget_request *request)
{
    char word[16], rest;
    memset(request, 0, sizeof *request);
    request->all = strcmp(line, "all") == 0;
    if (request->all)
        return true;
    if (sscanf(line, "%15s %159s%c", word, request->name, &rest) != 2)
        return false;
    for (unsigned i = 0; i < MEMORY_KINDS; i++)
        if (strcmp(word, words[i]) == 0) {
            request->kind = (enum memory_kind)i;
            return true;
        }
    return false;
}

void forget_take(const char *path,
                 void (*each)(void *context, const struct forget_request *request), void *context)
{
    static char text[REQUESTS_SIZE_MAX];
    struct stat status;
    struct forget_request request;
    int fd = open_requests(path, O_RDWR);
    if (fd < 0)
        return;
    ssize_t size = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0
                       ? read(fd, text, sizeof text - 1)
                       : 0;
    /* Taken or not, it does not come again. */
    if (size > 0 && ftruncate(fd, 0) != 0)
        size = 0;
    text[size > 0 ? size : 0] = '\0';
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (line[0])
            each(context, parse(line, &request) ? &request : NULL);
    close(fd); /* now whoever asked is told that it is done */
}
