/*
 * Which account of the credentials file an identity logs in as.
 *
 * A name without a domain in the file means a local user. Who is vouched for by somebody else, a
 * domain controller or a KDC, is not the local user of the same name: such an identity finds only
 * entries with its domain (or its realm), and of mappings those for everybody. At home, in the
 * realm or domain that we belong to ourselves, mappings of plain names are meant for it too.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_ACCOUNT_H
#define COUNTERSIGN_CRYPTO_KEEPER_ACCOUNT_H

#include "crypto/credentials.h"

enum { ACCOUNT_NAME_MAX = 2 * IDENTITY_NAME_MAX };

/* The account of the same name, for `same`. The caller wipes it. */
MUST_USE bool account_same(const struct credentials *credentials, const struct identity *identity,
                           struct account *account);

enum account_mapping {
    ACCOUNT_MAPPED,
    ACCOUNT_UNMAPPED,
    /* A mapping of DOMAIN\user may be meant for the identity, whose ticket does not tell the
     * domain: one that is meant for others must not take its place. */
    ACCOUNT_UNTOLD,
};

/* The account that the identity is mapped to. `same_first`: entries of users go before mappings, so
 * that the same goes for those. The caller wipes `account`. */
MUST_USE enum account_mapping account_mapped(const struct credentials *credentials,
                                             const struct identity *identity, bool at_home,
                                             bool same_first, struct account *account);

/* The domain that the entry of a local user names, in the entry's spelling; empty when it names
 * none, or there is no such entry. */
void account_entry_domain(const struct credentials *credentials, const struct identity *identity,
                          char *domain, size_t size);

/* DOMAIN\user, or user, for people and for comparison; false when it does not fit. */
MUST_USE bool account_name(const char *domain, const char *user, char *to, size_t size);

#endif
