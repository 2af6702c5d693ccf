/*
 * `countersign doctor`: where the names of a listener lead. A name that leads to the file server
 * lets its clients go past Countersign, and one that leads nowhere keeps them out.
 */
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/network.h"
#include "proxy/doctor.h"

static bool name_of(const struct sockaddr *address, char text[NI_MAXHOST])
{
    socklen_t size =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    return getnameinfo(address, size, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0;
}

/* One of this host's own addresses. */
static bool is_local(const char *address)
{
    struct ifaddrs *all;
    char text[NI_MAXHOST];
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (struct ifaddrs *at = all; at && !found; at = at->ifa_next)
        found = at->ifa_addr &&
                (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6) &&
                name_of(at->ifa_addr, text) && strcmp(text, address) == 0;
    freeifaddrs(all);
    return found;
}

static bool listens_at(const struct config_listener *listener, const char *address)
{
    if (strcmp(listener->address, "0.0.0.0") == 0 || strcmp(listener->address, "::") == 0)
        return is_local(address);
    return strcmp(listener->address, address) == 0;
}

static void check_name(struct check *check, const struct config_listener *listener,
                       const char *name)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char address[NI_MAXHOST] = "";
    int error = getaddrinfo(name, NULL, &hints, &found);
    if (error) {
        check_warning(check,
                      "the name %s cannot be looked up here (%s); add it to DNS, or take it out of "
                      "`names` when no client uses it",
                      name, gai_strerror(error));
        return;
    }
    bool right = false;
    for (const struct addrinfo *at = found; at && !right; at = at->ai_next)
        right = name_of(at->ai_addr, address) && listens_at(listener, address);
    freeaddrinfo(found);
    if (right)
        check_say("  the name %s leads here", name);
    else
        check_problem(check,
                      "the name %s leads to %s, not to listener %s: clients that use it go past "
                      "Countersign; correct DNS (or /etc/hosts), or the listener's `address`",
                      name, address, listener->name);
}

void doctor_names(struct check *check, const struct config *config)
{
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        check_say("names of listener %s:", listener->name);
        if (listener->names_count == 0)
            check_say("  none but its address");
        for (unsigned j = 0; j < listener->names_count; j++)
            if (!network_is_address(listener->names[j]))
                check_name(check, listener, listener->names[j]);
    }
}
