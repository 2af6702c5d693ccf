/*
 * Where the upstreams are: their host names looked up once, before anything starts.
 */
#ifndef COUNTERSIGN_PROXY_RESOLVE_H
#define COUNTERSIGN_PROXY_RESOLVE_H

#include "crypto/cursor.h"
#include "proxy/worker.h"

/*
 * One address for each upstream of the configuration, in its order; of several that a name has, the
 * resolver's first. NULL with a sentence in `error` that names the upstream; otherwise free() it.
 */
MUST_USE struct upstream_address *resolve_upstreams(const struct config *config, char *error,
                                                    size_t error_size);

#endif
