#include "crypto/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/crypto.h>

enum {
    /* So that one busy channel does not keep the event loop from the others. */
    MESSAGES_PER_WAKEUP = 32,
    /* Room for more descriptors than are allowed, so that a second one is seen and closed. */
    DESCRIPTORS_SEEN = 4,
    SEND_BUFFER = 4 * CHANNEL_MESSAGE_MAX,
};

/* A message that the socket did not take yet. */
struct waiting {
    STAILQ_ENTRY(waiting) next;
    int fd; /* a duplicate of our own, or -1 */
    size_t size;
    uint8_t bytes[];
};

struct channel {
    int fd; /* -1 once closed */
    struct event *readable;
    struct event *writable;
    const struct channel_handler *handler;
    void *context;
    STAILQ_HEAD(, waiting) queue;
    size_t queued;
    bool deserted;
    bool *freed; /* set while the handler runs: where to leave word that it freed the channel */
};

/* Ancillary data needs the alignment of its header (cmsg(3)). */
union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(DESCRIPTORS_SEEN * sizeof(int))];
};

struct received {
    size_t size;
    int fd;     /* -1 when none */
    bool whole; /* nothing cut off, at most one descriptor and nothing else beside the bytes */
};

bool channel_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    /* A system with a small default would refuse the longest messages. The kernel cuts the size to
     * its limit by itself; it fails only for something that is no socket. */
    int size = SEND_BUFFER;
    for (int i = 0; i < 2; i++) {
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0) {
            int reason = errno;
            close(fds[0]);
            close(fds[1]);
            errno = reason;
            return false;
        }
    }
    return true;
}

static void drop_waiting(struct waiting *waiting)
{
    if (waiting->fd >= 0)
        close(waiting->fd);
    OPENSSL_cleanse(waiting->bytes, waiting->size);
    free(waiting);
}

static void drop_queue(struct channel *channel)
{
    while (!STAILQ_EMPTY(&channel->queue)) {
        struct waiting *first = STAILQ_FIRST(&channel->queue);
        STAILQ_REMOVE_HEAD(&channel->queue, next);
        drop_waiting(first);
    }
    channel->queued = 0;
}

/* Stops everything, with the channel itself still there for its owner to free. */
static void close_channel(struct channel *channel)
{
    if (channel->readable)
        event_free(channel->readable);
    if (channel->writable)
        event_free(channel->writable);
    channel->readable = channel->writable = NULL;
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    drop_queue(channel);
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->freed)
        *channel->freed = true;
    close_channel(channel);
    free(channel);
}

/* The owner hears of it last: it may free the channel. */
static void end_channel(struct channel *channel, bool malformed)
{
    close_channel(channel);
    channel->handler->gone(channel->context, malformed);
}

/* Takes the descriptors out of the ancillary data: one is handed on, more are closed. */
static void collect_descriptors(struct msghdr *message, struct received *received)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            received->whole = false;
            continue;
        }
        struct reader reader = reader_over(CMSG_DATA(part), part->cmsg_len - CMSG_LEN(0));
        int fd;
        while (read_copy(&reader, &fd, sizeof fd)) {
            if (received->fd < 0) {
                received->fd = fd;
            } else {
                close(fd);
                received->whole = false;
            }
        }
    }
    if (!received->whole && received->fd >= 0) {
        close(received->fd);
        received->fd = -1;
    }
}

/* One message from the socket. False with errno set; a size of 0 is the end. */
MUST_USE static bool receive(int fd, void *buffer, size_t size, struct received *received)
{
    union control control;
    struct iovec bytes = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return false;
    *received = (struct received){
        .size = (size_t)got,
        .fd = -1,
        .whole = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)),
    };
    collect_descriptors(&message, received);
    return true;
}

/* The head of a message that says what arrived: its type, a zero and its own length. */
MUST_USE static bool read_head(struct reader *reader, uint16_t *type)
{
    size_t whole = reader_left(reader);
    uint16_t zero;
    uint32_t length;
    return read_le16(reader, type) && read_le16(reader, &zero) && read_le32(reader, &length) &&
           zero == 0 && length == whole;
}

/* Hands one message to the owner; false when it is malformed, or the owner says so. */
MUST_USE static bool deliver(struct channel *channel, const void *buffer,
                             const struct received *received)
{
    struct reader reader = reader_over(buffer, received->size);
    uint16_t type;
    if (!received->whole)
        return false;
    if (!read_head(&reader, &type)) {
        if (received->fd >= 0)
            close(received->fd);
        return false;
    }
    return channel->handler->message(channel->context, type, reader_rest(&reader), received->fd);
}

enum outcome { GO_ON, WAIT, ENDED, MALFORMED };

/* Receives and delivers one message. The channel may have been freed when this returns. */
static enum outcome take_message(struct channel *channel)
{
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct received received;
    if (!receive(channel->fd, buffer, sizeof buffer, &received)) {
        /* Told once when the other end closed without reading everything of ours. What it sent
         * before that can still be read, and then the end. */
        if (errno == ECONNRESET)
            return GO_ON;
        return errno == EAGAIN ? WAIT : ENDED;
    }
    if (received.size == 0) {
        if (received.fd >= 0)
            close(received.fd);
        return received.fd >= 0 || !received.whole ? MALFORMED : ENDED;
    }
    bool fine = deliver(channel, buffer, &received);
    OPENSSL_cleanse(buffer, received.size);
    return fine ? GO_ON : MALFORMED;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct channel *channel = context;
    bool freed = false;
    (void)fd;
    (void)what;
    channel->freed = &freed;
    enum outcome outcome = GO_ON;
    for (int i = 0; i < MESSAGES_PER_WAKEUP && outcome == GO_ON; i++) {
        outcome = take_message(channel);
        if (freed)
            return;
    }
    channel->freed = NULL;
    if (outcome == ENDED || outcome == MALFORMED)
        end_channel(channel, outcome == MALFORMED);
}

/* Sends one message whole or not at all; false with errno set. */
MUST_USE static bool transmit(int fd, struct iovec *parts, size_t count, int passed)
{
    union control control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof passed);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(part), &passed, sizeof passed);
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct channel *channel = context;
    (void)what;
    for (int i = 0; i < MESSAGES_PER_WAKEUP && channel->queued; i++) {
        struct waiting *first = STAILQ_FIRST(&channel->queue);
        struct iovec whole = {.iov_base = first->bytes, .iov_len = first->size};
        if (!transmit(fd, &whole, 1, first->fd)) {
            if (errno == EAGAIN)
                return;
            /* A promised message is lost, so nothing after it may follow. What the other end sent
             * before can still be read; after it comes the end, and `gone`. */
            drop_queue(channel);
            shutdown(fd, SHUT_RDWR);
            break;
        }
        STAILQ_REMOVE_HEAD(&channel->queue, next);
        channel->queued--;
        drop_waiting(first);
    }
    if (channel->queued == 0)
        event_del(channel->writable);
}

struct channel *channel_new(struct event_base *base, int fd, const struct channel_handler *handler,
                            void *context)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        close(fd);
        return NULL;
    }
    channel->fd = fd;
    channel->handler = handler;
    channel->context = context;
    STAILQ_INIT(&channel->queue);
    channel->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, channel);
    if (!channel->readable || !channel->writable || event_add(channel->readable, NULL) < 0) {
        channel_free(channel);
        return NULL;
    }
    return channel;
}

/* Keeps a copy of the message until the socket takes it. */
MUST_USE static bool enqueue(struct channel *channel, const struct iovec parts[2], int fd)
{
    size_t size = parts[0].iov_len + parts[1].iov_len;
    if (channel->queued >= CHANNEL_QUEUE_MAX)
        return false;
    struct waiting *waiting = malloc(sizeof *waiting + size);
    if (!waiting)
        return false;
    struct writer writer = writer_over(waiting->bytes, size);
    write_bytes(&writer, parts[0].iov_base, parts[0].iov_len);
    write_bytes(&writer, parts[1].iov_base, parts[1].iov_len);
    waiting->size = size;
    waiting->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (!writer_done(&writer) || (fd >= 0 && waiting->fd < 0) ||
        (channel->queued == 0 && event_add(channel->writable, NULL) < 0)) {
        drop_waiting(waiting);
        return false;
    }
    STAILQ_INSERT_TAIL(&channel->queue, waiting, next);
    channel->queued++;
    return true;
}

bool channel_send(struct channel *channel, uint16_t type, struct span body, int fd)
{
    uint8_t head[CHANNEL_HEAD_SIZE];
    if (channel->fd < 0 || body.size > CHANNEL_MESSAGE_MAX - CHANNEL_HEAD_SIZE)
        return false;
    struct writer writer = writer_over(head, sizeof head);
    write_le16(&writer, type);
    write_le16(&writer, 0);
    write_le32(&writer, (uint32_t)(sizeof head + body.size));
    if (!writer_done(&writer))
        return false;
    struct iovec parts[2] = {
        {.iov_base = head, .iov_len = sizeof head},
        {.iov_base = (void *)(uintptr_t)body.at, .iov_len = body.size},
    };
    if (channel->queued == 0) {
        if (transmit(channel->fd, parts, 2, fd))
            return true;
        channel->deserted = errno == EPIPE || errno == ECONNRESET;
        if (errno != EAGAIN)
            return false;
    }
    return enqueue(channel, parts, fd);
}

bool channel_is_deserted(const struct channel *channel)
{
    return channel->deserted;
}

size_t channel_queued(const struct channel *channel)
{
    return channel->queued;
}
