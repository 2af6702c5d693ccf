/*
 * The supervisor: opens the listening sockets, starts the other processes, starts them again when
 * they end, and stops them. It reads nothing from the network and holds no secret. When started as
 * root it stays root, for one thing: to start a child again with that child's own user.
 *
 *     SIGTERM, SIGINT   stop: workers, then keeper, then recorder
 *     SIGHUP            configuration and credentials are read again (proxy/reload.h), the recorder
 *                       opens its log again
 *     SIGUSR1           the recorder writes its counters
 */
#ifndef COUNTERSIGN_PROXY_SUPERVISOR_H
#define COUNTERSIGN_PROXY_SUPERVISOR_H

#include "policy/config.h"
#include "proxy/worker.h"

/* Milliseconds: for a child to get ready at the start, and to end after it was told to. */
enum { SUPERVISOR_START_MS = 10000, SUPERVISOR_STOP_MS = 5000 };

/*
 * Runs until it is told to stop; `upstreams` has one address for each upstream of `config`. The
 * configuration is read again from `path`, also
 * when `countersign reload` asks for it at the socket `control`. The exit status: 0 after a stop, 1
 * when the start failed, with the reason on standard error.
 */
int supervisor_run(const struct config *config, const struct upstream_address *upstreams,
                   const char *path, const char *control);

#endif
