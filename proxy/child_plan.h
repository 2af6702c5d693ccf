/*
 * What all children are made from, worked out once at the start while everything can still be
 * refused.
 */
#ifndef COUNTERSIGN_PROXY_CHILD_PLAN_H
#define COUNTERSIGN_PROXY_CHILD_PLAN_H

#include "crypto/keeper.h"
#include "proxy/listen_socket.h"
#include "proxy/process.h"
#include "proxy/worker.h"

struct child_plan {
    const struct config *config;              /* borrowed */
    const struct upstream_address *upstreams; /* borrowed */
    struct keeper_settings *keeper; /* its `replays` is mapped, and outlives each keeper */
    struct listen_sockets sockets;
    unsigned workers;
    bool change_users; /* started as root; otherwise the users below are not set */
    struct process_user keeper_user;
    struct process_user recorder_user;
    struct process_user worker_user;
};

/*
 * Finds the users, opens the listening sockets, and makes room for the descriptors that the
 * configured connections need. False, with the reason on standard error; child_plan_free() is due
 * in any case.
 */
MUST_USE bool child_plan_make(const struct config *config, const struct upstream_address *upstreams,
                              struct child_plan *plan);
void child_plan_free(struct child_plan *plan);

/* In a child that is no keeper: unmaps what keepers leave to each other. */
MUST_USE bool child_plan_forget_replays(const struct child_plan *plan);

#endif
