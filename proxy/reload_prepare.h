/* How the supervisor hands a new configuration to the children that have to prepare for it. */
#ifndef COUNTERSIGN_PROXY_RELOAD_PREPARE_H
#define COUNTERSIGN_PROXY_RELOAD_PREPARE_H

#include "proxy/child.h"

/* Puts `text`, of `size` bytes, into sealed memory that all children can read and none can change.
 * A descriptor, which the caller closes, or -1 with errno set. */
MUST_USE int reload_text_make(const char *text, size_t size);

/* Sends CONTROL_PREPARE with that memory, and a worker its listening sockets of `wanted`. False
 * when the child cannot be told, or not all of it. */
MUST_USE bool reload_prepare_child(const struct child_plan *wanted, struct child *child, int text);

#endif
