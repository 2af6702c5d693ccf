#include "crypto/kerberos_ticket.h"

#include "crypto/kerberos.h"
#include "crypto/target_name.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

bool kerberos_etype_taken(const struct accept_policy *policy, int32_t etype)
{
    switch (etype) {
    case ENCTYPE_AES128_CTS_HMAC_SHA1_96:
    case ENCTYPE_AES256_CTS_HMAC_SHA1_96:
    case ENCTYPE_AES128_CTS_HMAC_SHA256_128:
    case ENCTYPE_AES256_CTS_HMAC_SHA384_192: return true;
    case ENCTYPE_ARCFOUR_HMAC: return policy->allow_rc4;
    default: return false;
    }
}

/* libkrb5 reads the ticket; it must have read what we did. */
static enum refusal decode(krb5_context context, const struct kerberos_token *token,
                           krb5_ticket **ticket)
{
    const krb5_data der = {.length = (unsigned)token->ticket.size,
                           .data = (char *)(uintptr_t)token->ticket.at};
    char *name;
    if (krb5_decode_ticket(&der, ticket) != 0)
        return REFUSAL_MALFORMED;
    if (krb5_unparse_name(context, (*ticket)->server, &name) != 0)
        return REFUSAL_INTERNAL;
    bool same = strcmp(name, token->principal) == 0 && (*ticket)->enc_part.enctype == token->etype;
    krb5_free_unparsed_name(context, name);
    return same ? REFUSAL_NONE : REFUSAL_MALFORMED;
}

static enum refusal decrypt(krb5_context context, const struct accept_policy *policy,
                            struct kerberos_ticket *ticket)
{
    enum refusal refusal =
        kerberos_keys_read(context, policy, ticket->ticket->server, &ticket->keys);
    if (refusal != REFUSAL_NONE)
        return refusal;
    krb5_principal server;
    if (krb5_copy_principal(context, ticket->ticket->server, &server) != 0)
        return REFUSAL_INTERNAL;
    krb5_error_code code =
        krb5_server_decrypt_ticket_keytab(context, ticket->keys.keytab, ticket->ticket);
    /* it puts the name of the keytab's entry there */
    krb5_free_principal(context, ticket->ticket->server);
    ticket->ticket->server = server;
    /* none of the keys fits; anything else is about a ticket that one of them has opened */
    if (code == KRB5KRB_AP_WRONG_PRINC || code == KRB5KRB_AP_ERR_BAD_INTEGRITY)
        return REFUSAL_TICKET_KEY;
    if (code != 0)
        return kerberos_accept_refusal(code);
    return kerberos_etype_taken(policy, ticket->ticket->enc_part2->session->enctype)
               ? REFUSAL_NONE
               : REFUSAL_ENCRYPTION_TYPE;
}

/* RFC 8062 4: a client that a KDC knows nothing of. */
static enum refusal check_client(krb5_context context, const krb5_enc_tkt_part *part)
{
    if ((part->flags & TKT_FLG_ANONYMOUS) ||
        krb5_principal_compare_any_realm(context, part->client, krb5_anonymous_principal()))
        return REFUSAL_ANONYMOUS;
    return REFUSAL_NONE;
}

static enum refusal open_authenticator(krb5_context context, const struct kerberos_token *token,
                                       struct kerberos_ticket *ticket)
{
    const krb5_keyblock *key = ticket->ticket->enc_part2->session;
    const krb5_enc_data cipher = {
        .enctype = token->authenticator_etype,
        .ciphertext = {.length = (unsigned)token->authenticator.size,
                       .data = (char *)(uintptr_t)token->authenticator.at},
    };
    krb5_data plain = {.length = cipher.ciphertext.length};
    if (cipher.enctype != key->enctype)
        return REFUSAL_KERBEROS;
    plain.data = malloc(plain.length);
    if (!plain.data)
        return REFUSAL_INTERNAL;
    enum refusal refusal = REFUSAL_NONE;
    if (krb5_c_decrypt(context, key, KRB5_KEYUSAGE_AP_REQ_AUTH, NULL, &cipher, &plain) != 0)
        refusal = REFUSAL_KERBEROS;
    else if (!kerberos_authenticator_read((struct span){(const uint8_t *)plain.data, plain.length},
                                          &ticket->authenticator))
        refusal = REFUSAL_MALFORMED;
    OPENSSL_cleanse(plain.data, cipher.ciphertext.length);
    free(plain.data);
    return refusal;
}

static enum refusal check_authenticator(const struct accept_policy *policy,
                                        const struct kerberos_authenticator *authenticator)
{
    if (authenticator->subkey_etype && !kerberos_etype_taken(policy, authenticator->subkey_etype))
        return REFUSAL_ENCRYPTION_TYPE;
    if (authenticator->bound)
        return REFUSAL_CHANNEL_BINDINGS;
    if (*authenticator->target && policy->target_name != TARGET_NAME_OFF &&
        !target_service_matches(authenticator->target, policy) &&
        !target_name_matches(authenticator->target, policy))
        return REFUSAL_TARGET_NAME_WRONG;
    return REFUSAL_NONE;
}

enum refusal kerberos_ticket_open(krb5_context context, const struct accept_policy *policy,
                                  const struct kerberos_token *token,
                                  struct kerberos_ticket *ticket)
{
    memset(ticket, 0, sizeof *ticket);
    if (!kerberos_etype_taken(policy, token->etype) ||
        !kerberos_etype_taken(policy, token->authenticator_etype))
        return REFUSAL_ENCRYPTION_TYPE;
    if (!target_service_matches(token->service, policy))
        return REFUSAL_TICKET_SERVICE;
    enum refusal refusal = decode(context, token, &ticket->ticket);
    if (refusal == REFUSAL_NONE)
        refusal = decrypt(context, policy, ticket);
    if (refusal == REFUSAL_NONE)
        refusal = check_client(context, ticket->ticket->enc_part2);
    if (refusal == REFUSAL_NONE)
        refusal = open_authenticator(context, token, ticket);
    if (refusal == REFUSAL_NONE)
        refusal = check_authenticator(policy, &ticket->authenticator);
    return refusal;
}

void kerberos_ticket_free(krb5_context context, struct kerberos_ticket *ticket)
{
    kerberos_keys_free(context, &ticket->keys);
    krb5_free_ticket(context, ticket->ticket);
    ticket->ticket = NULL;
}
