/*
 * What becomes of a frame of requests that have been decided about: what may go on is rewritten in
 * place, signed with the upstream key and queued as the chain that it was.
 */
#include <string.h>

#include "proxy/body.h"
#include "proxy/charge.h"
#include "proxy/durable.h"
#include "proxy/guard.h"
#include "proxy/open.h"
#include "proxy/request_part.h"
#include "proxy/worker_state.h"

enum { TOP_UP = 256, WANTED_TOTAL = 1024 };

/* Where an end of file may have to be confirmed (MS-SMB2 2.2.19). */
static void note_read(struct span bytes, struct pending *pending)
{
    struct span file_id, offset;
    if (span_slice(bytes, SMB2_HEADER_SIZE + 8, 8, &offset))
        pending->read_offset = get_le64(offset.at);
    if (span_slice(bytes, SMB2_HEADER_SIZE + 16, FILE_ID_SIZE, &file_id))
        memcpy(pending->file_id, file_id.at, FILE_ID_SIZE);
}

/* What will have to be known when the answer comes. */
static bool note_open(struct link *link, struct request_part *part, struct pending *pending)
{
    struct span bytes = {part->message.at, part->message.size};
    struct span file_id;
    bool failed = false;
    if (pending->command == SMB2_CREATE) {
        link->creates_pending++;
        pending->lease = lease_of_create(link, bytes, &failed);
        pending->had_back = durable_is_had_back(part->session, bytes);
        failed = failed || !guard_note(part->session, part->tree, bytes, pending);
    } else if (pending->command == SMB2_TREE_CONNECT) {
        failed = !tree_note(pending, bytes, link->client.dialect);
    } else if (pending->command == SMB2_CLOSE &&
               span_slice(bytes, SMB2_HEADER_SIZE + 8, FILE_ID_SIZE, &file_id)) {
        memcpy(pending->file_id, file_id.at, FILE_ID_SIZE);
    }
    if (pending->command == SMB2_READ && link->upstream->quirk_bits)
        note_read(bytes, pending);
    return !failed;
}

/* What we ask the file server for: what the client wants, and more while we hold few. */
static uint16_t credits_to_ask(const struct link *link, const struct smb2_header *header,
                               uint32_t charge)
{
    uint32_t total = link->purse.available + link->purse.outstanding;
    uint32_t ask = header->credits > charge ? header->credits : charge;
    if (total < WANTED_TOTAL && ask < TOP_UP)
        ask = TOP_UP;
    return ask > UINT16_MAX ? UINT16_MAX : (uint16_t)ask;
}

/* Rewrites one part in place and signs it for the file server. False with the link ended. */
static bool rewrite(struct link *link, struct request_part *part, bool last_of_run)
{
    struct smb2_message *message = &part->message;
    const struct smb2_header *header = &message->header;
    uint32_t charge = charge_upstream(link, header);
    uint64_t id = credit_purse_spend(&link->purse, charge);
    struct pending *pending = pending_add(&link->pending, PENDING_FORWARDED, id, part->session);
    if (!pending) {
        link_end(link, END_MEMORY);
        return false;
    }
    pending_add_client_id(&link->pending, pending, header->message_id);
    pending->command = header->command;
    pending->upstream_charge = (uint16_t)charge;
    pending->client_charge = header->credit_charge;
    pending->credits_wanted = header->credits;
    pending->process_id = header->process_id;
    /* A related request is of the tree of the one before (MS-SMB2 3.3.5.2.7.2). */
    pending->tree_id = part->before ? part->before->tree_id : header->tree_id;
    pending->client_encrypts = header->encrypted || part->session->client_encrypts;
    pending->upstream_encrypts = part->encrypt;
    if (!note_open(link, part, pending)) {
        link_end(link, END_MEMORY);
        return false;
    }
    if (part->before)
        part->before->related_next = id;
    part->pending = pending;
    command_translate(link, message);
    if (header->command == SMB2_TREE_CONNECT)
        tree_name_server(link, message);
    smb2_set_credits(message->at, credits_to_ask(link, header, charge));
    smb2_set_message_id(message->at, id);
    /* "The session of the one before" stays as it is (MS-SMB2 3.2.4.1.4). */
    if (header->session_id != SMB2_SESSION_ID_RELATED)
        smb2_set_session_id(message->at, part->session->upstream_id);
    if (last_of_run)
        smb2_set_next_command(message->at, 0);
    if (!seal_close(&link->server, part->session, message->at, message->size, part->encrypt))
        return false;
    if (link->upstream->quirk_bits)
        memcpy(pending->signature, message->at + SIGNATURE_OFFSET, sizeof pending->signature);
    return true;
}

/* Parts that may share a frame: one TRANSFORM is of one session. */
static bool same_frame(const struct request_part *first, const struct request_part *next)
{
    return (next == first || next->message.header.command != SMB2_TREE_CONNECT) &&
           next->verdict.what == VERDICT_FORWARD && next->encrypt == first->encrypt &&
           (!first->encrypt || next->session == first->session);
}

/* The path of a TREE_CONNECT gets longer by the file server's own name: where there is no room for
 * that, it moves to a frame of its own with all that follows it in its run. False when out of
 * memory.
 */
static bool make_room(struct link *link, struct request_part *parts, size_t first, size_t end)
{
    struct smb2_message *head = &parts[first].message;
    size_t needed = tree_name_room(link, head), size = needed;
    if (needed == head->size)
        return true;
    for (size_t i = first + 1; i < end; i++)
        size += parts[i].message.size;
    struct frame alone = frame_alone(&link->worker->buffers, size);
    if (!alone.buffer)
        return false;
    memset(alone.at, 0, needed);
    size_t at = 0;
    for (size_t i = first; i < end; i++) {
        struct smb2_message *message = &parts[i].message;
        memcpy(&alone.at[at], message->at, message->size);
        message->at = &alone.at[at];
        at += i == first ? needed : message->size;
    }
    head->size = needed;
    smb2_set_next_command(head->at, (uint32_t)needed);
    parts[first].alone = alone;
    return true;
}

/* Queues a run of neighbouring parts as one frame; the number of parts. */
static size_t forward_run(struct link *link, struct frame *frame, struct request_part *parts,
                          size_t first, size_t count)
{
    const struct request_part *head = &parts[first];
    size_t size = 0, i = first, end = first;
    while (end < count && same_frame(head, &parts[end]))
        end++;
    if (head->message.header.command == SMB2_TREE_CONNECT && !make_room(link, parts, first, end)) {
        link_end(link, END_MEMORY);
        return count;
    }
    for (; i < end; i++) {
        if (i > first && parts[i].message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS)
            parts[i].before = parts[i - 1].pending;
        if (!rewrite(link, &parts[i], i + 1 == end))
            return count;
        size += parts[i].message.size;
    }
    bool placed =
        seal_send(&link->server, head->session, head->alone.buffer ? &head->alone : frame,
                  head->message.at, size, head->encrypt, first && parts[first - 1].placed);
    parts[i - 1].placed = placed && !head->alone.buffer;
    return i - first;
}

static void answer_refused(struct link *link, const struct request_part *part)
{
    if (!part->session)
        answer_no_session(link, &part->message, part->verdict.status);
    else
        answer_error(link, part->session, &part->message.header, part->verdict.status);
}

void request_carry_out(struct link *link, struct frame *frame, struct request_part *parts,
                       size_t count)
{
    size_t i = 0;
    /* Answers are made before a run's transport header overwrites the end of what stands before it.
     */
    for (size_t j = 0; j < count && !link_ended(link); j++)
        if (parts[j].verdict.what == VERDICT_REFUSE &&
            parts[j].message.header.command != SMB2_CANCEL)
            answer_refused(link, &parts[j]);
    while (i < count && !link_ended(link)) {
        if (parts[i].verdict.what == VERDICT_FORWARD)
            i += forward_run(link, frame, parts, i, count);
        else
            i++;
    }
}
