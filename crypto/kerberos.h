/*
 * What everything that calls libkrb5 shares: a context for each thread, and what its errors mean.
 *
 * libkrb5 reads its configuration from KRB5_CONFIG. It and GSSAPI block: only threads of the
 * keeper's pool call them.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_H
#define COUNTERSIGN_CRYPTO_KERBEROS_H

#include "crypto/accept.h"

#include <krb5.h>

/* The calling thread's own context: made when first asked for, freed when the thread ends. NULL
 * when there is no memory or KRB5_CONFIG cannot be read; the next call tries again. */
krb5_context kerberos_context(void);

/* Seconds since 1970 UTC; libkrb5's 32 bits count until 2106. */
int64_t kerberos_time(krb5_timestamp time);

/* What an error means when a client showed us a ticket. Never REFUSAL_NONE. */
enum refusal kerberos_accept_refusal(krb5_error_code code);

/* What an error means when we asked a KDC, or made a token for a file server, with an account of
 * our own. Never REFUSAL_NONE. */
enum refusal kerberos_upstream_refusal(krb5_error_code code);

#endif
