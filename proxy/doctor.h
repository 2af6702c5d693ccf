/*
 * What `countersign doctor` finds beyond `countersign check`: by asking DNS, the KDC and winbind
 * about the names and keys of the configuration. Blocking.
 */
#ifndef COUNTERSIGN_PROXY_DOCTOR_H
#define COUNTERSIGN_PROXY_DOCTOR_H

#include "proxy/check.h"

/* Whether the names of each listener lead clients to it. */
void doctor_names(struct check *check, const struct config *config);

/* Whether tickets for the services of each listener can be had and opened, and the clocks agree. */
void doctor_services(struct check *check, const struct config *config);

/* Whether each upstream's own account can act for users at the file server; `user` is one to try
 * it for ("alice"), or NULL: then only the account itself is looked at. */
void doctor_delegation(struct check *check, const struct config *config, const char *user);

#endif
