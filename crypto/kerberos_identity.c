#include "crypto/kerberos_identity.h"

#include "crypto/domain_claim.h"
#include "crypto/kerberos.h"
#include "crypto/text.h"

#include <gssapi/gssapi_ext.h>
#include <stdio.h>
#include <string.h>

/* A name that can stand in a log: UTF-8 without control characters. */
static bool take_name(const char *name, char *to, size_t size)
{
    uint8_t scratch[2 * IDENTITY_NAME_MAX];
    struct writer writer = writer_over(scratch, sizeof scratch);
    size_t length = strlen(name);
    for (const char *at = name; *at; at++)
        if ((uint8_t)*at < ' ' || *at == 0x7f)
            return false;
    if (length == 0 || length >= size || !text_write_utf16(&writer, name, false))
        return false;
    memcpy(to, name, length + 1);
    return true;
}

/* One that is written in principals as it is: behind the last '@' stands the realm, and not what
 * the end of another's name makes of it. */
static bool take_realm(const krb5_data *realm, char *to, size_t size)
{
    int length = snprintf(to, size, "%.*s", (int)realm->length, realm->data);
    return length >= 0 && (size_t)length < size && (size_t)length == realm->length &&
           !strpbrk(to, "@\\");
}

bool kerberos_identity_claim(krb5_context context, const krb5_enc_tkt_part *part,
                             struct identity *identity)
{
    char *principal = NULL, *user = NULL;
    char realm[IDENTITY_NAME_MAX];
    bool good = take_realm(&part->client->realm, realm, sizeof realm) &&
                krb5_unparse_name(context, part->client, &principal) == 0 &&
                krb5_unparse_name_flags(context, part->client, KRB5_PRINCIPAL_UNPARSE_NO_REALM,
                                        &user) == 0 &&
                take_name(principal, identity->principal, sizeof identity->principal) &&
                take_name(user, identity->user, sizeof identity->user) &&
                take_name(realm, identity->domain, sizeof identity->domain);
    krb5_free_unparsed_name(context, principal);
    krb5_free_unparsed_name(context, user);
    identity->expires = kerberos_time(part->times.endtime);
    return good;
}

/* Whether the user's realm may say so. */
MUST_USE static bool may_claim(const struct kerberos_proof *proof, const struct identity *identity,
                               const struct pac *pac)
{
    char own[IDENTITY_NAME_MAX];
    const struct domain_claim claim = {
        .own_realm = own,
        .client_realm = identity_realm(identity->principal),
        .domain = identity->domain,
        .pac = pac,
    };
    return take_realm(&proof->ticket->server->realm, own, sizeof own) &&
           domain_claim_holds(&claim, proof->policy, proof->domain);
}

/* A domain controller knows an account by several names, and gives the ticket in the one that was
 * asked for: what rules and groups call it, only the PAC tells. Accounts of people have none of
 * these characters, which would make another principal of it (MS-SAMR 3.1.1.6). */
MUST_USE static bool take_account(const char *account, struct identity *identity)
{
    char realm[IDENTITY_NAME_MAX];
    if (!*account || strpbrk(account, "@\\/"))
        return true;
    snprintf(realm, sizeof realm, "%s", identity_realm(identity->principal));
    int size = snprintf(identity->principal, sizeof identity->principal, "%s@%s", account, realm);
    return size > 0 && (size_t)size < sizeof identity->principal &&
           take_name(account, identity->user, sizeof identity->user);
}

/* `pac` is the caller's to free. */
static enum refusal take_pac(struct span logon_info, struct identity *identity, struct pac *pac)
{
    switch (pac_read(logon_info, pac)) {
    case PAC_READ: break;
    case PAC_BROKEN: return REFUSAL_KERBEROS;
    case PAC_TOO_MANY: return REFUSAL_TOO_MANY_GROUPS;
    }
    if (*pac->domain && !take_name(pac->domain, identity->domain, sizeof identity->domain))
        return REFUSAL_KERBEROS;
    identity->sid = pac->user;
    return REFUSAL_NONE;
}

static bool has_pac(krb5_context context, const krb5_enc_tkt_part *part)
{
    krb5_authdata **found = NULL;
    bool there = krb5_find_authdata(context, part->authorization_data, NULL,
                                    KRB5_AUTHDATA_WIN2K_PAC, &found) != 0 ||
                 found;
    krb5_free_authdata(context, found);
    return there;
}

/* A part of the PAC, of which GSSAPI shows nothing when its signature is wrong. Not there: an empty
 * `value`. The caller releases `value`. */
static bool verified_part(gss_name_t client, const char *attribute, gss_buffer_t value)
{
    gss_buffer_desc name = {strlen(attribute), (void *)(uintptr_t)attribute};
    gss_buffer_desc shown = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int authenticated = 0, complete = 0, more = -1;
    *value = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_get_name_attribute(&minor, client, &name, &authenticated, &complete,
                                             value, &shown, &more);
    (void)gss_release_buffer(&minor, &shown);
    return major == GSS_S_COMPLETE && authenticated;
}

enum refusal kerberos_identity_prove(krb5_context context, const struct kerberos_proof *proof,
                                     struct identity *identity, struct sids *sids)
{
    gss_buffer_desc whole = GSS_C_EMPTY_BUFFER, logon_info = GSS_C_EMPTY_BUFFER;
    enum refusal refusal = REFUSAL_NONE;
    struct pac pac = {.sids = {0}};
    OM_uint32 minor;
    if (verified_part(proof->client, "urn:mspac:logon-info", &logon_info))
        refusal = take_pac((struct span){logon_info.value, logon_info.length}, identity, &pac);
    else if (has_pac(context, proof->ticket->enc_part2) &&
             !verified_part(proof->client, "urn:mspac:", &whole))
        refusal = REFUSAL_KERBEROS;
    if (refusal == REFUSAL_NONE && !may_claim(proof, identity, &pac))
        refusal = REFUSAL_DOMAIN_CLAIMED;
    /* Who is refused is told as the ticket has it. */
    if (refusal == REFUSAL_NONE && !take_account(pac.account, identity))
        refusal = REFUSAL_KERBEROS;
    (void)gss_release_buffer(&minor, &logon_info);
    (void)gss_release_buffer(&minor, &whole);
    *sids = pac.sids;
    if (refusal == REFUSAL_NONE)
        identity->authority = AUTHORITY_KERBEROS;
    return refusal;
}
