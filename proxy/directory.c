#include "proxy/directory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "crypto/text.h"

struct item {
    struct table_entry by_id;
    TAILQ_ENTRY(item) age; /* the longest unused first */
    uint64_t upstream_id;
    uint32_t upstream;
    bool any_case;
    const char *account; /* behind `who` */
    char who[];
};

struct directory {
    struct table items;
    TAILQ_HEAD(items_by_age, item) by_age;
    size_t most;
};

struct directory *directory_new(size_t most)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return NULL;
    table_init(&directory->items);
    TAILQ_INIT(&directory->by_age);
    directory->most = most;
    return directory;
}

static void drop(struct directory *directory, struct item *item)
{
    TAILQ_REMOVE(&directory->by_age, item, age);
    table_remove(&directory->items, &item->by_id);
    free(item);
}

void directory_free(struct directory *directory)
{
    if (!directory)
        return;
    while (!TAILQ_EMPTY(&directory->by_age))
        drop(directory, TAILQ_FIRST(&directory->by_age));
    table_free(&directory->items);
    free(directory);
}

static struct item *find(const struct directory *directory, uint64_t client_id)
{
    struct table_entry *entry = table_find(&directory->items, client_id);
    return entry ? CONTAINER_OF(entry, struct item, by_id) : NULL;
}

void directory_add(struct directory *directory, const struct directory_entry *entry)
{
    size_t size = strlen(entry->who) + 1, account_size = strlen(entry->account) + 1;
    struct item *old = find(directory, entry->client_id);
    struct item *item = calloc(1, sizeof *item + size + account_size);
    if (!item)
        return;
    if (old)
        drop(directory, old);
    else if (directory->items.count >= directory->most)
        drop(directory, TAILQ_FIRST(&directory->by_age));
    item->upstream_id = entry->upstream_id;
    item->upstream = entry->upstream;
    item->any_case = entry->any_case;
    memcpy(item->who, entry->who, size);
    memcpy(&item->who[size], entry->account, account_size);
    item->account = &item->who[size];
    table_add(&directory->items, &item->by_id, entry->client_id);
    TAILQ_INSERT_TAIL(&directory->by_age, item, age);
}

static bool is_same(const struct item *item, const struct directory_entry *wanted)
{
    if (*item->account && *wanted->account)
        return strcmp(item->account, wanted->account) == 0;
    return item->any_case && wanted->any_case ? text_same_name(item->who, wanted->who)
                                              : strcmp(item->who, wanted->who) == 0;
}

static bool is_of(const struct item *item, const struct directory_entry *wanted)
{
    return item->upstream == wanted->upstream && is_same(item, wanted);
}

void directory_remove(struct directory *directory, const struct directory_entry *entry)
{
    struct item *item = find(directory, entry->client_id);
    if (item && is_of(item, entry))
        drop(directory, item);
}

enum directory_answer directory_find(struct directory *directory,
                                     const struct directory_entry *wanted, uint64_t *upstream_id)
{
    struct item *item = find(directory, wanted->client_id);
    *upstream_id = 0;
    if (!item)
        return DIRECTORY_UNKNOWN;
    if (!is_of(item, wanted))
        return DIRECTORY_OTHER;
    TAILQ_REMOVE(&directory->by_age, item, age);
    TAILQ_INSERT_TAIL(&directory->by_age, item, age);
    *upstream_id = item->upstream_id;
    return DIRECTORY_FOUND;
}

static void write_text(struct writer *writer, const char *text)
{
    size_t size = strlen(text);
    write_le16(writer, (uint16_t)size);
    write_bytes(writer, text, size);
}

MUST_USE static bool read_text(struct reader *reader, char *text, size_t room)
{
    uint16_t size;
    return read_le16(reader, &size) && size < room && read_copy(reader, text, size) &&
           strlen(text) == size;
}

void directory_entry_write(struct writer *writer, uint64_t query,
                           const struct directory_entry *entry)
{
    write_le64(writer, query);
    write_le64(writer, entry->client_id);
    write_le64(writer, entry->upstream_id);
    write_le32(writer, entry->upstream);
    write_u8(writer, entry->any_case);
    write_text(writer, entry->who);
    write_text(writer, entry->account);
}

bool directory_entry_read(struct span body, uint64_t *query, struct directory_entry *entry)
{
    struct reader reader = reader_over_span(body);
    uint8_t any_case;
    memset(entry, 0, sizeof *entry);
    if (!read_le64(&reader, query) || !read_le64(&reader, &entry->client_id) ||
        !read_le64(&reader, &entry->upstream_id) || !read_le32(&reader, &entry->upstream) ||
        !read_u8(&reader, &any_case) || any_case > 1)
        return false;
    entry->any_case = any_case;
    return read_text(&reader, entry->who, sizeof entry->who) &&
           read_text(&reader, entry->account, sizeof entry->account) && reader_left(&reader) == 0;
}

void directory_found_write(struct writer *writer, uint64_t query, enum directory_answer answer,
                           uint64_t upstream_id)
{
    write_le64(writer, query);
    write_u8(writer, (uint8_t)answer);
    write_le64(writer, upstream_id);
}

bool directory_found_read(struct span body, uint64_t *query, enum directory_answer *answer,
                          uint64_t *upstream_id)
{
    struct reader reader = reader_over_span(body);
    uint8_t value;
    if (!read_le64(&reader, query) || !read_u8(&reader, &value) || value > DIRECTORY_OTHER ||
        !read_le64(&reader, upstream_id) || reader_left(&reader))
        return false;
    *answer = (enum directory_answer)value;
    return true;
}
