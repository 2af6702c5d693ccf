#include "proxy/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_CHUNK = 64 * 1024,        /* while the length of the frame is not known yet */
    BATCH_BYTES = 2 * 1024 * 1024, /* then other links get their turn */
    SMALL_FRAME = 4096,            /* room to begin with */
    WRITE_SLICES = 64,
    FIRST_SLICES = 8,
};

static void on_readable(evutil_socket_t fd, short what, void *context);
static void on_writable(evutil_socket_t fd, short what, void *context);

void stream_open(struct stream *stream, struct event_base *base, int fd, struct buffer_pool *pool,
                 const struct stream_handler *handler, void *context, size_t frame_max)
{
    memset(stream, 0, sizeof *stream);
    stream->fd = fd;
    stream->pool = pool;
    stream->handler = handler;
    stream->context = context;
    stream->frame_max = frame_max;
    event_assign(&stream->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    event_assign(&stream->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, stream);
}

struct frame frame_alone(struct buffer_pool *pool, size_t size)
{
    struct buffer *buffer = buffer_get(pool, BUFFER_HEADROOM + FRAME_HEAD_SIZE + size);
    uint8_t *at = buffer ? buffer->bytes + BUFFER_HEADROOM + FRAME_HEAD_SIZE : NULL;
    return (struct frame){buffer, at, size, BUFFER_HEADROOM};
}

static void drop_output(struct stream *stream)
{
    while (stream->out_count) {
        buffer_release(stream->out[stream->out_first].buffer);
        stream->out_first = (stream->out_first + 1) & (stream->out_room - 1);
        stream->out_count--;
    }
    stream->out_bytes = 0;
}

void stream_close(struct stream *stream)
{
    if (stream->fd < 0)
        return;
    if (!stream->ended)
        stream_flush(stream);
    event_del(&stream->read_event);
    event_del(&stream->write_event);
    drop_output(stream);
    free(stream->out);
    stream->out = NULL;
    buffer_release(stream->own);
    stream->own = NULL;
    buffer_release(stream->in);
    stream->in = NULL;
    close(stream->fd);
    stream->fd = -1;
}

void stream_read(struct stream *stream, bool on)
{
    if (stream->fd < 0 || stream->ended || stream->reading == on)
        return;
    stream->reading = on;
    if (!on) {
        event_del(&stream->read_event);
        return;
    }
    event_add(&stream->read_event, NULL);
    /* A frame that is here already makes no socket readable. */
    if (stream->in && stream->in_end > stream->in_start)
        event_active(&stream->read_event, EV_READ, 0);
}

static void end(struct stream *stream, enum stream_end why)
{
    if (stream->ended)
        return;
    stream->ended = true;
    stream->reading = false;
    event_del(&stream->read_event);
    stream->handler->ended(stream->context, why);
}

/* Size of the frame at in_start with its head, or 0 while its head is not here. */
static size_t frame_size(const struct stream *stream)
{
    if (stream->in_end - stream->in_start < FRAME_HEAD_SIZE)
        return 0;
    const uint8_t *at = stream->in->bytes + stream->in_start;
    return FRAME_HEAD_SIZE + ((size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
}

/* Hands up the whole frames that are here. False when reading is to stop. */
static bool take_frames(struct stream *stream)
{
    while (stream->reading && stream->in) {
        size_t size = frame_size(stream);
        if (size == 0)
            return true;
        uint8_t *at = stream->in->bytes + stream->in_start;
        if (at[0] != 0 || size - FRAME_HEAD_SIZE > stream->frame_max) {
            end(stream, STREAM_BAD_FRAME);
            return false;
        }
        if (stream->in_end - stream->in_start < size)
            return true;
        stream->in_start += size;
        stream->last_frame = size;
        size_t headroom = at == stream->in->bytes + BUFFER_HEADROOM ? BUFFER_HEADROOM : 0;
        struct frame frame = {stream->in, at + FRAME_HEAD_SIZE, size - FRAME_HEAD_SIZE, headroom};
        if (!stream->handler->frame(stream->context, &frame)) {
            stream_read(stream, false);
            return false;
        }
    }
    return stream->reading;
}

/* A buffer with room for `size` bytes from in_start on; what is here of a frame moves along. */
static bool make_room(struct stream *stream, size_t size)
{
    size_t partial = stream->in ? stream->in_end - stream->in_start : 0;
    if (stream->in && stream->in_start + size <= stream->in->capacity)
        return true;
    if (stream->in && partial == 0 && stream->in->references == 1 &&
        BUFFER_HEADROOM + size <= stream->in->capacity) {
        stream->in_start = stream->in_end = BUFFER_HEADROOM;
        return true;
    }
    struct buffer *wider = buffer_get(stream->pool, BUFFER_HEADROOM + size);
    if (!wider)
        return false;
    if (partial)
        memcpy(wider->bytes + BUFFER_HEADROOM, stream->in->bytes + stream->in_start, partial);
    buffer_release(stream->in);
    stream->in = wider;
    stream->in_start = BUFFER_HEADROOM;
    stream->in_end = BUFFER_HEADROOM + partial;
    return true;
}

/* Makes room and says how much to read: to the end of a frame whose length is known, so that the
 * next one starts in a buffer of its own; a chunk otherwise. 0 when there is no memory. */
static size_t prepare_read(struct stream *stream)
{
    size_t size = stream->in ? frame_size(stream) : 0;
    if (size == 0 || size <= READ_CHUNK / 2) {
        size_t room = size ? size : SMALL_FRAME;
        if (!stream->in && stream->last_frame > READ_CHUNK / 2)
            room = stream->last_frame;
        if (!make_room(stream, room))
            return 0;
        size_t left = stream->in->capacity - stream->in_end;
        return left < READ_CHUNK ? left : READ_CHUNK;
    }
    if (!make_room(stream, size))
        return 0;
    return stream->in_start + size - stream->in_end;
}

static void release_idle_input(struct stream *stream)
{
    if (stream->in && stream->in_start == stream->in_end) {
        buffer_release(stream->in);
        stream->in = NULL;
        stream->in_start = stream->in_end = 0;
    }
}

static void read_batch(struct stream *stream)
{
    size_t done = 0;
    while (take_frames(stream) && done < BATCH_BYTES) {
        size_t want = prepare_read(stream);
        if (want == 0) {
            end(stream, STREAM_NO_MEMORY);
            return;
        }
        ssize_t got = recv(stream->fd, stream->in->bytes + stream->in_end, want, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            stream->error = got < 0 ? errno : 0;
            end(stream, got < 0 ? STREAM_FAILED : STREAM_CLOSED);
            return;
        }
        stream->in_end += (size_t)got;
        stream->bytes_in += (uint64_t)got;
        done += (size_t)got;
        if ((size_t)got < want) { /* the socket is empty: the next recv would only say so */
            (void)take_frames(stream);
            return;
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;
    (void)fd;
    (void)what;
    read_batch(stream);
    release_idle_input(stream);
    stream->handler->settle(stream->context);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;
    (void)fd;
    (void)what;
    stream_flush(stream);
    stream->handler->settle(stream->context);
}

static bool grow_ring(struct stream *stream)
{
    size_t room = stream->out_room ? stream->out_room * 2 : FIRST_SLICES;
    struct slice *wider = calloc(room, sizeof *wider);
    if (!wider)
        return false;
    for (size_t i = 0; i < stream->out_count; i++)
        wider[i] = stream->out[(stream->out_first + i) & (stream->out_room - 1)];
    free(stream->out);
    stream->out = wider;
    stream->out_room = room;
    stream->out_first = 0;
    return true;
}

bool stream_send(struct stream *stream, struct buffer *buffer, uint8_t *at, size_t size)
{
    if (stream->out_count == stream->out_room && !grow_ring(stream))
        return false;
    uint8_t *head = at - FRAME_HEAD_SIZE;
    head[0] = 0;
    head[1] = (uint8_t)(size >> 16);
    head[2] = (uint8_t)(size >> 8);
    head[3] = (uint8_t)size;
    size += FRAME_HEAD_SIZE;
    stream->out_bytes += size;
    struct slice *last =
        &stream->out[(stream->out_first + stream->out_count - 1) & (stream->out_room - 1)];
    if (stream->out_count && last->buffer == buffer && last->at + last->size == head) {
        last->size += size; /* neighbours in one buffer go out as one range */
        return true;
    }
    stream->out[(stream->out_first + stream->out_count) & (stream->out_room - 1)] =
        (struct slice){buffer_share(buffer), head, size};
    stream->out_count++;
    return true;
}

uint8_t *stream_own(struct stream *stream, size_t size)
{
    size_t need = BUFFER_HEADROOM + size;
    if (!stream->own || stream->own->capacity - stream->own_end < need) {
        buffer_release(stream->own);
        stream->own_end = 0;
        stream->own = buffer_get(stream->pool, need);
        if (!stream->own)
            return NULL;
    }
    return stream->own->bytes + stream->own_end + BUFFER_HEADROOM;
}

bool stream_send_own(struct stream *stream, uint8_t *at, size_t size)
{
    stream->own_end = (size_t)(at - stream->own->bytes) + size;
    return stream_send(stream, stream->own, at, size);
}

/* Takes `sent` bytes off the head of the queue. */
static void consume(struct stream *stream, size_t sent)
{
    stream->out_bytes -= sent;
    while (sent) {
        struct slice *first = &stream->out[stream->out_first];
        if (sent < first->size) {
            first->at += sent;
            first->size -= sent;
            return;
        }
        sent -= first->size;
        buffer_release(first->buffer);
        stream->out_first = (stream->out_first + 1) & (stream->out_room - 1);
        stream->out_count--;
    }
}

/* One sendmsg; false when the socket takes no more. */
static bool write_some(struct stream *stream)
{
    struct iovec parts[WRITE_SLICES];
    size_t count = stream->out_count < WRITE_SLICES ? stream->out_count : WRITE_SLICES;
    size_t wanted = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice *slice = &stream->out[(stream->out_first + i) & (stream->out_room - 1)];
        parts[i] = (struct iovec){slice->at, slice->size};
        wanted += slice->size;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            stream->error = errno;
            drop_output(stream);
            end(stream, STREAM_FAILED);
        }
        return false;
    }
    stream->bytes_out += (uint64_t)sent;
    consume(stream, (size_t)sent);
    return (size_t)sent == wanted;
}

void stream_flush(struct stream *stream)
{
    if (stream->fd < 0)
        return;
    while (stream->out_count && write_some(stream))
        ;
    if (stream->out_count) {
        event_add(&stream->write_event, NULL);
        return;
    }
    event_del(&stream->write_event);
    if (stream->own && stream->own->references == 1) {
        buffer_release(stream->own);
        stream->own = NULL;
    }
}
