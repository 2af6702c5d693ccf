/*
 * Checked access to bytes that somebody else chose.
 *
 * A reader walks over bytes it does not own; every read says whether there was
 * enough left, moves only when there was, and its answer must be looked at. A
 * writer fills a buffer it does not own; running out of room is remembered and
 * told once, by writer_done(). Integers are little-endian, as in MS-SMB2 and
 * MS-NLMP, unless the name says `be`.
 *
 * No parser in Countersign does pointer arithmetic of its own.
 */
#ifndef COUNTERSIGN_CRYPTO_CURSOR_H
#define COUNTERSIGN_CRYPTO_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))

/* Bytes that belong to somebody else. `at` may be NULL when `size` is 0. */
struct span {
    const uint8_t *at;
    size_t size;
};

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool overflow;
};

/* A reader over `size` bytes at `bytes`, which must outlive it. */
struct reader reader_over(const void *bytes, size_t size);
struct reader reader_over_span(struct span span);

/* Bytes not yet read. */
size_t reader_left(const struct reader *reader);

/* What is left, as a span; the reader does not move. */
struct span reader_rest(const struct reader *reader);

/* Each reads one value and moves past it; false, with nothing moved, when too few bytes are left.
 */
MUST_USE bool read_u8(struct reader *reader, uint8_t *value);
MUST_USE bool read_le16(struct reader *reader, uint16_t *value);
MUST_USE bool read_le32(struct reader *reader, uint32_t *value);
MUST_USE bool read_le64(struct reader *reader, uint64_t *value);
MUST_USE bool read_skip(struct reader *reader, size_t size);
/* Copies `size` bytes to `to`. */
MUST_USE bool read_copy(struct reader *reader, void *to, size_t size);
/* Borrows the next `size` bytes. */
MUST_USE bool read_span(struct reader *reader, size_t size, struct span *span);
/* Borrows the bytes before the next `mark` and moves past it; false, with nothing moved, when there
 * is no `mark`. */
MUST_USE bool read_until(struct reader *reader, uint8_t mark, struct span *span);
/* Moves past exactly these characters; false, with nothing moved, when others are next. */
MUST_USE bool read_literal(struct reader *reader, const char *text);
/* Skips to the next multiple of `unit` (a power of two) counted from `base`. */
MUST_USE bool read_align(struct reader *reader, const uint8_t *base, size_t unit);

/* The `size` bytes at `offset` within `whole`; false when they are not all inside. An empty range
 * at any offset up to the end is inside. */
MUST_USE bool span_slice(struct span whole, size_t offset, size_t size, struct span *slice);

/* The characters of a text, which it borrows, without the NUL. */
struct span span_of_text(const char *text);

/* Same length and same bytes; takes time that depends on the content: not for MACs. */
bool span_equal(struct span a, struct span b);
bool span_is(struct span span, const char *text);

/* A writer into `size` bytes at `buffer`, which must outlive it. */
struct writer writer_over(void *buffer, size_t size);

/* Bytes written so far. */
size_t writer_size(const struct writer *writer);

/* What was written so far, as a span. */
struct span writer_span(const struct writer *writer);

void write_u8(struct writer *writer, uint8_t value);
void write_le16(struct writer *writer, uint16_t value);
void write_le32(struct writer *writer, uint32_t value);
void write_le64(struct writer *writer, uint64_t value);
void write_bytes(struct writer *writer, const void *bytes, size_t size);
void write_span(struct writer *writer, struct span span);
void write_zeros(struct writer *writer, size_t size);
/* Zeros up to the next multiple of `unit` (a power of two) counted from the writer's start. */
void write_align(struct writer *writer, size_t unit);
/* Overwrites bytes written earlier, `offset` bytes from the start. */
void write_le16_at(struct writer *writer, size_t offset, uint16_t value);
void write_le32_at(struct writer *writer, size_t offset, uint32_t value);

/* True when everything fitted. What an overflowing writer holds must not be used. */
MUST_USE bool writer_done(const struct writer *writer);

/* Fixed places in a message whose size has been checked already. */
static inline uint16_t get_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get_le32(const uint8_t *at)
{
    return (uint32_t)get_le16(at) | (uint32_t)get_le16(at + 2) << 16;
}

static inline uint64_t get_le64(const uint8_t *at)
{
    return (uint64_t)get_le32(at) | (uint64_t)get_le32(at + 4) << 32;
}

static inline void put_le16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put_le32(uint8_t *at, uint32_t value)
{
    put_le16(at, (uint16_t)value);
    put_le16(at + 2, (uint16_t)(value >> 16));
}

static inline void put_le64(uint8_t *at, uint64_t value)
{
    put_le32(at, (uint32_t)value);
    put_le32(at + 4, (uint32_t)(value >> 32));
}

#endif
