/*
 * A session pair on its link: finding it, and its end.
 */
#include <stdlib.h>

#include "proxy/open.h"
#include "proxy/renewal.h"
#include "proxy/worker_state.h"

struct session *link_session(const struct link *link, uint64_t client_id)
{
    struct table_entry *entry = table_find(&link->sessions, client_id);
    return entry ? CONTAINER_OF(entry, struct session, by_client_id) : NULL;
}

bool link_login_failed(const struct link *link, uint64_t client_id)
{
    for (unsigned i = 0; client_id && i < FAILED_LOGINS; i++)
        if (link->failed[i] == client_id)
            return true;
    return false;
}

/* Everything that still waits for the file server gets our own signed answer; what the file server
 * says later is dropped (MS-SMB2 3.3.5.6). */
static void answer_pending(struct session *session)
{
    struct link *link = session->link;
    while (session->pending_first) {
        struct pending *pending = session->pending_first;
        if (pending->kind != PENDING_FORWARDED) {
            pending_orphan(pending);
            continue;
        }
        struct smb2_header request = {
            .command = pending->command,
            .credit_charge = pending->client_charge,
            .credits = pending->credits_wanted,
            .message_id = pending->by_client_id.key,
            .process_id = pending->process_id,
            .tree_id = pending->tree_id,
            .session_id = session->client_id,
            .encrypted = pending->client_encrypts,
        };
        /* Who has been told an AsyncId gets the answer under it (MS-SMB2 3.3.4.1). */
        if (pending->interim == INTERIM_SENT) {
            request.flags = SMB2_FLAGS_ASYNC_COMMAND;
            request.async_id = pending->by_async_id.key;
        }
        pending_answered(&link->pending, pending);
        if (!link_ended(link))
            answer_error(link, session, &request,
                         pending->command == SMB2_CHANGE_NOTIFY ? STATUS_NOTIFY_CLEANUP
                                                                : STATUS_USER_SESSION_DELETED);
    }
}

/* The client's renewal, which waited for ours. */
static void refuse_kept_setup(struct session *session)
{
    struct smb2_header request;
    if (session->kept_setup.at && !link_ended(session->link) &&
        smb2_header_read((struct span){session->kept_setup.at, session->kept_setup.size},
                         &request)) {
        request.encrypted = session->kept_setup_encrypted;
        answer_error(session->link, session, &request, STATUS_USER_SESSION_DELETED);
    }
}

/* A renewal in hand, and TREE_CONNECT responses that wait for the upstream's validation. */
static void answer_waiting(struct session *session)
{
    struct link *link = session->link;
    if (session->setup_waiting && session->state == SESSION_RENEWING)
        client_login_refuse(session, STATUS_USER_SESSION_DELETED);
    refuse_kept_setup(session);
    while (session->held_first && !link_ended(link)) {
        struct held_response *held = session->held_first;
        struct smb2_header request;
        session->held_first = held->next;
        if (smb2_header_read((struct span){held->message, held->size}, &request)) {
            request.encrypted = held->encrypt;
            request.tree_id = 0;
            request.credits = 0;
            answer_error(link, session, &request, STATUS_USER_SESSION_DELETED);
        }
        free(held);
    }
}

static void stop_waiting(struct session *session)
{
    struct session **at = &session->link->waiting_first;
    while (*at && *at != session)
        at = &(*at)->next_waiting;
    if (*at)
        *at = session->next_waiting;
}

void session_end(struct session *session, bool log_off)
{
    struct link *link = session->link;
    bool was_valid = session->state >= SESSION_VALID;
    if (!link_ended(link)) {
        answer_pending(session);
        answer_waiting(session);
        if (log_off)
            take_back_session(session);
    } else {
        while (session->pending_first)
            pending_remove(&link->pending, session->pending_first);
    }
    if (session->state == SESSION_LOGGING_OFF)
        worker_leave_session(session);
    worker_forget(session);
    renewal_forget(session);
    worker_drop_query(session);
    link_drop_recall(&session->recall);
    stop_waiting(session);
    open_close_session(link, session);
    table_remove(&link->sessions, &session->by_client_id);
    if (session->upstream_id)
        table_remove(&link->upstream_sessions, &session->by_upstream_id);
    /* Large frames may be on their way still, and are answered as those of any ended session. */
    if (was_valid && --link->sessions_valid == 0 && !link_ended(link))
        link_deadline(link, link->worker->config->limits.login_timeout);
    link_remember_ended(link, session);
    if (!was_valid)
        link->failed[link->failed_next++ % FAILED_LOGINS] = session->client_id;
    session_free(session);
}
