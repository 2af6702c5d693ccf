/*
 * CANCEL (MS-SMB2 3.2.4.24, 3.3.5.16): built here, since it names its target by the file server's
 * MessageId or AsyncId; signed; sent at most once for a request, for a second one would repeat a
 * nonce.
 */
#include "proxy/body.h"
#include "proxy/worker_state.h"

static struct pending *find_target(const struct link *link, const struct session *session,
                                   const struct smb2_header *cancel)
{
    struct pending *pending = cancel->flags & SMB2_FLAGS_ASYNC_COMMAND
                                  ? pending_by_async_id(&link->pending, cancel->async_id)
                                  : pending_by_client_id(&link->pending, cancel->message_id);
    bool usable = pending && pending->session == session && pending->kind == PENDING_FORWARDED &&
                  !pending->answered && !pending->cancelled;
    return usable ? pending : NULL;
}

void cancel_forward(struct link *link, struct session *session, const struct smb2_header *cancel)
{
    struct pending *pending = session ? find_target(link, session, cancel) : NULL;
    if (!pending)
        return;
    uint8_t *message = stream_own(&link->server.stream, SMB2_HEADER_SIZE + 4);
    if (!message) {
        link_end(link, END_MEMORY);
        return;
    }
    bool async = pending->interim != INTERIM_NONE;
    struct smb2_header header = {
        .command = SMB2_CANCEL,
        .flags = SMB2_FLAGS_SIGNED | (async ? SMB2_FLAGS_ASYNC_COMMAND : 0),
        .message_id = pending->by_upstream_id.key,
        .async_id = async ? pending->by_async_id.key : 0,
        .session_id = session->upstream_id,
    };
    struct writer writer = writer_over(message, SMB2_HEADER_SIZE + 4);
    smb2_header_write(&writer, &header);
    empty_body_write(&writer);
    bool encrypt = pending->upstream_encrypts;
    if (!writer_done(&writer) ||
        !seal_close(&link->server, session, message, writer_size(&writer), encrypt))
        return;
    pending->cancelled = true;
    seal_send_own(&link->server, session, message, writer_size(&writer), encrypt);
}
