#include "crypto/kerberos_initiate.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "crypto/der.h"
#include "crypto/kerberos.h"
#include "crypto/spnego.h"

/* SEQUENCE { MS-KRB5 1.2.840.48018.1.2.2, Kerberos 5 1.2.840.113554.1.2.2 }: one mechanism by two
 * names, in the order that every Windows client offers them in. */
static const uint8_t own_list[] = {0x30, 0x16, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x82,
                                   0xf7, 0x12, 0x01, 0x02, 0x02, 0x06, 0x09, 0x2a,
                                   0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};

enum state {
    STATE_START,
    STATE_SHOWN,    /* AP-REQ sent */
    STATE_MIC_OWED, /* AP-REP checked, mechListMIC sent: the file server owes its own */
    STATE_DONE,
    STATE_REFUSED,
};

struct kerberos_initiator {
    enum state state;
    enum refusal refusal;
    krb5_ccache cache; /* in memory, with the one ticket */
    gss_cred_id_t credential;
    gss_name_t service;
    gss_ctx_id_t context;
};

static const OM_uint32 wanted_flags = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG;

static struct span own_mechanisms(void)
{
    return (struct span){own_list, sizeof own_list};
}

static krb5_error_code fill_cache(krb5_context context, krb5_ccache cache, const krb5_creds *creds)
{
    krb5_error_code code = krb5_cc_initialize(context, cache, creds->client);
    /* libkrb5 copies them; its prototype knows no const. */
    krb5_creds lent = *creds;
    if (code == 0)
        code = krb5_cc_store_cred(context, cache, &lent);
    OPENSSL_cleanse(&lent, sizeof lent);
    return code;
}

static krb5_error_code import_service(krb5_context context, const krb5_creds *creds,
                                      gss_name_t *service)
{
    OM_uint32 minor = 0;
    char *name;
    krb5_error_code code = krb5_unparse_name(context, creds->server, &name);
    if (code != 0)
        return code;
    gss_buffer_desc text = {.length = strlen(name), .value = name};
    OM_uint32 major = gss_import_name(&minor, &text, GSS_KRB5_NT_PRINCIPAL_NAME, service);
    krb5_free_unparsed_name(context, name);
    return GSS_ERROR(major) ? (krb5_error_code)minor : 0;
}

static krb5_error_code set_up(struct kerberos_initiator *initiator, krb5_context context,
                              const krb5_creds *creds)
{
    OM_uint32 minor = 0;
    krb5_error_code code = krb5_cc_new_unique(context, "MEMORY", NULL, &initiator->cache);
    if (code == 0)
        code = fill_cache(context, initiator->cache, creds);
    if (code == 0)
        code = import_service(context, creds, &initiator->service);
    if (code == 0 && GSS_ERROR(gss_krb5_import_cred(&minor, initiator->cache, NULL, NULL,
                                                    &initiator->credential)))
        code = (krb5_error_code)minor;
    return code;
}

struct kerberos_initiator *kerberos_initiator_new(const krb5_creds *creds, enum refusal *refusal)
{
    krb5_context context = kerberos_context();
    struct kerberos_initiator *initiator = context ? calloc(1, sizeof *initiator) : NULL;
    *refusal = REFUSAL_INTERNAL;
    if (!initiator)
        return NULL;
    krb5_error_code code = set_up(initiator, context, creds);
    if (initiator->credential)
        return initiator;
    *refusal = kerberos_upstream_refusal(code);
    kerberos_initiator_free(initiator);
    return NULL;
}

void kerberos_initiator_free(struct kerberos_initiator *initiator)
{
    OM_uint32 minor;
    if (!initiator)
        return;
    (void)gss_delete_sec_context(&minor, &initiator->context, GSS_C_NO_BUFFER);
    (void)gss_release_name(&minor, &initiator->service);
    (void)gss_release_cred(&minor, &initiator->credential);
    /* Wipes the keys in it. */
    if (initiator->cache)
        (void)krb5_cc_destroy(kerberos_context(), initiator->cache);
    free(initiator);
}

static enum step refuse(struct kerberos_initiator *initiator, enum refusal refusal)
{
    initiator->state = STATE_REFUSED;
    initiator->refusal = refusal;
    return STEP_REFUSED;
}

static enum step proceed(struct kerberos_initiator *initiator, enum state next,
                         const struct writer *reply)
{
    if (!writer_done(reply))
        return refuse(initiator, REFUSAL_INTERNAL);
    initiator->state = next;
    return next == STATE_DONE ? STEP_DONE : STEP_CONTINUE;
}

/* One call into the mechanism; `output` is the caller's to release. */
static enum refusal exchange(struct kerberos_initiator *initiator, struct span input,
                             gss_buffer_t output, OM_uint32 *major)
{
    OM_uint32 minor = 0, flags = 0;
    gss_buffer_desc in = {.length = input.size, .value = (void *)(uintptr_t)input.at};
    *major = gss_init_sec_context(&minor, initiator->credential, &initiator->context,
                                  initiator->service, (gss_OID)(uintptr_t)gss_mech_krb5,
                                  wanted_flags, 0, GSS_C_NO_CHANNEL_BINDINGS,
                                  input.size ? &in : GSS_C_NO_BUFFER, NULL, output, &flags, NULL);
    if (GSS_ERROR(*major))
        return minor ? kerberos_upstream_refusal((krb5_error_code)minor) : REFUSAL_KERBEROS;
    return (flags & wanted_flags) == wanted_flags ? REFUSAL_NONE : REFUSAL_KERBEROS;
}

static enum step show_ticket(struct kerberos_initiator *initiator, struct span token,
                             struct writer *reply)
{
    OM_uint32 major, minor;
    gss_buffer_desc request = GSS_C_EMPTY_BUFFER;
    if (token.size != 0)
        return refuse(initiator, REFUSAL_OUT_OF_ORDER);
    enum refusal refusal = exchange(initiator, token, &request, &major);
    if (refusal == REFUSAL_NONE && major != GSS_S_CONTINUE_NEEDED)
        refusal = REFUSAL_KERBEROS;
    if (refusal == REFUSAL_NONE)
        spnego_init_write(reply, own_mechanisms(), (struct span){request.value, request.length});
    (void)gss_release_buffer(&minor, &request);
    return refusal == REFUSAL_NONE ? proceed(initiator, STATE_SHOWN, reply)
                                   : refuse(initiator, refusal);
}

MUST_USE static bool is_kerberos(struct span mechanism)
{
    enum spnego_mechanism named = spnego_mechanism(mechanism);
    return named == SPNEGO_MS_KERBEROS || named == SPNEGO_KERBEROS;
}

/* The answer in SPNEGO, or the mechanism's own token as it is. */
static enum refusal read_answer(struct span token, struct spnego_response *response)
{
    struct reader reader = reader_over_span(token);
    struct span content;
    if (der_expect(&reader, DER_APPLICATION_0, &content)) {
        *response = (struct spnego_response){.state = SPNEGO_COMPLETED, .token = token};
        return REFUSAL_NONE;
    }
    if (!spnego_response_read(token, response))
        return REFUSAL_MALFORMED;
    if (response->mechanism.size && !is_kerberos(response->mechanism))
        return REFUSAL_OTHER_MECHANISM;
    /* Windows 2000 sends its token a second time where the MIC belongs. */
    if (response->mic.size && span_equal(response->mic, response->token))
        response->mic = (struct span){NULL, 0};
    return REFUSAL_NONE;
}

static enum refusal check_mic(struct kerberos_initiator *initiator, struct span mic)
{
    OM_uint32 minor;
    if (mic.size == 0)
        return REFUSAL_MECH_LIST_MIC_MISSING;
    gss_buffer_desc list = {.length = sizeof own_list, .value = (void *)(uintptr_t)own_list};
    gss_buffer_desc code = {.length = mic.size, .value = (void *)(uintptr_t)mic.at};
    OM_uint32 major = gss_verify_mic(&minor, initiator->context, &list, &code, NULL);
    return major == GSS_S_COMPLETE ? REFUSAL_NONE : REFUSAL_MECH_LIST_MIC_WRONG;
}

/* Both names that we offer are of one mechanism, so that nothing could have been gained by changing
 * the list, and most file servers send no MIC. */
static enum step send_mic(struct kerberos_initiator *initiator, struct writer *reply)
{
    OM_uint32 minor;
    gss_buffer_desc list = {.length = sizeof own_list, .value = (void *)(uintptr_t)own_list};
    gss_buffer_desc mic = GSS_C_EMPTY_BUFFER;
    if (GSS_ERROR(gss_get_mic(&minor, initiator->context, GSS_C_QOP_DEFAULT, &list, &mic)))
        return refuse(initiator, REFUSAL_INTERNAL);
    const struct spnego_response answer = {
        .state = SPNEGO_NO_STATE,
        .mic = {mic.value, mic.length},
    };
    spnego_response_write(reply, &answer);
    (void)gss_release_buffer(&minor, &mic);
    return proceed(initiator, STATE_MIC_OWED, reply);
}

static enum refusal check_reply(struct kerberos_initiator *initiator, struct span token)
{
    OM_uint32 major, minor;
    gss_buffer_desc nothing = GSS_C_EMPTY_BUFFER;
    enum refusal refusal = exchange(initiator, token, &nothing, &major);
    if (refusal == REFUSAL_NONE && (major != GSS_S_COMPLETE || nothing.length))
        refusal = REFUSAL_KERBEROS;
    (void)gss_release_buffer(&minor, &nothing);
    return refusal;
}

static enum step take_answer(struct kerberos_initiator *initiator, struct span token,
                             struct writer *reply)
{
    struct spnego_response response;
    enum refusal refusal = read_answer(token, &response);
    /* A refusal may carry the Kerberos error that says why. */
    if (refusal == REFUSAL_NONE && response.token.size == 0)
        refusal = REFUSAL_NO_MECHANISM;
    if (refusal == REFUSAL_NONE)
        refusal = check_reply(initiator, response.token);
    if (refusal == REFUSAL_NONE && response.state == SPNEGO_REJECT)
        refusal = REFUSAL_NO_MECHANISM;
    if (refusal == REFUSAL_NONE && response.mic.size)
        refusal = check_mic(initiator, response.mic);
    if (refusal != REFUSAL_NONE)
        return refuse(initiator, refusal);
    if (response.state == SPNEGO_REQUEST_MIC || response.state == SPNEGO_INCOMPLETE)
        return send_mic(initiator, reply);
    return proceed(initiator, STATE_DONE, reply);
}

static enum step take_mic(struct kerberos_initiator *initiator, struct span token,
                          struct writer *reply)
{
    struct spnego_response response;
    if (!spnego_response_read(token, &response))
        return refuse(initiator, REFUSAL_MALFORMED);
    if (response.state != SPNEGO_COMPLETED || response.token.size)
        return refuse(initiator, REFUSAL_OUT_OF_ORDER);
    enum refusal refusal = check_mic(initiator, response.mic);
    return refusal == REFUSAL_NONE ? proceed(initiator, STATE_DONE, reply)
                                   : refuse(initiator, refusal);
}

enum step kerberos_initiator_step(struct kerberos_initiator *initiator, struct span token,
                                  struct writer *reply)
{
    switch (initiator->state) {
    case STATE_START: return show_ticket(initiator, token, reply);
    case STATE_SHOWN: return take_answer(initiator, token, reply);
    case STATE_MIC_OWED: return take_mic(initiator, token, reply);
    case STATE_DONE:
    case STATE_REFUSED: break;
    }
    return refuse(initiator, REFUSAL_OUT_OF_ORDER);
}

enum refusal kerberos_initiator_refusal(const struct kerberos_initiator *initiator)
{
    return initiator->refusal;
}

bool kerberos_initiator_session_key(const struct kerberos_initiator *initiator,
                                    struct session_key *key)
{
    OM_uint32 minor;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    *key = (struct session_key){.size = 0};
    if (initiator->state != STATE_MIC_OWED && initiator->state != STATE_DONE)
        return false;
    OM_uint32 major = gss_inquire_sec_context_by_oid(&minor, initiator->context,
                                                     GSS_C_INQ_SSPI_SESSION_KEY, &set);
    if (!GSS_ERROR(major) && set != GSS_C_NO_BUFFER_SET && set->count > 0) {
        struct reader reader = reader_over(set->elements[0].value, set->elements[0].length);
        size_t size = reader_left(&reader);
        if (size <= sizeof key->bytes && read_copy(&reader, key->bytes, size))
            key->size = size;
        OPENSSL_cleanse(set->elements[0].value, size);
    }
    (void)gss_release_buffer_set(&minor, &set);
    return key->size > 0;
}
