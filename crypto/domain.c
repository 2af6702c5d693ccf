#include "crypto/domain.h"

#include "crypto/clock.h"
#include "crypto/kdc_outage.h"
#include "crypto/winbind.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NT statuses (MS-ERREF 2.3.1) that domain controllers answer a login with. */
#define STATUS_NO_SUCH_USER            UINT32_C(0xc0000064)
#define STATUS_WRONG_PASSWORD          UINT32_C(0xc000006a)
#define STATUS_LOGON_FAILURE           UINT32_C(0xc000006d)
#define STATUS_ACCOUNT_RESTRICTION     UINT32_C(0xc000006e)
#define STATUS_INVALID_LOGON_HOURS     UINT32_C(0xc000006f)
#define STATUS_INVALID_WORKSTATION     UINT32_C(0xc0000070)
#define STATUS_PASSWORD_EXPIRED        UINT32_C(0xc0000071)
#define STATUS_ACCOUNT_DISABLED        UINT32_C(0xc0000072)
#define STATUS_NO_SUCH_DOMAIN          UINT32_C(0xc00000df)
#define STATUS_LOGON_TYPE_NOT_GRANTED  UINT32_C(0xc000015b)
#define STATUS_ACCOUNT_EXPIRED         UINT32_C(0xc0000193)
#define STATUS_PASSWORD_MUST_CHANGE    UINT32_C(0xc0000224)
#define STATUS_ACCOUNT_LOCKED_OUT      UINT32_C(0xc0000234)
#define STATUS_AUTHENTICATION_FIREWALL UINT32_C(0xc0000413)
#define STATUS_NTLM_BLOCKED            UINT32_C(0xc0000418)

enum state { STATE_UNKNOWN, STATE_ANSWERS, STATE_SILENT, STATE_LOCKED };

struct domain {
    pthread_mutex_t lock; /* of everything below */
    enum state state;
    bool named;
    struct domain_names names;
    struct kdc_outages outages; /* with a lock of its own: of the domain that we joined */
};

bool domain_available(void)
{
    return winbind_built_in();
}

struct domain *domain_new(void)
{
    struct domain *domain = calloc(1, sizeof *domain);
    if (domain && pthread_mutex_init(&domain->lock, NULL) != 0) {
        free(domain);
        return NULL;
    }
    if (domain)
        kdc_outages_init(&domain->outages);
    return domain;
}

void domain_free(struct domain *domain)
{
    if (!domain)
        return;
    pthread_mutex_destroy(&domain->outages.lock);
    pthread_mutex_destroy(&domain->lock);
    free(domain);
}

static enum state state_after(enum winbind_result result, enum state before)
{
    switch (result) {
    case WINBIND_YES:
    case WINBIND_TOO_MANY:
    case WINBIND_NO: return STATE_ANSWERS;
    case WINBIND_SILENT: return STATE_SILENT;
    case WINBIND_LOCKED: return STATE_LOCKED;
    case WINBIND_OUT_OF_ROOM: break;
    }
    return before;
}

static void tell(enum state state)
{
    switch (state) {
    case STATE_UNKNOWN: break;
    case STATE_ANSWERS:
        (void)fputs("countersign: keeper: winbind answers: domain users can log in\n", stderr);
        break;
    case STATE_SILENT:
        (void)fputs("countersign: keeper: winbind does not answer: domain users cannot log in with "
                    "NTLM until winbindd runs\n",
                    stderr);
        break;
    case STATE_LOCKED:
        (void)fputs("countersign: keeper: winbind checks no passwords for the keeper's user: put "
                    "it into the group of winbind's privileged pipe (winbindd_priv)\n",
                    stderr);
        break;
    }
}

/* Each change is told once, however many logins meet it. */
static void note(struct domain *domain, enum winbind_result result)
{
    pthread_mutex_lock(&domain->lock);
    enum state state = state_after(result, domain->state);
    bool changed = state != domain->state;
    domain->state = state;
    pthread_mutex_unlock(&domain->lock);
    if (changed)
        tell(state);
}

static enum winbind_result learn_names(struct domain *domain)
{
    struct domain_names names;
    enum winbind_result result = winbind_names(&names);
    if (result != WINBIND_YES)
        return result;
    pthread_mutex_lock(&domain->lock);
    domain->names = names;
    domain->named = true;
    pthread_mutex_unlock(&domain->lock);
    return result;
}

bool domain_refresh(struct domain *domain)
{
    enum winbind_result result = learn_names(domain);
    /* That it answers this, which anybody may ask, does not mean that it checks passwords. */
    if (result == WINBIND_SILENT)
        note(domain, result);
    return result == WINBIND_YES;
}

bool domain_names(struct domain *domain, struct domain_names *names)
{
    pthread_mutex_lock(&domain->lock);
    bool named = domain->named;
    if (named)
        *names = domain->names;
    pthread_mutex_unlock(&domain->lock);
    return named;
}

enum refusal domain_refusal(uint32_t status)
{
    switch (status) {
    case STATUS_NO_SUCH_USER:
    case STATUS_NO_SUCH_DOMAIN: return REFUSAL_UNKNOWN_USER;
    case STATUS_WRONG_PASSWORD:
    case STATUS_LOGON_FAILURE: return REFUSAL_WRONG_PASSWORD;
    case STATUS_ACCOUNT_RESTRICTION:
    case STATUS_INVALID_LOGON_HOURS:
    case STATUS_INVALID_WORKSTATION:
    case STATUS_PASSWORD_EXPIRED:
    case STATUS_ACCOUNT_DISABLED:
    case STATUS_LOGON_TYPE_NOT_GRANTED:
    case STATUS_ACCOUNT_EXPIRED:
    case STATUS_PASSWORD_MUST_CHANGE:
    case STATUS_ACCOUNT_LOCKED_OUT:
    case STATUS_AUTHENTICATION_FIREWALL:
    case STATUS_NTLM_BLOCKED: return REFUSAL_DOMAIN;
    /* No controller, no trust, our own account: none of the user's business. */
    default: return REFUSAL_DOMAIN_UNAVAILABLE;
    }
}

/*
 * Without a controller winbind answers after most of a minute, one request after the other: what
 * kdc_outage.h says of KDCs goes for it too. Whoever may ask gets the time of his question; others
 * get 0.
 */
static uint64_t may_ask(struct domain *domain)
{
    uint64_t now = clock_ms();
    return kdc_outage_ask(&domain->outages, "", now) ? now : 0;
}

/* That it does not run is known at once, and so it need not be left alone for a while. */
static void asked(struct domain *domain, uint64_t since, bool answered)
{
    uint64_t now = clock_ms();
    kdc_outage_told(&domain->outages, "", answered || now - since < KDC_PATIENCE_MS, now);
}

/* A refused login of our own account looks as if it were the user's: whatever is not about his name
 * and password counts only while the controller still takes ours. */
static enum refusal refusal_of(uint32_t status)
{
    enum refusal refusal = domain_refusal(status);
    bool certain = status == STATUS_WRONG_PASSWORD || status == STATUS_NO_SUCH_USER ||
                   status == STATUS_NO_SUCH_DOMAIN || refusal == REFUSAL_DOMAIN_UNAVAILABLE;
    return certain || winbind_reaches_controller() ? refusal : REFUSAL_DOMAIN_UNAVAILABLE;
}

static enum refusal validate(struct domain *domain, const struct domain_proof *proof,
                             struct domain_answer *answer)
{
    enum winbind_result result = winbind_validate(proof, answer);
    note(domain, result);
    switch (result) {
    case WINBIND_YES: return REFUSAL_NONE;
    case WINBIND_NO: return refusal_of(answer->status);
    case WINBIND_SILENT:
    case WINBIND_LOCKED: return REFUSAL_DOMAIN_UNAVAILABLE;
    case WINBIND_TOO_MANY: return REFUSAL_TOO_MANY_GROUPS;
    case WINBIND_OUT_OF_ROOM: break;
    }
    return REFUSAL_INTERNAL;
}

enum refusal domain_validate(struct domain *domain, const struct domain_proof *proof,
                             struct domain_answer *answer)
{
    *answer = (struct domain_answer){0};
    uint64_t since = may_ask(domain);
    if (!since)
        return REFUSAL_DOMAIN_UNAVAILABLE;
    enum refusal refusal = validate(domain, proof, answer);
    asked(domain, since, refusal != REFUSAL_DOMAIN_UNAVAILABLE);
    if (refusal == REFUSAL_DOMAIN_UNAVAILABLE)
        answer->foreign = false;
    return refusal;
}

void domain_answer_wipe(struct domain_answer *answer)
{
    sids_free(&answer->sids);
    OPENSSL_cleanse(answer, sizeof *answer);
}

enum domain_found domain_group(struct domain *domain, const char *name, struct sid *sid)
{
    struct reader reader = reader_over(name, strlen(name));
    char text[DOMAIN_NAME_MAX];
    struct span before;
    struct writer writer = writer_over(text, sizeof text);
    if (!read_until(&reader, '\\', &before))
        return DOMAIN_NOT_FOUND;
    write_span(&writer, before);
    write_u8(&writer, '\0');
    if (!writer_done(&writer))
        return DOMAIN_NOT_FOUND;
    uint64_t since = may_ask(domain);
    if (!since)
        return DOMAIN_NOT_ASKED;
    enum winbind_result result = winbind_group(text, (const char *)reader.at, sid);
    asked(domain, since, result != WINBIND_SILENT);
    if (result == WINBIND_SILENT)
        note(domain, result);
    switch (result) {
    case WINBIND_YES: return DOMAIN_FOUND;
    case WINBIND_NO: return DOMAIN_NOT_FOUND;
    case WINBIND_SILENT:
    case WINBIND_LOCKED:
    case WINBIND_TOO_MANY:
    case WINBIND_OUT_OF_ROOM: break;
    }
    return DOMAIN_NOT_ASKED;
}

const char *domain_problem(struct domain *domain)
{
    uint32_t status;
    if (!winbind_built_in())
        return "this Countersign was built without libwbclient";
    if (learn_names(domain) != WINBIND_YES)
        return "winbindd does not answer; start it";
    switch (winbind_trust(&status)) {
    case WINBIND_YES: return NULL;
    case WINBIND_LOCKED:
        return "winbind's privileged pipe is closed to this user; put it into the pipe's group, "
               "like winbindd_priv";
    case WINBIND_NO:
        return "no domain controller takes this host's own password; `wbinfo --check-secret` and "
               "`wbinfo --ping-dc` tell more, `net ads join` joins the host anew";
    case WINBIND_SILENT: return "winbindd does not answer";
    case WINBIND_TOO_MANY:
    case WINBIND_OUT_OF_ROOM: break;
    }
    return "out of memory";
}
