#include "proxy/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "crypto/siphash.h"
#include "proxy/source.h"
#include "proxy/table.h"

_Static_assert(FIELD_COUNT <= 64, "a bit for each field");

enum {
    BURST = 32,          /* connections of one source that are written each, in one window */
    PACKED_MAX = 2048,   /* bytes kept of an event that repeats */
    DESCRIBED_MAX = 256, /* bytes that tell which events are repeats of each other */
};

/* The items of one source, kind and reason. */
struct group {
    struct table_entry by_key;
    unsigned items;
};

struct item {
    struct table_entry by_key;
    TAILQ_ENTRY(item) age; /* the oldest window first */
    struct group *group;
    enum event_kind kind;
    uint64_t since_ms; /* when its window began */
    unsigned written;  /* of the burst */
    uint64_t repeats;
    uint64_t varied; /* bits of the fields that the repeats do not have in common */
    uint8_t *packed; /* the first repeat; NULL while there is none */
    size_t packed_size;
    char source[SOURCE_SIZE];
};

struct fold {
    struct siphash_key key;
    struct table groups;
    struct table items;
    TAILQ_HEAD(items_by_age, item) by_age;
    size_t most;
    uint32_t window_ms;
    fold_write *write;
    void *context;
};

struct fold *fold_new(uint32_t window_ms, size_t most, fold_write *write, void *context)
{
    struct fold *fold = calloc(1, sizeof *fold);
    if (!fold || !siphash_key_make(&fold->key)) {
        free(fold);
        return NULL;
    }
    table_init(&fold->groups);
    table_init(&fold->items);
    TAILQ_INIT(&fold->by_age);
    fold->most = most;
    fold->window_ms = window_ms;
    fold->write = write;
    fold->context = context;
    return fold;
}

size_t fold_count(const struct fold *fold)
{
    return fold->items.count;
}

/* What an attacker cannot repeat at will, or an administrator must have one by one. */
static bool is_written_each(const struct audit_event *event)
{
    const char *verdict = event->field[FIELD_VERDICT];
    switch (event->kind) {
    case EVENT_LISTENER_UP:
    case EVENT_RELOADED:
    case EVENT_RELOAD_REFUSED:
    case EVENT_SESSION_REJUDGED:
    case EVENT_PROCESS_ENDED:
    case EVENT_COUNTERS:
    case EVENT_EVENTS_LOST:
    case EVENT_LOGIN:
    case EVENT_LOGOFF: return true;
    case EVENT_TREE_CONNECT: return !verdict || strcmp(verdict, "refused") != 0;
    default: return false;
    }
}

static unsigned burst_of(enum event_kind kind)
{
    return kind == EVENT_LINK || kind == EVENT_LINK_ENDED ? BURST : 1;
}

static const char *field_of(const struct audit_event *event, enum event_field field)
{
    return event->field[field] ? event->field[field] : "";
}

static void find_source(const struct audit_event *event, char source[SOURCE_SIZE])
{
    const char *address = event->field[FIELD_CLIENT_ADDRESS];
    source_of(address ? address : field_of(event, FIELD_UPSTREAM_ADDRESS), source);
}

/* A text of unbounded length stands there as its hash. */
static void describe(const struct fold *fold, struct writer *writer, const char *text)
{
    write_le64(writer, siphash(&fold->key, text, strlen(text)));
}

/* Two keys: of the group, and of the item in it by who and what it is about. */
static bool make_keys(const struct fold *fold, const struct audit_event *event, const char *source,
                      uint64_t *group, uint64_t *item)
{
    static const enum event_field same[] = {FIELD_LEG, FIELD_REASON, FIELD_VERDICT, FIELD_LISTENER,
                                            FIELD_UPSTREAM};
    static const enum event_field subject[] = {
        FIELD_USER,          FIELD_DOMAIN,  FIELD_ACCOUNT,        FIELD_SHARE,
        FIELD_TARGET_NAME,   FIELD_OFFERED, FIELD_CLIENT_DIALECT, FIELD_CLIENT_SIGNING,
        FIELD_CLIENT_CIPHER, FIELD_RULE,    FIELD_PIPE,           FIELD_COMMAND};
    uint8_t bytes[DESCRIBED_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    write_le16(&writer, (uint16_t)event->kind);
    describe(fold, &writer, source);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        describe(fold, &writer, field_of(event, same[i]));
    *group = siphash(&fold->key, bytes, writer_size(&writer));
    for (size_t i = 0; i < sizeof subject / sizeof subject[0]; i++)
        describe(fold, &writer, field_of(event, subject[i]));
    *item = siphash(&fold->key, bytes, writer_size(&writer));
    return writer_done(&writer);
}

/* ---- repeats of one item ---- */

static void keep_first(struct item *item, const struct audit_event *event)
{
    uint8_t bytes[PACKED_MAX];
    size_t size = event_pack(event, bytes, sizeof bytes);
    item->varied = 0;
    item->packed = size ? malloc(size) : NULL;
    item->packed_size = item->packed ? size : 0;
    if (item->packed)
        memcpy(item->packed, bytes, size);
}

/* The texts of the first repeat; only the kind when there was no memory for them. */
static void unpack(const struct item *item, struct audit_event *event,
                   struct event_storage *storage)
{
    if (item->packed && event_unpack(item->packed, item->packed_size, event, storage))
        return;
    memset(event, 0, sizeof *event);
    event->kind = item->kind;
}

/* A text that was cut when it was kept differs from the whole one. */
static void note_differences(struct item *item, const struct audit_event *event)
{
    struct event_storage storage;
    struct audit_event first;
    unpack(item, &first, &storage);
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        bool there = first.field[field] && event->field[field];
        if (there ? strcmp(first.field[field], event->field[field]) != 0
                  : first.field[field] != event->field[field])
            item->varied |= UINT64_C(1) << field;
    }
}

static void add_repeat(struct item *item, const struct audit_event *event)
{
    if (item->repeats++ == 0)
        keep_first(item, event);
    else
        note_differences(item, event);
}

static void write_repeats(struct fold *fold, struct item *item)
{
    struct event_storage storage;
    struct audit_event event;
    char count[24];
    if (!item->repeats)
        return;
    unpack(item, &event, &storage);
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (item->varied & UINT64_C(1) << field)
            event.field[field] = field == FIELD_CLIENT_ADDRESS ? item->source : NULL;
    snprintf(count, sizeof count, "%llu", (unsigned long long)item->repeats);
    event.field[FIELD_REPEATS] = count;
    fold->write(fold->context, &event, item->repeats);
    item->repeats = 0;
    free(item->packed);
    item->packed = NULL;
}

/* ---- the table ---- */

static void drop(struct fold *fold, struct item *item)
{
    struct group *group = item->group;
    write_repeats(fold, item);
    TAILQ_REMOVE(&fold->by_age, item, age);
    table_remove(&fold->items, &item->by_key);
    if (--group->items == 0) {
        table_remove(&fold->groups, &group->by_key);
        free(group);
    }
    free(item);
}

void fold_free(struct fold *fold)
{
    struct item *item;
    if (!fold)
        return;
    while ((item = TAILQ_FIRST(&fold->by_age))) {
        free(item->packed);
        item->packed = NULL;
        item->repeats = 0;
        drop(fold, item);
    }
    table_free(&fold->groups);
    table_free(&fold->items);
    free(fold);
}

static struct item *find(const struct fold *fold, uint64_t key)
{
    struct table_entry *entry = table_find(&fold->items, key);
    return entry ? CONTAINER_OF(entry, struct item, by_key) : NULL;
}

static struct group *find_group(const struct fold *fold, uint64_t key)
{
    struct table_entry *entry = table_find(&fold->groups, key);
    return entry ? CONTAINER_OF(entry, struct group, by_key) : NULL;
}

static struct item *add(struct fold *fold, uint64_t group_key, uint64_t key, enum event_kind kind,
                        const char *source, uint64_t now_ms)
{
    if (fold->items.count >= fold->most)
        drop(fold, TAILQ_FIRST(&fold->by_age));
    struct group *group = find_group(fold, group_key);
    struct item *item = calloc(1, sizeof *item);
    if (item && !group && (group = calloc(1, sizeof *group)))
        table_add(&fold->groups, &group->by_key, group_key);
    if (!item || !group) {
        free(item);
        return NULL;
    }
    group->items++;
    item->group = group;
    item->kind = kind;
    item->since_ms = now_ms;
    memcpy(item->source, source, sizeof item->source);
    table_add(&fold->items, &item->by_key, key);
    TAILQ_INSERT_TAIL(&fold->by_age, item, age);
    return item;
}

/* The item whose repeat the event is, or that begins with it; NULL when out of memory. */
static struct item *item_for(struct fold *fold, const struct audit_event *event, uint64_t now_ms)
{
    char source[SOURCE_SIZE];
    uint64_t group_key, key;
    memset(source, 0, sizeof source);
    find_source(event, source);
    if (!make_keys(fold, event, source, &group_key, &key))
        return NULL;
    struct item *item = find(fold, key);
    if (item)
        return item;
    const struct group *group = find_group(fold, group_key);
    if (group && group->items >= FOLD_SUBJECTS_MAX) {
        key = group_key;
        item = find(fold, key);
    }
    return item ? item : add(fold, group_key, key, event->kind, source, now_ms);
}

bool fold_take(struct fold *fold, const struct audit_event *event, uint64_t now_ms)
{
    if (!fold->window_ms || is_written_each(event))
        return false;
    fold_tick(fold, now_ms);
    struct item *item = item_for(fold, event, now_ms);
    if (!item)
        return false;
    if (item->written < burst_of(event->kind)) {
        item->written++;
        return false;
    }
    add_repeat(item, event);
    return true;
}

void fold_tick(struct fold *fold, uint64_t now_ms)
{
    struct item *item;
    while ((item = TAILQ_FIRST(&fold->by_age)) && now_ms - item->since_ms >= fold->window_ms) {
        if (!item->repeats) {
            drop(fold, item);
            continue;
        }
        write_repeats(fold, item);
        item->since_ms = now_ms;
        TAILQ_REMOVE(&fold->by_age, item, age);
        TAILQ_INSERT_TAIL(&fold->by_age, item, age);
    }
}

void fold_flush(struct fold *fold)
{
    struct item *item;
    TAILQ_FOREACH(item, &fold->by_age, age)
    write_repeats(fold, item);
}
