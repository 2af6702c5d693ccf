/*
 * Names of shares, which file servers compare each in its own way: some by one capital for each
 * letter, some (ksmbd) with letters put together or taken apart and what is not seen passed over.
 */
#ifndef COUNTERSIGN_POLICY_SHARE_NAME_H
#define COUNTERSIGN_POLICY_SHARE_NAME_H

#include <stdbool.h>

/* True when any file server may take the two for one share: without regard to case, with the sharp
 * s as two. */
bool share_name_same(const char *a, const char *b);

/* False when a file server may read the name as another one, of which share_name_same() knows
 * nothing: characters that are passed over, accents that are put onto letters, ligatures. */
bool share_name_is_clear(const char *name);

#endif
