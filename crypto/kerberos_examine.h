/*
 * What an administrator gets wrong about Kerberos, found out by trying: is there a keytab, does it
 * have the keys, does the KDC know the names, and does a ticket for them open. Blocking, with the
 * keytab's own keys: for the command line only.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_EXAMINE_H
#define COUNTERSIGN_CRYPTO_KERBEROS_EXAMINE_H

#include "crypto/cursor.h"

#include <krb5.h>

enum { EXAMINE_NAME_MAX = 512, EXAMINE_TEXT_MAX = 256 };

enum keytab_state {
    KEYTAB_GOOD,
    KEYTAB_ABSENT,    /* no such file */
    KEYTAB_FORBIDDEN, /* not for this user to read */
    KEYTAB_BROKEN,    /* no keytab */
    KEYTAB_EMPTY,     /* a keytab without a key */
};

struct keytab_facts {
    enum keytab_state state;
    char text[EXAMINE_TEXT_MAX]; /* what libkrb5 says of a broken one; else empty */
    unsigned keys;
    unsigned aes_keys; /* of those: AES */
};

/* Reads the keytab at `path` and counts its keys. */
void keytab_examine(const char *path, struct keytab_facts *facts);

enum examine_outcome {
    EXAMINE_GOOD,
    EXAMINE_NO_KDC,          /* none answers, or none is known for the realm */
    EXAMINE_ACCOUNT_UNKNOWN, /* the KDC knows none of the names under which we could ask it */
    EXAMINE_KEY_WRONG,       /* … or has another key for it than the keytab */
    EXAMINE_ACCOUNT_LOCKED,  /* disabled, expired or locked */
    EXAMINE_SERVICE_UNKNOWN, /* the KDC does not know the service's name */
    EXAMINE_TICKET_CLOSED,   /* the keytab has no key that opens the ticket for it */
    EXAMINE_SKEW,            /* the clocks differ too much for Kerberos */
    EXAMINE_OTHER,           /* see `text` */
};

struct service_facts {
    enum examine_outcome outcome;
    char text[EXAMINE_TEXT_MAX];    /* what libkrb5 says; empty when there was no error */
    char account[EXAMINE_NAME_MAX]; /* as whom the KDC was asked; empty when nobody could */
    bool clock_known;
    int32_t clock_ahead; /* seconds that the KDC's clock is ahead of ours, when known */
    unsigned ticket_kvno;
    unsigned keytab_kvno; /* the newest in the keytab for the service; 0: none */
    bool weak;            /* the ticket or its session key is not AES */
};

/*
 * Gets a ticket for `service` (with or without realm) from the KDC and opens it with the keytab.
 * Asks as `account` (a full principal), or when that is NULL as the first principal of the keytab
 * that the KDC lets in.
 */
void service_examine(const char *path, const char *service, const char *account,
                     struct service_facts *facts);

/* Parts of it, for examinations of other kinds. */
enum examine_outcome examine_outcome_of(krb5_error_code code);
krb5_error_code examine_open_keytab(krb5_context context, const char *path, krb5_keytab *keytab);
krb5_error_code examine_take_realm(krb5_context context, krb5_const_principal from,
                                   krb5_principal to);

#endif
