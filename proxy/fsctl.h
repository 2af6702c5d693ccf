/*
 * File system control codes (MS-FSCC 2.3): which of them change something.
 */
#ifndef COUNTERSIGN_PROXY_FSCTL_H
#define COUNTERSIGN_PROXY_FSCTL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FSCTL_PIPE_PEEK = 0x0011400c,
    FSCTL_PIPE_WAIT = 0x00110018,
};

/* True when it may change a file, a directory or a volume. One that is not known counts as such
 * unless the code itself says that reading is all it needs: codes that need no access at all are
 * left to the file system, and some of those write. */
bool fsctl_writes(uint32_t code);

/* True for those of named pipes, whatever they do. */
bool fsctl_is_of_pipes(uint32_t code);

#endif
