/*
 * The little of DER (X.690) that SPNEGO and Kerberos need: elements with one-byte tags and definite
 * lengths.
 */
#ifndef COUNTERSIGN_CRYPTO_DER_H
#define COUNTERSIGN_CRYPTO_DER_H

#include "crypto/cursor.h"

enum {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
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
    DER_CONTEXT_4 = 0xa4,
    DER_CONTEXT_5 = 0xa5,
    DER_CONTEXT_6 = 0xa6,
    DER_CONTEXT_7 = 0xa7,
    DER_CONTEXT_8 = 0xa8,
};

/*
 * Reads one element whole: its tag and its content. False, with nothing moved, when it does not end
 * inside, when its length is indefinite or takes more than four bytes, or the tag is a long one. A
 * length written longer than necessary is taken: some SMB stacks write BER.
 */
MUST_USE bool der_read(struct reader *reader, uint8_t *tag, struct span *content);

/* The same for an element that must have this tag. */
MUST_USE bool der_expect(struct reader *reader, uint8_t tag, struct span *content);

/* The one element inside a context-tagged field, which fills it and must have this tag. */
MUST_USE bool der_inner(struct span field, uint8_t tag, struct span *content);

/* The next element, which must have the tag `field`, and inside it the one element `tag`. */
MUST_USE bool der_field(struct reader *reader, uint8_t field, uint8_t tag, struct span *content);

/* The number in the content of an INTEGER of at most five bytes. */
MUST_USE bool der_number(struct span content, int64_t *number);

/* Bytes of an element whose content has `content` bytes. */
size_t der_size(size_t content);

/* Writes tag and length; the content of `content` bytes is to follow. Lengths beyond 65535
 * overflow. */
void der_write_head(struct writer *writer, uint8_t tag, size_t content);
void der_write(struct writer *writer, uint8_t tag, struct span content);

#endif
