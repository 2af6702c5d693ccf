#include "crypto/kerberos_token.h"

#include "crypto/der.h"

enum {
    AP_REQ = 0x6e, /* [APPLICATION 14] */
    TICKET = 0x61, /* [APPLICATION 1] */
    AP_REQ_TYPE = 14,
    PROTOCOL_VERSION = 5,
    COMPONENTS_MAX = 8,
};

/* What the GSSAPI framing of a Kerberos token holds behind the mechanism's OID. */
static bool open_frame(struct span token, struct span *inner)
{
    struct reader reader = reader_over_span(token);
    struct span frame, oid;
    if (!der_expect(&reader, DER_APPLICATION_0, &frame) || reader_left(&reader) != 0)
        return false;
    reader = reader_over_span(frame);
    if (!der_expect(&reader, DER_OID, &oid))
        return false;
    *inner = reader_rest(&reader);
    enum spnego_mechanism mechanism = spnego_mechanism(oid);
    return mechanism == SPNEGO_KERBEROS || mechanism == SPNEGO_MS_KERBEROS;
}

bool kerberos_token_is(struct span token)
{
    struct span inner;
    return open_frame(token, &inner);
}

/* A field that must be this number. */
static bool number_is(struct reader *reader, uint8_t field, int64_t expected)
{
    struct span content;
    int64_t number;
    return der_field(reader, field, DER_INTEGER, &content) && der_number(content, &number) &&
           number == expected;
}

static bool read_etype(struct reader *reader, int32_t *etype)
{
    struct span content;
    int64_t number;
    if (!der_field(reader, DER_CONTEXT_0, DER_INTEGER, &content) || !der_number(content, &number) ||
        number < INT32_MIN || number > INT32_MAX)
        return false;
    *etype = (int32_t)number;
    return true;
}

/* EncryptedData (RFC 4120 5.2.9), inside a field. */
static bool read_encrypted(struct reader *outer, uint8_t field, int32_t *etype, struct span *cipher)
{
    struct span sequence, version;
    if (!der_field(outer, field, DER_SEQUENCE, &sequence))
        return false;
    struct reader reader = reader_over_span(sequence);
    if (!read_etype(&reader, etype))
        return false;
    if (!der_field(&reader, DER_CONTEXT_2, DER_OCTET_STRING, cipher) &&
        (!der_field(&reader, DER_CONTEXT_1, DER_INTEGER, &version) ||
         !der_field(&reader, DER_CONTEXT_2, DER_OCTET_STRING, cipher)))
        return false;
    return reader_left(&reader) == 0 && cipher->size > 0;
}

/* Names that libkrb5 writes without a backslash, so that nothing in them can be mistaken. */
static bool plain(struct span name, const char *but)
{
    struct reader reader = reader_over_span(name);
    uint8_t byte;
    while (read_u8(&reader, &byte)) {
        if (byte <= ' ' || byte == 0x7f)
            return false;
        for (const char *at = but; *at; at++)
            if (byte == (uint8_t)*at)
                return false;
    }
    return name.size > 0;
}

/* PrincipalName (RFC 4120 5.2.2): its components with slashes between. */
static bool read_service(struct reader *outer, struct writer *service)
{
    struct span sequence, type, components, component;
    if (!der_field(outer, DER_CONTEXT_2, DER_SEQUENCE, &sequence))
        return false;
    struct reader reader = reader_over_span(sequence);
    if (!der_field(&reader, DER_CONTEXT_0, DER_INTEGER, &type) ||
        !der_field(&reader, DER_CONTEXT_1, DER_SEQUENCE, &components) || reader_left(&reader) != 0)
        return false;
    reader = reader_over_span(components);
    for (unsigned i = 0; i == 0 || reader_left(&reader); i++) {
        if (i == COMPONENTS_MAX || !der_expect(&reader, DER_GENERAL_STRING, &component) ||
            !plain(component, "/@\\"))
            return false;
        if (i > 0)
            write_u8(service, '/');
        write_span(service, component);
    }
    return true;
}

static bool read_ticket(struct span content, struct kerberos_token *read)
{
    struct writer service = writer_over(read->service, sizeof read->service);
    struct writer principal = writer_over(read->principal, sizeof read->principal);
    struct span sequence, realm, cipher;
    if (!der_inner(content, DER_SEQUENCE, &sequence))
        return false;
    struct reader reader = reader_over_span(sequence);
    if (!number_is(&reader, DER_CONTEXT_0, PROTOCOL_VERSION) ||
        !der_field(&reader, DER_CONTEXT_1, DER_GENERAL_STRING, &realm) || !plain(realm, "/@\\") ||
        !read_service(&reader, &service) ||
        !read_encrypted(&reader, DER_CONTEXT_3, &read->etype, &cipher) || reader_left(&reader) != 0)
        return false;
    write_span(&principal, writer_span(&service));
    write_u8(&principal, '@');
    write_span(&principal, realm);
    write_u8(&principal, '\0');
    write_u8(&service, '\0');
    return writer_done(&service) && writer_done(&principal);
}

bool kerberos_token_read(struct span token, struct kerberos_token *read)
{
    struct span inner, request, sequence, options, ticket;
    uint8_t id[2];
    if (!open_frame(token, &inner))
        return false;
    struct reader reader = reader_over_span(inner);
    /* RFC 4121 4.1: 01 00 says AP-REQ */
    if (!read_copy(&reader, id, sizeof id) || id[0] != 1 || id[1] != 0 ||
        !der_inner(reader_rest(&reader), AP_REQ, &request) ||
        !der_inner(request, DER_SEQUENCE, &sequence))
        return false;
    reader = reader_over_span(sequence);
    if (!number_is(&reader, DER_CONTEXT_0, PROTOCOL_VERSION) ||
        !number_is(&reader, DER_CONTEXT_1, AP_REQ_TYPE) ||
        !der_field(&reader, DER_CONTEXT_2, DER_BIT_STRING, &options) ||
        !der_expect(&reader, DER_CONTEXT_3, &read->ticket) ||
        !der_inner(read->ticket, TICKET, &ticket) || !read_ticket(ticket, read))
        return false;
    return read_encrypted(&reader, DER_CONTEXT_4, &read->authenticator_etype,
                          &read->authenticator) &&
           reader_left(&reader) == 0;
}
