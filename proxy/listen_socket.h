/*
 * The sockets that clients connect to: one for each listener and worker.
 */
#ifndef COUNTERSIGN_PROXY_LISTEN_SOCKET_H
#define COUNTERSIGN_PROXY_LISTEN_SOCKET_H

#include "crypto/cursor.h"
#include "policy/config.h"

struct listen_sockets {
    int *
        fds; /* those of worker 0, in the order of the configuration's listeners, then worker 1 … */
    unsigned listeners;
    unsigned workers;
};

/* A sentence for the administrator. */
struct listen_error {
    char text[512];
};

/*
 * Opens all of them, listening and non-blocking; the kernel spreads connections over the workers
 * (SO_REUSEPORT). False with `error` naming listener, address, port and reason, and nothing left
 * open. An address on which another program (or another Countersign) listens is refused.
 */
MUST_USE bool listen_sockets_open(const struct config *config, unsigned workers,
                                  struct listen_sockets *sockets, struct listen_error *error);

/* The same for another configuration of the same workers: where `open`, of the configuration
 * `running`, listens already, the socket is the same one, in a descriptor of its own. */
MUST_USE bool listen_sockets_change(const struct config *running, const struct listen_sockets *open,
                                    const struct config *config, struct listen_sockets *sockets,
                                    struct listen_error *error);
void listen_sockets_close(struct listen_sockets *sockets);

/* The sockets of one worker: as many as there are listeners. */
const int *listen_sockets_of(const struct listen_sockets *sockets, unsigned worker);

/* "192.0.2.1:445", "[2001:db8::1]:445". */
void listen_name(const struct config_listener *listener, char *to, size_t size);

#endif
