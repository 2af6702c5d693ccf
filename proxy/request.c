/*
 * Requests: from the client leg to the upstream leg.
 *
 * A frame is a chain of one or more requests. First every one of them is found to be whole, of a
 * session, and validly signed; only then is anything decided. A refused request takes its related
 * successors with it, so what goes on of a related chain is always its beginning.
 */
#include "proxy/body.h"
#include "proxy/charge.h"
#include "proxy/client_signature.h"
#include "proxy/durable.h"
#include "proxy/expiry.h"
#include "proxy/guard.h"
#include "proxy/request_part.h"
#include "proxy/worker_state.h"

enum { CHAIN_MAX = 256 };

/* A worker handles one frame at a time. */
static struct request_part parts[CHAIN_MAX];

static void bad_request(struct link *link, const char *reason)
{
    link_refuse(link, END_CLIENT_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_CLIENT, reason);
}

/* Fills parts[]; their number, or 0 with the link ended. */
static size_t split(struct link *link, struct frame *frame, const struct session *opened)
{
    struct chain rest = {frame->at, frame->size};
    size_t count = 0;
    enum chain_step step;
    while ((step = chain_next(&rest, &parts[count].message)) == CHAIN_MESSAGE) {
        if (parts[count].message.header.flags & SMB2_FLAGS_SERVER_TO_REDIR) {
            bad_request(link, "response_from_client");
            return 0;
        }
        if (parts[count].message.header.command == SMB2_NEGOTIATE) {
            bad_request(link, "second_negotiate"); /* MS-SMB2 3.3.5.4 */
            return 0;
        }
        /* Only a CANCEL may be asynchronous; elsewhere the flag would hide the TreeId. */
        if (parts[count].message.header.flags & SMB2_FLAGS_ASYNC_COMMAND &&
            parts[count].message.header.command != SMB2_CANCEL) {
            bad_request(link, "asynchronous_request");
            return 0;
        }
        if (opened && !seal_same_session(&link->client, opened, &parts[count].message.header))
            return 0;
        parts[count].message.header.encrypted = opened != NULL;
        parts[count].session = NULL;
        parts[count].tree = NULL;
        parts[count].encrypt = parts[count].placed = false;
        parts[count].alone = (struct frame){0};
        parts[count].pending = parts[count].before = NULL;
        parts[count].verdict = (struct verdict){VERDICT_FORWARD, 0};
        if (++count == CHAIN_MAX)
            break;
    }
    if (step == CHAIN_END && count)
        return count;
    bad_request(link, step == CHAIN_MESSAGE ? "chain_too_long" : "broken_chain");
    return 0;
}

/* The client may only use MessageIds that it was granted, each once (MS-SMB2 3.3.5.2.3). */
static bool take_credits(struct link *link, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct smb2_header *header = &parts[i].message.header;
        uint32_t charge = charge_client(link, header);
        if (!charge || credit_window_take(&link->window, header->message_id, charge))
            continue;
        if (credit_window_used(&link->window, header->message_id))
            link_refuse(link, END_CLIENT_PROTOCOL, EVENT_MESSAGE_REPLAYED, LEG_CLIENT,
                        "message_id_used");
        else
            bad_request(link, "message_id");
        return false;
    }
    return true;
}

static void refuse_part(struct request_part *part, uint32_t status)
{
    part->verdict = (struct verdict){VERDICT_REFUSE, status};
}

/* Where a session or share is encrypted, a request that is only signed gets no further (MS-SMB2
 * 3.3.5.2.9, 3.3.5.2.11). An asynchronous CANCEL names no tree, and carries nothing. */
static void check_encryption(struct link *link, struct request_part *part)
{
    const struct session *session = part->session;
    if (!session || part->message.header.encrypted ||
        part->message.header.flags & SMB2_FLAGS_ASYNC_COMMAND ||
        !(session->client_encrypts || (part->tree && part->tree->client_encrypts)))
        return;
    report_event(EVENT_UNENCRYPTED_REFUSED, link, session, LEG_CLIENT,
                 session->client_encrypts ? "session" : "share", "refused");
    if (part->verdict.what == VERDICT_FORWARD)
        refuse_part(part, STATUS_ACCESS_DENIED);
}

/* A related request is of the tree of the one before (MS-SMB2 3.3.5.2.7.2). A TREE_CONNECT is of
 * none, whatever TreeId it carries: what is related to it is of the tree that it makes. */
static struct tree *tree_of(size_t i)
{
    const struct smb2_header *header = &parts[i].message.header;
    if (header->command == SMB2_TREE_CONNECT)
        return NULL;
    return header->flags & SMB2_FLAGS_RELATED_OPERATIONS && i
               ? parts[i - 1].tree
               : session_tree(parts[i].session, header->tree_id);
}

/* Finds the session of each part and verifies it; false with the link ended. A frame that was held
 * comes here twice: nothing may be told or changed that must be so only once. */
static bool authenticate(struct link *link, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct request_part *part = &parts[i];
        const struct smb2_header *header = &part->message.header;
        bool related = header->flags & SMB2_FLAGS_RELATED_OPERATIONS;
        /* A related request is of the session of the one before, whatever its header says
         * (MS-SMB2 3.3.5.2.7.2). */
        part->session =
            related && i ? parts[i - 1].session : link_session(link, header->session_id);
        if (part->session && part->session->state >= SESSION_VALID) {
            if (!client_signature_check(part->session, &part->message))
                return false;
            part->tree = tree_of(i);
            part->encrypt =
                part->session->upstream_encrypts || (part->tree && part->tree->upstream_encrypts);
            if (part->session->state == SESSION_LOGGING_OFF)
                refuse_part(part, STATUS_USER_SESSION_DELETED);
            else if (expiry_refuses(part->session, &part->message))
                refuse_part(part, STATUS_NETWORK_SESSION_EXPIRED);
        } else if (header->command != SMB2_ECHO || header->session_id) {
            part->session = NULL;
            refuse_part(part,
                        related && i ? STATUS_INVALID_PARAMETER : STATUS_USER_SESSION_DELETED);
        }
        if (related && i == 0)
            refuse_part(part, STATUS_INVALID_PARAMETER);
    }
    return true;
}

/* What ends so may be a share of pipes, by whatever name; only the answer tells. */
static bool ends_with_dollar(struct span share)
{
    struct span last;
    return share.size >= 2 && span_slice(share, share.size - 2, 2, &last) &&
           get_le16(last.at) == '$';
}

/* Rules about shares, or a share of pipes: IPC$, and ADMIN$ with some. */
static bool has_rules(const struct link *link, const struct request_part *tree_connect)
{
    struct tree_connect_request body;
    struct span server, share;
    const struct smb2_message *message = &tree_connect->message;
    bool is_plain = tree_connect_request_read((struct span){message->at, message->size},
                                              link->client.dialect, &body) &&
                    tree_path_split(body.path, &server, &share);
    return !is_plain || ends_with_dollar(share) || link->rules->config->rules_count ||
           link->rules->config->otherwise != CONFIG_ALLOW ||
           link->listener->encrypted_shares_count || link->upstream->encrypted_shares_count;
}

/* A tree that we know nothing of might be one that we have refused. Behind a TREE_CONNECT in its
 * own chain a tree has no id yet: not where shares have rules. */
static bool may_lack_tree(const struct link *link, size_t i)
{
    uint16_t command = parts[i].message.header.command;
    if (command == SMB2_TREE_CONNECT || command == SMB2_LOGOFF || command == SMB2_OPLOCK_BREAK)
        return true;
    while (i && parts[i].message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS)
        if (parts[--i].message.header.command == SMB2_TREE_CONNECT)
            return !has_rules(link, &parts[i]);
    return false;
}

/* Whether a request is in a tree whose verdict holds for it, or needs none. Behind a
 * TREE_DISCONNECT the file server may have given the TreeId to another. */
static bool has_tree(const struct link *link, size_t i)
{
    struct tree *tree = parts[i].tree;
    if (!tree || tree->leaving)
        return may_lack_tree(link, i);
    tree->leaving = parts[i].message.header.command == SMB2_TREE_DISCONNECT;
    return true;
}

static void decide(struct link *link, size_t count)
{
    struct open *named = NULL;
    for (size_t i = 0; i < count && !link_ended(link); i++) {
        struct request_part *part = &parts[i];
        uint16_t command = part->message.header.command;
        if (!(part->message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS))
            named = NULL;
        check_encryption(link, part);
        if (part->verdict.what != VERDICT_FORWARD)
            continue;
        if (i && part->message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS &&
            parts[i - 1].verdict.what != VERDICT_FORWARD) {
            uint32_t status = parts[i - 1].verdict.status;
            refuse_part(part, status ? status : STATUS_INVALID_PARAMETER);
        } else if (command == SMB2_SESSION_SETUP) {
            refuse_part(part, STATUS_INVALID_PARAMETER); /* never in a chain */
        } else {
            part->verdict = command_decide(link, part->session, &part->message);
            if (part->verdict.what == VERDICT_FORWARD && !has_tree(link, i))
                refuse_part(part, STATUS_NETWORK_NAME_DELETED);
            else if (part->verdict.what == VERDICT_FORWARD)
                part->verdict =
                    guard_request(link, part->session, part->tree, &part->message, &named);
        }
    }
}

/* What of the file server's credits the frame will cost at most. */
static uint32_t upstream_charge(const struct link *link, size_t count)
{
    uint32_t charge = 0;
    for (size_t i = 0; i < count; i++)
        if (parts[i].session && parts[i].verdict.what == VERDICT_FORWARD)
            charge += charge_upstream(link, &parts[i].message.header);
    return charge;
}

/* Is there nothing to wait for? Waiting for what will never come ends the link. */
static bool may_go_on(struct link *link, uint32_t charge)
{
    if (charge <= link->purse.available)
        return link->durable.state != DURABLE_ASKED;
    if (link->purse.outstanding == 0)
        bad_request(link, "more_than_the_file_server_takes");
    return false;
}

/* True when the frame gets no further now, since the file server's credits do not suffice or the
 * recorder has to be asked: it is kept. Its MessageIds have been used, nothing else has been done.
 */
static bool hold(struct link *link, struct frame *frame, size_t count, const struct session *opened)
{
    uint32_t charge = upstream_charge(link, count);
    for (size_t i = 0; i < count && !durable_must_ask(link, parts[i].session, &parts[i].message);
         i++)
        ;
    if (may_go_on(link, charge))
        return false;
    if (link_ended(link))
        return true;
    link->held_frame = *frame;
    link->held_session = opened ? opened->client_id : 0;
    link->held_charge = charge;
    buffer_share(frame->buffer);
    link->frame_is_held = true;
    return true;
}

/* Anything but SMB2 in an established connection. */
static bool is_foreign(struct link *link, const struct frame *frame)
{
    struct reader reader = reader_over(frame->at, frame->size);
    uint32_t protocol;
    if (!read_le32(&reader, &protocol) || protocol == SMB2_PROTOCOL_ID)
        return false;
    if (protocol == SMB1_PROTOCOL_ID)
        link_refuse(link, END_CLIENT_PROTOCOL, EVENT_SMB1_REFUSED, LEG_CLIENT,
                    "smb1_after_negotiate");
    else
        bad_request(link, protocol == SMB2_TRANSFORM_PROTOCOL_ID ? "encryption_not_negotiated"
                                                                 : "unknown_protocol");
    return true;
}

/* A frame whose MessageIds have been used; it is verified again when it comes back from being held,
 * for its sessions may have ended meanwhile. */
static void take_frame(struct link *link, struct frame *frame, size_t count,
                       const struct session *opened)
{
    if (!authenticate(link, count) || hold(link, frame, count, opened))
        return;
    decide(link, count);
    request_carry_out(link, frame, parts, count);
    link->durable.state = DURABLE_NOTHING;
    for (size_t i = 0; i < count; i++)
        buffer_release(parts[i].alone.buffer);
}

/* A frame in a TRANSFORM of a session that has ended: nothing of it is carried out. */
static void take_ended(struct link *link, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count && !link_ended(link); i++) {
        const struct smb2_header *header = &parts[i].message.header;
        if (header->session_id != id && header->session_id != SMB2_SESSION_ID_RELATED)
            link_refuse(link, END_BAD_SIGNATURE, EVENT_BAD_SIGNATURE, LEG_CLIENT,
                        "other_session_inside_transform");
        else if (header->command != SMB2_CANCEL)
            answer_ended(link, header, id);
    }
}

void request_frame(struct link *link, struct frame *frame)
{
    struct session *opened;
    uint64_t sealed = seal_session_of(frame);
    if (!seal_open(&link->client, frame, &opened) || is_foreign(link, frame))
        return;
    size_t count = split(link, frame, opened);
    if (count == 0 || !take_credits(link, count))
        return;
    if (sealed && !opened)
        take_ended(link, count, sealed);
    else if (count == 1 && parts[0].message.header.command == SMB2_SESSION_SETUP)
        client_session_setup(link, &parts[0].message);
    else
        take_frame(link, frame, count, opened);
}

/* The frame has been decrypted, if it was encrypted, perhaps in a session that has ended since. */
void request_retry(struct link *link)
{
    if (link->durable.state == DURABLE_ASKED && !link_session(link, link->durable.session_id))
        link->durable.state = DURABLE_NOTHING;
    if (!link->frame_is_held || !may_go_on(link, link->held_charge))
        return;
    struct frame frame = link->held_frame;
    const struct session *opened = link_session(link, link->held_session);
    link->frame_is_held = false;
    link->held_charge = 0;
    size_t count = split(link, &frame, opened);
    if (link->held_session && !opened) {
        take_ended(link, count, link->held_session);
        link->durable.state = DURABLE_NOTHING;
    } else if (count) {
        take_frame(link, &frame, count, opened);
    }
    buffer_release(frame.buffer);
}
