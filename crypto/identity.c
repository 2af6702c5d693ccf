#include "crypto/identity.h"

#include "crypto/text.h"

const char *mechanism_name(enum mechanism mechanism)
{
    switch (mechanism) {
    case MECHANISM_NTLM: return "ntlm";
    case MECHANISM_KERBEROS: return "kerberos";
    case MECHANISM_NONE: break;
    }
    return "none";
}

bool identity_in_group(const struct identity *identity, unsigned group)
{
    return group < IDENTITY_GROUPS_MAX && identity->groups[group / 8] >> group % 8 & 1;
}

bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->mechanism == b->mechanism && text_same_name(a->user, b->user) &&
           text_same_name(a->domain, b->domain) && text_same_name(a->principal, b->principal);
}
