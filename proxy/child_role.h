/*
 * The life of a child process after fork: from the supervisor's copy to its role.
 */
#ifndef COUNTERSIGN_PROXY_CHILD_ROLE_H
#define COUNTERSIGN_PROXY_CHILD_ROLE_H

#include "proxy/child.h"

/*
 * Closes what is not the role's own, does what still needs the old privileges (the recorder opens
 * the audit log), confines the process and runs the role; the exit status. Errors go to standard
 * error.
 */
int child_role_run(enum peer_role role, unsigned index, const struct child_plan *plan,
                   int control_fd, pid_t parent);

#endif
