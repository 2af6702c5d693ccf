/*
 * Plain text of unknown origin: what is valid UTF-8, where it may be cut, what may be shown, and
 * what is a number.
 */
#ifndef COUNTERSIGN_POLICY_PLAIN_H
#define COUNTERSIGN_POLICY_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size in bytes (1 to 4) of the character that begins at `bytes`, of which `size` are there,
 * and the character; 0 when what begins there is not valid UTF-8 (RFC 3629, shortest form only). */
size_t plain_take(const char *bytes, size_t size, uint32_t *character);

/* The length of the longest start of `text` that has at most `limit` bytes and ends where a
 * character ends. Bytes that are no UTF-8 count as characters of their own. */
size_t plain_cut(const char *text, size_t limit);

/* Writes `size` bytes of `text` to `to` (room for 3 * size + 1 bytes), each invalid byte, DEL, C1
 * control character, line separator and what turns text around replaced by U+FFFD: a log is looked
 * at on terminals, and cut into lines by many programs. NUL-terminated. */
void plain_clean(const char *text, size_t size, char *to);

/* Valid, and without control characters and the invisible ones that change the order of others. */
bool plain_printable(const char *text);

/* True when the two are the same without regard to case, in any script; bytes that are no UTF-8 are
 * only like themselves. Letters that some system takes for the same count as the same. */
bool plain_same(const char *a, const char *b);

/* Reads a decimal number without sign, spaces or leading zeros that fits 64 bits. */
bool plain_number(const char *text, uint64_t *value);

#endif
