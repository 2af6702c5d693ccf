/*
 * One socket with direct-TCP framing (MS-SMB2 2.1: a zero byte and a 24-bit big-endian length
 * before each message): frames in, frames out, without copying what need not be copied.
 *
 * Reading: bytes go into a buffer of the pool; whole frames in it are handed up one after the
 * other, in place, writable. A frame that does not fit moves, once, to a larger buffer and the rest
 * of it is read straight to its end. An idle stream holds no buffer.
 *
 * Writing: a queue of ranges of buffers, written with one writev at stream_flush().
 */
#ifndef COUNTERSIGN_PROXY_STREAM_H
#define COUNTERSIGN_PROXY_STREAM_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "proxy/buffer.h"

enum { FRAME_HEAD_SIZE = 4 };

/* A whole message within a buffer; the 4 bytes before `at` are its transport header. */
struct frame {
    struct buffer *buffer;
    uint8_t *at;
    size_t size;
    size_t headroom; /* bytes before the transport header that are nobody else's */
};

/* Room for one message of `size` bytes in a buffer of its own, with headroom. The caller releases
 * the buffer, which is NULL when there is no memory. */
struct frame frame_alone(struct buffer_pool *pool, size_t size);

enum stream_end {
    STREAM_CLOSED,    /* the peer closed */
    STREAM_FAILED,    /* errno of the stream says why */
    STREAM_BAD_FRAME, /* not direct TCP, or longer than allowed now */
    STREAM_NO_MEMORY, /* the worker's budget for buffers is used up */
};

struct stream_handler {
    /* A whole frame. Answer false to stop reading for now (it was taken all the same). The stream
     * may not be freed in it. */
    bool (*frame)(void *context, struct frame *frame);
    void (*ended)(void *context, enum stream_end why); /* nothing more will be read */
    /* After every batch of reading or writing: the place to flush, pause or free. */
    void (*settle)(void *context);
};

struct slice {
    struct buffer *buffer;
    uint8_t *at;
    size_t size;
};

struct stream {
    int fd; /* -1: none */
    int error;
    bool reading;
    bool ended;
    struct event read_event;
    struct event write_event;
    struct buffer_pool *pool;
    const struct stream_handler *handler;
    void *context;
    size_t frame_max;

    /*  in->bytes  ...headroom | taken frames | in_start … partial frame … in_end | free  */
    struct buffer *in;
    size_t in_start;
    size_t in_end;
    size_t last_frame; /* size of the last frame: what to make room for next */

    struct slice *out; /* ring */
    size_t out_room;   /* slices the ring has room for, a power of two */
    size_t out_first;
    size_t out_count;
    size_t out_bytes;

    struct buffer *own; /* being filled with small messages of our own */
    size_t own_end;

    uint64_t bytes_in;
    uint64_t bytes_out;
};

/* A stream on a connected, non-blocking socket, which it owns from now on. Not reading yet. */
void stream_open(struct stream *stream, struct event_base *base, int fd, struct buffer_pool *pool,
                 const struct stream_handler *handler, void *context, size_t frame_max);

/* Closes the socket and releases everything; what is queued is tried once more first. Safe on a
 * stream that was never opened (zeroed with fd -1), and twice. */
void stream_close(struct stream *stream);

/* Begins or stops reading. Frames that are here already are held back as well. */
void stream_read(struct stream *stream, bool on);

/* Queues a frame that lies in a buffer: its transport header is written before `at` and a reference
 * to the buffer is taken. False when out of memory. */
MUST_USE bool stream_send(struct stream *stream, struct buffer *buffer, uint8_t *at, size_t size);

/* Room for a message of our own of at most `size` bytes (at most 128 KiB), with headroom before it:
 * fill it, then stream_send_own() the part that was used. NULL when there is no memory. */
uint8_t *stream_own(struct stream *stream, size_t size);
MUST_USE bool stream_send_own(struct stream *stream, uint8_t *at, size_t size);

/* Writes what the socket takes now; the rest goes when it is writable. */
void stream_flush(struct stream *stream);

#endif
