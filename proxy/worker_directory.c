/*
 * A worker's questions to the session directory.
 */
#include <stdio.h>
#include <string.h>

#include "proxy/durable.h"
#include "proxy/recorder.h"
#include "proxy/worker_state.h"

/* What identity_same() goes by: of one realm, the SID of a user. */
static bool describe_account(const struct identity *identity, char *to, size_t size)
{
    char text[SID_TEXT_MAX];
    if (!sid_text(&identity->sid, text, sizeof text))
        return true;
    int length = snprintf(to, size, "%s@%s", text, identity_realm(identity->principal));
    return length > 0 && (size_t)length < size;
}

/* False when the names are too long to be compared. */
static bool describe(const struct session *session, uint64_t client_id,
                     struct directory_entry *entry)
{
    const struct identity *identity = session->identity;
    memset(entry, 0, sizeof *entry);
    entry->client_id = client_id;
    entry->upstream_id = session->upstream_id;
    entry->upstream = session->link->upstream_number;
    int size = snprintf(entry->who, sizeof entry->who, "%s/%s:%s\\%s",
                        mechanism_name(identity->mechanism), authority_name(identity->authority),
                        identity->principal[0] ? "" : identity->domain,
                        identity->principal[0] ? identity->principal : identity->user);
    entry->any_case = identity->mechanism != MECHANISM_KERBEROS;
    return size > 0 && (size_t)size < sizeof entry->who &&
           describe_account(identity, entry->account, sizeof entry->account);
}

static bool send_entry(struct worker *worker, uint16_t type, uint64_t query,
                       const struct directory_entry *entry)
{
    uint8_t body[DIRECTORY_WHO_MAX + DIRECTORY_ACCOUNT_MAX + 64];
    struct writer writer = writer_over(body, sizeof body);
    directory_entry_write(&writer, query, entry);
    return writer_done(&writer) && worker->recorder &&
           channel_send(worker->recorder, type, writer_span(&writer), -1);
}

static void tell(struct session *session, uint16_t type, uint64_t id)
{
    struct directory_entry entry;
    /* Not told: all that is lost is a durable handle, should the connection break. */
    if (!describe(session, id, &entry) || !send_entry(session->link->worker, type, 0, &entry))
        session->link->worker->events_lost++;
}

static bool ask(struct session *session, uint16_t type, uint64_t id)
{
    struct worker *worker = session->link->worker;
    struct directory_entry entry;
    if (session->query || !describe(session, id, &entry))
        return false;
    session->query = ++worker->next_query;
    if (!send_entry(worker, type, session->query, &entry)) {
        session->query = 0;
        return false;
    }
    table_add(&worker->queries, &session->by_query, session->query);
    return true;
}

void worker_enter_session(struct session *session)
{
    tell(session, RECORDER_SESSION_ADD, session->client_id);
}

void worker_leave_session(struct session *session)
{
    tell(session, RECORDER_SESSION_REMOVE, session->client_id);
}

bool worker_find_previous(struct session *session, uint64_t previous)
{
    return ask(session, RECORDER_SESSION_FIND, previous);
}

/* Two file servers may give the same id. */
static uint64_t durable_key(const struct session *session, uint64_t persistent_id)
{
    return persistent_id ^ ((uint64_t)session->link->upstream_number + 1) * 0x9e3779b97f4a7c15u;
}

void worker_enter_durable(struct session *session, uint64_t persistent_id)
{
    tell(session, RECORDER_DURABLE_ADD, durable_key(session, persistent_id));
}

void worker_leave_durable(struct session *session, uint64_t persistent_id)
{
    tell(session, RECORDER_DURABLE_REMOVE, durable_key(session, persistent_id));
}

bool worker_find_durable(struct session *session, uint64_t persistent_id)
{
    return ask(session, RECORDER_DURABLE_FIND, durable_key(session, persistent_id));
}

void worker_drop_query(struct session *session)
{
    if (session->query)
        table_remove(&session->link->worker->queries, &session->by_query);
    session->query = 0;
}

static void resume(struct worker *worker, struct table_entry *entry, enum directory_answer answer,
                   uint64_t upstream_id)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_query);
    struct link *link = session->link;
    (void)worker;
    worker_drop_query(session);
    if (session->step == STEP_DIRECTORY)
        client_login_previous(session, answer, upstream_id);
    else
        durable_answer(session, answer);
    link_settle(link);
}

bool worker_directory_answer(struct worker *worker, struct span body)
{
    enum directory_answer answer;
    uint64_t query, upstream_id;
    if (!directory_found_read(body, &query, &answer, &upstream_id))
        return false;
    struct table_entry *entry = table_find(&worker->queries, query);
    if (entry)
        resume(worker, entry, answer, upstream_id);
    return true;
}

void worker_directory_gone(struct worker *worker)
{
    struct table_entry *entry;
    while ((entry = table_any(&worker->queries)))
        resume(worker, entry, DIRECTORY_UNKNOWN, 0);
}
