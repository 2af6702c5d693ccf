/*
 * What all bodies of SMB2 messages have in common: they begin with a StructureSize behind the
 * header, and their variable parts are ranges counted from the start of the header (MS-SMB2 2.2).
 */
#ifndef COUNTERSIGN_PROXY_BODY_LAYOUT_H
#define COUNTERSIGN_PROXY_BODY_LAYOUT_H

#include "crypto/cursor.h"

/* A reader just behind the StructureSize of the body of `message`. False when there is none, or it
 * is another one than `structure_size`. */
MUST_USE bool body_open(struct span message, uint16_t structure_size, struct reader *reader);

/* The range `offset`, `size` of `message`. It may not reach into the first `fixed_end` bytes
 * (header and fixed part of the body), but an empty one may claim to be anywhere, as peers do send
 * it. */
MUST_USE bool body_range(struct span message, size_t fixed_end, size_t offset, size_t size,
                         struct span *range);

/* A variable part that may be empty: an odd StructureSize counts one byte of it, and some peers
 * insist on that byte. */
void body_write_variable(struct writer *writer, struct span bytes);

#endif
