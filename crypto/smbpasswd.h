/*
 * Samba's smbpasswd file: `name:uid:LMHASH:NTHASH:[flags]:LCT-…:`, one account a line.
 */
#ifndef COUNTERSIGN_CRYPTO_SMBPASSWD_H
#define COUNTERSIGN_CRYPTO_SMBPASSWD_H

#include "crypto/credentials.h"

enum smbpasswd_kind {
    SMBPASSWD_ACCOUNT,   /* name and hash are filled */
    SMBPASSWD_SKIPPED,   /* name is filled; `why` says what the account is or lacks */
    SMBPASSWD_MALFORMED, /* `why` says what is wrong with the line */
};

struct smbpasswd_line {
    enum smbpasswd_kind kind;
    unsigned number;
    const char *why;
    char name[IDENTITY_NAME_MAX];
    uint8_t nt_hash[NT_HASH_SIZE];
};

/* An account takes at least so many bytes of the file: "n:::", its NT hash and ":[]:". */
enum { SMBPASSWD_LINE_MIN = 4 + 2 * NT_HASH_SIZE + 4 };

/* Reads on to the next line that is neither empty nor a comment; false at the end. `number` counts
 * lines and begins at 0. The caller wipes `line`. */
MUST_USE bool smbpasswd_next(struct reader *reader, unsigned *number, struct smbpasswd_line *line);

#endif
