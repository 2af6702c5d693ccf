/*
 * Message buffers: a few sizes, kept for reuse, counted against a budget.
 *
 * A buffer is shared by the frames that were read into it: each frame is a range of its own, so one
 * frame may be rewritten and sent while the next is still being read.
 */
#ifndef COUNTERSIGN_PROXY_BUFFER_H
#define COUNTERSIGN_PROXY_BUFFER_H

#include "crypto/cursor.h"

enum {
    BUFFER_CLASSES = 5,
    /* The largest frame that any leg accepts: a chain may be as long as the transport can say
     * (MS-SMB2 2.1), less what may be added to it here. */
    FRAME_MAX = 16 * 1024 * 1024 - 64 * 1024,
    /* … before a link's first valid session: a NEGOTIATE, or a SESSION_SETUP with a Kerberos token.
     */
    FRAME_MAX_EARLY = 72 * 1024,
    /* Kept free before a frame, so that a TRANSFORM header can be put in front of it in place. */
    BUFFER_HEADROOM = 64,
};

struct buffer_pool;

struct buffer {
    struct buffer *next_free;
    struct buffer_pool *pool;
    size_t capacity; /* of bytes[] */
    unsigned size_class;
    unsigned references;
    uint8_t bytes[];
};

struct buffer_pool {
    struct buffer *free_list[BUFFER_CLASSES];
    unsigned free_count[BUFFER_CLASSES];
    size_t in_use; /* bytes handed out */
    size_t limit;
};

/* An empty pool that hands out at most `limit` bytes at a time. It is freed when all of them have
 * come back. */
void buffer_pool_init(struct buffer_pool *pool, size_t limit);
void buffer_pool_free(struct buffer_pool *pool);

/* A buffer with room for at least `size` bytes (at most FRAME_MAX + BUFFER_HEADROOM + 4), one
 * reference. NULL when memory or the pool's budget is exhausted. */
struct buffer *buffer_get(struct buffer_pool *pool, size_t size);
/* One reference more. */
struct buffer *buffer_share(struct buffer *buffer);
/* Gives up one reference; the last one returns the buffer to its pool. NULL is allowed. */
void buffer_release(struct buffer *buffer);

#endif
