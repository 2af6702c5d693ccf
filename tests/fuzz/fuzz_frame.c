/*
 * Direct-TCP framing: whatever pieces the bytes come in and however often the reader pauses, the
 * frames handed up are those that a plain parser finds in the whole, and each stays as it is while
 * somebody holds it.
 *
 * Input: how to treat it (1 byte), how long the pieces are (a count and so many bytes, used in
 * turn), and what is sent: as it is, or each 2 bytes as the size of a frame to be made.
 */
#include "proxy/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_MAX = 64, SENT_MAX = 2 * 1024 * 1024, PIECES_MAX = 300, FRAMES_MAX = 300 };

enum treatment {
    MAKE_FRAMES = 0x01,
    PAUSES = 0x02,      /* after every other frame */
    HOLDS = 0x04,       /* every third frame is kept to the end */
    SMALL_LIMIT = 0x08, /* for the length of a frame */
    LITTLE_MEMORY = 0x10,
};

struct held {
    struct frame frame;
    size_t at; /* where it lies in what was sent */
};

struct run {
    struct event_base *base;
    struct buffer_pool pool;
    struct stream stream;
    int peer;
    uint8_t treatment;
    uint8_t *sent; /* all of it */
    size_t size;
    size_t parsed; /* how far the plain parser is */
    size_t frame_max;
    size_t frames;
    struct held held[HELD_MAX];
    size_t held_count;
    bool ended;
    enum stream_end why;
};

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* What the plain parser finds next. */
enum found { FOUND_FRAME, FOUND_PART, FOUND_BAD };
static enum found plain_next(const struct run *run, size_t *length)
{
    const uint8_t *at = run->sent + run->parsed;
    size_t left = run->size - run->parsed;
    if (left < FRAME_HEAD_SIZE)
        return FOUND_PART;
    *length = (size_t)at[1] * 65536 + (size_t)at[2] * 256 + at[3];
    if (at[0] != 0 || *length > run->frame_max)
        return FOUND_BAD;
    return left - FRAME_HEAD_SIZE < *length ? FOUND_PART : FOUND_FRAME;
}

static bool on_frame(void *context, struct frame *frame)
{
    struct run *run = context;
    size_t length;
    must(!run->ended);
    must(plain_next(run, &length) == FOUND_FRAME);
    size_t at = run->parsed + FRAME_HEAD_SIZE;
    must(frame->size == length && memcmp(frame->at, run->sent + at, length) == 0);
    run->parsed = at + length;
    run->frames++;
    if (run->treatment & HOLDS && run->frames % 3 == 0 && run->held_count < HELD_MAX) {
        buffer_share(frame->buffer);
        run->held[run->held_count++] = (struct held){*frame, at};
    } else {
        /* It is ours to write to, with its transport header. */
        memset(frame->at - FRAME_HEAD_SIZE, 0xdb, FRAME_HEAD_SIZE + frame->size);
    }
    return !(run->treatment & PAUSES) || run->frames % 2;
}

static void on_ended(void *context, enum stream_end why)
{
    struct run *run = context;
    must(!run->ended);
    run->ended = true;
    run->why = why;
}

static void on_settle(void *context)
{
    (void)context;
}

static void turn(struct run *run)
{
    must(event_base_loop(run->base, EVLOOP_NONBLOCK) >= 0);
    stream_read(&run->stream, true); /* a pause ends at once */
    must(event_base_loop(run->base, EVLOOP_NONBLOCK) >= 0);
}

static void send_in_pieces(struct run *run, const uint8_t *pieces, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; at < run->size && !run->ended; i++) {
        /* Long ones too: the square of a byte is up to 64 KiB. */
        bool small = count && i < PIECES_MAX;
        size_t piece = small ? (size_t)pieces[i % count] * pieces[i % count] + 1 : run->size;
        piece = piece < run->size - at ? piece : run->size - at;
        ssize_t done = send(run->peer, run->sent + at, piece, MSG_NOSIGNAL);
        at += done > 0 ? (size_t)done : 0;
        turn(run);
    }
}

/* All has been sent: what must have come of it. */
static void check_end(struct run *run)
{
    size_t length;
    for (size_t frames = SIZE_MAX; !run->ended && frames != run->frames;) {
        frames = run->frames;
        for (int i = 0; i < 4; i++)
            turn(run);
    }
    enum found found = plain_next(run, &length);
    if (run->ended && run->why == STREAM_NO_MEMORY) {
        must(run->treatment & LITTLE_MEMORY);
        return;
    }
    must(found != FOUND_FRAME);
    must(run->ended == (found == FOUND_BAD));
    must(!run->ended || run->why == STREAM_BAD_FRAME);
    shutdown(run->peer, SHUT_WR);
    turn(run);
    must(run->ended);
    must(run->why == (found == FOUND_BAD ? STREAM_BAD_FRAME : STREAM_CLOSED));
}

static void check_held(struct run *run)
{
    for (size_t i = 0; i < run->held_count; i++) {
        const struct held *held = &run->held[i];
        must(memcmp(held->frame.at, run->sent + held->at, held->frame.size) == 0);
        buffer_release(held->frame.buffer);
    }
}

static void go(struct run *run, const uint8_t *pieces, size_t count)
{
    static const struct stream_handler handler = {on_frame, on_ended, on_settle};
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    run->base = event_base_new();
    must(run->base != NULL);
    run->peer = fds[1];
    run->frame_max = run->treatment & SMALL_LIMIT ? 1000 : FRAME_MAX;
    buffer_pool_init(&run->pool, run->treatment & LITTLE_MEMORY ? 200 * 1024 : (size_t)1 << 30);
    stream_open(&run->stream, run->base, fds[0], &run->pool, &handler, run, run->frame_max);
    stream_read(&run->stream, true);
    send_in_pieces(run, pieces, count);
    check_end(run);
    check_held(run);
    stream_close(&run->stream);
    must(run->pool.in_use == 0);
    buffer_pool_free(&run->pool);
    close(run->peer);
    event_base_free(run->base);
}

/* Frames of the sizes that the input names; most are short. */
static void make_frames(struct run *run, struct reader *reader)
{
    uint16_t number;
    for (size_t i = 0; i < FRAMES_MAX && read_le16(reader, &number); i++) {
        size_t length = number % 4 ? number % 700 : (size_t)number * (number % 16 ? 1 : 18);
        if (run->size + FRAME_HEAD_SIZE + length > SENT_MAX)
            return;
        uint8_t *at = run->sent + run->size;
        at[0] = 0;
        at[1] = (uint8_t)(length >> 16);
        at[2] = (uint8_t)(length >> 8);
        at[3] = (uint8_t)length;
        for (size_t j = 0; j < length; j++)
            at[FRAME_HEAD_SIZE + j] = (uint8_t)(i * 31 + j * 7 + (j >> 9));
        run->size += FRAME_HEAD_SIZE + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sent[SENT_MAX];
    static struct run run;
    struct reader reader = reader_over(data, size);
    struct span pieces, rest;
    uint8_t count;
    run = (struct run){.sent = sent};
    if (!read_u8(&reader, &run.treatment) || !read_u8(&reader, &count) ||
        !read_span(&reader, count, &pieces))
        return 0;
    if (run.treatment & MAKE_FRAMES) {
        make_frames(&run, &reader);
    } else {
        rest = reader_rest(&reader);
        run.size = rest.size < SENT_MAX ? rest.size : SENT_MAX;
        memcpy(run.sent, rest.at, run.size);
    }
    go(&run, pieces.at, pieces.size);
    return 0;
}
