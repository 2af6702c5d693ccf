/*
 * Responses: from the upstream leg to the client leg.
 *
 * Each response of a frame is matched to its pending request and verified with that request's
 * session key, all of them before anything is done. A final response takes its request out before
 * it is signed for the client, so that no MessageId is signed twice.
 */
#include "proxy/body.h"
#include "proxy/quirk.h"
#include "proxy/response_part.h"
#include "proxy/worker_state.h"

enum { CHAIN_MAX = 256 };

/* A worker handles one frame at a time. */
static struct response_part parts[CHAIN_MAX];

static void bad_response(struct link *link, enum event_kind kind, const char *reason)
{
    link_refuse(link, END_UPSTREAM_PROTOCOL, kind, LEG_UPSTREAM, reason);
}

static size_t split(struct link *link, struct frame *frame, const struct session *opened)
{
    struct chain rest = {frame->at, frame->size};
    size_t count = 0;
    enum chain_step step;
    while ((step = chain_next(&rest, &parts[count].message)) == CHAIN_MESSAGE) {
        if (!(parts[count].message.header.flags & SMB2_FLAGS_SERVER_TO_REDIR)) {
            bad_response(link, EVENT_PROTOCOL_ERROR, "request_from_server");
            return 0;
        }
        if (opened && !seal_same_session(&link->server, opened, &parts[count].message.header))
            return 0;
        parts[count].message.header.encrypted = opened != NULL;
        parts[count].opened = opened;
        parts[count].alone = (struct frame){0};
        parts[count].placed = false;
        parts[count].pending = NULL;
        parts[count].session = NULL;
        parts[count].forwarded = parts[count].ends_session = parts[count].encrypt = false;
        if (++count == CHAIN_MAX)
            break;
    }
    if (step == CHAIN_END && count)
        return count;
    bad_response(link, EVENT_PROTOCOL_ERROR,
                 step == CHAIN_BROKEN ? "broken_chain" : "chain_too_long");
    return 0;
}

static bool other_session(struct link *link)
{
    bad_response(link, EVENT_UPSTREAM_FORGED, "response_in_other_session");
    return false;
}

static void report_unverified(struct link *link, const struct response_part *part,
                              enum event_kind kind, const char *reason, const char *verdict)
{
    const struct smb2_header *header = &part->message.header;
    struct report report;
    report_start(&report, kind, link, part->pending->session, LEG_UPSTREAM, reason);
    report.event.field[FIELD_COMMAND] = smb2_command_name(header->command);
    report.event.field[FIELD_VERDICT] = verdict;
    report_status(&report, header->status);
    report_send(link->worker, &report);
}

/* Of a response that is believed without a signature, the status alone counts. */
static void strip(struct response_part *part)
{
    struct smb2_message *message = &part->message;
    const struct pending *pending = part->pending;
    message->header.flags = SMB2_FLAGS_SERVER_TO_REDIR;
    message->header.tree_id = pending->tree_id;
    smb2_set_flags(message->at, message->header.flags);
    put_le32(message->at + 32, pending->process_id);
    smb2_set_tree_id(message->at, pending->tree_id);
    if (message->header.credits > pending->upstream_charge)
        message->header.credits = pending->upstream_charge;
}

/* The signature of a response, with the key of the session that its request was sent in, never that
 * of the SessionId it carries (MS-SMB2 3.2.5.1.3). */
static bool verify(struct link *link, struct response_part *part)
{
    const struct smb2_message *message = &part->message;
    const struct session *session = part->pending->session;
    bool is_signed = message->header.flags & SMB2_FLAGS_SIGNED;
    const char *reason = is_signed ? "wrong_signature" : "unsigned";
    if (part->opened)
        return part->opened == session || other_session(link);
    if (part->pending->upstream_encrypts)
        reason = "unencrypted";
    else if (is_signed && signer_verify(session->upstream_signer, message->at, message->size))
        return true;
    /* Servers that have lost the session have no key for it; the answer ends no more than the pair.
     */
    if (message->header.status == STATUS_USER_SESSION_DELETED && !link->upstream->strict) {
        part->kind = RESPONSE_SESSION_GONE;
        report_unverified(link, part, EVENT_UPSTREAM_UNVERIFIED, reason, "recorded");
        return true;
    }
    switch (quirk_judge(link, part)) {
    case QUIRK_BELIEVE: strip(part); return true;
    case QUIRK_CONFIRM: part->kind = RESPONSE_CONFIRM; return true;
    case QUIRK_NONE: break;
    }
    report_unverified(link, part, EVENT_UPSTREAM_BAD_SIGNATURE, reason, "refused");
    link_end(link, END_UPSTREAM_SIGNATURE);
    return false;
}

/* An error body without data (MS-SMB2 2.2.2), and behind it nothing but what aligns it. */
static bool says_nothing(const struct smb2_message *message)
{
    enum { EMPTY = SMB2_HEADER_SIZE + 9, ALIGNMENT = 8 };
    uint8_t contexts;
    struct span data;
    return error_body_read((struct span){message->at, message->size}, &contexts, &data) &&
           contexts == 0 && data.size == 0 && message->size < EMPTY + ALIGNMENT;
}

/* An interim response is not signed (MS-SMB2 3.3.4.2): it must belong to a request that waits,
 * once, and say nothing else. */
static bool check_interim(struct link *link, struct response_part *part)
{
    const struct smb2_message *message = &part->message;
    const struct pending *pending = part->pending;
    part->kind = RESPONSE_INTERIM;
    if (pending->upstream_encrypts && part->opened != pending->session) {
        bad_response(link, EVENT_UPSTREAM_FORGED, "interim_not_encrypted");
        return false;
    }
    if (message->header.flags & SMB2_FLAGS_ASYNC_COMMAND && message->header.async_id &&
        pending->kind == PENDING_FORWARDED && pending->interim == INTERIM_NONE &&
        says_nothing(message) && !pending_by_async_id(&link->pending, message->header.async_id))
        return true;
    bad_response(link, EVENT_UPSTREAM_FORGED, "interim");
    return false;
}

static bool check_break(struct link *link, struct response_part *part)
{
    struct break_body body;
    const struct smb2_message *message = &part->message;
    part->kind = RESPONSE_BREAK;
    if (message->header.command == SMB2_OPLOCK_BREAK && message->header.status == STATUS_SUCCESS &&
        break_notification_read((struct span){message->at, message->size}, &body))
        return true;
    bad_response(link, EVENT_UPSTREAM_FORGED, "break");
    return false;
}

static bool check_part(struct link *link, struct response_part *part)
{
    const struct smb2_header *header = &part->message.header;
    if (header->message_id == SMB2_MESSAGE_ID_BREAK)
        return check_break(link, part);
    struct pending *pending = pending_by_upstream_id(&link->pending, header->message_id);
    if (!pending || pending->command != header->command) {
        bad_response(link, EVENT_UPSTREAM_FORGED, pending ? "other_command" : "unknown_message_id");
        return false;
    }
    part->pending = pending;
    if (pending->kind != PENDING_FORWARDED) {
        part->kind = RESPONSE_OWN;
        return (pending->kind != PENDING_VALIDATE && pending->kind != PENDING_CONFIRM) ||
               verify(link, part);
    }
    if (pending->confirming) {
        bad_response(link, EVENT_UPSTREAM_FORGED, "answered_twice");
        return false;
    }
    if (pending->answered) {
        part->kind = RESPONSE_DROPPED;
        return true;
    }
    if (header->status == STATUS_PENDING)
        return check_interim(link, part);
    part->kind = RESPONSE_FINAL;
    return verify(link, part);
}

/* Answers to requests of our own stand alone; one answer twice would find its request gone. */
static bool check_all(struct link *link, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!check_part(link, &parts[i]))
            return false;
        if (count > 1 && parts[i].kind == RESPONSE_OWN) {
            bad_response(link, EVENT_PROTOCOL_ERROR, "chained_answer");
            return false;
        }
        for (size_t j = 0; parts[i].pending && j < i; j++) {
            if (parts[j].pending == parts[i].pending) {
                bad_response(link, EVENT_UPSTREAM_FORGED, "answered_twice");
                return false;
            }
        }
    }
    return true;
}

static void handle_own(struct link *link, struct response_part *part)
{
    struct pending *pending = part->pending;
    switch (pending->kind) {
    case PENDING_NEGOTIATE:
        pending_remove(&link->pending, pending);
        upstream_negotiate_response(link, &part->message);
        break;
    case PENDING_SESSION_SETUP:
        upstream_session_setup_response(link, pending, &part->message);
        break;
    case PENDING_VALIDATE: validate_response(link, pending, &part->message); break;
    case PENDING_CONFIRM: quirk_confirmed(link, pending, &part->message); break;
    case PENDING_UNHEARD:
    case PENDING_FORWARDED: pending_remove(&link->pending, pending); break;
    }
}

/* To a request that nobody waits for any more; its final response is still to come. */
static bool is_late_interim(const struct response_part *part)
{
    return part->message.header.status == STATUS_PENDING &&
           (part->kind == RESPONSE_DROPPED ||
            (part->kind == RESPONSE_OWN && part->pending->kind == PENDING_UNHEARD));
}

static void drop(struct link *link, struct response_part *part)
{
    if (!is_late_interim(part))
        pending_remove(&link->pending, part->pending);
}

static void take_part(struct link *link, struct response_part *part)
{
    const struct smb2_header *header = &part->message.header;
    if (part->pending && part->pending->kind == PENDING_FORWARDED &&
        part->pending->command == SMB2_CREATE && part->kind != RESPONSE_INTERIM &&
        !is_late_interim(part))
        link->creates_pending--;
    if (part->kind != RESPONSE_BREAK && part->pending) {
        bool interim = part->kind == RESPONSE_INTERIM || is_late_interim(part);
        uint32_t charge = interim ? 0 : part->pending->upstream_charge;
        credit_purse_settle(&link->purse, charge, header->credits);
    }
    switch (part->kind) {
    case RESPONSE_FINAL: response_take_final(link, part); break;
    case RESPONSE_OWN:
        if (!is_late_interim(part))
            handle_own(link, part);
        break;
    case RESPONSE_DROPPED: drop(link, part); break;
    case RESPONSE_INTERIM: interim_take(link, part->pending, part->message.header.async_id); break;
    case RESPONSE_CONFIRM: quirk_ask(link, part->pending); break;
    case RESPONSE_BREAK: break_take(link, &part->message, part->opened); break;
    case RESPONSE_SESSION_GONE: /* the client gets our own signed answer, with all that waits */
        part->session_id = part->pending->session->client_id;
        part->ends_session = true;
        break;
    }
}

/* Is the file server without SMB2? */
static bool is_foreign(struct link *link, const struct frame *frame)
{
    struct reader reader = reader_over(frame->at, frame->size);
    uint32_t protocol;
    if (!read_le32(&reader, &protocol) || protocol == SMB2_PROTOCOL_ID)
        return false;
    if (protocol == SMB1_PROTOCOL_ID && link->state == LINK_UPSTREAM_NEGOTIATING) {
        report_event(EVENT_UPSTREAM_SMB1_ONLY, link, NULL, LEG_UPSTREAM, "smb1_answer", "refused");
        client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
        link_end(link, END_UPSTREAM_REFUSED);
    } else {
        bad_response(link, EVENT_PROTOCOL_ERROR, "unknown_protocol");
    }
    return true;
}

static bool same_frame(const struct response_part *first, const struct response_part *next)
{
    if (next != first && (next->alone.buffer || first->alone.buffer))
        return false;
    return next->forwarded && next->encrypt == first->encrypt &&
           (!first->encrypt || next->session == first->session);
}

/* Closes and queues a run of neighbouring responses as one frame; the number of parts. Its
 * transport header overwrites the end of the part before it, which went nowhere or went out in a
 * copy. */
static size_t forward_run(struct link *link, struct frame *frame, size_t first, size_t count)
{
    struct response_part *head = &parts[first];
    size_t size = 0, i = first;
    for (; i < count && same_frame(head, &parts[i]); i++) {
        struct response_part *part = &parts[i];
        if (i + 1 == count || !same_frame(head, &parts[i + 1]))
            smb2_set_next_command(part->message.at, 0);
        if (part->signs && !seal_close(&link->client, part->session, part->message.at,
                                       part->message.size, part->encrypt))
            return count;
        size += part->message.size;
    }
    bool placed =
        seal_send(&link->client, head->session, head->alone.buffer ? &head->alone : frame,
                  head->message.at, size, head->encrypt, first && parts[first - 1].placed);
    parts[i - 1].placed = placed && !head->alone.buffer;
    return i - first;
}

static void end_session(struct link *link, struct response_part *part)
{
    /* Two parts of one frame may end the same session. */
    struct session *session = link_session(link, part->session_id);
    bool by_client = part->kind == RESPONSE_FINAL && part->message.header.command == SMB2_LOGOFF;
    const char *reason = part->kind == RESPONSE_SESSION_GONE ? "file_server_unverified"
                         : by_client                         ? "client"
                                                             : "file_server";
    if (session) {
        report_event(EVENT_LOGOFF, link, session, by_client ? LEG_CLIENT : LEG_UPSTREAM, reason,
                     NULL);
        session_end(session, false);
    }
    /* Its end has answered the request for us; this was the file server's answer to it. */
    if (part->pending)
        pending_remove(&link->pending, part->pending);
}

void response_frame(struct link *link, struct frame *frame)
{
    struct session *opened;
    if (!seal_open(&link->server, frame, &opened) || is_foreign(link, frame))
        return;
    size_t count = split(link, frame, opened);
    if (count == 0 || !check_all(link, count))
        return;
    for (size_t i = 0; i < count && !link_ended(link); i++)
        take_part(link, &parts[i]);

    for (size_t i = 0; i < count && !link_ended(link);)
        i += parts[i].forwarded ? forward_run(link, frame, i, count) : 1;
    if (!link_ended(link) && link->breaks)
        break_release(link);
    for (size_t i = 0; i < count; i++)
        buffer_release(parts[i].alone.buffer);
    for (size_t i = 0; i < count && !link_ended(link); i++)
        if (parts[i].ends_session)
            end_session(link, &parts[i]);
    if (!link_ended(link)) {
        validate_resume(link);
        take_back_resume(link);
        upstream_login_resume(link);
    }
}
