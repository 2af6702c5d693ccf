#include "crypto/kerberos_authenticator.h"

#include "crypto/der.h"
#include "crypto/text.h"

#include <string.h>

enum {
    AUTHENTICATOR = 0x62, /* [APPLICATION 2] */
    PROTOCOL_VERSION = 5,
    CHECKSUM_GSSAPI = 0x8003,
    BINDINGS_SIZE = 16,
    AD_IF_RELEVANT = 1,
    AD_CLIENT_TARGET = 144,
};

/* A field of a sequence that may be missing. */
static bool optional(struct reader *reader, uint8_t tag, struct span *field)
{
    *field = (struct span){NULL, 0};
    return reader_left(reader) == 0 || *reader->at != tag || der_expect(reader, tag, field);
}

/* A number and bytes: Checksum, EncryptionKey, and an element of AuthorizationData. */
static bool read_pair(struct span sequence, int64_t *number, struct span *bytes)
{
    struct reader reader = reader_over_span(sequence);
    struct span content;
    return der_field(&reader, DER_CONTEXT_0, DER_INTEGER, &content) &&
           der_number(content, number) &&
           der_field(&reader, DER_CONTEXT_1, DER_OCTET_STRING, bytes) && reader_left(&reader) == 0;
}

/* RFC 4121 4.1.1: length of the bindings (16), and their MD5; zeros say that there are none. */
static bool read_checksum(struct span field, bool *bound)
{
    static const uint8_t none[BINDINGS_SIZE];
    struct span sequence, bytes, bindings;
    uint32_t size;
    int64_t type;
    *bound = false;
    if (field.size == 0)
        return true;
    if (!der_inner(field, DER_SEQUENCE, &sequence) || !read_pair(sequence, &type, &bytes))
        return false;
    if (type != CHECKSUM_GSSAPI)
        return true;
    struct reader reader = reader_over_span(bytes);
    if (!read_le32(&reader, &size) || size != BINDINGS_SIZE || !read_span(&reader, size, &bindings))
        return false;
    *bound = !span_equal(bindings, (struct span){none, sizeof none});
    return true;
}

static bool read_subkey(struct span field, int32_t *etype)
{
    struct span sequence, bytes;
    int64_t number;
    *etype = 0;
    if (field.size == 0)
        return true;
    if (!der_inner(field, DER_SEQUENCE, &sequence) || !read_pair(sequence, &number, &bytes) ||
        number < INT32_MIN || number > INT32_MAX || number == 0)
        return false;
    *etype = (int32_t)number;
    return true;
}

/* UTF-16, with or without a NUL at its end. */
static bool read_target(struct span bytes, char *target, size_t size)
{
    struct span last;
    if (bytes.size >= 2 && span_slice(bytes, bytes.size - 2, 2, &last) && get_le16(last.at) == 0)
        bytes.size -= 2;
    return text_from_utf16_strict(bytes, target, size);
}

static bool read_authorization(struct span sequence, bool nested, char *target, size_t size)
{
    struct reader reader = reader_over_span(sequence);
    struct span element, bytes, inner;
    int64_t type;
    while (reader_left(&reader)) {
        if (!der_expect(&reader, DER_SEQUENCE, &element) || !read_pair(element, &type, &bytes))
            return false;
        if (type == AD_CLIENT_TARGET && !read_target(bytes, target, size))
            return false;
        if (type == AD_IF_RELEVANT && !nested &&
            (!der_inner(bytes, DER_SEQUENCE, &inner) ||
             !read_authorization(inner, true, target, size)))
            return false;
    }
    return true;
}

bool kerberos_authenticator_read(struct span plain, struct kerberos_authenticator *read)
{
    struct reader reader = reader_over_span(plain);
    struct span content, sequence, number, text, checksum, subkey, count, authorization;
    int64_t version;
    memset(read, 0, sizeof *read);
    if (!der_expect(&reader, AUTHENTICATOR, &content) ||
        !der_inner(content, DER_SEQUENCE, &sequence))
        return false;
    reader = reader_over_span(sequence);
    if (!der_field(&reader, DER_CONTEXT_0, DER_INTEGER, &number) || !der_number(number, &version) ||
        version != PROTOCOL_VERSION || !der_expect(&reader, DER_CONTEXT_1, &text) ||
        !der_expect(&reader, DER_CONTEXT_2, &text) ||
        !optional(&reader, DER_CONTEXT_3, &checksum) ||
        !der_expect(&reader, DER_CONTEXT_4, &number) ||
        !der_expect(&reader, DER_CONTEXT_5, &text) || !optional(&reader, DER_CONTEXT_6, &subkey) ||
        !optional(&reader, DER_CONTEXT_7, &count) ||
        !optional(&reader, DER_CONTEXT_8, &authorization) || reader_left(&reader) != 0)
        return false;
    if (!read_checksum(checksum, &read->bound) || !read_subkey(subkey, &read->subkey_etype))
        return false;
    return authorization.size == 0 ||
           (der_inner(authorization, DER_SEQUENCE, &sequence) &&
            read_authorization(sequence, false, read->target, sizeof read->target));
}
