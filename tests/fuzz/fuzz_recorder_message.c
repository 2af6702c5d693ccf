/*
 * What a worker tells the recorder and is told, and the names in a file server's CHALLENGE. The
 * first byte chooses, the rest is a body. Limits and outcomes that are taken are written the same
 * again; whatever a worker says it saw, the memory stays bounded and can be saved.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/challenge_name.h"
#include "proxy/limiter.h"
#include "proxy/memory.h"

enum { ENTRIES = 8 };

static struct memory *memory;

static void see(struct span body)
{
    struct sighting sighting;
    struct judgement judgement;
    struct span rest;
    uint64_t query;
    if (!sighting_read(body, &query, &sighting, &rest))
        return;
    if (!memory && !(memory = memory_new(ENTRIES)))
        abort();
    memory_see(memory, &sighting, &judgement);
    if (memory_count(memory) > ENTRIES)
        abort();
    /* Once pinned and refused, again refused: nothing of it was learnt. */
    if (judgement.less && sighting.pin) {
        memory_see(memory, &sighting, &judgement);
        if (!judgement.less)
            abort();
    }
}

static void same(struct span body, struct writer *writer)
{
    if (!writer_done(writer) || !span_equal(writer_span(writer), body))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buffer[LIMIT_MESSAGE_MAX], kind;
    char name[MEMORY_NAME_MAX];
    struct reader reader = reader_over(data, size);
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct attempt_key attempt;
    struct limit limit;
    bool proven;
    if (!read_u8(&reader, &kind))
        return 0;
    struct span body = reader_rest(&reader);
    switch (kind % 4) {
    case 0: see(body); break;
    case 1:
        if (limit_read(body, &limit)) {
            limit_write(&writer, &limit);
            same(body, &writer);
        }
        break;
    case 2:
        if (outcome_read(body, &attempt, &proven)) {
            outcome_write(&writer, &attempt, proven);
            same(body, &writer);
        }
        break;
    case 3:
        if (challenge_name_read(body, name, sizeof name) && strlen(name) >= sizeof name)
            abort();
        break;
    }
    return 0;
}
