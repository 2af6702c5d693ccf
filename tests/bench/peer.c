#include "tests/bench/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_SIZE = 4, /* of direct TCP (MS-SMB2 2.1) */
    ROOM = PEER_DATA_MAX + 64 * 1024,
    BATCH = 64 * 1024, /* small messages go out together */
};

bool peer_open(struct peer *peer, int fd, bool server)
{
    int on = 1;
    *peer = (struct peer){.fd = fd, .server = server, .in = malloc(ROOM), .out = malloc(ROOM)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    preauth_start(&peer->preauth);
    if (peer->in && peer->out)
        return true;
    peer_close(peer);
    return false;
}

void peer_close(struct peer *peer)
{
    peer_forget_session(peer);
    free(peer->in);
    free(peer->out);
    close(peer->fd);
}

static bool flush(struct peer *peer)
{
    size_t sent = 0;
    while (sent < peer->out_end) {
        ssize_t more = send(peer->fd, &peer->out[sent], peer->out_end - sent, MSG_NOSIGNAL);
        if (more < 0 && errno != EINTR)
            return false;
        if (more > 0)
            sent += (size_t)more;
    }
    peer->out_end = 0;
    return true;
}

/* What stands before a message in its frame. */
static size_t front_size(const struct peer *peer)
{
    return HEAD_SIZE + (peer->encrypts ? TRANSFORM_HEADER_SIZE : 0);
}

uint8_t *peer_message(struct peer *peer, size_t size)
{
    size_t whole = front_size(peer) + size;
    if (whole > ROOM || (whole > ROOM - peer->out_end && !flush(peer)))
        return NULL;
    return &peer->out[peer->out_end + front_size(peer)];
}

/* As its session goes; the last step before it is sent. */
static bool close_message(struct peer *peer, uint8_t *message, size_t size)
{
    uint32_t flags = get_le32(&message[16]) & ~(uint32_t)SMB2_FLAGS_SIGNED;
    bool is_signed = peer->signer && !peer->encrypts;
    smb2_set_flags(message, is_signed ? flags | SMB2_FLAGS_SIGNED : flags);
    if (is_signed)
        return signer_sign(peer->signer, message, size);
    return !peer->encrypts || sealer_seal(peer->seal, message, size);
}

bool peer_send(struct peer *peer, uint8_t *message, size_t size)
{
    uint8_t *head = &peer->out[peer->out_end];
    if (!close_message(peer, message, size))
        return false;
    peer->out_end += front_size(peer) + size;
    size += front_size(peer) - HEAD_SIZE;
    head[0] = 0;
    head[1] = (uint8_t)(size >> 16);
    head[2] = (uint8_t)(size >> 8);
    head[3] = (uint8_t)size;
    return peer->out_end < BATCH || flush(peer);
}

/* Bytes of the frame at in_start with its head, or what is needed to know. */
static size_t frame_size(const struct peer *peer)
{
    const uint8_t *head = &peer->in[peer->in_start];
    if (peer->in_end - peer->in_start < HEAD_SIZE)
        return HEAD_SIZE;
    return HEAD_SIZE + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
}

/* Reads until a whole frame is there. */
static bool fill(struct peer *peer)
{
    size_t size;
    if (peer->in_start == peer->in_end)
        peer->in_start = peer->in_end = 0;
    while ((size = frame_size(peer)) > peer->in_end - peer->in_start || size == HEAD_SIZE) {
        if (size > ROOM || !flush(peer))
            return false;
        if (peer->in_start + size > ROOM) {
            memmove(peer->in, &peer->in[peer->in_start], peer->in_end - peer->in_start);
            peer->in_end -= peer->in_start;
            peer->in_start = 0;
        }
        ssize_t got = recv(peer->fd, &peer->in[peer->in_end], ROOM - peer->in_end, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0)
            peer->in_end += (size_t)got;
    }
    return true;
}

/* Takes the encryption off, if there is one: it must be this session's. */
static bool open_frame(struct peer *peer, struct span *frame, uint8_t *at)
{
    uint64_t session_id;
    if (!transform_read(*frame, &session_id))
        return true;
    if (!peer->open || session_id != peer->session_id || !sealer_open(peer->open, at, frame->size))
        return false;
    return span_slice(*frame, TRANSFORM_HEADER_SIZE, frame->size - TRANSFORM_HEADER_SIZE, frame);
}

bool peer_receive(struct peer *peer, struct smb2_message *message)
{
    if (!fill(peer))
        return false;
    size_t size = frame_size(peer);
    uint8_t *at = &peer->in[peer->in_start + HEAD_SIZE];
    struct span frame = {at, size - HEAD_SIZE};
    peer->in_start += size;
    if (!open_frame(peer, &frame, at) || !smb2_header_read(frame, &message->header) ||
        message->header.next_command)
        return false;
    bool encrypted = frame.size < size - HEAD_SIZE;
    message->header.encrypted = encrypted;
    message->at = encrypted ? &at[TRANSFORM_HEADER_SIZE] : at;
    message->size = frame.size;
    if (peer->server)
        peer->encrypts = encrypted;
    return encrypted || !peer->signer || signer_verify(peer->signer, message->at, message->size);
}

bool peer_session(struct peer *peer, const struct session_key *key,
                  const struct preauth_hash *preauth)
{
    struct session_keys keys;
    if (!session_keys_derive(SMB_3_1_1, peer->cipher, key, preauth, &keys))
        return false;
    const uint8_t *sent = peer->server ? keys.server_to_client : keys.client_to_server;
    const uint8_t *received = peer->server ? keys.client_to_server : keys.server_to_client;
    peer->signer = signer_new(peer->signing, keys.signing);
    if (peer->cipher) {
        peer->seal = sealer_new(peer->cipher, sent, peer->session_id, true);
        peer->open = sealer_new(peer->cipher, received, peer->session_id, false);
    }
    session_keys_wipe(&keys);
    return peer->signer && (!peer->cipher || (peer->seal && peer->open));
}

void peer_forget_session(struct peer *peer)
{
    signer_free(peer->signer);
    sealer_free(peer->seal);
    sealer_free(peer->open);
    peer->signer = NULL;
    peer->seal = peer->open = NULL;
    peer->session_id = 0;
    peer->encrypts = false;
}
