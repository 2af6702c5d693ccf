#include "proxy/rpc.h"

#include <string.h>

enum {
    VERSION = 5,
    AT_DATA_REPRESENTATION = 4,
    AT_FRAGMENT_LENGTH = 8,
    AT_AUTH_LENGTH = 10,
    LITTLE_ENDIAN_INTEGERS = 0x10,
};

/* A header that is whole; the size of the PDU goes to `size`. */
static enum rpc_content look_at_head(const uint8_t head[RPC_HEAD_SIZE], uint16_t *size)
{
    uint16_t length = get_le16(&head[AT_FRAGMENT_LENGTH]);
    if (head[0] != VERSION)
        return RPC_MALFORMED;
    /* Zero is zero in either order. */
    if (get_le16(&head[AT_AUTH_LENGTH]))
        return RPC_AUTHENTICATED;
    if (!(head[AT_DATA_REPRESENTATION] & LITTLE_ENDIAN_INTEGERS))
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

static enum rpc_content take(struct rpc_stream *stream, struct span bytes)
{
    struct reader reader = reader_over_span(bytes);
    while (reader_left(&reader)) {
        if (stream->left) {
            size_t skipped =
                reader_left(&reader) < stream->left ? reader_left(&reader) : stream->left;
            if (!read_skip(&reader, skipped))
                return RPC_MALFORMED;
            stream->left = (uint16_t)(stream->left - skipped);
            continue;
        }
        enum rpc_content content = take_head(stream, &reader);
        if (content != RPC_PLAIN)
            return content;
    }
    return RPC_PLAIN;
}

enum rpc_content rpc_take(struct rpc_stream *stream, struct span bytes)
{
    struct rpc_stream moved = *stream, alone = {.have = 0};
    enum rpc_content content = take(&moved, bytes);
    if (content == RPC_PLAIN && !rpc_is_between(stream) && take(&alone, bytes) == RPC_AUTHENTICATED)
        content = RPC_AUTHENTICATED;
    if (content == RPC_PLAIN)
        *stream = moved;
    return content;
}

bool rpc_is_between(const struct rpc_stream *stream)
{
    return stream->have == 0 && stream->left == 0;
}
