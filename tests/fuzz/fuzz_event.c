/*
 * Events between processes, and their JSON. Whatever event_unpack() takes, event_pack() writes byte
 * for byte; whatever texts an event has, its line is one JSON object with them.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "policy/event_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine)
{
    if (!fine)
        abort();
}

static void check_line(const struct audit_event *event)
{
    char *line = event_json(event, 0);
    check(line != NULL && !strpbrk(line, "\n\r"));
    struct json_object *object = json_tokener_parse(line), *name = NULL;
    check(object != NULL && json_object_object_get_ex(object, "event", &name));
    check(strcmp(json_object_get_string(name), event_describe(event->kind)->name) == 0);
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (event->field[field] && !event_field_is_number(field))
            check(json_object_object_get_ex(object, event_field_name(field), NULL));
    json_object_put(object);
    free(line);
}

/* The input as a packed event. */
static void unpack(const uint8_t *data, size_t size)
{
    static struct event_storage storage;
    uint8_t again[EVENT_PACKED_MAX];
    struct audit_event event;
    if (!event_unpack(data, size, &event, &storage))
        return;
    check(event_pack(&event, again, sizeof again) == size);
    check(memcmp(again, data, size) == 0);
    check_line(&event);
}

/* The input as the texts of an event: each begins with its field's number and ends with a NUL. */
static void pack(const uint8_t *data, size_t size)
{
    static struct event_storage storage;
    uint8_t packed[EVENT_PACKED_MAX];
    struct audit_event event = {.kind = size ? data[0] % EVENT_KIND_COUNT : 0}, got;
    char *texts = malloc(size + 1);
    check(texts != NULL);
    memcpy(texts, data, size);
    texts[size] = '\0';
    for (size_t at = 1; at + 1 < size; at += 2 + strlen(&texts[at + 1]))
        event.field[data[at] % FIELD_COUNT] = &texts[at + 1];
    size_t used = event_pack(&event, packed, sizeof packed);
    check(used > 0);
    check(event_unpack(packed, used, &got, &storage));
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        check(!event.field[field] || event_field_is_number(field) || got.field[field]);
    check_line(&event);
    free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unpack(data, size);
    pack(data, size);
    return 0;
}
