#include "policy/log_read.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "policy/plain.h"

enum { ROTATED_MAX = 1000, READ_SIZE = 64 * 1024, DEPTH_MAX = 8 };

struct reading {
    struct json_tokener *tokener;
    struct log_counts *counts;
    log_take *take;
    void *context;
    char line[LOG_LINE_MAX];
    size_t used;
    bool too_long; /* the rest of the line is passed over */
};

/* An event has at least a time and a name. */
static bool is_event(struct json_object *object)
{
    return json_object_is_type(object, json_type_object) && log_text(object, "time") &&
           log_text(object, "event");
}

static void take_line(struct reading *reading)
{
    bool whole = !reading->too_long;
    size_t size = reading->used;
    reading->used = 0;
    reading->too_long = false;
    if (whole && size == 0)
        return;
    json_tokener_reset(reading->tokener);
    struct json_object *object =
        whole ? json_tokener_parse_ex(reading->tokener, reading->line, (int)size) : NULL;
    bool good = object && json_tokener_get_error(reading->tokener) == json_tokener_success &&
                json_tokener_get_parse_end(reading->tokener) == size && is_event(object);
    reading->counts->lines += good;
    reading->counts->damaged += !good;
    if (good)
        reading->take(reading->context, object);
    json_object_put(object);
}

static void take_bytes(struct reading *reading, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            take_line(reading);
        else if (reading->used < sizeof reading->line)
            reading->line[reading->used++] = bytes[i];
        else
            reading->too_long = true;
    }
}

/* To the end of the file, or as far as it can be read. */
static bool read_all(struct reading *reading, gzFile file)
{
    static char bytes[READ_SIZE];
    int size;
    while ((size = gzread(file, bytes, sizeof bytes)) > 0)
        take_bytes(reading, bytes, (size_t)size);
    /* A last line without its end was cut, unless it is whole. */
    if (reading->used || reading->too_long)
        take_line(reading);
    if (size == 0)
        return true;
    int error;
    (void)gzerror(file, &error);
    if (error != Z_ERRNO)
        errno = EILSEQ;
    return false;
}

bool log_read(const char *path, struct log_counts *counts, log_take *take, void *context)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    errno = ENOMEM;
    gzFile file = !reading || !tokener     ? NULL
                  : strcmp(path, "-") == 0 ? gzdopen(dup(STDIN_FILENO), "r")
                                           : gzopen(path, "re");
    bool good = file != NULL;
    if (file) {
        reading->tokener = tokener;
        reading->counts = counts;
        reading->take = take;
        reading->context = context;
        good = read_all(reading, file);
        int because = errno;
        bool whole = gzclose(file) == Z_OK; /* else it ended in the middle of what gzip wrote */
        errno = good ? EILSEQ : because;
        good = good && whole;
    }
    int because = errno;
    if (tokener)
        json_tokener_free(tokener);
    free(reading);
    errno = because;
    return good;
}

bool log_files(const char *path, bool (*each)(void *context, const char *file), void *context)
{
    char name[PATH_MAX];
    for (unsigned i = ROTATED_MAX; i > 0; i--) {
        for (unsigned packed = 0; packed < 2; packed++) {
            int size = snprintf(name, sizeof name, "%s.%u%s", path, i, packed ? ".gz" : "");
            if (size < (int)sizeof name && access(name, F_OK) == 0 && !each(context, name))
                return false;
        }
    }
    return each(context, path);
}

const char *log_text(struct json_object *event, const char *field)
{
    struct json_object *value;
    if (!json_object_object_get_ex(event, field, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

int64_t log_number(struct json_object *event, const char *field, int64_t none)
{
    struct json_object *value;
    if (!json_object_object_get_ex(event, field, &value) ||
        !json_object_is_type(value, json_type_int))
        return none;
    return json_object_get_int64(value);
}

uint64_t log_weight(struct json_object *event)
{
    int64_t repeats = log_number(event, "repeats", 1);
    return repeats > 0 ? (uint64_t)repeats : 1;
}

void log_print(FILE *to, const char *text)
{
    enum { PIECE = 256 };
    char clean[3 * PIECE + 1];
    while (*text) {
        size_t size = plain_cut(text, PIECE);
        plain_clean(text, size, clean);
        for (char *at = clean; *at; at++)
            fputc((unsigned char)*at < ' ' ? '?' : *at, to);
        text = &text[size];
    }
}
