#include "proxy/buffer.h"

#include <stdlib.h>
#include <string.h>

static const size_t class_size[BUFFER_CLASSES] = {
    16 * 1024,
    144 * 1024,
    1024 * 1024 + 16 * 1024,
    8 * 1024 * 1024 + 128 * 1024, /* what one READ or WRITE carries at most */
    FRAME_MAX + 4096,
};

/* Enough to ride through a burst, little enough that a quiet worker gives its memory back. */
static const unsigned class_keep[BUFFER_CLASSES] = {256, 64, 24, 4, 1};

void buffer_pool_init(struct buffer_pool *pool, size_t limit)
{
    memset(pool, 0, sizeof *pool);
    pool->limit = limit;
}

void buffer_pool_free(struct buffer_pool *pool)
{
    for (unsigned i = 0; i < BUFFER_CLASSES; i++) {
        while (pool->free_list[i]) {
            struct buffer *buffer = pool->free_list[i];
            pool->free_list[i] = buffer->next_free;
            free(buffer);
        }
        pool->free_count[i] = 0;
    }
}

struct buffer *buffer_get(struct buffer_pool *pool, size_t size)
{
    unsigned class = 0;
    while (class < BUFFER_CLASSES && class_size[class] < size)
        class ++;
    if (class == BUFFER_CLASSES || class_size[class] > pool->limit - pool->in_use)
        return NULL;
    struct buffer *buffer = pool->free_list[class];
    if (buffer) {
        pool->free_list[class] = buffer->next_free;
        pool->free_count[class]--;
    } else {
        buffer = malloc(sizeof *buffer + class_size[class]);
        if (!buffer)
            return NULL;
        buffer->pool = pool;
        buffer->capacity = class_size[class];
        buffer->size_class = class;
    }
    buffer->next_free = NULL;
    buffer->references = 1;
    pool->in_use += buffer->capacity;
    return buffer;
}

struct buffer *buffer_share(struct buffer *buffer)
{
    buffer->references++;
    return buffer;
}

void buffer_release(struct buffer *buffer)
{
    if (!buffer || --buffer->references)
        return;
    struct buffer_pool *pool = buffer->pool;
    pool->in_use -= buffer->capacity;
    if (pool->free_count[buffer->size_class] >= class_keep[buffer->size_class]) {
        free(buffer);
        return;
    }
    buffer->next_free = pool->free_list[buffer->size_class];
    pool->free_list[buffer->size_class] = buffer;
    pool->free_count[buffer->size_class]++;
}
