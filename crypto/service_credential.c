#include "crypto/service_credential.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/crypto.h>

#include "crypto/clock.h"
#include "crypto/keeper_back_off.h"
#include "crypto/kerberos.h"
#include "crypto/siphash.h"
#include "crypto/ticket_cache.h"

/* Which file a keytab was. */
struct file_mark {
    dev_t device;
    ino_t inode;
    struct timespec changed;
};

struct credential {
    TAILQ_ENTRY(credential) by_use;
    char *principal;
    enum account_key key;
    uint64_t secret;      /* a keyed hash of what it proves itself with: says if it is another */
    unsigned users;       /* threads that are at it */
    bool fetching;        /* one of them asks the KDC */
    bool forgotten;       /* what is being fetched is not to be kept */
    unsigned rounds;      /* how often somebody has asked */
    enum refusal refusal; /* of the last round; REFUSAL_NONE when it went well */
    krb5_creds *tgt;
    uint64_t rest, rests_to; /* milliseconds; 0: the KDC did not refuse the key */
    struct file_mark refused_file;
};

struct service_credentials {
    struct kdc_outages *outages;
    struct siphash_key key;                         /* of the hashes */
    pthread_mutex_t lock;                           /* of everything that follows */
    pthread_cond_t fetched;                         /* a round of some credential is over */
    TAILQ_HEAD(credential_list, credential) by_use; /* longest unused first */
    size_t count;
};

struct service_credentials *service_credentials_new(struct kdc_outages *outages)
{
    struct service_credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials || !siphash_key_make(&credentials->key)) {
        free(credentials);
        return NULL;
    }
    credentials->outages = outages;
    pthread_mutex_init(&credentials->lock, NULL);
    pthread_cond_init(&credentials->fetched, NULL);
    TAILQ_INIT(&credentials->by_use);
    return credentials;
}

static void drop_tgt(struct credential *credential)
{
    krb5_free_creds(kerberos_context(), credential->tgt);
    credential->tgt = NULL;
}

static void drop(struct service_credentials *credentials, struct credential *credential)
{
    TAILQ_REMOVE(&credentials->by_use, credential, by_use);
    credentials->count--;
    drop_tgt(credential);
    free(credential->principal);
    OPENSSL_cleanse(credential, sizeof *credential);
    free(credential);
}

void service_credentials_free(struct service_credentials *credentials)
{
    if (!credentials)
        return;
    while (!TAILQ_EMPTY(&credentials->by_use))
        drop(credentials, TAILQ_FIRST(&credentials->by_use));
    pthread_cond_destroy(&credentials->fetched);
    pthread_mutex_destroy(&credentials->lock);
    OPENSSL_cleanse(credentials, sizeof *credentials);
    free(credentials);
}

/* Nothing of a file that is not there. */
static struct file_mark mark_of(const struct service_account *account)
{
    struct file_mark mark = {.inode = 0};
    struct stat stat_of;
    if (account->key == ACCOUNT_KEYTAB && stat(account->secret, &stat_of) == 0)
        mark = (struct file_mark){stat_of.st_dev, stat_of.st_ino, stat_of.st_mtim};
    return mark;
}

static bool same_mark(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void make_room(struct service_credentials *credentials)
{
    struct credential *credential = TAILQ_FIRST(&credentials->by_use);
    while (credential && credentials->count >= SERVICE_CREDENTIALS_MAX) {
        struct credential *next = TAILQ_NEXT(credential, by_use);
        if (credential->users == 0)
            drop(credentials, credential);
        credential = next;
    }
}

static struct credential *add(struct service_credentials *credentials,
                              const struct service_account *account, uint64_t secret)
{
    struct credential *credential = calloc(1, sizeof *credential);
    if (!credential)
        return NULL;
    credential->principal = strdup(account->principal);
    if (!credential->principal) {
        free(credential);
        return NULL;
    }
    credential->key = account->key;
    credential->secret = secret;
    make_room(credentials);
    TAILQ_INSERT_TAIL(&credentials->by_use, credential, by_use);
    credentials->count++;
    return credential;
}

/* The account's record, made when there is none; NULL when memory is short. */
static struct credential *find(struct service_credentials *credentials,
                               const struct service_account *account)
{
    uint64_t secret = siphash(&credentials->key, account->secret, strlen(account->secret));
    struct credential *credential;
    TAILQ_FOREACH(credential, &credentials->by_use, by_use)
    {
        if (credential->key == account->key && credential->secret == secret &&
            strcmp(credential->principal, account->principal) == 0)
            break;
    }
    if (!credential)
        return add(credentials, account, secret);
    TAILQ_REMOVE(&credentials->by_use, credential, by_use);
    TAILQ_INSERT_TAIL(&credentials->by_use, credential, by_use);
    return credential;
}

/* The KDC has told that key or account are not good. */
static bool is_about_key(krb5_error_code code)
{
    switch (code) {
    case KRB5KDC_ERR_PREAUTH_FAILED:
    case KRB5KDC_ERR_CLIENT_REVOKED:
    case KRB5KDC_ERR_KEY_EXP:
    case KRB5KDC_ERR_NAME_EXP:
    case KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN:
    case KRB5KRB_AP_ERR_BAD_INTEGRITY: return true;
    default: return false;
    }
}

static krb5_error_code ask_with_keytab(krb5_context context, const struct service_account *account,
                                       krb5_principal principal, krb5_get_init_creds_opt *options,
                                       krb5_creds *tgt)
{
    krb5_keytab keytab;
    krb5_error_code code = krb5_kt_resolve(context, account->secret, &keytab);
    if (code != 0)
        return code;
    code = krb5_get_init_creds_keytab(context, tgt, principal, keytab, 0, NULL, options);
    (void)krb5_kt_close(context, keytab);
    return code;
}

/* Asks the KDC; `tgt` is allocated. */
static krb5_error_code fetch(krb5_context context, const struct service_account *account,
                             krb5_creds **tgt)
{
    krb5_principal principal = NULL;
    krb5_get_init_creds_opt *options = NULL;
    krb5_creds *creds = calloc(1, sizeof *creds);
    krb5_error_code code =
        creds ? krb5_parse_name(context, account->principal, &principal) : KRB5_CC_NOMEM;
    if (code == 0)
        code = krb5_get_init_creds_opt_alloc(context, &options);
    if (code == 0) {
        krb5_get_init_creds_opt_set_forwardable(options, 1);
        code = account->key == ACCOUNT_KEYTAB
                   ? ask_with_keytab(context, account, principal, options, creds)
                   : krb5_get_init_creds_password(context, creds, principal, account->secret, NULL,
                                                  NULL, 0, NULL, options);
    }
    krb5_get_init_creds_opt_free(context, options);
    krb5_free_principal(context, principal);
    if (code != 0) {
        free(creds);
        creds = NULL;
    }
    *tgt = creds;
    return code;
}

static const char *realm_of(const struct service_account *account)
{
    const char *at = strrchr(account->principal, '@');
    return at ? at + 1 : "";
}

/* One round: with the lock held before and after, not while the KDC is asked. */
static void ask(struct service_credentials *credentials, struct credential *credential,
                krb5_context context, const struct service_account *account)
{
    krb5_creds *tgt = NULL;
    krb5_error_code code = KRB5_KDC_UNREACH;
    const char *realm = realm_of(account);
    struct file_mark file = mark_of(account);
    credential->fetching = true;
    credential->forgotten = false;
    pthread_mutex_unlock(&credentials->lock);
    if (kdc_outage_ask(credentials->outages, realm, clock_ms())) {
        code = fetch(context, account, &tgt);
        kdc_outage_told(credentials->outages, realm,
                        code == 0 || kerberos_upstream_refusal(code) != REFUSAL_KDC_UNREACHABLE,
                        clock_ms());
    }
    pthread_mutex_lock(&credentials->lock);
    credential->fetching = false;
    credential->rounds++;
    credential->refusal = code == 0 ? REFUSAL_NONE : kerberos_upstream_refusal(code);
    if (code == 0 && !credential->forgotten) {
        drop_tgt(credential);
        credential->tgt = tgt;
        credential->rest = credential->rests_to = 0;
        tgt = NULL;
    } else if (is_about_key(code)) {
        uint64_t rest = credential->rest ? 2 * credential->rest : BACK_OFF_FIRST_MS;
        credential->rest = rest < BACK_OFF_MOST_MS ? rest : BACK_OFF_MOST_MS;
        credential->rests_to = clock_ms() + credential->rest;
        credential->refused_file = file;
    }
    krb5_free_creds(context, tgt);
    pthread_cond_broadcast(&credentials->fetched);
}

static bool rests(struct credential *credential, const struct service_account *account)
{
    struct file_mark file = mark_of(account);
    return clock_ms() < credential->rests_to && same_mark(&file, &credential->refused_file);
}

static bool has_tgt(const struct credential *credential, enum ticket_life life)
{
    return credential->tgt && ticket_lives(&credential->tgt->times, life, time(NULL));
}

/* Sees to it that a round has been made if one is needed; NONE, or why there is no ticket. */
static enum service_credential settle(struct service_credentials *credentials,
                                      struct credential *credential, krb5_context context,
                                      const struct service_account *account)
{
    unsigned round = credential->rounds;
    if (!has_tgt(credential, TICKET_FRESH) && !credential->fetching && !rests(credential, account))
        ask(credentials, credential, context, account);
    while (!has_tgt(credential, TICKET_VALID) && credential->fetching)
        pthread_cond_wait(&credentials->fetched, &credentials->lock);
    if (has_tgt(credential, TICKET_VALID))
        return SERVICE_CREDENTIAL_READY;
    return credential->rounds == round && rests(credential, account) ? SERVICE_CREDENTIAL_RESTS
                                                                     : SERVICE_CREDENTIAL_REFUSED;
}

enum service_credential service_credential_get(struct service_credentials *credentials,
                                               krb5_context context,
                                               const struct service_account *account,
                                               krb5_creds *tgt, enum refusal *refusal)
{
    enum service_credential answer = SERVICE_CREDENTIAL_REFUSED;
    krb5_creds *copy = NULL;
    *refusal = REFUSAL_INTERNAL;
    pthread_mutex_lock(&credentials->lock);
    struct credential *credential = find(credentials, account);
    if (credential) {
        credential->users++;
        answer = settle(credentials, credential, context, account);
        credential->users--;
        if (answer != SERVICE_CREDENTIAL_READY)
            *refusal = credential->refusal;
        else if (krb5_copy_creds(context, credential->tgt, &copy) != 0)
            answer = SERVICE_CREDENTIAL_REFUSED;
    }
    pthread_mutex_unlock(&credentials->lock);
    if (copy) {
        *tgt = *copy;
        OPENSSL_cleanse(copy, sizeof *copy);
        free(copy);
    }
    /* Forgotten while it was fetched: the next login fetches it with what is in the file now. */
    if (answer == SERVICE_CREDENTIAL_REFUSED && *refusal == REFUSAL_NONE)
        *refusal = REFUSAL_SERVICE_KEY;
    return answer;
}

void service_credential_drop(struct service_credentials *credentials,
                             const struct service_account *account)
{
    pthread_mutex_lock(&credentials->lock);
    struct credential *credential = find(credentials, account);
    if (credential)
        drop_tgt(credential);
    pthread_mutex_unlock(&credentials->lock);
}

void service_credentials_forget(struct service_credentials *credentials)
{
    struct credential *credential, *next;
    pthread_mutex_lock(&credentials->lock);
    for (credential = TAILQ_FIRST(&credentials->by_use); credential; credential = next) {
        next = TAILQ_NEXT(credential, by_use);
        credential->forgotten = true;
        drop_tgt(credential);
        if (credential->users == 0 && credential->rests_to == 0)
            drop(credentials, credential);
    }
    pthread_mutex_unlock(&credentials->lock);
}
