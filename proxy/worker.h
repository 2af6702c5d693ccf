/*
 * A worker: one event loop with the links of many clients. It holds session keys and no long-term
 * secret.
 */
#ifndef COUNTERSIGN_PROXY_WORKER_H
#define COUNTERSIGN_PROXY_WORKER_H

#include <sys/socket.h>

#include "policy/config.h"

/* Where an upstream is, resolved before the worker started. */
struct upstream_address {
    struct sockaddr_storage address;
    socklen_t size;
};

struct worker_settings {
    const struct config *config;
    uint32_t generation; /* its number */
    const struct upstream_address
        *upstreams; /* one for each upstream of the configuration, same order */
    unsigned index; /* 0 … count-1 */
    unsigned count;
    const int
        *listen_fds; /* one for each listener of the configuration, this worker's own, listening,
                        non-blocking; the supervisor keeps them open across a restart */
};

/*
 * CONTROL_PREPARE and CONTROL_LISTENER bring another configuration, which new connections get from
 * the next CONTROL_RELOAD on; those that are there keep theirs (proxy/generation.h).
 *
 * Runs until the control channel says CONTROL_STOP or closes: then it stops accepting, ends every
 * link, wipes every key, sends its last events and returns the exit status. Channels to the keeper,
 * the recorder and the other workers arrive over the control channel as CONTROL_PEER; one that
 * arrives again replaces the old one (the other process was restarted). Sends CONTROL_READY when it
 * accepts connections.
 */
int worker_run(const struct worker_settings *settings, int control_fd);

#endif
