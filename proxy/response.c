/*
 * Responses: from the upstream leg to the client leg.
 *
 * Each response of a frame is matched to its pending request and verified with that request's
 * session key, all of them before anything is done. A final response takes its request out before
 * it is signed for the client, so that no MessageId is signed twice.
 */
#include <string.h>

#include "proxy/body.h"
#include "proxy/dialect.h"
#include "proxy/durable.h"
#include "proxy/open.h"
#include "proxy/worker_state.h"

enum { CHAIN_MAX = 256 };

/* What a response is, as far as it has been checked. */
enum response_kind {
    RESPONSE_FINAL,   /* verified */
    RESPONSE_OWN,     /* to a request of our own that is verified where it is handled */
    RESPONSE_DROPPED, /* to a request that we have answered ourselves */
    RESPONSE_INTERIM,
    RESPONSE_BREAK,
    RESPONSE_SESSION_GONE, /* USER_SESSION_DELETED that does not verify */
};

struct part {
    struct smb2_message message;
    struct pending *pending;
    const struct session *opened; /* whose TRANSFORM it came in; NULL: none */
    enum response_kind kind;
    bool forwarded;     /* goes to the client in place */
    struct frame alone; /* where it lies, when it did not fit in its place; else without a buffer */
    bool placed;        /* queued where it lies in the frame */
    bool signs;         /* all but breaks */
    bool encrypt;       /* towards the client */
    bool ends_session;  /* once it has been sent */
    struct session *session; /* whose keys close it; may be NULL for a break */
    uint64_t session_id;     /* the client's, of a session to end */
};

/* A worker handles one frame at a time. */
static struct part parts[CHAIN_MAX];

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

/* The signature of a response, with the key of the session that its request was sent in, never that
 * of the SessionId it carries (MS-SMB2 3.2.5.1.3). */
static bool verify(struct link *link, struct part *part)
{
    const struct smb2_message *message = &part->message;
    const struct session *session = part->pending->session;
    struct report report;
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
    if (message->header.status == STATUS_USER_SESSION_DELETED) {
        part->kind = RESPONSE_SESSION_GONE;
        return true;
    }
    report_start(&report, EVENT_UPSTREAM_BAD_SIGNATURE, link, session, LEG_UPSTREAM, reason);
    report.event.field[FIELD_COMMAND] = smb2_command_name(message->header.command);
    report.event.field[FIELD_VERDICT] = "refused";
    report_status(&report, message->header.status);
    report_send(link->worker, &report);
    link_end(link, END_UPSTREAM_SIGNATURE);
    return false;
}

/* An interim response is not signed (MS-SMB2 3.3.4.2): it must belong to a request that waits,
 * once, and say nothing else. */
static bool check_interim(struct link *link, struct part *part)
{
    const struct smb2_message *message = &part->message;
    const struct pending *pending = part->pending;
    uint8_t contexts;
    struct span data;
    part->kind = RESPONSE_INTERIM;
    if (pending->upstream_encrypts && part->opened != pending->session) {
        bad_response(link, EVENT_UPSTREAM_FORGED, "interim_not_encrypted");
        return false;
    }
    if (message->header.flags & SMB2_FLAGS_ASYNC_COMMAND && message->header.async_id &&
        pending->kind == PENDING_FORWARDED && pending->interim == INTERIM_NONE &&
        error_body_read((struct span){message->at, message->size}, &contexts, &data) &&
        !pending_by_async_id(&link->pending, message->header.async_id))
        return true;
    bad_response(link, EVENT_UPSTREAM_FORGED, "interim");
    return false;
}

static bool check_break(struct link *link, struct part *part)
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

static bool check_part(struct link *link, struct part *part)
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
        return pending->kind != PENDING_VALIDATE || verify(link, part);
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

static void handle_own(struct link *link, struct part *part)
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
    case PENDING_UNHEARD:
    case PENDING_FORWARDED: pending_remove(&link->pending, pending); break;
    }
}

/* The header as the client must see it. A final response whose interim never went out is a
 * synchronous one for the client. */
static void rewrite_header(struct link *link, const struct pending *pending,
                           struct smb2_message *message)
{
    uint32_t flags =
        message->header.flags &
        (SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_ASYNC_COMMAND | SMB2_FLAGS_RELATED_OPERATIONS);
    if (pending->interim != INTERIM_SENT && flags & SMB2_FLAGS_ASYNC_COMMAND) {
        flags &= ~(uint32_t)SMB2_FLAGS_ASYNC_COMMAND;
        put_le32(message->at + 32, pending->process_id);
        smb2_set_tree_id(message->at, pending->tree_id);
    }
    smb2_set_flags(message->at, flags);
    smb2_set_credit_charge(message->at,
                           link->client.dialect >= SMB_2_1 ? pending->client_charge : 0);
    smb2_set_credits(message->at, answer_credits(link, pending->credits_wanted,
                                                 link->pending.by_client_id.count == 1));
    smb2_set_message_id(message->at, pending->by_client_id.key);
    if (message->header.session_id != SMB2_SESSION_ID_RELATED)
        smb2_set_session_id(message->at, pending->session->client_id);
}

/* Some commands' own responses have the error body's StructureSize too, but no error status. */
static bool has_error_body(const struct smb2_message *message)
{
    uint32_t status = message->header.status;
    return message->size >= SMB2_HEADER_SIZE + 8 && get_le16(message->at + SMB2_HEADER_SIZE) == 9 &&
           (status >> 30 == 3 || status == STATUS_STOPPED_ON_SYMLINK);
}

/* Writes an error's data as the client's dialect has it: in its place, or where there is room. */
static void take_error(struct link *link, struct part *part)
{
    enum { DATA_MAX = 1024 };
    uint8_t body[8 + DATA_MAX];
    struct smb2_message *message = &part->message;
    struct writer writer = writer_over(body, sizeof body);
    bool redirects;
    uint16_t client = link->client.dialect, upstream = link->server.dialect;
    if (get_le32(message->at + SMB2_HEADER_SIZE + 4) == 0 ||
        (client != SMB_3_1_1 && client == upstream))
        return;
    if (!dialect_error_body((struct span){message->at, message->size}, client, upstream, &writer,
                            &redirects) ||
        !writer_done(&writer)) {
        bad_response(link, EVENT_PROTOCOL_ERROR, "error_body");
        return;
    }
    if (redirects)
        report_event(EVENT_BYPASS_REFUSED, link, part->session, LEG_UPSTREAM, "share_redirect",
                     "refused");
    if (SMB2_HEADER_SIZE + writer_size(&writer) > message->size) {
        part->alone = frame_alone(&link->worker->buffers, SMB2_HEADER_SIZE + writer_size(&writer));
        if (!part->alone.buffer) {
            link_end(link, END_MEMORY);
            return;
        }
        memcpy(part->alone.at, message->at, SMB2_HEADER_SIZE);
        message->at = part->alone.at;
    }
    memcpy(message->at + SMB2_HEADER_SIZE, body, writer_size(&writer));
    if (message->header.next_command == 0 || part->alone.buffer)
        message->size = SMB2_HEADER_SIZE + writer_size(&writer);
}

static void take_tree(struct link *link, struct part *part)
{
    struct smb2_message *message = &part->message;
    enum tree_verdict verdict = tree_response(link, part->pending, message);
    part->forwarded = verdict != TREE_HELD;
    if (verdict != TREE_REFUSED)
        return;
    /* A TREE_CONNECT response (16 bytes of body) has room for an error's 9. */
    struct writer writer = writer_over(message->at + SMB2_HEADER_SIZE, 16);
    error_body_write(&writer);
    smb2_set_status(message->at, STATUS_ACCESS_DENIED);
    smb2_set_tree_id(message->at, 0);
    if (writer_done(&writer) && message->header.next_command == 0)
        message->size = SMB2_HEADER_SIZE + writer_size(&writer);
}

/* Requests of a chain behind a CREATE, which name its file by "the one before". */
static void tell_related(struct link *link, const struct pending *create,
                         const uint8_t file_id[FILE_ID_SIZE])
{
    uint64_t next = create->related_next;
    while (next) {
        struct pending *pending = pending_by_upstream_id(&link->pending, next);
        if (!pending)
            return;
        memcpy(pending->file_id, file_id, FILE_ID_SIZE);
        next = pending->related_next;
    }
}

/* An open, if it succeeded; a file server that sends breaks of it may have been faster. */
static void take_create(struct link *link, struct part *part)
{
    struct pending *pending = part->pending;
    struct create_response body;
    uint32_t status = part->message.header.status;
    if (status == STATUS_SUCCESS) {
        struct lease *lease = pending->lease;
        pending->lease = NULL;
        if (!create_response_read((struct span){part->message.at, part->message.size}, &body)) {
            lease_release(lease);
            bad_response(link, EVENT_PROTOCOL_ERROR, "create");
            return;
        }
        tell_related(link, pending, body.file_id);
        durable_note(pending->session, &body);
        if (!open_add(link, pending->session, pending->tree_id, body.file_id, lease))
            link_refuse(link, END_LIMIT, EVENT_LIMIT_REACHED, LEG_UPSTREAM, "opens");
    }
}

/* A verified final response: rewritten, to be signed when its chain is known. */
static void take_final(struct link *link, struct part *part)
{
    struct pending *pending = part->pending;
    struct session *session = pending->session;
    uint32_t status = part->message.header.status;
    uint16_t command = pending->command;
    rewrite_header(link, pending, &part->message);
    part->session = session;
    part->encrypt = pending->client_encrypts;
    part->signs = part->forwarded = true;
    if (has_error_body(&part->message))
        take_error(link, part);
    dialect_clear(&part->message, TO_CLIENT, link->client.dialect, link->server.dialect,
                  status == STATUS_SUCCESS);
    if (command == SMB2_TREE_CONNECT)
        take_tree(link, part);
    if (command == SMB2_CREATE)
        take_create(link, part);
    if (command == SMB2_CLOSE && status == STATUS_SUCCESS)
        open_close(link, pending->file_id);
    if (command == SMB2_TREE_DISCONNECT && status == STATUS_SUCCESS) {
        open_close_tree(link, session, pending->tree_id);
        tree_forget(session, pending->tree_id);
    }
    part->session_id = session->client_id;
    part->ends_session = status == STATUS_USER_SESSION_DELETED ||
                         (command == SMB2_LOGOFF && status == STATUS_SUCCESS);
    if (status == STATUS_NETWORK_SESSION_EXPIRED)
        session->upstream_expired = true;
    if (command == SMB2_LOGOFF && !part->ends_session)
        session->state = SESSION_VALID;
    pending_remove(&link->pending, pending);
    part->pending = NULL;
}

/* To a request that nobody waits for any more; its final response is still to come. */
static bool is_late_interim(const struct part *part)
{
    return part->message.header.status == STATUS_PENDING &&
           (part->kind == RESPONSE_DROPPED ||
            (part->kind == RESPONSE_OWN && part->pending->kind == PENDING_UNHEARD));
}

static void drop(struct link *link, struct part *part)
{
    if (!is_late_interim(part))
        pending_remove(&link->pending, part->pending);
}

static void take_part(struct link *link, struct part *part)
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
    case RESPONSE_FINAL: take_final(link, part); break;
    case RESPONSE_OWN:
        if (!is_late_interim(part))
            handle_own(link, part);
        break;
    case RESPONSE_DROPPED: drop(link, part); break;
    case RESPONSE_INTERIM: interim_take(link, part->pending, part->message.header.async_id); break;
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

static bool same_frame(const struct part *first, const struct part *next)
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
    struct part *head = &parts[first];
    size_t size = 0, i = first;
    for (; i < count && same_frame(head, &parts[i]); i++) {
        struct part *part = &parts[i];
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

static void end_session(struct link *link, struct part *part)
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
        upstream_login_resume(link);
    }
}
