/*
 * Events between processes: le16 kind, le16 size of the whole, then each field that is there, in
 * the order of enum event_field: u8 field, le16 size, text without a NUL.
 */
#include "policy/event.h"

#include <string.h>

#include "policy/event_json.h"
#include "policy/plain.h"

enum { LEAST_FIELD_LIMIT = 64 };

/* Bytes being written or read: `at` of `size` are done. */
struct packing {
    uint8_t *bytes;
    size_t size;
    size_t at;
    bool overflow;
};

struct unpacking {
    const uint8_t *bytes;
    size_t size;
    size_t at;
};

static void put(struct packing *packing, const void *bytes, size_t count)
{
    if (packing->overflow || count > packing->size - packing->at) {
        packing->overflow = true;
        return;
    }
    memcpy(&packing->bytes[packing->at], bytes, count);
    packing->at += count;
}

static void put_number(struct packing *packing, size_t value, size_t count)
{
    uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    put(packing, bytes, count);
}

static bool take(struct unpacking *unpacking, void *to, size_t count)
{
    if (count > unpacking->size - unpacking->at)
        return false;
    memcpy(to, &unpacking->bytes[unpacking->at], count);
    unpacking->at += count;
    return true;
}

static bool take_number(struct unpacking *unpacking, size_t *value, size_t count)
{
    uint8_t bytes[2] = {0, 0};
    if (!take(unpacking, bytes, count))
        return false;
    *value = (size_t)(bytes[0] | bytes[1] << 8);
    return true;
}

size_t event_field_kept(const char *text, size_t limit, bool *cut)
{
    *cut = strlen(text) > limit;
    return *cut ? plain_cut(text, limit - (sizeof EVENT_ELLIPSIS - 1)) : strlen(text);
}

/* Log readers refuse a field that changes its type: what is not a number there is left out. */
static bool wanted(const struct audit_event *event, enum event_field field)
{
    uint64_t number;
    const char *text = event->field[field];
    return text && (!event_field_is_number(field) || plain_number(text, &number));
}

static void put_field(struct packing *packing, enum event_field field, const char *text,
                      size_t limit)
{
    bool cut;
    size_t kept = event_field_kept(text, limit, &cut);
    put_number(packing, field, 1);
    put_number(packing, kept + (cut ? sizeof EVENT_ELLIPSIS - 1 : 0), 2);
    put(packing, text, kept);
    if (cut)
        put(packing, EVENT_ELLIPSIS, sizeof EVENT_ELLIPSIS - 1);
}

static size_t pack(const struct audit_event *event, uint8_t *buffer, size_t size, size_t limit)
{
    struct packing packing = {.bytes = buffer, .size = size};
    put_number(&packing, event->kind, 2);
    put_number(&packing, 0, 2);
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (wanted(event, field))
            put_field(&packing, field, event->field[field], limit);
    if (packing.overflow)
        return 0;
    buffer[2] = (uint8_t)packing.at;
    buffer[3] = (uint8_t)(packing.at >> 8);
    return packing.at;
}

/* An event with many long texts keeps less of each: whoever chose them must not keep it out of the
 * log. */
size_t event_pack(const struct audit_event *event, uint8_t *buffer, size_t size)
{
    size_t room = size < EVENT_PACKED_MAX ? size : EVENT_PACKED_MAX;
    size_t used = 0;
    for (size_t limit = EVENT_FIELD_MAX; used == 0 && limit >= LEAST_FIELD_LIMIT; limit /= 2)
        used = pack(event, buffer, room, limit);
    return used;
}

/* Takes one field into the storage from `*used` on. */
static bool take_field(struct unpacking *unpacking, struct audit_event *event, size_t *least,
                       struct event_storage *storage, size_t *used)
{
    size_t field, size;
    if (!take_number(unpacking, &field, 1) || !take_number(unpacking, &size, 2))
        return false;
    if (field < *least || field >= FIELD_COUNT || size > EVENT_FIELD_MAX)
        return false;
    char *text = &storage->text[*used];
    if (!take(unpacking, text, size) || memchr(text, '\0', size))
        return false;
    text[size] = '\0';
    *used += size + 1;
    *least = field + 1;
    event->field[field] = text;
    return wanted(event, field);
}

bool event_unpack(const uint8_t *buffer, size_t size, struct audit_event *event,
                  struct event_storage *storage)
{
    struct unpacking unpacking = {.bytes = buffer, .size = size};
    size_t kind, whole, least = 0, used = 0;
    memset(event, 0, sizeof *event);
    if (size > EVENT_PACKED_MAX || !take_number(&unpacking, &kind, 2) ||
        !take_number(&unpacking, &whole, 2))
        return false;
    if (kind >= EVENT_KIND_COUNT || whole != size)
        return false;
    event->kind = (enum event_kind)kind;
    while (unpacking.at < size)
        if (!take_field(&unpacking, event, &least, storage, &used))
            return false;
    return true;
}
