/*
 * Responses of our own to the client.
 */
#include <stdio.h>
#include <string.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

/* The client may never hold more credits than requests that the file server still takes from us,
 * those of a held frame included; one is kept back for requests of our own. But a client without
 * any would be stuck for as long as what it asked for waits, and with the last answer for ever: it
 * gets the one that is kept back, or one more than there are. */
uint16_t answer_credits(struct link *link, uint32_t wanted, bool last)
{
    enum { RESERVE = 1 };
    struct credit_window *window = &link->window;
    uint32_t ready = link->state == LINK_READY ? link->purse.available : 1;
    uint32_t spoken_for = RESERVE + window->available + link->held_charge;
    uint32_t most = ready > spoken_for ? ready - spoken_for : 0;
    if (wanted == 0)
        wanted = window->available == 0 ? 1 : 0;
    uint32_t grant = wanted < most ? wanted : most;
    if (grant == 0 && window->available == 0 && (last || ready > link->held_charge))
        grant = 1;
    return credit_window_grant(window, grant);
}

bool answer_start(struct answer *answer, struct link *link, struct session *session,
                  const struct smb2_header *request, uint32_t status, size_t body)
{
    size_t room = SMB2_HEADER_SIZE + body;
    bool keyed = session && session->client_signer;
    *answer = (struct answer){
        .link = link,
        .session = session,
        .close = keyed,
        .encrypt = keyed && (request->encrypted ||
                             (session->client_encrypts && request->command != SMB2_SESSION_SETUP)),
        .message = stream_own(&link->client.stream, room),
    };
    if (!answer->message) {
        link_end(link, END_MEMORY);
        return false;
    }
    struct smb2_header header = {
        .credit_charge = link->client.dialect >= SMB_2_1 ? request->credit_charge : 0,
        .status = status,
        .command = request->command,
        .credits = answer_credits(link, request->credits, link->pending.by_client_id.count == 0),
        .flags = SMB2_FLAGS_SERVER_TO_REDIR | (request->flags & SMB2_FLAGS_ASYNC_COMMAND),
        .message_id = request->message_id,
        .process_id = request->process_id,
        .tree_id = request->tree_id,
        .async_id = request->async_id,
        .session_id = session ? session->client_id : request->session_id,
    };
    answer->writer = writer_over(answer->message, room);
    smb2_header_write(&answer->writer, &header);
    return true;
}

void answer_send(struct answer *answer)
{
    struct link *link = answer->link;
    size_t size = writer_size(&answer->writer);
    bool closes = answer->close || answer->encrypt;
    if (!writer_done(&answer->writer)) {
        link_end(link, END_MEMORY);
        return;
    }
    if (!closes ||
        seal_close(&link->client, answer->session, answer->message, size, answer->encrypt))
        seal_send_own(&link->client, answer->session, answer->message, size, answer->encrypt);
}

void answer_error(struct link *link, struct session *session, const struct smb2_header *request,
                  uint32_t status)
{
    struct answer answer;
    if (!answer_start(&answer, link, session, request, status, 16))
        return;
    error_body_write(&answer.writer);
    answer_send(&answer);
}

/* A session that this link has just ended, or a login that has just failed on it (some clients log
 * off then), is named by an honest client; any other one, whether it is somebody else's or
 * nobody's, by a client that should not know it. */
static void report_foreign(struct link *link, const struct smb2_header *request)
{
    struct report report;
    report_strike(link, EVENT_FOREIGN_SESSION);
    if (link_login_failed(link, request->session_id))
        return;
    report_start(&report, EVENT_FOREIGN_SESSION, link, NULL, LEG_CLIENT, "not_of_this_connection");
    snprintf(report.session, sizeof report.session, "0x%016llx",
             (unsigned long long)request->session_id);
    report.event.field[FIELD_SESSION] = report.session;
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(link->worker, &report);
}

void answer_no_session(struct link *link, const struct smb2_message *request, uint32_t status)
{
    struct signer *signer = link_ended_signer(link, request->header.session_id);
    struct answer answer;
    if (!signer)
        report_foreign(link, &request->header);
    if (!answer_start(&answer, link, NULL, &request->header, status, 16))
        return;
    error_body_write(&answer.writer);
    if (request->header.flags & SMB2_FLAGS_SIGNED) {
        smb2_set_flags(answer.message, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_SIGNED);
        if (signer && !signer_sign(signer, answer.message, writer_size(&answer.writer))) {
            link_end(link, END_CLIENT_PROTOCOL);
            return;
        }
        if (!signer)
            memcpy(answer.message + SIGNATURE_OFFSET, request->at + SIGNATURE_OFFSET,
                   SIGNATURE_SIZE);
    }
    answer_send(&answer);
}

void answer_ended(struct link *link, const struct smb2_header *request, uint64_t id)
{
    const struct ended_session *ended = link_find_ended(link, id);
    struct smb2_header named = *request;
    struct answer answer;
    named.session_id = id;
    if (!ended || !ended->client_seal ||
        !answer_start(&answer, link, NULL, &named, STATUS_USER_SESSION_DELETED, 16))
        return;
    error_body_write(&answer.writer);
    if (writer_done(&answer.writer))
        seal_send_with(&link->client, ended->client_seal, answer.message,
                       writer_size(&answer.writer));
}
