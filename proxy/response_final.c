/*
 * Final responses, which have been verified: what the client is told, and what has to be remembered
 * of it.
 */
#include <string.h>

#include "proxy/body.h"
#include "proxy/dialect.h"
#include "proxy/durable.h"
#include "proxy/open.h"
#include "proxy/read_only.h"
#include "proxy/renewal.h"
#include "proxy/response_part.h"
#include "proxy/worker_state.h"

static void bad_response(struct link *link, const char *reason)
{
    link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_UPSTREAM, reason);
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

/* The message has a body of that size now, and behind it, in a chain, nothing but padding: not what
 * was there. */
static void cut(struct smb2_message *message, size_t body)
{
    size_t size = SMB2_HEADER_SIZE + body;
    if (message->header.next_command == 0)
        message->size = size;
    else
        memset(message->at + size, 0, message->size - size);
}

/* Writes an error's data as the client's dialect has it: in its place, or where there is room. */
static void take_error(struct link *link, struct response_part *part)
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
        bad_response(link, "error_body");
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
    if (part->alone.buffer)
        message->size = SMB2_HEADER_SIZE + writer_size(&writer);
    else
        cut(message, writer_size(&writer));
}

/* The file server wants an older dialect for this share. Its leg would stay as it is, however
 * little the client offers then: so the client is not asked to offer less. */
static void take_cluster_dialect(struct link *link, struct response_part *part)
{
    struct smb2_message *message = &part->message;
    struct writer writer =
        writer_over(message->at + SMB2_HEADER_SIZE, message->size - SMB2_HEADER_SIZE);
    error_body_write(&writer);
    if (!writer_done(&writer)) {
        bad_response(link, "error_body");
        return;
    }
    cut(message, writer_size(&writer));
    smb2_set_status(message->at, STATUS_BAD_NETWORK_NAME);
    report_event(EVENT_BYPASS_REFUSED, link, part->session, LEG_UPSTREAM, "cluster_dialect",
                 "refused");
}

/* The request that follows in a related chain; NULL when there is none, or it has been answered. */
static struct pending *related_to(const struct link *link, const struct pending *pending)
{
    return pending->related_next ? pending_by_upstream_id(&link->pending, pending->related_next)
                                 : NULL;
}

/* Requests of a chain behind a CREATE, which name its file by "the one before". */
static void tell_file(const struct link *link, const struct pending *create,
                      const uint8_t file_id[FILE_ID_SIZE])
{
    struct pending *next = related_to(link, create);
    for (; next; next = related_to(link, next))
        memcpy(next->file_id, file_id, FILE_ID_SIZE);
}

/* Those behind a TREE_CONNECT are of its tree. */
static void tell_tree(const struct link *link, const struct pending *connect, uint32_t tree_id)
{
    struct pending *next = related_to(link, connect);
    for (; next; next = related_to(link, next))
        next->tree_id = tree_id;
}

static void take_tree(struct link *link, struct response_part *part)
{
    struct smb2_message *message = &part->message;
    if (message->header.status == STATUS_SUCCESS)
        tell_tree(link, part->pending, message->header.tree_id);
    enum tree_verdict verdict = tree_response(link, part->pending, message);
    part->forwarded = verdict != TREE_HELD;
    if (verdict != TREE_REFUSED)
        return;
    /* A TREE_CONNECT response (16 bytes of body) has room for an error's 9. */
    struct writer writer = writer_over(message->at + SMB2_HEADER_SIZE, 16);
    error_body_write(&writer);
    smb2_set_status(message->at, STATUS_ACCESS_DENIED);
    smb2_set_tree_id(message->at, 0);
    if (writer_done(&writer))
        cut(message, writer_size(&writer));
}

static void take_tree_disconnect(struct link *link, const struct pending *pending, bool done)
{
    struct tree *tree = session_tree(pending->session, pending->tree_id);
    if (tree)
        tree->leaving = false;
    if (!done)
        return;
    open_close_tree(link, pending->session, pending->tree_id);
    tree_forget(pending->session, pending->tree_id);
}

/* An open, if it succeeded; a file server that sends breaks of it may have been faster. */
static void take_create(struct link *link, struct response_part *part)
{
    struct pending *pending = part->pending;
    struct create_response body;
    struct span message = {part->message.at, part->message.size};
    uint32_t status = part->message.header.status;
    if (!create_response_read(message, &body)) {
        if (status == STATUS_SUCCESS)
            bad_response(link, "create");
        return;
    }
    /* What is no error opens the file: OPLOCK_BREAK_IN_PROGRESS too, to who would not wait. */
    if (status >> 30 != 0)
        return;
    tell_file(link, pending, body.file_id);
    bool recorded = durable_note(pending->session, pending, &body);
    if (pending->read_only)
        create_response_limit(&part->message, READ_ONLY_ACCESS);
    struct open *open =
        open_add(link, pending->session, pending->tree_id, body.file_id, pending->lease);
    pending->lease = NULL;
    if (!open) {
        link_refuse(link, END_LIMIT, EVENT_LIMIT_REACHED, LEG_UPSTREAM, "opens");
        return;
    }
    open->recorded = recorded;
    open->pipe = pending->pipe;
    pending->pipe = NULL;
}

void response_take_final(struct link *link, struct response_part *part)
{
    struct pending *pending = part->pending;
    struct session *session = pending->session;
    uint32_t status = part->message.header.status;
    uint16_t command = pending->command;
    rewrite_header(link, pending, &part->message);
    part->session = session;
    part->encrypt = pending->client_encrypts;
    part->signs = part->forwarded = true;
    if (status == STATUS_SMB_BAD_CLUSTER_DIALECT)
        take_cluster_dialect(link, part);
    else if (has_error_body(&part->message))
        take_error(link, part);
    dialect_clear(&part->message, TO_CLIENT, link->client.dialect, link->server.dialect,
                  status == STATUS_SUCCESS);
    if (command == SMB2_TREE_CONNECT)
        take_tree(link, part);
    if (command == SMB2_CREATE)
        take_create(link, part);
    if (command == SMB2_IOCTL && status == STATUS_SUCCESS)
        durable_note_ioctl(session, (struct span){part->message.at, part->message.size});
    if (command == SMB2_CLOSE && status == STATUS_SUCCESS)
        durable_closed(link, pending->file_id);
    if (command == SMB2_CLOSE && (status == STATUS_SUCCESS || status == STATUS_FILE_CLOSED))
        open_close(link, pending->file_id);
    if (command == SMB2_TREE_DISCONNECT)
        take_tree_disconnect(link, pending, status == STATUS_SUCCESS);
    part->session_id = session->client_id;
    part->ends_session = status == STATUS_USER_SESSION_DELETED ||
                         (command == SMB2_LOGOFF && status == STATUS_SUCCESS);
    if (status == STATUS_NETWORK_SESSION_EXPIRED)
        renewal_expired(session);
    if (command == SMB2_LOGOFF && !part->ends_session)
        session->state = SESSION_VALID;
    pending_remove(&link->pending, pending);
    part->pending = NULL;
}
