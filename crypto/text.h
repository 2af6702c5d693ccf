/*
 * UTF-16LE from the wire to UTF-8 for logs and back.
 */
#ifndef COUNTERSIGN_CRYPTO_TEXT_H
#define COUNTERSIGN_CRYPTO_TEXT_H

#include "crypto/cursor.h"

/* Writes `utf16` as NUL-terminated UTF-8 into `to`; invalid units and control characters become
 * U+FFFD; cut at a character when it does not fit. */
void text_from_utf16(struct span utf16, char *to, size_t size);

/* The same, strictly: false when anything is invalid, an embedded NUL, or does not fit. */
MUST_USE bool text_from_utf16_strict(struct span utf16, char *to, size_t size);

/* Writes UTF-8 as UTF-16LE without a NUL. False, with an unknown amount written, when `utf8` is not
 * valid UTF-8. `upper` turns each character into upper case first, as MS-NLMP's hashes need. */
MUST_USE bool text_write_utf16(struct writer *writer, const char *utf8, bool upper);

/* Compares two UTF-8 texts without regard to case, for names of accounts, servers and shares. */
bool text_same_name(const char *a, const char *b);

#endif
