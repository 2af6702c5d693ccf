/*
 * Framed, length-checked messages between Countersign's own processes.
 *
 * A channel is one end of a SOCK_SEQPACKET socketpair: the kernel keeps message boundaries. Every
 * message starts with its type and its own total length, which must equal what arrived. A message
 * may carry one descriptor. Whoever sends a malformed message is not listened to any more.
 */
#ifndef COUNTERSIGN_CRYPTO_CHANNEL_H
#define COUNTERSIGN_CRYPTO_CHANNEL_H

#include "crypto/cursor.h"

/* Sizes in bytes. A message is its head (le16 type, le16 zero, le32 length of the whole) and a
 * body. */
enum { CHANNEL_HEAD_SIZE = 8, CHANNEL_MESSAGE_MAX = 80 * 1024 };

struct event_base;
struct channel;

/*
 * What a channel's owner is told. `body` is borrowed for the call. `fd` is a descriptor that came
 * along, now the callee's to close, or -1. Answer false when the message is malformed or not
 * allowed now: the channel is then closed and `gone` called.
 */
struct channel_handler {
    bool (*message)(void *context, uint16_t type, struct span body, int fd);
    /* The other end closed, or sent something malformed (then `malformed` is true). Called once;
     * the channel may be freed in it. Nothing is called after it. */
    void (*gone)(void *context, bool malformed);
};

/* Makes a connected pair of non-blocking, close-on-exec descriptors; false with errno set. */
MUST_USE bool channel_pair(int fds[2]);

/* Takes over `fd` (also when it fails: then it is closed and NULL returned). Reads from the event
 * loop `base`; `handler` must outlive the channel. */
struct channel *channel_new(struct event_base *base, int fd, const struct channel_handler *handler,
                            void *context);

/* Closes the descriptor and drops what was still queued. NULL is allowed. */
void channel_free(struct channel *channel);

/*
 * Queues a message; it is sent at once when the socket takes it. `fd` (or -1) is duplicated for the
 * message, the caller keeps its own. False when the message is too long, memory is short, the other
 * end is gone, or more than CHANNEL_QUEUE_MAX messages already wait (a peer that does not read).
 */
enum { CHANNEL_QUEUE_MAX = 4096 };
MUST_USE bool channel_send(struct channel *channel, uint16_t type, struct span body, int fd);

/* True when a message could not be sent because the other end is gone. What it said before can
 * still be read; then comes `gone`. */
bool channel_is_deserted(const struct channel *channel);

/* Messages that still wait to be sent. */
size_t channel_queued(const struct channel *channel);

#endif
