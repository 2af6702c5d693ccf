#include "proxy/resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int look_up(const struct config_upstream *upstream, struct upstream_address *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];

    snprintf(port, sizeof port, "%u", upstream->port);
    int result = getaddrinfo(upstream->address, port, &hints, &found);
    if (result == 0) {
        memcpy(&address->address, found->ai_addr, found->ai_addrlen);
        address->size = found->ai_addrlen;
        freeaddrinfo(found);
    }
    return result;
}

struct upstream_address *resolve_upstreams(const struct config *config, char *error,
                                           size_t error_size)
{
    struct upstream_address *addresses = calloc(config->upstreams_count, sizeof *addresses);

    if (addresses == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        int result = look_up(upstream, &addresses[i]);
        if (result != 0) {
            snprintf(error, error_size, "upstream %s: cannot find the address of %s: %s",
                     upstream->name, upstream->address, gai_strerror(result));
            free(addresses);
            return NULL;
        }
    }
    return addresses;
}
