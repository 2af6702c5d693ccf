#include "crypto/identity.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/text.h"

enum { IDENTITY_TEXTS = 5 };

/* The texts follow one another, each with its NUL. */
struct packed_identity {
    enum mechanism mechanism;
    enum authority authority;
    enum target_absence target_absence;
    bool spnego, mic_present, mutual;
    int64_t expires;
    struct sid sid;
    uint8_t groups[IDENTITY_GROUPS_MAX / 8];
    size_t size[IDENTITY_TEXTS];
    char texts[];
};

const char *mechanism_name(enum mechanism mechanism)
{
    switch (mechanism) {
    case MECHANISM_NTLM: return "ntlm";
    case MECHANISM_KERBEROS: return "kerberos";
    case MECHANISM_NONE: break;
    }
    return "none";
}

const char *target_absence_name(enum target_absence absence)
{
    switch (absence) {
    case TARGET_EMPTY: return "empty";
    case TARGET_UNTRUSTED: return "untrusted";
    case TARGET_ABSENT: break;
    }
    return "absent";
}

const char *authority_name(enum authority authority)
{
    switch (authority) {
    case AUTHORITY_LOCAL: return "local";
    case AUTHORITY_DOMAIN: return "domain";
    case AUTHORITY_KERBEROS: return "kerberos";
    case AUTHORITY_NONE: break;
    }
    return "none";
}

bool identity_in_group(const struct identity *identity, unsigned group)
{
    return group < IDENTITY_GROUPS_MAX && identity->groups[group / 8] >> group % 8 & 1;
}

bool identity_domain_untold(const struct identity *identity)
{
    return identity->authority == AUTHORITY_KERBEROS && identity->sid.size == 0;
}

const char *identity_realm(const char *principal)
{
    const char *at = strrchr(principal, '@');
    return at ? at + 1 : "";
}

static bool same_principal(const struct identity *a, const struct identity *b)
{
    if (a->sid.size && b->sid.size)
        return sid_equal(&a->sid, &b->sid) &&
               strcmp(identity_realm(a->principal), identity_realm(b->principal)) == 0;
    return strcmp(a->principal, b->principal) == 0 && strcmp(a->user, b->user) == 0 &&
           text_same_name(a->domain, b->domain);
}

bool identity_same(const struct identity *a, const struct identity *b)
{
    if (a->mechanism != b->mechanism || a->authority != b->authority)
        return false;
    if (a->mechanism == MECHANISM_KERBEROS)
        return same_principal(a, b);
    return text_same_name(a->user, b->user) && text_same_name(a->domain, b->domain) &&
           text_same_name(a->principal, b->principal);
}

struct packed_identity *identity_pack(const struct identity *identity)
{
    const char *const texts[IDENTITY_TEXTS] = {identity->user, identity->domain,
                                               identity->principal, identity->workstation,
                                               identity->target_name};
    size_t all = 0, at = 0;
    for (int i = 0; i < IDENTITY_TEXTS; i++)
        all += strlen(texts[i]) + 1;
    struct packed_identity *packed = malloc(sizeof *packed + all);
    if (!packed)
        return NULL;
    packed->mechanism = identity->mechanism;
    packed->authority = identity->authority;
    packed->target_absence = identity->target_absence;
    packed->spnego = identity->spnego;
    packed->mic_present = identity->mic_present;
    packed->mutual = identity->mutual;
    packed->expires = identity->expires;
    packed->sid = identity->sid;
    memcpy(packed->groups, identity->groups, sizeof packed->groups);
    for (int i = 0; i < IDENTITY_TEXTS; i++) {
        packed->size[i] = strlen(texts[i]) + 1;
        memcpy(&packed->texts[at], texts[i], packed->size[i]);
        at += packed->size[i];
    }
    return packed;
}

void identity_unpack(const struct packed_identity *packed, struct identity *identity)
{
    char *const texts[IDENTITY_TEXTS] = {identity->user, identity->domain, identity->principal,
                                         identity->workstation, identity->target_name};
    size_t at = 0;
    *identity = (struct identity){
        .mechanism = packed->mechanism,
        .authority = packed->authority,
        .target_absence = packed->target_absence,
        .spnego = packed->spnego,
        .mic_present = packed->mic_present,
        .mutual = packed->mutual,
        .expires = packed->expires,
        .sid = packed->sid,
    };
    memcpy(identity->groups, packed->groups, sizeof identity->groups);
    for (int i = 0; i < IDENTITY_TEXTS; i++) {
        memcpy(texts[i], &packed->texts[at], packed->size[i]);
        at += packed->size[i];
    }
}
