/*
 * A keytab's file: whose it is and who may read it. What is in it is libkrb5's to read.
 */
#ifndef COUNTERSIGN_PROXY_KEYTAB_CHECK_H
#define COUNTERSIGN_PROXY_KEYTAB_CHECK_H

#include <stddef.h>

#include "policy/config.h"
#include "proxy/process.h"

/*
 * Looks at the file as it stands. A regular file, of root or of the keeper's user, that the keeper
 * can read, that nobody else can read and nobody but the owner change: its group may read it only
 * where it is the keeper's own. False with what is wrong, and what to do, in `error`.
 */
MUST_USE bool keytab_check(const char *path, const struct process_user *keeper, char *error,
                           size_t size);

/* Every keytab that the configuration uses, each once, borrowed; their number. There are at most as
 * many as listeners and upstreams. */
enum { KEYTABS_MAX = 128 };
size_t keytab_list(const struct config *config, const char *paths[KEYTABS_MAX]);

#endif
