#include "policy/event_json.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/plain.h"

enum { NANOSECONDS = 1000000000, TIME_SIZE = 64 };

static void format_time(int64_t time_ns, char text[TIME_SIZE])
{
    int64_t below = time_ns % NANOSECONDS;
    if (below < 0)
        below += NANOSECONDS;
    time_t seconds = (time_t)((time_ns - below) / NANOSECONDS);
    struct tm parts;
    char date[TIME_SIZE / 2] = "1970-01-01T00:00:00";
    if (gmtime_r(&seconds, &parts))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, TIME_SIZE, "%s.%06dZ", date, (int)(below / 1000));
}

/* Takes over `value`; false when there is none, or no room for it. */
static bool add(struct json_object *object, const char *name, struct json_object *value)
{
    if (!value)
        return false;
    if (json_object_object_add(object, name, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static bool add_text(struct json_object *object, const char *name, const char *text)
{
    char clean[3 * EVENT_FIELD_MAX + sizeof EVENT_ELLIPSIS];
    bool cut;
    size_t kept = event_field_kept(text, EVENT_FIELD_MAX, &cut);
    plain_clean(text, kept, clean);
    if (cut)
        strcat(clean, EVENT_ELLIPSIS);
    return add(object, name, json_object_new_string(clean));
}

static bool add_field(struct json_object *object, enum event_field field, const char *text)
{
    uint64_t number;
    if (!event_field_is_number(field))
        return add_text(object, event_field_name(field), text);
    return !plain_number(text, &number) ||
           add(object, event_field_name(field), json_object_new_uint64(number));
}

static bool fill(struct json_object *object, const struct audit_event *event, int64_t time_ns)
{
    const struct event_description *description = event_describe(event->kind);
    char time_text[TIME_SIZE];
    format_time(time_ns, time_text);
    bool good = add_text(object, "time", time_text) &&
                add_text(object, "event", description->name) &&
                add_text(object, "severity", event_severity_name(description->severity));
    if (description->windows_id)
        good = good &&
               add(object, "windows_event_id", json_object_new_int(description->windows_id)) &&
               add_text(object, "windows_channel", description->windows_channel);
    for (unsigned field = 0; good && field < FIELD_COUNT; field++)
        if (event->field[field])
            good = add_field(object, field, event->field[field]);
    return good;
}

struct json_object *event_json_object(const struct audit_event *event, int64_t time_ns)
{
    struct json_object *object = json_object_new_object();
    if (object && fill(object, event, time_ns))
        return object;
    json_object_put(object);
    return NULL;
}

char *event_json_print(struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    return text ? strdup(text) : NULL;
}

char *event_json(const struct audit_event *event, int64_t time_ns)
{
    struct json_object *object = event_json_object(event, time_ns);
    if (!object)
        return NULL;
    char *line = event_json_print(object);
    json_object_put(object);
    return line;
}
