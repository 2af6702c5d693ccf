#include "crypto/kerberos.h"

#include <errno.h>
#include <pthread.h>

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static bool key_made;

static void free_context(void *context)
{
    krb5_free_context(context);
}

static void make_key(void)
{
    key_made = pthread_key_create(&context_key, free_context) == 0;
}

krb5_context kerberos_context(void)
{
    if (pthread_once(&key_once, make_key) != 0 || !key_made)
        return NULL;
    krb5_context context = pthread_getspecific(context_key);
    if (context || krb5_init_context(&context) != 0)
        return context;
    if (pthread_setspecific(context_key, context) == 0)
        return context;
    krb5_free_context(context);
    return NULL;
}

int64_t kerberos_time(krb5_timestamp time)
{
    return (uint32_t)time;
}

enum refusal kerberos_accept_refusal(krb5_error_code code)
{
    switch (code) {
    case KRB5KRB_AP_ERR_TKT_EXPIRED:
    case KRB5KRB_AP_ERR_TKT_NYV:
    case KRB5KRB_AP_ERR_TKT_INVALID: return REFUSAL_TICKET_EXPIRED;
    case KRB5KRB_AP_ERR_SKEW: return REFUSAL_CLOCK_SKEW;
    case KRB5KRB_AP_ERR_REPEAT: return REFUSAL_REPLAY;
    case KRB5KRB_AP_ERR_NOT_US:
    case KRB5KRB_AP_WRONG_PRINC: return REFUSAL_TICKET_SERVICE;
    case KRB5KRB_AP_ERR_BADKEYVER:
    case KRB5KRB_AP_ERR_NOKEY:
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
    case KRB5_KT_KVNONOTFOUND:
    case KRB5_KT_NOTFOUND: return REFUSAL_TICKET_KEY;
    case KRB5_NOPERM_ETYPE:
    case KRB5_PROG_ETYPE_NOSUPP:
    case KRB5KDC_ERR_ETYPE_NOSUPP: return REFUSAL_ENCRYPTION_TYPE;
    case KRB5KRB_AP_ERR_BADVERSION:
    case KRB5KRB_AP_ERR_MSG_TYPE:
    case ASN1_BAD_FORMAT:
    case ASN1_BAD_ID:
    case ASN1_BAD_LENGTH:
    case ASN1_MISSING_FIELD:
    case ASN1_MISPLACED_FIELD:
    case ASN1_OVERRUN:
    case ASN1_BAD_TIMEFORMAT: return REFUSAL_MALFORMED;
    case ENOMEM: return REFUSAL_INTERNAL;
    default: return REFUSAL_KERBEROS;
    }
}

enum refusal kerberos_upstream_refusal(krb5_error_code code)
{
    switch (code) {
    case KRB5_KDC_UNREACH:
    case KRB5_REALM_CANT_RESOLVE:
    case KRB5_REALM_UNKNOWN:
    case KRB5KDC_ERR_SVC_UNAVAILABLE: return REFUSAL_KDC_UNREACHABLE;
    case KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN:
    case KRB5KRB_AP_ERR_NOT_US: return REFUSAL_TARGET_UNKNOWN;
    case KRB5KDC_ERR_BADOPTION:
    case KRB5KDC_ERR_POLICY: return REFUSAL_NOT_DELEGATED;
    case KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN:
    case KRB5KDC_ERR_CLIENT_REVOKED:
    case KRB5KDC_ERR_KEY_EXP:
    case KRB5KDC_ERR_NAME_EXP:
    case KRB5KDC_ERR_PREAUTH_FAILED:
    case KRB5_PREAUTH_FAILED:
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
    case KRB5_KT_NOTFOUND:
    case KRB5_KT_KVNONOTFOUND:
    case KRB5_KT_IOERR:
    case ENOENT:
    case EACCES: return REFUSAL_SERVICE_KEY;
    case KRB5KRB_AP_ERR_TKT_EXPIRED: return REFUSAL_TICKET_EXPIRED;
    case KRB5KRB_AP_ERR_SKEW:
    case KRB5_KDCREP_SKEW: return REFUSAL_CLOCK_SKEW;
    case KRB5KDC_ERR_ETYPE_NOSUPP:
    case KRB5_NOPERM_ETYPE: return REFUSAL_ENCRYPTION_TYPE;
    case ENOMEM: return REFUSAL_INTERNAL;
    default: return REFUSAL_KERBEROS;
    }
}
