/*
 * Responses of our own to the client.
 */
#include <string.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

/* The client may never hold more credits than requests that the file server still takes from us;
 * one is kept back for requests of our own. But a client without any would be stuck for ever. */
uint16_t answer_credits(struct link *link, uint32_t wanted)
{
    enum { RESERVE = 1 };
    struct credit_window *window = &link->window;
    uint32_t ready = link->state == LINK_READY ? link->purse.available : 1;
    uint32_t most = ready > RESERVE + window->available ? ready - RESERVE - window->available : 0;
    if (wanted == 0)
        wanted = window->available == 0 ? 1 : 0;
    uint32_t grant = wanted < most ? wanted : most;
    if (grant == 0 && window->available == 0 && link->pending.by_client_id.count == 0)
        grant = 1;
    return credit_window_grant(window, grant);
}

uint8_t *answer_start(struct link *link, struct session *session, const struct smb2_header *request,
                      uint32_t status, size_t body, struct writer *writer)
{
    size_t room = SMB2_HEADER_SIZE + body;
    uint8_t *message = stream_own(&link->client.stream, room);
    if (!message) {
        link_end(link, END_MEMORY);
        return NULL;
    }
    struct smb2_header header = {
        .credit_charge = link->client.dialect >= SMB_2_1 ? request->credit_charge : 0,
        .status = status,
        .command = request->command,
        .credits = answer_credits(link, request->credits),
        .flags = SMB2_FLAGS_SERVER_TO_REDIR,
        .message_id = request->message_id,
        .process_id = request->process_id,
        .tree_id = request->tree_id,
        .session_id = session ? session->client_id : request->session_id,
    };
    if (session && session->client_signer && request->command != SMB2_SESSION_SETUP)
        header.flags |= SMB2_FLAGS_SIGNED;
    *writer = writer_over(message, room);
    smb2_header_write(writer, &header);
    return message;
}

void answer_send(struct link *link, struct session *session, uint8_t *message,
                 struct writer *writer)
{
    struct smb2_header header;
    if (!writer_done(writer) || !smb2_header_read(writer_span(writer), &header)) {
        link_end(link, END_MEMORY);
        return;
    }
    if (header.flags & SMB2_FLAGS_SIGNED &&
        !signer_sign(session->client_signer, message, writer_size(writer))) {
        link_end(link, END_CLIENT_PROTOCOL);
        return;
    }
    link_send_own(&link->client, message, writer_size(writer));
}

void answer_error(struct link *link, struct session *session, const struct smb2_header *request,
                  uint32_t status)
{
    struct writer writer;
    uint8_t *message = answer_start(link, session, request, status, 16, &writer);
    if (!message)
        return;
    error_body_write(&writer);
    answer_send(link, session, message, &writer);
}

void answer_no_session(struct link *link, const struct smb2_message *request)
{
    struct signer *signer = link_ended_signer(link, request->header.session_id);
    struct writer writer;
    uint8_t *message =
        answer_start(link, NULL, &request->header, STATUS_USER_SESSION_DELETED, 16, &writer);
    if (!message)
        return;
    error_body_write(&writer);
    if (!writer_done(&writer)) {
        link_end(link, END_MEMORY);
        return;
    }
    if (request->header.flags & SMB2_FLAGS_SIGNED) {
        smb2_set_flags(message, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_SIGNED);
        if (signer && !signer_sign(signer, message, writer_size(&writer))) {
            link_end(link, END_CLIENT_PROTOCOL);
            return;
        }
        if (!signer)
            memcpy(message + SIGNATURE_OFFSET, request->at + SIGNATURE_OFFSET, SIGNATURE_SIZE);
    }
    link_send_own(&link->client, message, writer_size(&writer));
}
