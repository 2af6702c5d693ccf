#include "crypto/kdc_outage.h"

#include <stdio.h>
#include <string.h>

void kdc_outages_init(struct kdc_outages *outages)
{
    memset(outages->realms, 0, sizeof outages->realms);
    pthread_mutex_init(&outages->lock, NULL);
}

/* The realm's record, or one that nothing is known of any more; NULL when all are in use. */
static struct kdc_realm *find(struct kdc_outages *outages, const char *realm)
{
    struct kdc_realm *idle = NULL;
    for (int i = 0; i < KDC_REALMS_MAX; i++) {
        struct kdc_realm *candidate = &outages->realms[i];
        if (strcmp(candidate->name, realm) == 0)
            return candidate;
        if (candidate->asking == 0 && (!idle || candidate->since < idle->since))
            idle = candidate;
    }
    if (idle)
        *idle = (struct kdc_realm){.since = 0};
    if (idle)
        (void)snprintf(idle->name, sizeof idle->name, "%s", realm);
    return idle;
}

static bool may_ask(const struct kdc_realm *realm, uint64_t now)
{
    if (now < realm->rests_to)
        return false;
    /* Of a realm that did not answer, one asks at a time. */
    uint64_t patience = realm->rests_to ? 0 : KDC_PATIENCE_MS;
    return realm->asking == 0 || now - realm->since < patience;
}

bool kdc_outage_ask(struct kdc_outages *outages, const char *realm, uint64_t now)
{
    bool may = true;
    pthread_mutex_lock(&outages->lock);
    struct kdc_realm *record = strlen(realm) < KDC_REALM_MAX ? find(outages, realm) : NULL;
    if (record)
        may = may_ask(record, now);
    if (record && may && record->asking++ == 0)
        record->since = now;
    pthread_mutex_unlock(&outages->lock);
    return may;
}

void kdc_outage_told(struct kdc_outages *outages, const char *realm, bool answered, uint64_t now)
{
    pthread_mutex_lock(&outages->lock);
    for (int i = 0; i < KDC_REALMS_MAX; i++) {
        struct kdc_realm *record = &outages->realms[i];
        if (record->asking == 0 || strcmp(record->name, realm) != 0)
            continue;
        record->asking--;
        record->since = now;
        record->rests_to = answered ? 0 : now + KDC_REST_MS;
    }
    pthread_mutex_unlock(&outages->lock);
}
