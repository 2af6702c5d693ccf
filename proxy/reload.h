/*
 * A reload: configuration and credentials are read and checked whole, then all processes change, or
 * none.
 *
 * The supervisor reads and checks the file, and opens what listens newly. Keeper and workers get
 * its text (CONTROL_PREPARE) and answer whether they could go on with it. Only when all can are
 * they told to (CONTROL_RELOAD); otherwise they forget it (CONTROL_ABORT). The recorder opens its
 * log again in any case, and answers like the others whether it could. A worker that says of
 * neither that it is done is killed: whoever took it over must not keep the old rules up.
 */
#ifndef COUNTERSIGN_PROXY_RELOAD_H
#define COUNTERSIGN_PROXY_RELOAD_H

#include "proxy/child.h"

/* Milliseconds for the children to answer, to each of the two. */
enum { RELOAD_MS = 10000 };

struct reload;

/* Once for each reload_begin(): a sentence for whoever asked; it is in the log too. */
typedef void reload_done(void *context, bool done, const char *text);

/* `plan` and `children` are the supervisor's, the recorder is the first child; a reload changes
 * the plan. `path` is the configuration's. NULL when out of memory. */
struct reload *reload_new(struct event_base *base, const char *path, struct child_plan *plan,
                          struct child *children, unsigned children_count);
void reload_free(struct reload *reload);

/* Begins one; `apply`: sessions that are up are judged anew. May call `done` at once;
 * it may be NULL. */
void reload_begin(struct reload *reload, bool apply, reload_done *done, void *context);
/* Whoever asked is gone, and is not told. */
void reload_forget_asker(struct reload *reload, const void *context);

/* A child's CONTROL_PREPARED; false when malformed. */
MUST_USE bool reload_answer(struct reload *reload, struct child *child, struct span body);
/* A child ended. */
void reload_child_ended(struct reload *reload);

#endif
