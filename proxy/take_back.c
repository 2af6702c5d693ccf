/*
 * Requests of our own that give back to the file server what no client has any more: LOGOFF and
 * TREE_DISCONNECT, which have the same body. Nobody waits for their answers.
 */
#include <stdlib.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

enum { ROOM = SMB2_HEADER_SIZE + 4 };

/* A LOGOFF that waits for a credit, with the keys of its session. */
struct kept_logoff {
    struct kept_logoff *next;
    uint64_t session_id;
    struct signer *signer;
    struct sealer *sealer; /* NULL: it is signed */
};

static bool write_request(uint8_t *message, const struct smb2_header *header)
{
    struct writer writer = writer_over(message, ROOM);
    smb2_header_write(&writer, header);
    empty_body_write(&writer);
    return writer_done(&writer);
}

/* There is a credit. */
static void send_back(struct link *link, struct smb2_header header, struct signer *signer,
                      struct sealer *sealer)
{
    uint8_t *message = stream_own(&link->server.stream, ROOM);
    if (!message)
        return;
    header.message_id = credit_purse_spend(&link->purse, 1);
    header.credit_charge = link->server.dialect >= SMB_2_1;
    header.credits = 1;
    header.flags = sealer ? 0 : SMB2_FLAGS_SIGNED;
    struct pending *pending = pending_add(&link->pending, PENDING_UNHEARD, header.message_id, NULL);
    if (!pending || !write_request(message, &header)) {
        link_end(link, END_MEMORY);
        return;
    }
    pending->command = header.command;
    pending->upstream_charge = 1;
    if (!sealer && !signer_sign(signer, message, ROOM))
        link_end(link, END_UPSTREAM_PROTOCOL);
    else
        seal_send_with(&link->server, sealer, message, ROOM);
}

void take_back_tree(struct session *session, uint32_t tree_id, bool encrypt)
{
    const struct smb2_header header = {
        .command = SMB2_TREE_DISCONNECT, .tree_id = tree_id, .session_id = session->upstream_id};
    /* Without a credit it stays: nothing is open in it, and it ends with the session. */
    if (session->link->purse.available)
        send_back(session->link, header, session->upstream_signer,
                  encrypt ? session->upstream_seal : NULL);
}

/* What is open in it, and locked, would be so until the link ends. */
static void keep(struct session *session)
{
    struct kept_logoff *kept = malloc(sizeof *kept), **last = &session->link->kept_logoffs;
    if (!kept)
        return;
    *kept = (struct kept_logoff){.session_id = session->upstream_id,
                                 .signer = session->upstream_signer};
    session->upstream_signer = NULL;
    if (session->upstream_encrypts) {
        kept->sealer = session->upstream_seal;
        session->upstream_seal = NULL;
    }
    while (*last)
        last = &(*last)->next;
    *last = kept;
}

void take_back_session(struct session *session)
{
    struct link *link = session->link;
    const struct smb2_header header = {.command = SMB2_LOGOFF, .session_id = session->upstream_id};
    if (!session->upstream_id || !session->upstream_signer)
        return;
    if (link->purse.available)
        send_back(link, header, session->upstream_signer,
                  session->upstream_encrypts ? session->upstream_seal : NULL);
    else
        keep(session);
}

static void drop_first(struct link *link)
{
    struct kept_logoff *kept = link->kept_logoffs;
    link->kept_logoffs = kept->next;
    signer_free(kept->signer);
    sealer_free(kept->sealer);
    free(kept);
}

void take_back_resume(struct link *link)
{
    while (link->kept_logoffs && link->purse.available && !link_ended(link)) {
        const struct kept_logoff *kept = link->kept_logoffs;
        const struct smb2_header header = {.command = SMB2_LOGOFF, .session_id = kept->session_id};
        send_back(link, header, kept->signer, kept->sealer);
        drop_first(link);
    }
}

void take_back_drop(struct link *link)
{
    while (link->kept_logoffs)
        drop_first(link);
}
