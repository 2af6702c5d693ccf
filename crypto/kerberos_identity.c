#include "crypto/kerberos_identity.h"

#include "crypto/kerberos.h"
#include "crypto/pac.h"
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

bool kerberos_identity_claim(krb5_context context, const krb5_enc_tkt_part *part,
                             struct identity *identity)
{
    char *principal = NULL, *user = NULL;
    char realm[IDENTITY_NAME_MAX];
    int length = snprintf(realm, sizeof realm, "%.*s", (int)part->client->realm.length,
                          part->client->realm.data);
    bool good = length >= 0 && (size_t)length < sizeof realm &&
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

static enum refusal take_pac(struct span logon_info, struct identity *identity, struct sids *sids)
{
    struct pac pac;
    if (!pac_read(logon_info, &pac))
        return REFUSAL_KERBEROS;
    if (*pac.domain && !take_name(pac.domain, identity->domain, sizeof identity->domain)) {
        pac_free(&pac);
        return REFUSAL_KERBEROS;
    }
    *sids = pac.sids;
    return REFUSAL_NONE;
}

/* The PAC as libkrb5 verified it with the ticket's key. MIT's own KDCs leave this part out. */
enum refusal kerberos_identity_prove(gss_name_t client, struct identity *identity,
                                     struct sids *sids)
{
    static const char attribute[] = "urn:mspac:logon-info";
    gss_buffer_desc name = {sizeof attribute - 1, (void *)(uintptr_t)attribute};
    gss_buffer_desc value = GSS_C_EMPTY_BUFFER, shown = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int authenticated = 0, complete = 0, more = -1;
    *sids = (struct sids){0};
    OM_uint32 major = gss_get_name_attribute(&minor, client, &name, &authenticated, &complete,
                                             &value, &shown, &more);
    enum refusal refusal = major == GSS_S_UNAVAILABLE ? REFUSAL_NONE : REFUSAL_KERBEROS;
    if (major == GSS_S_COMPLETE && authenticated)
        refusal = take_pac((struct span){value.value, value.length}, identity, sids);
    (void)gss_release_buffer(&minor, &value);
    (void)gss_release_buffer(&minor, &shown);
    if (refusal == REFUSAL_NONE)
        identity->authority = AUTHORITY_KERBEROS;
    return refusal;
}
