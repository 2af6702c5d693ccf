/*
 * Reading a password from a person or from a pipe.
 */
#ifndef COUNTERSIGN_PROXY_PASSWORD_H
#define COUNTERSIGN_PROXY_PASSWORD_H

#include "crypto/nt_hash.h"

/*
 * Reads a password from descriptor `fd`: at a terminal by a prompt on standard error that names
 * `account`, twice and without echo; else one line. False with `why`, a sentence, when there is
 * none, it is empty, too long, has control characters, or the two differ. The caller wipes
 * `password`.
 */
MUST_USE bool password_read(int fd, const char *account, char password[PASSWORD_MAX + 1],
                            const char **why);

#endif
