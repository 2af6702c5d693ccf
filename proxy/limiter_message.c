/*
 * The limiter's keys, and its messages.
 */
#include <string.h>

#include "crypto/text.h"
#include "proxy/limiter.h"
#include "proxy/source.h"

enum { USER_MAX = 1024 };

/* Each scope hashes into numbers of its own. */
static uint64_t key_of(const struct siphash_key *key, enum limit_scope scope, struct span text)
{
    uint8_t bytes[SOURCE_SIZE + 4 * USER_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    write_u8(&writer, (uint8_t)scope);
    write_span(&writer, text);
    return writer_done(&writer) ? siphash(key, bytes, writer_size(&writer)) : 0;
}

uint64_t limit_source_key(const struct siphash_key *key, const char *address)
{
    char source[SOURCE_SIZE];
    source_of(address, source);
    return key_of(key, LIMIT_SOURCE, span_of_text(source));
}

void attempt_key_make(const struct siphash_key *key, const char *address, const char *user,
                      struct attempt_key *attempt)
{
    uint8_t upper[2 * USER_MAX], both[16];
    struct writer writer = writer_over(upper, sizeof upper);
    /* What is no text is an unknown user, whoever it is. */
    bool known = text_write_utf16(&writer, user, true) && writer_done(&writer);
    struct span name = {upper, known ? writer_size(&writer) : 0};
    attempt->of[LIMIT_SOURCE] = limit_source_key(key, address);
    attempt->of[LIMIT_USER] = key_of(key, LIMIT_USER, name);
    put_le64(both, attempt->of[LIMIT_SOURCE]);
    put_le64(&both[8], attempt->of[LIMIT_USER]);
    attempt->of[LIMIT_PAIR] = key_of(key, LIMIT_PAIR, (struct span){both, sizeof both});
}

void limit_write(struct writer *writer, const struct limit *limit)
{
    write_u8(writer, (uint8_t)limit->scope);
    write_le64(writer, limit->key);
    write_le64(writer, limit->until_ms);
    write_u8(writer, (uint8_t)limit->exempt_count);
    for (unsigned i = 0; i < limit->exempt_count; i++)
        write_le64(writer, limit->exempt[i]);
}

bool limit_read(struct span body, struct limit *limit)
{
    struct reader reader = reader_over_span(body);
    uint8_t scope, count;
    memset(limit, 0, sizeof *limit);
    if (!read_u8(&reader, &scope) || scope >= LIMIT_SCOPES || !read_le64(&reader, &limit->key) ||
        !read_le64(&reader, &limit->until_ms) || !read_u8(&reader, &count) ||
        count > LIMIT_EXEMPT_MAX)
        return false;
    limit->scope = (enum limit_scope)scope;
    while (limit->exempt_count < count)
        if (!read_le64(&reader, &limit->exempt[limit->exempt_count++]))
            return false;
    return reader_left(&reader) == 0;
}

void outcome_write(struct writer *writer, const struct attempt_key *attempt, bool proven)
{
    write_u8(writer, proven);
    for (unsigned scope = 0; scope < LIMIT_SCOPES; scope++)
        write_le64(writer, attempt->of[scope]);
}

bool outcome_read(struct span body, struct attempt_key *attempt, bool *proven)
{
    struct reader reader = reader_over_span(body);
    uint8_t value;
    if (!read_u8(&reader, &value) || value > 1)
        return false;
    *proven = value;
    for (unsigned scope = 0; scope < LIMIT_SCOPES; scope++)
        if (!read_le64(&reader, &attempt->of[scope]))
            return false;
    return reader_left(&reader) == 0;
}
