/*
 * The little of DER (X.690) that SPNEGO needs: elements with one-byte tags and definite lengths.
 */
#ifndef COUNTERSIGN_CRYPTO_DER_H
#define COUNTERSIGN_CRYPTO_DER_H

#include "crypto/cursor.h"

enum {
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_GENERAL_STRING = 0x1b,
    DER_SEQUENCE = 0x30,
    DER_APPLICATION_0 = 0x60,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_1 = 0xa1,
    DER_CONTEXT_2 = 0xa2,
    DER_CONTEXT_3 = 0xa3,
};

/*
 * Reads one element whole: its tag and its content. False, with nothing moved, when it does not end
 * inside, when its length is indefinite or takes more than four bytes, or the tag is a long one. A
 * length written longer than necessary is taken: some SMB stacks write BER.
 */
MUST_USE bool der_read(struct reader *reader, uint8_t *tag, struct span *content);

/* The same for an element that must have this tag. */
MUST_USE bool der_expect(struct reader *reader, uint8_t tag, struct span *content);

/* Bytes of an element whose content has `content` bytes. */
size_t der_size(size_t content);

/* Writes tag and length; the content of `content` bytes is to follow. Lengths beyond 65535
 * overflow. */
void der_write_head(struct writer *writer, uint8_t tag, size_t content);
void der_write(struct writer *writer, uint8_t tag, struct span content);

#endif
