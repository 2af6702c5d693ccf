#include "proxy/open.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/clock.h"
#include "proxy/pipe.h"
#include "proxy/worker_state.h"

enum { LEASE_V1_SIZE = 32, LEASE_V2_SIZE = 52 };

/* Mixed, since one client's keys may differ in a few bits only; equality is checked in full. */
static uint64_t lease_hash(const struct link *link, const uint8_t key[LEASE_KEY_SIZE])
{
    const uint8_t *guid = link->server.client_guid;
    return ((uint64_t)link->upstream_number + 1) * 0xbf58476d1ce4e5b9u ^ get_le64(key) ^
           (get_le64(key + 8) * 0x9e3779b97f4a7c15u) ^ get_le64(guid) << 1 ^ get_le64(guid + 8);
}

static struct lease *lease_find(const struct link *link, const uint8_t key[LEASE_KEY_SIZE])
{
    const uint8_t *guid = link->server.client_guid;
    struct table_entry *entry = table_find(&link->worker->leases, lease_hash(link, key));
    struct lease *lease = entry ? CONTAINER_OF(entry, struct lease, by_key) : NULL;
    bool same = lease && lease->upstream == link->upstream_number &&
                memcmp(lease->key, key, LEASE_KEY_SIZE) == 0 &&
                memcmp(lease->client_guid, guid, GUID_SIZE) == 0;
    return same ? lease : NULL;
}

bool lease_known(const struct link *link, const uint8_t key[LEASE_KEY_SIZE])
{
    return lease_find(link, key) != NULL;
}

bool lease_ended(const struct link *link, const uint8_t key[LEASE_KEY_SIZE])
{
    const struct worker *worker = link->worker;
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < ENDED_LEASES; i++) {
        const struct ended_lease *ended = &worker->ended_leases[i];
        if (ended->ended_ms && now - ended->ended_ms < ENDED_LEASE_MS &&
            ended->upstream == link->upstream_number &&
            memcmp(ended->key, key, LEASE_KEY_SIZE) == 0 &&
            memcmp(ended->client_guid, link->server.client_guid, GUID_SIZE) == 0)
            return true;
    }
    return false;
}

static void note_end(const struct lease *lease)
{
    struct worker *worker = lease->worker;
    struct ended_lease *ended = &worker->ended_leases[worker->ended_lease_next++ % ENDED_LEASES];
    *ended = (struct ended_lease){.ended_ms = clock_ms(), .upstream = lease->upstream};
    memcpy(ended->key, lease->key, LEASE_KEY_SIZE);
    memcpy(ended->client_guid, lease->client_guid, GUID_SIZE);
}

/* Two leases whose hashes meet: the second is not known, so its breaks are not believed. */
static struct lease *lease_get(struct link *link, const uint8_t key[LEASE_KEY_SIZE], bool *failed)
{
    struct lease *lease = lease_find(link, key);
    if (lease) {
        lease->references++;
        return lease;
    }
    uint64_t hash = lease_hash(link, key);
    if (table_find(&link->worker->leases, hash))
        return NULL;
    lease = calloc(1, sizeof *lease);
    *failed = !lease;
    if (!lease)
        return NULL;
    lease->worker = link->worker;
    lease->upstream = link->upstream_number;
    lease->references = 1;
    memcpy(lease->key, key, LEASE_KEY_SIZE);
    memcpy(lease->client_guid, link->server.client_guid, GUID_SIZE);
    table_add(&link->worker->leases, &lease->by_key, hash);
    return lease;
}

void lease_release(struct lease *lease)
{
    if (!lease || --lease->references)
        return;
    note_end(lease);
    table_remove(&lease->worker->leases, &lease->by_key);
    free(lease);
}

static bool is_lease_request(const struct create_context *context)
{
    static const uint8_t name[] = {'R', 'q', 'L', 's'};
    return span_equal(context->name, (struct span){name, sizeof name}) &&
           (context->data.size == LEASE_V1_SIZE || context->data.size == LEASE_V2_SIZE);
}

struct lease *lease_of_create(struct link *link, struct span message, bool *failed)
{
    struct create_request body;
    struct create_context context;
    bool broken = false;
    *failed = !create_request_read(message, &body);
    if (*failed)
        return NULL;
    while (create_context_next(&body.contexts, &context, &broken)) {
        if (!is_lease_request(&context))
            continue;
        return lease_get(link, context.data.at, failed);
    }
    *failed = broken;
    return NULL;
}

struct open *open_find(const struct link *link, const uint8_t file_id[FILE_ID_SIZE])
{
    struct table_entry *entry = table_find(&link->opens, get_le64(file_id + 8));
    struct open *open = entry ? CONTAINER_OF(entry, struct open, by_volatile_id) : NULL;
    return open && memcmp(open->file_id, file_id, FILE_ID_SIZE) == 0 ? open : NULL;
}

static void drop(struct link *link, struct open *open)
{
    table_remove(&link->opens, &open->by_volatile_id);
    lease_release(open->lease);
    pipe_free(open->pipe);
    free(open);
}

struct open *open_add(struct link *link, struct session *session, uint32_t tree_id,
                      const uint8_t file_id[FILE_ID_SIZE], struct lease *lease)
{
    uint64_t volatile_id = get_le64(file_id + 8);
    struct table_entry *entry = table_find(&link->opens, volatile_id);
    struct open *open = calloc(1, sizeof *open);
    if (!open || link->opens.count >= OPENS_MAX) {
        free(open);
        lease_release(lease);
        return NULL;
    }
    if (entry)
        drop(link, CONTAINER_OF(entry, struct open, by_volatile_id));
    memcpy(open->file_id, file_id, FILE_ID_SIZE);
    open->session = session;
    open->tree_id = tree_id;
    open->lease = lease;
    table_add(&link->opens, &open->by_volatile_id, volatile_id);
    return open;
}

void open_close(struct link *link, const uint8_t file_id[FILE_ID_SIZE])
{
    struct open *open = open_find(link, file_id);
    if (open)
        drop(link, open);
}

/* Which opens to close. */
struct choice {
    struct link *link;
    const struct session *session; /* NULL: all */
    bool one_tree;
    uint32_t tree_id;
};

static void close_chosen(struct table_entry *entry, void *context)
{
    const struct choice *choice = context;
    struct open *open = CONTAINER_OF(entry, struct open, by_volatile_id);
    if ((!choice->session || open->session == choice->session) &&
        (!choice->one_tree || open->tree_id == choice->tree_id))
        drop(choice->link, open);
}

void open_close_session(struct link *link, const struct session *session)
{
    table_each(&link->opens, close_chosen, &(struct choice){link, session, false, 0});
}

void open_close_tree(struct link *link, const struct session *session, uint32_t tree_id)
{
    table_each(&link->opens, close_chosen, &(struct choice){link, session, true, tree_id});
}

void open_close_all(struct link *link)
{
    table_each(&link->opens, close_chosen, &(struct choice){link, NULL, false, 0});
    table_free(&link->opens);
}
