/*
 * Which realms' KDCs do not answer at present.
 *
 * libkrb5 waits long for a KDC that is silent: nearly half a minute for one, some seconds more for
 * each further one, and krb5.conf has no word for less. So whoever would ask is told not to while
 * another waits in vain already, and for a while after that; then one may try. Safe to use from
 * several threads. Times are milliseconds of the monotonic clock.
 */
#ifndef COUNTERSIGN_CRYPTO_KDC_OUTAGE_H
#define COUNTERSIGN_CRYPTO_KDC_OUTAGE_H

#include <pthread.h>

#include "crypto/cursor.h"

enum {
    KDC_PATIENCE_MS = 4 * 1000, /* somebody who waits longer keeps others from asking */
    KDC_REST_MS = 10 * 1000,
    KDC_REALMS_MAX = 16,
    KDC_REALM_MAX = 256,
};

struct kdc_realm {
    char name[KDC_REALM_MAX];
    unsigned asking;   /* how many wait for an answer */
    uint64_t since;    /* when the first of them began, or an answer came */
    uint64_t rests_to; /* 0: the last answer came */
};

struct kdc_outages {
    pthread_mutex_t lock; /* of all of it */
    struct kdc_realm realms[KDC_REALMS_MAX];
};

/* Nothing is known of any realm. */
void kdc_outages_init(struct kdc_outages *outages);

/* Whether the realm's KDCs may be asked now. Who is told so says later how it went. */
MUST_USE bool kdc_outage_ask(struct kdc_outages *outages, const char *realm, uint64_t now);
void kdc_outage_told(struct kdc_outages *outages, const char *realm, bool answered, uint64_t now);

#endif
