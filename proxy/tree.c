/*
 * TREE_CONNECT responses (MS-SMB2 2.2.10, 3.2.5.5): only what is carried through may be promised,
 * and the first one of a session waits until the upstream negotiation has been validated.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

static void report_tree(struct link *link, const struct pending *pending, uint32_t status)
{
    struct report report;
    report_start(&report, EVENT_TREE_CONNECT, link, pending->session, LEG_CLIENT, NULL);
    report.event.field[FIELD_SHARE] = pending->share;
    report.event.field[FIELD_VERDICT] = status == STATUS_SUCCESS ? "allowed" : "refused";
    report_status(&report, status);
    report_send(link->worker, &report);
}

static void withhold(struct smb2_message *message, const struct tree_connect_response *body)
{
    const uint32_t flags = SMB2_SHAREFLAG_DFS | SMB2_SHAREFLAG_DFS_ROOT;
    const uint32_t capabilities = SMB2_SHARE_CAP_DFS | SMB2_SHARE_CAP_CONTINUOUS_AVAILABILITY |
                                  SMB2_SHARE_CAP_SCALEOUT | SMB2_SHARE_CAP_CLUSTER |
                                  SMB2_SHARE_CAP_ASYMMETRIC | SMB2_SHARE_CAP_REDIRECT_TO_OWNER;
    tree_connect_response_patch(message->at, body->share_flags & ~flags,
                                body->capabilities & ~capabilities);
}

/* Keeps a copy; the pending request is gone when it is sent. */
static void keep(struct session *session, const struct smb2_message *message)
{
    struct held_response *held = malloc(sizeof *held + message->size);
    if (!held) {
        link_end(session->link, END_MEMORY);
        return;
    }
    held->next = NULL;
    held->size = message->size;
    memcpy(held->message, message->at, message->size);
    smb2_set_next_command(held->message, 0);
    *session->held_last = held;
    session->held_last = &held->next;
}

bool tree_response(struct link *link, struct pending *pending, struct smb2_message *message)
{
    struct session *session = pending->session;
    struct tree_connect_response body;
    uint32_t status = message->header.status;
    report_tree(link, pending, status);
    if (status != STATUS_SUCCESS)
        return true;
    if (!tree_connect_response_read((struct span){message->at, message->size}, &body)) {
        link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_UPSTREAM,
                    "tree_connect");
        return false;
    }
    withhold(message, &body);
    if (session->validated)
        return true;
    keep(session, message);
    if (!session->validating)
        validate_start(session, message->header.tree_id);
    return false;
}

void tree_release(struct session *session)
{
    struct link *link = session->link;
    while (session->held_first && !link_ended(link)) {
        struct held_response *held = session->held_first;
        session->held_first = held->next;
        if (!session->held_first)
            session->held_last = &session->held_first;
        uint8_t *message = stream_own(&link->client.stream, held->size);
        if (message)
            memcpy(message, held->message, held->size);
        if (message && signer_sign(session->client_signer, message, held->size))
            link_send_own(&link->client, message, held->size);
        else
            link_end(link, END_MEMORY);
        free(held);
    }
}
