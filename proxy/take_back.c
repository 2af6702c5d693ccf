/*
 * Requests of our own that give back to the file server what no client has any more: LOGOFF and
 * TREE_DISCONNECT, which have the same body. Nobody waits for their answers.
 */
#include "proxy/body.h"
#include "proxy/worker_state.h"

enum { ROOM = SMB2_HEADER_SIZE + 4 };

static bool write_request(uint8_t *message, const struct smb2_header *header)
{
    struct writer writer = writer_over(message, ROOM);
    smb2_header_write(&writer, header);
    empty_body_write(&writer);
    return writer_done(&writer);
}

void take_back(struct session *session, uint16_t command, uint32_t tree_id, bool encrypt)
{
    struct link *link = session->link;
    if (!session->upstream_signer || link->purse.available == 0)
        return;
    uint8_t *message = stream_own(&link->server.stream, ROOM);
    if (!message)
        return;
    uint64_t id = credit_purse_spend(&link->purse, 1);
    struct pending *pending = pending_add(&link->pending, PENDING_UNHEARD, id, NULL);
    const struct smb2_header header = {
        .credit_charge = link->server.dialect >= SMB_2_1,
        .command = command,
        .credits = 1,
        .flags = SMB2_FLAGS_SIGNED,
        .message_id = id,
        .tree_id = tree_id,
        .session_id = session->upstream_id,
    };
    if (!pending || !write_request(message, &header)) {
        link_end(link, END_MEMORY);
        return;
    }
    if (!seal_close(&link->server, session, message, ROOM, encrypt))
        return;
    pending->command = command;
    pending->upstream_charge = 1;
    seal_send_own(&link->server, session, message, ROOM, encrypt);
}
