/*
 * `countersign user import`: accounts of Samba's smbpasswd into the credentials file.
 */
#ifndef COUNTERSIGN_PROXY_USER_IMPORT_H
#define COUNTERSIGN_PROXY_USER_IMPORT_H

#include "crypto/cursor.h"

/* Reads smbpasswd lines from `fd` (`from` is its name for messages) into the credentials file at
 * `path`, all or none. Says what was skipped and what went wrong. */
MUST_USE bool user_import(int fd, const char *from, const char *path, unsigned owner,
                          unsigned group);

#endif
