#include "crypto/spnego.h"

#include "crypto/der.h"

static const uint8_t own_oid[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x02};
static const uint8_t kerberos_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
static const uint8_t ms_kerberos_oid[] = {0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02};
static const uint8_t ntlm_oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a};

/* SEQUENCE { OID of NTLMSSP }. */
static const uint8_t ntlm_list[] = {0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01,
                                    0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a};

/* The text that MS-SPNG 2.2.1 gives a server that follows RFC 4178. */
static const uint8_t hint_name[] = "not_defined_in_RFC4178@please_ignore";

struct span spnego_oid(enum spnego_mechanism mechanism)
{
    switch (mechanism) {
    case SPNEGO_KERBEROS: return (struct span){kerberos_oid, sizeof kerberos_oid};
    case SPNEGO_MS_KERBEROS: return (struct span){ms_kerberos_oid, sizeof ms_kerberos_oid};
    case SPNEGO_NTLM: return (struct span){ntlm_oid, sizeof ntlm_oid};
    case SPNEGO_OTHER: break;
    }
    return (struct span){NULL, 0};
}

enum spnego_mechanism spnego_mechanism(struct span oid)
{
    static const enum spnego_mechanism known[] = {SPNEGO_KERBEROS, SPNEGO_MS_KERBEROS, SPNEGO_NTLM};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equal(oid, spnego_oid(known[i])))
            return known[i];
    return SPNEGO_OTHER;
}

bool spnego_offers(const struct spnego_init *init, enum spnego_mechanism mechanism)
{
    for (size_t i = 0; i < init->offers_count; i++)
        if (init->offers[i] == mechanism)
            return true;
    return false;
}

struct span spnego_ntlm_list(void)
{
    return (struct span){ntlm_list, sizeof ntlm_list};
}

static bool read_mechanisms(struct span list, struct spnego_init *init)
{
    struct span content, oid;
    if (!der_inner(list, DER_SEQUENCE, &content))
        return false;
    struct reader reader = reader_over_span(content);
    init->mech_list = list;
    while (reader_left(&reader)) {
        if (init->offers_count == SPNEGO_MECHANISMS_MAX || !der_expect(&reader, DER_OID, &oid))
            return false;
        init->offers[init->offers_count++] = spnego_mechanism(oid);
    }
    return init->offers_count > 0;
}

/* The content of the SEQUENCE in GSS-API's initial framing (RFC 2743 3.1) and NegotiationToken's
 * [0]. */
static bool open_init(struct span token, struct reader *fields)
{
    struct reader reader = reader_over_span(token);
    struct span frame, oid, choice, sequence;
    if (!der_expect(&reader, DER_APPLICATION_0, &frame))
        return false;
    reader = reader_over_span(frame);
    if (!der_expect(&reader, DER_OID, &oid) ||
        !span_equal(oid, (struct span){own_oid, sizeof own_oid}) ||
        !der_expect(&reader, DER_CONTEXT_0, &choice) || !der_inner(choice, DER_SEQUENCE, &sequence))
        return false;
    *fields = reader_over_span(sequence);
    return true;
}

/* Remembers that a field was seen; false when it is seen again. */
static bool once(uint8_t tag, uint32_t *seen)
{
    uint32_t bit = UINT32_C(1) << (tag & 0x1f);
    bool first = !(*seen & bit);
    *seen |= bit;
    return first;
}

/* [1] reqFlags, [3] negHints or mechListMIC and [4] mechListMIC of a first token bind nothing. */
bool spnego_init_read(struct span token, struct spnego_init *init)
{
    struct reader reader;
    uint32_t seen = 0;
    *init = (struct spnego_init){.offers_count = 0};
    if (!open_init(token, &reader))
        return false;
    while (reader_left(&reader)) {
        uint8_t tag;
        struct span field;
        if (!der_read(&reader, &tag, &field) || !once(tag, &seen))
            return false;
        if (tag == DER_CONTEXT_0 && !read_mechanisms(field, init))
            return false;
        if (tag == DER_CONTEXT_2 && !der_inner(field, DER_OCTET_STRING, &init->token))
            return false;
    }
    return init->mech_list.size > 0;
}

static bool read_state(struct span field, enum spnego_state *state)
{
    struct span value;
    if (!der_inner(field, DER_ENUMERATED, &value) || value.size != 1)
        return false;
    uint8_t number = *value.at;
    *state = (enum spnego_state)number;
    return number <= SPNEGO_REQUEST_MIC;
}

static bool read_response_field(uint8_t tag, struct span field, struct spnego_response *response)
{
    switch (tag) {
    case DER_CONTEXT_0: return read_state(field, &response->state);
    case DER_CONTEXT_1: return der_inner(field, DER_OID, &response->mechanism);
    case DER_CONTEXT_2: return der_inner(field, DER_OCTET_STRING, &response->token);
    case DER_CONTEXT_3: return der_inner(field, DER_OCTET_STRING, &response->mic);
    default: return true;
    }
}

bool spnego_response_read(struct span token, struct spnego_response *response)
{
    struct reader reader = reader_over_span(token);
    struct span choice, sequence;
    uint32_t seen = 0;
    *response = (struct spnego_response){.state = SPNEGO_NO_STATE};
    if (!der_expect(&reader, DER_CONTEXT_1, &choice) || !der_inner(choice, DER_SEQUENCE, &sequence))
        return false;
    reader = reader_over_span(sequence);
    while (reader_left(&reader)) {
        uint8_t tag;
        struct span field;
        if (!der_read(&reader, &tag, &field) || !once(tag, &seen) ||
            !read_response_field(tag, field, response))
            return false;
    }
    return true;
}

/* A context-tagged field around one element; nothing for an empty one. */
static void write_field(struct writer *writer, uint8_t context, uint8_t tag, struct span content)
{
    if (content.size == 0)
        return;
    der_write_head(writer, context, der_size(content.size));
    der_write(writer, tag, content);
}

static size_t field_size(struct span content)
{
    return content.size ? der_size(der_size(content.size)) : 0;
}

void spnego_list_write(struct writer *writer, const enum spnego_mechanism *mechanisms, size_t count)
{
    size_t content = 0;
    for (size_t i = 0; i < count; i++)
        content += der_size(spnego_oid(mechanisms[i]).size);
    der_write_head(writer, DER_SEQUENCE, content);
    for (size_t i = 0; i < count; i++)
        der_write(writer, DER_OID, spnego_oid(mechanisms[i]));
}

/* Everything of a first token up to the fields behind the mechanisms, which take `rest` bytes. */
static void write_init_start(struct writer *writer, struct span list, size_t rest)
{
    size_t fields = der_size(list.size) + rest;
    size_t choice = der_size(fields);
    der_write_head(writer, DER_APPLICATION_0, der_size(sizeof own_oid) + der_size(choice));
    der_write(writer, DER_OID, (struct span){own_oid, sizeof own_oid});
    der_write_head(writer, DER_CONTEXT_0, choice);
    der_write_head(writer, DER_SEQUENCE, fields);
    der_write(writer, DER_CONTEXT_0, list);
}

void spnego_init_write(struct writer *writer, struct span list, struct span token)
{
    write_init_start(writer, list, field_size(token));
    write_field(writer, DER_CONTEXT_2, DER_OCTET_STRING, token);
}

void spnego_hint_write(struct writer *writer, struct span list)
{
    const struct span name = {hint_name, sizeof hint_name - 1};
    size_t hints = field_size(name);
    write_init_start(writer, list, der_size(der_size(hints)));
    der_write_head(writer, DER_CONTEXT_3, der_size(hints));
    der_write_head(writer, DER_SEQUENCE, hints);
    write_field(writer, DER_CONTEXT_0, DER_GENERAL_STRING, name);
}

void spnego_response_write(struct writer *writer, const struct spnego_response *response)
{
    const uint8_t state = (uint8_t)response->state;
    const struct span state_field = {&state, response->state == SPNEGO_NO_STATE ? 0 : 1};
    size_t fields = field_size(state_field) + field_size(response->mechanism) +
                    field_size(response->token) + field_size(response->mic);
    der_write_head(writer, DER_CONTEXT_1, der_size(fields));
    der_write_head(writer, DER_SEQUENCE, fields);
    write_field(writer, DER_CONTEXT_0, DER_ENUMERATED, state_field);
    write_field(writer, DER_CONTEXT_1, DER_OID, response->mechanism);
    write_field(writer, DER_CONTEXT_2, DER_OCTET_STRING, response->token);
    write_field(writer, DER_CONTEXT_3, DER_OCTET_STRING, response->mic);
}
