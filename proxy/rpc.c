#include "proxy/rpc.h"

#include "proxy/rpc_call.h"

enum {
    VERSION = 5,
    AT_TYPE = 2,
    AT_FLAGS = 3,
    AT_DATA_REPRESENTATION = 4,
    AT_FRAGMENT_LENGTH = 8,
    AT_AUTH_LENGTH = 10,
    LITTLE_ENDIAN_INTEGERS = 0x10,
};

enum { REQUEST = 0, BIND = 11, ALTER_CONTEXT = 14 };
enum { FLAG_FIRST = 0x01, FLAG_OBJECT = 0x80 };

static bool is_big_endian(const uint8_t head[RPC_HEAD_SIZE])
{
    return !(head[AT_DATA_REPRESENTATION] & LITTLE_ENDIAN_INTEGERS);
}

/* A header that is whole; the size of the PDU goes to `size`. */
static enum rpc_content look_at_head(const uint8_t head[RPC_HEAD_SIZE], uint16_t *size)
{
    uint16_t length = get_le16(&head[AT_FRAGMENT_LENGTH]);
    if (head[0] != VERSION)
        return RPC_MALFORMED;
    /* Zero is zero in either order. */
    if (get_le16(&head[AT_AUTH_LENGTH]))
        return RPC_AUTHENTICATED;
    if (is_big_endian(head))
        length = (uint16_t)(length << 8 | length >> 8);
    *size = length;
    return length < RPC_HEAD_SIZE ? RPC_MALFORMED : RPC_PLAIN;
}

/* Takes what is there of a header. */
static enum rpc_content take_head(struct rpc_stream *stream, struct reader *reader)
{
    uint16_t size;
    uint8_t byte;
    while (stream->have < RPC_HEAD_SIZE && read_u8(reader, &byte))
        stream->head[stream->have++] = byte;
    if (stream->have < RPC_HEAD_SIZE)
        return stream->head[0] == VERSION ? RPC_PLAIN : RPC_MALFORMED;
    stream->have = 0;
    enum rpc_content content = look_at_head(stream->head, &size);
    if (content == RPC_PLAIN)
        stream->left = (uint16_t)(size - RPC_HEAD_SIZE);
    return content;
}

/* A PDU whose header has come whole; `body` is what is there of the rest. Contexts and calls are
 * understood from one piece: a PDU is one message of the pipe (MS-RPCE 2.1.1.2). */
static enum rpc_content look_at_body(struct rpc_stream *stream, struct span body, const char **what)
{
    const uint8_t *head = stream->head;
    uint8_t type = head[AT_TYPE];
    if (type == BIND || type == ALTER_CONTEXT)
        return rpc_contexts_note(&stream->contexts, body, is_big_endian(head)) ? RPC_PLAIN
                                                                               : RPC_UNCLEAR;
    if (type != REQUEST || !(head[AT_FLAGS] & FLAG_FIRST))
        return RPC_PLAIN;
    switch (rpc_call_needs(&stream->contexts, body, is_big_endian(head),
                           head[AT_FLAGS] & FLAG_OBJECT, what)) {
    case RPC_NEED_KEY: return RPC_NEEDS_KEY;
    case RPC_NEED_UNCLEAR: return RPC_UNCLEAR;
    default: return RPC_PLAIN;
    }
}

static struct span part_of(const struct reader *reader, size_t most)
{
    struct span rest = reader_rest(reader), part;
    return span_slice(rest, 0, most, &part) ? part : rest;
}

static enum rpc_content take(struct rpc_stream *stream, struct span bytes, const char **what)
{
    struct reader reader = reader_over_span(bytes);
    while (reader_left(&reader)) {
        if (stream->left) {
            size_t skipped = part_of(&reader, stream->left).size;
            if (!read_skip(&reader, skipped))
                return RPC_MALFORMED;
            stream->left = (uint16_t)(stream->left - skipped);
            continue;
        }
        enum rpc_content content = take_head(stream, &reader);
        if (content == RPC_PLAIN && stream->have == 0)
            content = look_at_body(stream, part_of(&reader, stream->left), what);
        if (content != RPC_PLAIN)
            return content;
    }
    return RPC_PLAIN;
}

enum rpc_content rpc_take(struct rpc_stream *stream, struct span bytes, const char **what)
{
    struct rpc_stream moved = *stream;
    enum rpc_content content = take(&moved, bytes, what);
    if (content == RPC_PLAIN && !rpc_is_between(stream)) {
        struct rpc_stream alone = {.contexts = moved.contexts};
        content = take(&alone, bytes, what);
        if (content == RPC_MALFORMED)
            content = RPC_PLAIN;
        moved.contexts = alone.contexts;
    }
    if (content == RPC_PLAIN && !rpc_is_between(&moved)) {
        moved.pieces = true;
        content = moved.whole ? RPC_MALFORMED : RPC_PLAIN;
    }
    if (content == RPC_PLAIN)
        *stream = moved;
    return content;
}

bool rpc_is_between(const struct rpc_stream *stream)
{
    return stream->have == 0 && stream->left == 0;
}
