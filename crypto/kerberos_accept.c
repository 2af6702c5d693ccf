#include "crypto/kerberos_accept.h"

#include "crypto/kerberos.h"
#include "crypto/kerberos_identity.h"
#include "crypto/kerberos_replay.h"
#include "crypto/kerberos_ticket.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <profile.h>
#include <string.h>
#include <time.h>

enum { CLOCK_SKEW_DEFAULT_S = 300 };

/* What GSSAPI may use: Kerberos, under both its numbers. */
static gss_OID_desc mechanism_oids[] = {
    {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"},
    {9, "\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"},
};
static gss_OID_set_desc mechanisms = {2, mechanism_oids};

static gss_buffer_desc lent(struct span span)
{
    return (gss_buffer_desc){span.size, (void *)(uintptr_t)span.at};
}

/* An acceptor's credential with the ticket's keys. Our own replay table stands in for libkrb5's. */
static OM_uint32 acquire(const struct kerberos_keys *keys, OM_uint32 *minor,
                         gss_cred_id_t *credential)
{
    gss_key_value_element_desc elements[] = {{"keytab", keys->name}, {"rcache", "none:"}};
    const gss_key_value_set_desc store = {2, elements};
    return gss_acquire_cred_from(minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms, GSS_C_ACCEPT,
                                 &store, credential, NULL, NULL);
}

/* GSSAPI's part. A context that is not complete after one token is DCE's, which SMB has not. */
static enum refusal accept_context(struct kerberos_accept *accept, const struct kerberos_keys *keys,
                                   struct span token, gss_name_t *client, bool *mutual)
{
    OM_uint32 minor, flags = 0, ignored;
    gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
    gss_buffer_desc input = lent(token);
    OM_uint32 major = acquire(keys, &minor, &credential);
    if (major == GSS_S_COMPLETE)
        major = gss_accept_sec_context(&minor, &accept->context, credential, &input,
                                       GSS_C_NO_CHANNEL_BINDINGS, client, NULL, &accept->reply,
                                       &flags, NULL, NULL);
    (void)gss_release_cred(&ignored, &credential);
    *mutual = flags & GSS_C_MUTUAL_FLAG;
    if (major == GSS_S_COMPLETE)
        return REFUSAL_NONE;
    if (GSS_ERROR(major) == GSS_S_DEFECTIVE_TOKEN)
        return REFUSAL_MALFORMED;
    return GSS_ERROR(major) ? kerberos_accept_refusal((krb5_error_code)minor) : REFUSAL_KERBEROS;
}

/* The encryption type is the last number of the second element's OID. */
static enum refusal copy_key(const struct accept_policy *policy, const gss_buffer_set_desc *set,
                             struct session_key *key)
{
    static const uint8_t prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x04};
    uint8_t etype;
    struct span start;
    if (set->count < 2 || set->elements[0].length == 0 ||
        set->elements[0].length > sizeof key->bytes)
        return REFUSAL_INTERNAL;
    struct reader oid = reader_over(set->elements[1].value, set->elements[1].length);
    if (!read_span(&oid, sizeof prefix, &start) ||
        !span_equal(start, (struct span){prefix, sizeof prefix}))
        return REFUSAL_INTERNAL;
    if (!read_u8(&oid, &etype) || reader_left(&oid) != 0 || !kerberos_etype_taken(policy, etype))
        return REFUSAL_ENCRYPTION_TYPE;
    key->size = set->elements[0].length;
    memcpy(key->bytes, set->elements[0].value, key->size);
    return REFUSAL_NONE;
}

/* The acceptor's subkey when there is one, else the client's, else the ticket's: what MS-SMB2
 * 3.3.5.5.3 calls the key that GSS-API hands out. */
static enum refusal take_key(struct kerberos_accept *accept, const struct accept_policy *policy)
{
    OM_uint32 minor;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    if (gss_inquire_sec_context_by_oid(&minor, accept->context, GSS_C_INQ_SSPI_SESSION_KEY, &set) !=
        GSS_S_COMPLETE)
        return REFUSAL_INTERNAL;
    enum refusal refusal = copy_key(policy, set, &accept->key);
    for (size_t i = 0; i < set->count; i++)
        OPENSSL_cleanse(set->elements[i].value, set->elements[i].length);
    (void)gss_release_buffer_set(&minor, &set);
    return refusal;
}

/* How far clocks may be apart, as libkrb5 takes it from its configuration. */
static int64_t clock_skew(krb5_context context)
{
    profile_t profile;
    int skew = CLOCK_SKEW_DEFAULT_S;
    if (krb5_get_profile(context, &profile) != 0)
        return skew;
    if (profile_get_integer(profile, "libdefaults", "clockskew", NULL, CLOCK_SKEW_DEFAULT_S,
                            &skew) != 0 ||
        skew < 0)
        skew = CLOCK_SKEW_DEFAULT_S;
    profile_release(profile);
    return skew;
}

/* An authenticator is good from one skew before its time to one behind it. */
static enum refusal check_replay(krb5_context context, const struct kerberos_token *token,
                                 const char *client, struct replays *replays)
{
    uint8_t digest[REPLAY_DIGEST_SIZE], of_client[REPLAY_DIGEST_SIZE];
    if (!replays || EVP_Digest(client, strlen(client), of_client, NULL, EVP_sha256(), NULL) != 1 ||
        EVP_Digest(token->authenticator.at, token->authenticator.size, digest, NULL, EVP_sha256(),
                   NULL) != 1)
        return REFUSAL_INTERNAL;
    switch (replays_add(replays, digest, get_le32(of_client), time(NULL),
                        2 * clock_skew(context) + 1)) {
    case REPLAY_FIRST: return REFUSAL_NONE;
    case REPLAY_AGAIN: return REFUSAL_REPLAY;
    case REPLAY_FULL: break;
    }
    return REFUSAL_INTERNAL;
}

static enum refusal accept_ticket(struct kerberos_accept *accept, krb5_context context,
                                  const struct accept_policy *policy, struct span bytes,
                                  const struct kerberos_token *token,
                                  const struct kerberos_ticket *ticket,
                                  const struct accept_backend *backend, struct identity *identity)
{
    gss_name_t client = GSS_C_NO_NAME;
    OM_uint32 minor;
    enum refusal refusal = accept_context(accept, &ticket->keys, bytes, &client, &identity->mutual);
    if (refusal == REFUSAL_NONE)
        refusal = take_key(accept, policy);
    const struct kerberos_proof proof = {ticket->ticket, client, policy, backend->domain};
    if (refusal == REFUSAL_NONE)
        refusal = kerberos_identity_prove(context, &proof, identity, &accept->sids);
    (void)gss_release_name(&minor, &client);
    if (refusal == REFUSAL_NONE && policy->pac_required && accept->sids.count == 0)
        refusal = REFUSAL_PAC_MISSING;
    if (refusal == REFUSAL_NONE)
        refusal = check_replay(context, token, identity->principal, backend->replays);
    if (refusal != REFUSAL_NONE)
        return refusal;
    accept->evidence = evidence_new(ticket->ticket, token->ticket);
    return accept->evidence ? REFUSAL_NONE : REFUSAL_INTERNAL;
}

enum refusal kerberos_accept_token(struct kerberos_accept *accept,
                                   const struct accept_policy *policy, struct span token,
                                   const struct accept_backend *backend, struct identity *identity)
{
    struct kerberos_token read;
    struct kerberos_ticket ticket;
    krb5_context context = kerberos_context();
    identity->mechanism = MECHANISM_KERBEROS;
    if (!kerberos_token_read(token, &read))
        return REFUSAL_MALFORMED;
    memcpy(identity->target_name, read.service, sizeof identity->target_name);
    if (!context)
        return REFUSAL_INTERNAL;
    enum refusal refusal = kerberos_ticket_open(context, policy, &read, &ticket);
    if (ticket.ticket && ticket.ticket->enc_part2 &&
        !kerberos_identity_claim(context, ticket.ticket->enc_part2, identity))
        refusal = REFUSAL_MALFORMED;
    if (refusal == REFUSAL_NONE)
        refusal = accept_ticket(accept, context, policy, token, &read, &ticket, backend, identity);
    kerberos_ticket_free(context, &ticket);
    if (refusal != REFUSAL_NONE)
        kerberos_accept_wipe(accept);
    return refusal;
}

void kerberos_accept_wipe(struct kerberos_accept *accept)
{
    OM_uint32 minor;
    if (accept->context)
        (void)gss_delete_sec_context(&minor, &accept->context, GSS_C_NO_BUFFER);
    (void)gss_release_buffer(&minor, &accept->reply);
    evidence_release(accept->evidence);
    sids_free(&accept->sids);
    OPENSSL_cleanse(accept, sizeof *accept);
}

bool kerberos_mic_right(const struct kerberos_accept *accept, struct span message, struct span mic)
{
    OM_uint32 minor;
    gss_buffer_desc over = lent(message), token = lent(mic);
    return gss_verify_mic(&minor, accept->context, &over, &token, NULL) == GSS_S_COMPLETE;
}

bool kerberos_mic_write(const struct kerberos_accept *accept, struct span message,
                        struct writer *mic)
{
    OM_uint32 minor;
    gss_buffer_desc over = lent(message), token = GSS_C_EMPTY_BUFFER;
    if (gss_get_mic(&minor, accept->context, GSS_C_QOP_DEFAULT, &over, &token) != GSS_S_COMPLETE)
        return false;
    write_bytes(mic, token.value, token.length);
    (void)gss_release_buffer(&minor, &token);
    return writer_done(mic);
}
