#include "policy/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "policy/event_json.h"

enum { LOG_MODE = 0640 };

struct audit {
    char *path; /* NULL: no file */
    int fd;
    bool syslog;
    bool torn; /* the file ends in the middle of a line */
    uint64_t counts[EVENT_KIND_COUNT];
    uint64_t folded; /* of those, as repeats */
    uint64_t lost;   /* since the start */
    uint64_t untold; /* of those, the ones that no line has told yet */
};

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, LOG_MODE);
}

struct audit *audit_open(const char *file, bool to_syslog)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return NULL;
    audit->fd = -1;
    audit->syslog = to_syslog;
    if (file) {
        audit->path = strdup(file);
        audit->fd = audit->path ? open_log(file) : -1;
        if (audit->fd < 0) {
            int because = errno;
            audit_close(audit);
            errno = because;
            return NULL;
        }
    }
    /* Connected at once: later the process may see another root, or be another user. */
    if (to_syslog)
        openlog("countersign", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
    return audit;
}

void audit_close(struct audit *audit)
{
    if (!audit)
        return;
    if (audit->fd >= 0)
        close(audit->fd);
    if (audit->syslog)
        closelog();
    free(audit->path);
    free(audit);
}

bool audit_reopen(struct audit *audit)
{
    if (!audit->path)
        return true;
    int fd = open_log(audit->path);
    if (fd < 0)
        return false;
    close(audit->fd);
    audit->fd = fd;
    return true;
}

/* A line that was cut short, on a full disk, would swallow the next one: it is taken back, or,
 * where that cannot be, ended. */
static void take_back(struct audit *audit, size_t written)
{
    struct stat status;
    off_t size = fstat(audit->fd, &status) == 0 ? status.st_size : 0;
    audit->torn = (size_t)size < written || ftruncate(audit->fd, size - (off_t)written) != 0;
}

/* The line with its line feed, in one write(2). */
static bool write_line(struct audit *audit, char *line)
{
    char feed[] = "\n";
    struct iovec parts[] = {{feed, audit->torn ? 1 : 0}, {line, strlen(line)}, {feed, 1}};
    size_t whole = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
    ssize_t written;
    do
        written = writev(audit->fd, parts, 3);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)whole) {
        audit->torn = false;
        return true;
    }
    if (written > 0)
        take_back(audit, (size_t)written);
    return false;
}

static int priority(enum event_kind kind)
{
    static const int priorities[] = {
        [SEVERITY_INFO] = LOG_INFO,
        [SEVERITY_NOTICE] = LOG_NOTICE,
        [SEVERITY_WARNING] = LOG_WARNING,
        [SEVERITY_ERROR] = LOG_ERR,
    };
    return LOG_AUTHPRIV | priorities[event_describe(kind)->severity];
}

static int64_t now(void)
{
    struct timespec time = {0, 0};
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Takes over `value`. */
static bool add(struct json_object *object, const char *name, struct json_object *value)
{
    if (value && json_object_object_add(object, name, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static bool send_out(struct audit *audit, enum event_kind kind, struct json_object *object)
{
    if (audit->untold && !add(object, "lost_before", json_object_new_uint64(audit->untold)))
        return false;
    char *line = event_json_print(object);
    if (!line)
        return false;
    bool good = !audit->path || write_line(audit, line);
    if (audit->syslog)
        syslog(priority(kind), "%s", line);
    free(line);
    return good;
}

/* Writes what stands for `count` events, and takes over `object`, which is NULL when there was no
 * memory for it. */
static bool record(struct audit *audit, enum event_kind kind, struct json_object *object,
                   uint64_t count)
{
    bool good = object && send_out(audit, kind, object);
    json_object_put(object);
    if (good) {
        audit->untold = 0;
    } else {
        audit->lost += count;
        audit->untold += count;
    }
    return good;
}

bool audit_write(struct audit *audit, const struct audit_event *event)
{
    audit->counts[event->kind]++;
    return record(audit, event->kind, event_json_object(event, now()), 1);
}

void audit_fold(struct audit *audit, enum event_kind kind)
{
    audit->counts[kind]++;
    audit->folded++;
}

bool audit_write_repeats(struct audit *audit, const struct audit_event *event, uint64_t repeats)
{
    return record(audit, event->kind, event_json_object(event, now()), repeats);
}

void audit_add_lost(struct audit *audit, enum event_kind kind, uint64_t count)
{
    audit->counts[kind] += count;
    audit->lost += count;
}

uint64_t audit_count(const struct audit *audit, enum event_kind kind)
{
    return audit->counts[kind];
}

uint64_t audit_lost(const struct audit *audit)
{
    return audit->lost;
}

static bool add_counts(struct json_object *object, const struct audit *audit)
{
    struct json_object *counts = json_object_new_object();
    if (!counts || !add(object, "counts", counts))
        return false;
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (audit->counts[kind] &&
            !add(counts, event_describe(kind)->name, json_object_new_uint64(audit->counts[kind])))
            return false;
    return add(object, "folded", json_object_new_uint64(audit->folded)) &&
           add(object, "lost", json_object_new_uint64(audit->lost));
}

void audit_write_counters(struct audit *audit)
{
    const struct audit_event event = {.kind = EVENT_COUNTERS};
    struct json_object *object = event_json_object(&event, now());
    if (object && !add_counts(object, audit)) {
        json_object_put(object);
        object = NULL;
    }
    audit->counts[EVENT_COUNTERS]++;
    (void)record(audit, EVENT_COUNTERS, object, 1);
}
