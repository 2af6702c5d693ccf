/*
 * Is the server that a client meant this one? The SPN of MsvAvTargetName against our own names
 * (what Windows calls server SPN target name validation).
 */
#ifndef COUNTERSIGN_CRYPTO_TARGET_NAME_H
#define COUNTERSIGN_CRYPTO_TARGET_NAME_H

#include "crypto/accept.h"

/*
 * True when `target` is `cifs/HOST` or `host/HOST`, with or without a port, and HOST is one of the
 * policy's names or the name its CHALLENGE gives: some clients have no other name to send. Case, a
 * final dot, brackets and the spelling of an IPv6 address make no difference.
 */
MUST_USE bool target_name_matches(const char *target, const struct accept_policy *policy);

/*
 * True when `service` is one that a ticket for this listener may name: one of the policy's
 * services, or, when it lists none, `cifs/HOST` with HOST as above.
 */
MUST_USE bool target_service_matches(const char *service, const struct accept_policy *policy);

#endif
