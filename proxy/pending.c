#include "proxy/pending.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/open.h"
#include "proxy/pipe.h"
#include "proxy/session.h"

enum { SPARE_MAX = 32 };

void pending_table_init(struct pending_table *table)
{
    memset(table, 0, sizeof *table);
    table_init(&table->by_upstream_id);
    table_init(&table->by_client_id);
    table_init(&table->by_async_id);
    table->held_last = &table->held_first;
}

void pending_table_free(struct pending_table *table)
{
    struct table_entry *entry;
    while ((entry = table_any(&table->by_upstream_id)))
        pending_remove(table, CONTAINER_OF(entry, struct pending, by_upstream_id));
    table_free(&table->by_upstream_id);
    table_free(&table->by_client_id);
    table_free(&table->by_async_id);
    while (table->spare) {
        struct pending *spare = table->spare;
        table->spare = spare->session_next;
        free(spare);
    }
    table->spare_count = 0;
}

static void join_session(struct pending *pending, struct session *session)
{
    pending->session = session;
    pending->session_next = session->pending_first;
    pending->session_link = &session->pending_first;
    if (pending->session_next)
        pending->session_next->session_link = &pending->session_next;
    session->pending_first = pending;
}

static void leave_session(struct pending *pending)
{
    if (!pending->session_link)
        return;
    *pending->session_link = pending->session_next;
    if (pending->session_next)
        pending->session_next->session_link = pending->session_link;
    pending->session_link = NULL;
    pending->session_next = NULL;
}

struct pending *pending_add(struct pending_table *table, enum pending_kind kind,
                            uint64_t upstream_id, struct session *session)
{
    struct pending *pending = table->spare;
    if (pending) {
        table->spare = pending->session_next;
        table->spare_count--;
    } else {
        pending = malloc(sizeof *pending);
        if (!pending)
            return NULL;
    }
    memset(pending, 0, sizeof *pending);
    pending->kind = kind;
    table_add(&table->by_upstream_id, &pending->by_upstream_id, upstream_id);
    if (session)
        join_session(pending, session);
    return pending;
}

void pending_add_client_id(struct pending_table *table, struct pending *pending, uint64_t client_id)
{
    table_add(&table->by_client_id, &pending->by_client_id, client_id);
}

void pending_set_async_id(struct pending_table *table, struct pending *pending, uint64_t async_id)
{
    table_add(&table->by_async_id, &pending->by_async_id, async_id);
}

void pending_remove(struct pending_table *table, struct pending *pending)
{
    if (pending->interim == INTERIM_HELD)
        pending_unhold(table, pending);
    if (pending->interim != INTERIM_NONE)
        table_remove(&table->by_async_id, &pending->by_async_id);
    if (pending->kind == PENDING_FORWARDED && !pending->answered)
        table_remove(&table->by_client_id, &pending->by_client_id);
    table_remove(&table->by_upstream_id, &pending->by_upstream_id);
    leave_session(pending);
    lease_release(pending->lease);
    pipe_free(pending->pipe);
    free(pending->path);
    free(pending->share);
    if (table->spare_count >= SPARE_MAX) {
        free(pending);
        return;
    }
    pending->session_next = table->spare;
    table->spare = pending;
    table->spare_count++;
}

void pending_answered(struct pending_table *table, struct pending *pending)
{
    if (pending->interim == INTERIM_HELD) {
        pending_unhold(table, pending);
        pending->interim = INTERIM_SENT;
    }
    table_remove(&table->by_client_id, &pending->by_client_id);
    pending->answered = true;
    leave_session(pending);
    pending->session = NULL;
}

void pending_orphan(struct pending *pending)
{
    leave_session(pending);
    pending->session = NULL;
    pending->kind = PENDING_UNHEARD;
}

struct pending *pending_by_upstream_id(const struct pending_table *table, uint64_t id)
{
    struct table_entry *entry = table_find(&table->by_upstream_id, id);
    return entry ? CONTAINER_OF(entry, struct pending, by_upstream_id) : NULL;
}

struct pending *pending_by_client_id(const struct pending_table *table, uint64_t id)
{
    struct table_entry *entry = table_find(&table->by_client_id, id);
    return entry ? CONTAINER_OF(entry, struct pending, by_client_id) : NULL;
}

struct pending *pending_by_async_id(const struct pending_table *table, uint64_t id)
{
    struct table_entry *entry = table_find(&table->by_async_id, id);
    return entry ? CONTAINER_OF(entry, struct pending, by_async_id) : NULL;
}

void pending_hold(struct pending_table *table, struct pending *pending, const struct timeval *until)
{
    pending->held_until = *until;
    pending->held_next = NULL;
    *table->held_last = pending;
    table->held_last = &pending->held_next;
}

void pending_unhold(struct pending_table *table, struct pending *pending)
{
    struct pending **at = &table->held_first;
    while (*at && *at != pending)
        at = &(*at)->held_next;
    if (!*at)
        return;
    *at = pending->held_next;
    if (table->held_last == &pending->held_next)
        table->held_last = at;
}
