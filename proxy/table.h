/*
 * An intrusive hash table from 64-bit numbers to what contains the entry. It owns nothing but its
 * buckets; an entry is in one table at most.
 */
#ifndef COUNTERSIGN_PROXY_TABLE_H
#define COUNTERSIGN_PROXY_TABLE_H

#include "crypto/cursor.h"

struct table_entry {
    struct table_entry *next;
    uint64_t key;
};

enum { TABLE_FIRST_BUCKETS = 8 };

struct table {
    struct table_entry **buckets;
    size_t mask; /* buckets - 1 */
    size_t count;
    struct table_entry *first[TABLE_FIRST_BUCKETS]; /* no allocation while it is small */
};

/* An empty table. */
void table_init(struct table *table);
/* Frees the buckets; entries are their owners' business. */
void table_free(struct table *table);

/* Adds an entry under `key`, which must not be there. Never fails: a table that cannot grow gets
 * slower, not wrong. */
void table_add(struct table *table, struct table_entry *entry, uint64_t key);
/* The entry under `key`, or NULL. */
struct table_entry *table_find(const struct table *table, uint64_t key);
/* Takes out an entry that is there. */
void table_remove(struct table *table, struct table_entry *entry);
/* Any entry, or NULL when it is empty: to empty a table. */
struct table_entry *table_any(const struct table *table);

/* Calls `each` for every entry; it may remove that entry and no other. */
void table_each(struct table *table, void (*each)(struct table_entry *entry, void *context),
                void *context);

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
