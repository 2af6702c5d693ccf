/*
 * What the writer of the log needs to know of events beside policy/event.h.
 */
#ifndef COUNTERSIGN_POLICY_EVENT_JSON_H
#define COUNTERSIGN_POLICY_EVENT_JSON_H

#include "policy/event.h"

struct json_object;

/* "info", "notice", "warning", "error". */
const char *event_severity_name(enum event_severity severity);

/* Fields that the log holds as numbers. */
bool event_field_is_number(enum event_field field);

/* How many bytes of `text` a field of at most `limit` bytes keeps: all of them, or as many as leave
 * room for "…" behind them; `cut` says which. */
size_t event_field_kept(const char *text, size_t limit, bool *cut);

/* The ellipsis that ends a text that was cut. */
#define EVENT_ELLIPSIS "\xe2\x80\xa6"

/* The object that event_json() prints, for adding to it. NULL when out of memory; freed with
 * json_object_put(). event_json_print() is the one line, allocated with malloc, or NULL. */
struct json_object *event_json_object(const struct audit_event *event, int64_t time_ns);
char *event_json_print(struct json_object *object);

#endif
