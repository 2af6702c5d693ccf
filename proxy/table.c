#include "proxy/table.h"

#include <stdlib.h>
#include <string.h>

/* Finalizer of splitmix64: SessionIds and FileIds are the peers' choice. */
static size_t bucket_of(const struct table *table, uint64_t key)
{
    key ^= key >> 30;
    key *= 0xbf58476d1ce4e5b9u;
    key ^= key >> 27;
    key *= 0x94d049bb133111ebu;
    key ^= key >> 31;
    return (size_t)key & table->mask;
}

void table_init(struct table *table)
{
    memset(table, 0, sizeof *table);
    table->mask = TABLE_FIRST_BUCKETS - 1;
}

/* The inline buckets are reached through here, so that a table may be moved while it is small. */
static struct table_entry **buckets(const struct table *table)
{
    return table->buckets ? table->buckets : (struct table_entry **)table->first;
}

void table_free(struct table *table)
{
    free(table->buckets);
    table_init(table);
}

static void grow(struct table *table)
{
    struct table old = *table;
    size_t size = (old.mask + 1) * 4;
    struct table_entry **wider = calloc(size, sizeof(struct table_entry *));
    if (!wider)
        return;
    struct table_entry **from = buckets(&old);
    table->buckets = wider;
    table->mask = size - 1;
    for (size_t i = 0; i <= old.mask; i++) {
        struct table_entry *entry = from[i];
        while (entry) {
            struct table_entry *next = entry->next;
            struct table_entry **to = &wider[bucket_of(table, entry->key)];
            entry->next = *to;
            *to = entry;
            entry = next;
        }
    }
    free(old.buckets);
}

void table_add(struct table *table, struct table_entry *entry, uint64_t key)
{
    if (table->count > 2 * table->mask)
        grow(table);
    entry->key = key;
    struct table_entry **to = &buckets(table)[bucket_of(table, key)];
    entry->next = *to;
    *to = entry;
    table->count++;
}

struct table_entry *table_find(const struct table *table, uint64_t key)
{
    struct table_entry *entry = buckets(table)[bucket_of(table, key)];
    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    struct table_entry **at = &buckets(table)[bucket_of(table, entry->key)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->next = NULL;
    table->count--;
}

struct table_entry *table_any(const struct table *table)
{
    for (size_t i = 0; table->count && i <= table->mask; i++)
        if (buckets(table)[i])
            return buckets(table)[i];
    return NULL;
}

void table_each(struct table *table, void (*each)(struct table_entry *entry, void *context),
                void *context)
{
    for (size_t i = 0; i <= table->mask; i++) {
        struct table_entry *entry = buckets(table)[i];
        while (entry) {
            struct table_entry *next = entry->next;
            each(entry, context);
            entry = next;
        }
    }
}
