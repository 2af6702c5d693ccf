/*
 * What a file server calls itself in its NTLM CHALLENGE.
 */
#ifndef COUNTERSIGN_CRYPTO_CHALLENGE_NAME_H
#define COUNTERSIGN_CRYPTO_CHALLENGE_NAME_H

#include "crypto/cursor.h"

/* The computer's NetBIOS and DNS names (MS-NLMP 2.2.2.1), "NAS,nas.example.com" or the one that
 * there is, from a SPNEGO response or a bare CHALLENGE, as NUL-terminated UTF-8 in `name`. False
 * when there is none, or no room. Nobody has vouched for it. */
MUST_USE bool challenge_name_read(struct span token, char *name, size_t size);

#endif
