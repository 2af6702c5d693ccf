/*
 * All of libwbclient that is used, in our own types. Each thread has a connection of its own, which
 * ends with the thread. Only domain.c calls it.
 */
#ifndef COUNTERSIGN_CRYPTO_WINBIND_H
#define COUNTERSIGN_CRYPTO_WINBIND_H

#include "crypto/domain.h"

enum winbind_result {
    WINBIND_YES,
    WINBIND_NO,          /* it, or a domain controller, answered that it is not so */
    WINBIND_SILENT,      /* it does not answer */
    WINBIND_LOCKED,      /* it answers, but not to us: we are not in the privileged pipe's group */
    WINBIND_TOO_MANY,    /* the user has more than SIDS_MAX SIDs */
    WINBIND_OUT_OF_ROOM, /* no memory, or more than there is room for */
};

/* Compiled with libwbclient. */
bool winbind_built_in(void);

enum winbind_result winbind_names(struct domain_names *names);

/* WINBIND_NO: answer->status, answer->guest and answer->foreign are set. */
enum winbind_result winbind_validate(const struct domain_proof *proof,
                                     struct domain_answer *answer);

/* The SID of a group; WINBIND_NO when the name is of no group. */
enum winbind_result winbind_group(const char *domain, const char *name, struct sid *sid);

/* Whether winbind has a connection to a controller of our domain that works. */
bool winbind_reaches_controller(void);

/* Whether a domain controller takes this host's password; with WINBIND_NO its NT status. */
enum winbind_result winbind_trust(uint32_t *status);

#endif
