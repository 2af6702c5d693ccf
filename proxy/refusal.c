#include "proxy/refusal.h"

#include "proxy/smb2.h"

/* Kinds and statuses that differ from what stands in refused_client() and refused_upstream(). */
struct entry {
    enum event_kind kind; /* EVENT_KIND_COUNT: not in this table */
    uint32_t status;
};
#define ENTRY(refusal, event, nt_status)                                                           \
    case refusal:                                                                                  \
        return (struct entry)                                                                      \
        {                                                                                          \
            event, nt_status                                                                       \
        }

/* Of either leg. */
static struct entry of_spnego(enum refusal refusal)
{
    switch (refusal) {
        ENTRY(REFUSAL_OTHER_MECHANISM, EVENT_MECHANISM_DOWNGRADED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_MECH_LIST_MIC_WRONG, EVENT_MECHANISM_DOWNGRADED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_MECH_LIST_MIC_MISSING, EVENT_MECHANISM_DOWNGRADED, STATUS_ACCESS_DENIED);
    default: return (struct entry){EVENT_KIND_COUNT, 0};
    }
}

static struct entry of_ntlm(enum refusal refusal)
{
    switch (refusal) {
        ENTRY(REFUSAL_NTLMV1, EVENT_NTLMV1_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_ANONYMOUS, EVENT_ANONYMOUS_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_TARGET_NAME_WRONG, EVENT_TARGET_NAME_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_TARGET_NAME_MISSING, EVENT_TARGET_NAME_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_MIC_MISSING, EVENT_MIC_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_MIC_WRONG, EVENT_MIC_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_UNKNOWN_USER, EVENT_LOGIN_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_GUEST, EVENT_GUEST_LOGIN_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_WRONG_PASSWORD, EVENT_LOGIN_REFUSED, STATUS_LOGON_FAILURE);
        /* What Windows says where its policy blocks incoming NTLM. */
        ENTRY(REFUSAL_NTLM, EVENT_NTLM_REFUSED, STATUS_NOT_SUPPORTED);
        ENTRY(REFUSAL_DOMAIN_UNAVAILABLE, EVENT_DOMAIN_UNAVAILABLE, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_DOMAIN, EVENT_LOGIN_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_MALFORMED, EVENT_LOGIN_REFUSED, STATUS_INVALID_PARAMETER);
        ENTRY(REFUSAL_OUT_OF_ORDER, EVENT_LOGIN_REFUSED, STATUS_INVALID_PARAMETER);
        ENTRY(REFUSAL_INTERNAL, EVENT_LOGIN_REFUSED, STATUS_INSUFFICIENT_RESOURCES);
    default: return (struct entry){EVENT_KIND_COUNT, 0};
    }
}

static struct entry of_kerberos(enum refusal refusal)
{
    switch (refusal) {
        ENTRY(REFUSAL_KEYTAB, EVENT_KERBEROS_REFUSED, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_TICKET_KEY, EVENT_KERBEROS_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_TICKET_SERVICE, EVENT_KERBEROS_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_TICKET_EXPIRED, EVENT_KERBEROS_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_CLOCK_SKEW, EVENT_KERBEROS_REFUSED, STATUS_TIME_DIFFERENCE_AT_DC);
        ENTRY(REFUSAL_REPLAY, EVENT_KERBEROS_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_ENCRYPTION_TYPE, EVENT_RC4_REFUSED, STATUS_LOGON_FAILURE);
        ENTRY(REFUSAL_PAC_MISSING, EVENT_KERBEROS_REFUSED, STATUS_ACCESS_DENIED);
        /* What a domain controller answers in its place (MS-APDS 3.2.5.2, MS-KILE 3.3.5.7). */
        ENTRY(REFUSAL_DOMAIN_CLAIMED, EVENT_KERBEROS_REFUSED, STATUS_DOMAIN_TRUST_INCONSISTENT);
        ENTRY(REFUSAL_TOO_MANY_GROUPS, EVENT_KERBEROS_REFUSED, STATUS_TOO_MANY_CONTEXT_IDS);
        ENTRY(REFUSAL_KERBEROS, EVENT_KERBEROS_REFUSED, STATUS_LOGON_FAILURE);
    default: return (struct entry){EVENT_LOGIN_REFUSED, STATUS_ACCESS_DENIED};
    }
}

static struct entry of_upstream(enum refusal refusal)
{
    switch (refusal) {
        ENTRY(REFUSAL_KDC_UNREACHABLE, EVENT_KDC_UNREACHABLE, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_DOMAIN_UNAVAILABLE, EVENT_DOMAIN_UNAVAILABLE, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_REFLECTION, EVENT_REFLECTION_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_NOT_DELEGATED, EVENT_DELEGATION_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_ENCRYPTION_TYPE, EVENT_RC4_REFUSED, STATUS_ACCESS_DENIED);
        ENTRY(REFUSAL_KEYTAB, EVENT_UPSTREAM_LOGIN_REFUSED, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_SERVICE_KEY, EVENT_UPSTREAM_LOGIN_REFUSED, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_CLOCK_SKEW, EVENT_UPSTREAM_LOGIN_REFUSED, STATUS_NO_LOGON_SERVERS);
        ENTRY(REFUSAL_INTERNAL, EVENT_UPSTREAM_LOGIN_REFUSED, STATUS_INSUFFICIENT_RESOURCES);
    default: return (struct entry){EVENT_UPSTREAM_LOGIN_REFUSED, STATUS_ACCESS_DENIED};
    }
}

/* What is wrong with the account, not with the proof; the rest would tell a stranger which accounts
 * there are. */
static bool is_about_account(uint32_t status)
{
    switch (status) {
    case STATUS_NO_LOGON_SERVERS:
    case STATUS_ACCOUNT_RESTRICTION:
    case STATUS_INVALID_LOGON_HOURS:
    case STATUS_INVALID_WORKSTATION:
    case STATUS_PASSWORD_EXPIRED:
    case STATUS_ACCOUNT_DISABLED:
    case STATUS_LOGON_TYPE_NOT_GRANTED:
    case STATUS_ACCOUNT_EXPIRED:
    case STATUS_PASSWORD_MUST_CHANGE:
    case STATUS_ACCOUNT_LOCKED_OUT: return true;
    default: return false;
    }
}

struct refused refused_client(const struct keeper_refused *reply)
{
    if (reply->reason != KEEPER_REASON_REFUSAL)
        return (struct refused){EVENT_LOGIN_REFUSED, STATUS_INSUFFICIENT_RESOURCES,
                                keeper_reason_name(reply->reason)};
    struct entry entry = of_spnego(reply->refusal);
    if (entry.kind == EVENT_KIND_COUNT)
        entry = of_ntlm(reply->refusal);
    if (entry.kind == EVENT_KIND_COUNT)
        entry = of_kerberos(reply->refusal);
    if (reply->identity.mechanism == MECHANISM_NTLM && entry.kind == EVENT_KERBEROS_REFUSED)
        entry.kind = EVENT_LOGIN_REFUSED;
    if (reply->refusal == REFUSAL_DOMAIN && is_about_account(reply->status))
        entry.status = reply->status;
    return (struct refused){entry.kind, entry.status, refusal_name(reply->refusal)};
}

struct refused refused_upstream(const struct keeper_refused *reply)
{
    if (reply->reason != KEEPER_REASON_REFUSAL)
        return (struct refused){EVENT_UPSTREAM_LOGIN_REFUSED,
                                reply->reason == KEEPER_REASON_INTERNAL
                                    ? STATUS_INSUFFICIENT_RESOURCES
                                    : STATUS_ACCESS_DENIED,
                                keeper_reason_name(reply->reason)};
    struct entry entry = of_spnego(reply->refusal);
    if (entry.kind == EVENT_KIND_COUNT)
        entry = of_upstream(reply->refusal);
    return (struct refused){entry.kind, entry.status, refusal_name(reply->refusal)};
}
