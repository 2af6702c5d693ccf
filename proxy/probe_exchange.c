#include "proxy/probe_exchange.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "crypto/clock.h"

enum { TRANSPORT_HEADER_SIZE = 4 };

/* Waits until the socket is ready; false with ETIMEDOUT after the deadline. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd poller = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = (int64_t)(deadline - clock_ms());
        if (left <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        int ready = poll(&poller, 1, (int)left);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

/* Waits for the connection that was begun to be made; its error becomes errno. */
static bool finish_connect(int fd, uint64_t deadline)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (!wait_for(fd, POLLOUT, deadline) ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return false;
    errno = error;
    return error == 0;
}

static bool connect_until(int fd, const struct sockaddr *address, socklen_t size, uint64_t deadline)
{
    if (connect(fd, address, size) == 0)
        return true;
    return errno == EINPROGRESS && finish_connect(fd, deadline);
}

static bool send_all(int fd, struct span bytes, uint64_t deadline)
{
    struct reader reader = reader_over_span(bytes);
    while (reader_left(&reader)) {
        struct span rest = reader_rest(&reader);
        ssize_t sent = send(fd, rest.at, rest.size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            if (!wait_for(fd, POLLOUT, deadline))
                return false;
            continue;
        }
        if (sent < 0 || !read_skip(&reader, (size_t)sent))
            return false;
    }
    return true;
}

/* Exactly `size` bytes. PROBE_CLOSED at the end of the stream, or when it is reset. */
static enum probe_outcome receive_all(int fd, uint8_t *bytes, size_t size, uint64_t deadline)
{
    size_t got = 0;
    while (got < size) {
        if (!wait_for(fd, POLLIN, deadline))
            return PROBE_SILENT;
        ssize_t count = recv(fd, &bytes[got], size - got, 0);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count <= 0)
            return PROBE_CLOSED;
        got += (size_t)count;
    }
    return PROBE_ANSWERED;
}

/* One frame of direct TCP: a zero and the length in 24 bits, high byte first (MS-SMB2 2.1). */
static enum probe_outcome receive_frame(int fd, struct probe_frame *frame, uint64_t deadline)
{
    uint8_t head[TRANSPORT_HEADER_SIZE];
    enum probe_outcome outcome = receive_all(fd, head, sizeof head, deadline);
    if (outcome != PROBE_ANSWERED)
        return outcome;
    frame->size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (head[0] != 0 || frame->size > sizeof frame->bytes)
        return PROBE_MALFORMED;
    return receive_all(fd, frame->bytes, frame->size, deadline);
}

static bool send_frame(int fd, struct span message, uint64_t deadline)
{
    uint8_t head[TRANSPORT_HEADER_SIZE] = {0, (uint8_t)(message.size >> 16),
                                           (uint8_t)(message.size >> 8), (uint8_t)message.size};
    return send_all(fd, (struct span){head, sizeof head}, deadline) &&
           send_all(fd, message, deadline);
}

static enum probe_outcome converse(int fd, const struct sockaddr *address, socklen_t size,
                                   uint64_t deadline, struct span request,
                                   struct probe_frame *reply)
{
    if (!connect_until(fd, address, size, deadline))
        return PROBE_UNREACHABLE;
    if (!send_frame(fd, request, deadline))
        return errno == ETIMEDOUT ? PROBE_SILENT : PROBE_CLOSED;
    return receive_frame(fd, reply, deadline);
}

enum probe_outcome probe_exchange(const struct sockaddr *address, socklen_t size,
                                  unsigned timeout_ms, struct span request,
                                  struct probe_frame *reply, int *error)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        *error = errno;
        return PROBE_INTERNAL;
    }
    enum probe_outcome outcome =
        converse(fd, address, size, clock_ms() + timeout_ms, request, reply);
    *error = outcome == PROBE_UNREACHABLE ? errno : 0;
    close(fd);
    return outcome;
}
