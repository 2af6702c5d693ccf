#include "crypto/winbind.h"

#ifdef HAVE_WBCLIENT

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wbclient.h>

/* Of an account or group in a token: it is there only to deny (MS-PAC 2.2.1). */
#define FOR_DENY_ONLY UINT32_C(0x10)

#define STATUS_NO_SUCH_USER   UINT32_C(0xc0000064)
#define STATUS_NO_SUCH_DOMAIN UINT32_C(0xc00000df)

enum { GUEST_RID = 501 };

/* Later than any clock will show: how Samba and Windows spell "never" differs. */
static const uint64_t never = UINT64_C(253402300800);

static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static bool context_ready;

static void free_context(void *context)
{
    wbcCtxFree(context);
}

static void make_key(void)
{
    context_ready = pthread_key_create(&context_key, free_context) == 0;
}

/* NULL when out of memory. */
static struct wbcContext *own_context(void)
{
    pthread_once(&context_once, make_key);
    if (!context_ready)
        return NULL;
    struct wbcContext *context = pthread_getspecific(context_key);
    if (context)
        return context;
    context = wbcCtxCreate();
    if (context && pthread_setspecific(context_key, context) != 0) {
        wbcCtxFree(context);
        return NULL;
    }
    return context;
}

bool winbind_built_in(void)
{
    return true;
}

static bool copy_text(const char *from, char *to, size_t size)
{
    size_t length = from ? strlen(from) : 0;
    if (length >= size)
        return false;
    memcpy(to, from ? from : "", length + 1);
    return true;
}

/* Text form is what both sides agree on. */
static bool take_sid(const struct wbcDomainSid *from, struct sid *sid)
{
    char text[WBC_SID_STRING_BUFLEN + 1];
    int length = wbcSidToStringBuf(from, text, sizeof text);
    return length >= 0 && (size_t)length < sizeof text && sid_parse(text, sid);
}

/* None when winbind does not know it. */
static struct sid domain_sid(struct wbcContext *context, const char *domain)
{
    struct wbcDomainInfo *info = NULL;
    struct sid sid = {0};
    if (!domain || wbcCtxDomainInfo(context, domain, &info) != WBC_ERR_SUCCESS ||
        !take_sid(&info->sid, &sid))
        sid = (struct sid){0};
    wbcFreeMemory(info);
    return sid;
}

enum winbind_result winbind_names(struct domain_names *names)
{
    struct wbcContext *context = own_context();
    struct wbcInterfaceDetails *details = NULL;
    if (!context)
        return WINBIND_OUT_OF_ROOM;
    if (wbcCtxInterfaceDetails(context, &details) != WBC_ERR_SUCCESS)
        return WINBIND_SILENT;
    names->sid = domain_sid(context, details->netbios_domain);
    bool fit = copy_text(details->netbios_name, names->computer, sizeof names->computer) &&
               copy_text(details->netbios_domain, names->domain, sizeof names->domain) &&
               copy_text(details->dns_domain, names->dns_domain, sizeof names->dns_domain);
    wbcFreeMemory(details);
    return fit ? WINBIND_YES : WINBIND_OUT_OF_ROOM;
}

static bool take_sids(const struct wbcAuthUserInfo *info, struct sids *sids)
{
    for (uint32_t i = 0; i < info->num_sids; i++) {
        struct sid sid;
        if (info->sids[i].attributes & FOR_DENY_ONLY)
            continue;
        if (!take_sid(&info->sids[i].sid, &sid))
            return false;
        if (!sids_contain(sids, &sid) && !sids_add(sids, &sid))
            return false;
    }
    return true;
}

static int64_t sooner(uint64_t a, uint64_t b)
{
    a = a == 0 || a == INT32_MAX ? never : a;
    b = b == 0 || b == INT32_MAX ? never : b;
    uint64_t first = a < b ? a : b;
    return first < never ? (int64_t)first : 0;
}

/* A controller that knows no such user may take anybody as its guest; nothing is proven then. */
static bool is_guest(const struct wbcAuthUserInfo *info)
{
    const struct wbcDomainSid *user = info->num_sids ? &info->sids[0].sid : NULL;
    return info->user_flags & WBC_AUTH_USER_INFO_GUEST || !user || user->num_auths == 0 ||
           user->num_auths > WBC_MAXSUBAUTHS || user->sub_auths[user->num_auths - 1] == GUEST_RID;
}

static enum winbind_result take_info(const struct wbcAuthUserInfo *info,
                                     struct domain_answer *answer)
{
    static const uint8_t no_key[DOMAIN_KEY_SIZE];
    if (is_guest(info)) {
        answer->status = STATUS_NO_SUCH_USER;
        answer->guest = true;
        return WINBIND_NO;
    }
    /* Without a key nothing could be signed. */
    if (CRYPTO_memcmp(info->user_session_key, no_key, sizeof no_key) == 0)
        return WINBIND_SILENT;
    memcpy(answer->base_key, info->user_session_key, sizeof answer->base_key);
    answer->expires = sooner(info->logoff_time, info->kickoff_time);
    if (info->num_sids > SIDS_MAX)
        return WINBIND_TOO_MANY;
    return copy_text(info->account_name, answer->user, sizeof answer->user) &&
                   copy_text(info->domain_name, answer->domain, sizeof answer->domain) &&
                   take_sids(info, &answer->sids)
               ? WINBIND_YES
               : WINBIND_OUT_OF_ROOM;
}

static enum winbind_result take_error(wbcErr result, const struct wbcAuthErrorInfo *error,
                                      struct wbcContext *context, struct domain_answer *answer)
{
    if (result == WBC_ERR_NO_MEMORY)
        return WINBIND_OUT_OF_ROOM;
    if (result != WBC_ERR_AUTH_ERROR || !error)
        return wbcCtxPing(context) == WBC_ERR_SUCCESS ? WINBIND_LOCKED : WINBIND_SILENT;
    answer->status = error->nt_status;
    answer->foreign = error->authoritative == 0 && (error->nt_status == STATUS_NO_SUCH_USER ||
                                                    error->nt_status == STATUS_NO_SUCH_DOMAIN);
    return WINBIND_NO;
}

/* Machines may log in as they may on a Windows file server. */
enum winbind_result winbind_validate(const struct domain_proof *proof, struct domain_answer *answer)
{
    struct wbcContext *context = own_context();
    struct wbcAuthUserInfo *info = NULL;
    struct wbcAuthErrorInfo *error = NULL;
    struct wbcAuthUserParams params = {
        .account_name = proof->user,
        .domain_name = proof->domain,
        .workstation_name = proof->workstation,
        .parameter_control =
            WBC_MSV1_0_ALLOW_WORKSTATION_TRUST_ACCOUNT | WBC_MSV1_0_ALLOW_SERVER_TRUST_ACCOUNT,
        .level = WBC_AUTH_USER_LEVEL_RESPONSE,
    };
    uint8_t *response = malloc(proof->response.size);
    if (!context || !response) {
        free(response);
        return WINBIND_OUT_OF_ROOM;
    }
    memcpy(response, proof->response.at, proof->response.size);
    memcpy(params.password.response.challenge, proof->challenge, DOMAIN_CHALLENGE_SIZE);
    params.password.response.nt_data = response;
    params.password.response.nt_length = (uint32_t)proof->response.size;
    wbcErr result = wbcCtxAuthenticateUserEx(context, &params, &info, &error);
    enum winbind_result known = result == WBC_ERR_SUCCESS && info
                                    ? take_info(info, answer)
                                    : take_error(result, error, context, answer);
    if (info)
        OPENSSL_cleanse(info->user_session_key, sizeof info->user_session_key);
    wbcFreeMemory(info);
    wbcFreeMemory(error);
    free(response);
    return known;
}

bool winbind_reaches_controller(void)
{
    struct wbcContext *context = own_context();
    return context && wbcCtxPingDc2(context, NULL, NULL, NULL) == WBC_ERR_SUCCESS;
}

static bool is_group(enum wbcSidType type)
{
    return type == WBC_SID_NAME_DOM_GRP || type == WBC_SID_NAME_ALIAS ||
           type == WBC_SID_NAME_WKN_GRP;
}

enum winbind_result winbind_group(const char *domain, const char *name, struct sid *sid)
{
    struct wbcContext *context = own_context();
    struct wbcDomainSid found;
    enum wbcSidType type;
    if (!context)
        return WINBIND_OUT_OF_ROOM;
    switch (wbcCtxLookupName(context, domain, name, &found, &type)) {
    case WBC_ERR_SUCCESS: return is_group(type) && take_sid(&found, sid) ? WINBIND_YES : WINBIND_NO;
    case WBC_ERR_NO_MEMORY: return WINBIND_OUT_OF_ROOM;
    case WBC_ERR_WINBIND_NOT_AVAILABLE: return WINBIND_SILENT;
    default: break;
    }
    /* "No such name" and "no controller to ask" come as the same error. */
    return winbind_reaches_controller() ? WINBIND_NO : WINBIND_SILENT;
}

enum winbind_result winbind_trust(uint32_t *status)
{
    struct wbcContext *context = own_context();
    struct wbcAuthErrorInfo *error = NULL;
    *status = 0;
    if (!context)
        return WINBIND_OUT_OF_ROOM;
    wbcErr result = wbcCtxCheckTrustCredentials(context, NULL, &error);
    if (result == WBC_ERR_AUTH_ERROR && error)
        *status = error->nt_status;
    wbcFreeMemory(error);
    if (result == WBC_ERR_SUCCESS)
        return WINBIND_YES;
    if (result == WBC_ERR_AUTH_ERROR)
        return WINBIND_NO;
    return wbcCtxPing(context) == WBC_ERR_SUCCESS ? WINBIND_LOCKED : WINBIND_SILENT;
}

#else

bool winbind_built_in(void)
{
    return false;
}

enum winbind_result winbind_names(struct domain_names *names)
{
    (void)names;
    return WINBIND_SILENT;
}

enum winbind_result winbind_validate(const struct domain_proof *proof, struct domain_answer *answer)
{
    (void)proof;
    (void)answer;
    return WINBIND_SILENT;
}

enum winbind_result winbind_group(const char *domain, const char *name, struct sid *sid)
{
    (void)domain;
    (void)name;
    (void)sid;
    return WINBIND_SILENT;
}

bool winbind_reaches_controller(void)
{
    return false;
}

enum winbind_result winbind_trust(uint32_t *status)
{
    *status = 0;
    return WINBIND_SILENT;
}

#endif
