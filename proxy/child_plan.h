/*
 * What all children are made from, worked out at the start, and at a reload, while everything can
 * still be refused.
 */
#ifndef COUNTERSIGN_PROXY_CHILD_PLAN_H
#define COUNTERSIGN_PROXY_CHILD_PLAN_H

#include "crypto/keeper.h"
#include "proxy/listen_socket.h"
#include "proxy/process.h"
#include "proxy/worker.h"

struct child_plan {
    const struct config *config;              /* borrowed, or owned_config */
    const struct upstream_address *upstreams; /* borrowed, or owned_upstreams */
    struct config *owned_config;
    struct upstream_address *owned_upstreams;
    uint32_t generation;            /* how often it was changed since the start */
    struct keeper_settings *keeper; /* its `replays` is mapped, and outlives each keeper; with those
                                       of earlier generations */
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

/* A sentence for the administrator. */
struct child_plan_error {
    char text[1024];
};

/* The plan for another configuration, which it takes over with the addresses, also when it fails:
 * false with `error`. child_plan_switch() puts it in the place of `plan`, and leaves to keepers to
 * come the generations from `oldest` on, which a worker may still use; child_plan_drop() frees it.
 */
MUST_USE bool child_plan_change(const struct child_plan *plan, struct config *config,
                                struct upstream_address *upstreams, struct child_plan *wanted,
                                struct child_plan_error *error);
void child_plan_switch(struct child_plan *plan, struct child_plan *wanted, uint32_t oldest);
void child_plan_drop(struct child_plan *wanted);

/* In a child that is no keeper: unmaps what keepers leave to each other. */
MUST_USE bool child_plan_forget_replays(const struct child_plan *plan);

#endif
