/*
 * The first and the last thing that happens to a message of a session: opening and closing it with
 * the keys of its leg.
 */
#include <string.h>

#include "proxy/client_signature.h"
#include "proxy/worker_state.h"

static void refuse(struct leg *leg, const char *reason)
{
    bool client = leg->role == LEG_CLIENT;
    link_refuse(leg->link, client ? END_BAD_SIGNATURE : END_UPSTREAM_SIGNATURE,
                client ? EVENT_BAD_SIGNATURE : EVENT_UPSTREAM_BAD_SIGNATURE, leg->role, reason);
}

static struct session *find_session(const struct leg *leg, uint64_t id)
{
    struct table_entry *entry;
    if (leg->role == LEG_CLIENT)
        return link_session(leg->link, id);
    entry = table_find(&leg->link->upstream_sessions, id);
    return entry ? CONTAINER_OF(entry, struct session, by_upstream_id) : NULL;
}

uint64_t seal_session_of(const struct frame *frame)
{
    struct reader reader = reader_over(frame->at, frame->size);
    uint32_t protocol;
    uint64_t id;
    bool sealed = read_le32(&reader, &protocol) && protocol == SMB2_TRANSFORM_PROTOCOL_ID &&
                  transform_read((struct span){frame->at, frame->size}, &id);
    return sealed ? id : 0;
}

bool seal_open(struct leg *leg, struct frame *frame, struct session **session)
{
    struct reader reader = reader_over(frame->at, frame->size);
    uint32_t protocol;
    uint64_t id;
    *session = NULL;
    if (!read_le32(&reader, &protocol) || protocol != SMB2_TRANSFORM_PROTOCOL_ID)
        return true;
    if (!transform_read((struct span){frame->at, frame->size}, &id)) {
        refuse(leg, "bad_transform");
        return false;
    }
    *session = find_session(leg, id);
    struct sealer *opener = !*session                 ? link_ended_opener(leg, id)
                            : leg->role == LEG_CLIENT ? (*session)->client_open
                                                      : (*session)->upstream_open;
    if (!opener) {
        refuse(leg, "transform_without_session");
        return false;
    }
    if (!sealer_open(opener, frame->at, frame->size)) {
        if (leg->role == LEG_CLIENT && *session)
            client_signature_wrong(*session, NULL, "decryption_failed");
        else
            refuse(leg, "decryption_failed");
        return false;
    }
    if (leg->role == LEG_CLIENT && *session)
        (*session)->client_proved_key = true;
    frame->at += TRANSFORM_HEADER_SIZE;
    frame->size -= TRANSFORM_HEADER_SIZE;
    frame->headroom += TRANSFORM_HEADER_SIZE;
    return true;
}

bool seal_same_session(struct leg *leg, const struct session *session,
                       const struct smb2_header *header)
{
    uint64_t own = leg->role == LEG_CLIENT ? session->client_id : session->upstream_id;
    bool is_break = leg->role == LEG_UPSTREAM && header->message_id == SMB2_MESSAGE_ID_BREAK &&
                    header->session_id == 0;
    if (header->session_id == own || header->session_id == SMB2_SESSION_ID_RELATED || is_break)
        return true;
    refuse(leg, "other_session_inside_transform");
    return false;
}

bool seal_close(struct leg *leg, struct session *session, uint8_t *message, size_t size,
                bool encrypt)
{
    uint32_t flags = get_le32(message + 16);
    if (encrypt) {
        smb2_set_flags(message, flags & ~(uint32_t)SMB2_FLAGS_SIGNED);
        smb2_clear_signature(message);
        return true;
    }
    smb2_set_flags(message, flags | SMB2_FLAGS_SIGNED);
    if (signer_sign(leg->role == LEG_CLIENT ? session->client_signer : session->upstream_signer,
                    message, size))
        return true;
    /* A MessageId that must not be signed: nothing that an honest peer uses. */
    link_end(leg->link, leg->role == LEG_CLIENT ? END_CLIENT_PROTOCOL : END_UPSTREAM_PROTOCOL);
    return false;
}

static struct sealer *sealer_of(const struct leg *leg, const struct session *session)
{
    return leg->role == LEG_CLIENT ? session->client_seal : session->upstream_seal;
}

void seal_send_with(struct leg *leg, struct sealer *sealer, uint8_t *message, size_t size)
{
    if (sealer) {
        if (!sealer_seal(sealer, message, size)) {
            link_end(leg->link, END_MEMORY);
            return;
        }
        message -= TRANSFORM_HEADER_SIZE;
        size += TRANSFORM_HEADER_SIZE;
    }
    if (!stream_send_own(&leg->stream, message, size))
        link_end(leg->link, END_MEMORY);
}

void seal_send_own(struct leg *leg, struct session *session, uint8_t *message, size_t size,
                   bool encrypt)
{
    seal_send_with(leg, encrypt ? sealer_of(leg, session) : NULL, message, size);
}

/* The room that a transport header, and a TRANSFORM_HEADER, need before `at`. */
static bool has_room(const struct frame *frame, const uint8_t *at, bool encrypt, bool taken)
{
    if (at == frame->at)
        return !encrypt || frame->headroom >= TRANSFORM_HEADER_SIZE;
    return !encrypt && !taken;
}

bool seal_send(struct leg *leg, struct session *session, const struct frame *frame, uint8_t *at,
               size_t size, bool encrypt, bool taken)
{
    if (!has_room(frame, at, encrypt, taken)) {
        uint8_t *copy = stream_own(&leg->stream, size);
        if (copy) {
            memcpy(copy, at, size);
            seal_send_own(leg, session, copy, size, encrypt);
        } else {
            link_end(leg->link, END_MEMORY);
        }
        return false;
    }
    if (encrypt) {
        if (!sealer_seal(sealer_of(leg, session), at, size)) {
            link_end(leg->link, END_MEMORY);
            return false;
        }
        at -= TRANSFORM_HEADER_SIZE;
        size += TRANSFORM_HEADER_SIZE;
    }
    if (!stream_send(&leg->stream, frame->buffer, at, size))
        link_end(leg->link, END_MEMORY);
    return true;
}
