/*
 * The file in which the downgrade memory survives a restart: text, one end a line, the longest
 * unseen first, with a checksum over all of it in the last line. It is replaced as a whole.
 */
#ifndef COUNTERSIGN_PROXY_MEMORY_FILE_H
#define COUNTERSIGN_PROXY_MEMORY_FILE_H

#include "proxy/memory.h"

enum memory_loaded {
    MEMORY_LOADED,
    MEMORY_NO_FILE,    /* there is none yet */
    MEMORY_DAMAGED,    /* it was renamed to PATH.damaged; nothing was taken from it */
    MEMORY_UNREADABLE, /* errno says why; nothing was changed */
};

/* Fills an empty memory. A file is taken whole or not at all. */
enum memory_loaded memory_load(struct memory *memory, const char *path);

/* Writes PATH.new and renames it. False with errno set; then the old file is as it was. */
MUST_USE bool memory_save(const struct memory *memory, const char *path);

/* ---- what an administrator wants forgotten (`countersign forget`) ---- */

/* One line of PATH.forget. */
struct forget_request {
    bool all; /* everything; the others mean nothing */
    enum memory_kind kind;
    char name[MEMORY_NAME_MAX];
};

/* Appends a request for the recorder, which looks for one each second. False with errno set. */
MUST_USE bool forget_ask(const char *path, const struct forget_request *request);
/* True when no request waits (any more). */
bool forget_done(const char *path);
/* Takes the requests that wait and calls `each` for every line, NULL for one that is none. */
void forget_take(const char *path,
                 void (*each)(void *context, const struct forget_request *request), void *context);

#endif
