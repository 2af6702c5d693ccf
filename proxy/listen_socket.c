#include "proxy/listen_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 }; /* connections that wait for a worker; the kernel cuts it at somaxconn */

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

void listen_name(const struct config_listener *listener, char *to, size_t size)
{
    bool six = strchr(listener->address, ':') != NULL;
    snprintf(to, size, six ? "[%s]:%u" : "%s:%u", listener->address, listener->port);
}

static bool address_of(const struct config_listener *listener, struct address *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(listener->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(listener->port)};

    if (inet_pton(AF_INET, listener->address, &four.sin_addr) == 1) {
        memcpy(&address->storage, &four, sizeof four);
        address->size = sizeof four;
        return true;
    }
    if (inet_pton(AF_INET6, listener->address, &six.sin6_addr) == 1) {
        memcpy(&address->storage, &six, sizeof six);
        address->size = sizeof six;
        return true;
    }
    errno = EADDRNOTAVAIL;
    return false;
}

static bool set(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* Takes connections to addresses that are not this host's. */
static bool set_transparent(int fd)
{
    int family = AF_UNSPEC;
    socklen_t size = sizeof family;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 &&
           (family == AF_INET6 ? set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
                               : set(fd, IPPROTO_IP, IP_TRANSPARENT));
}

/* A bound socket that does not listen yet; -1 with errno set. */
static int open_bound(const struct address *address, bool shared)
{
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    if (!set(fd, SOL_SOCKET, SO_REUSEADDR) || (shared && !set(fd, SOL_SOCKET, SO_REUSEPORT)) ||
        (family == AF_INET6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
        bind(fd, (const struct sockaddr *)&address->storage, address->size) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int open_listening(const struct address *address)
{
    int fd = open_bound(address, true);

    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* A second Countersign of the same user could share the port, and take half of the connections,
 * without an error from the kernel; a socket that does not share finds it. */
static bool nobody_listens(const struct address *address)
{
    int fd = open_bound(address, false);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

static bool open_listener(const struct config_listener *listener, unsigned index,
                          struct listen_sockets *sockets)
{
    struct address address;

    memset(&address, 0, sizeof address);
    if (!address_of(listener, &address) || !nobody_listens(&address)) {
        return false;
    }
    for (unsigned worker = 0; worker < sockets->workers; worker++) {
        int fd = open_listening(&address);
        if (fd < 0) {
            return false;
        }
        sockets->fds[worker * sockets->listeners + index] = fd;
        if (listener->transparent && !set_transparent(fd)) {
            return false;
        }
    }
    return true;
}

/* The number of the listener on the same address and port; the count when there is none. */
static unsigned find_same(const struct config *config, const struct config_listener *listener)
{
    unsigned i = 0;

    while (i < config->listeners_count &&
           (config->listeners[i].port != listener->port ||
            strcmp(config->listeners[i].address, listener->address) != 0)) {
        i++;
    }
    return i;
}

/* A socket that is no longer to be transparent stays it until it is closed, since the configuration
 * that wants it so may yet be refused; nothing is diverted to it without the system's rules. */
static bool copy_listener(const struct listen_sockets *open, unsigned from, bool transparent,
                          struct listen_sockets *sockets, unsigned index)
{
    for (unsigned worker = 0; worker < sockets->workers; worker++) {
        int fd = fcntl(listen_sockets_of(open, worker)[from], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            return false;
        }
        sockets->fds[worker * sockets->listeners + index] = fd;
        if (transparent && !set_transparent(fd)) {
            return false;
        }
    }
    return true;
}

static bool make_room(const struct config *config, unsigned workers, struct listen_sockets *sockets)
{
    size_t count = (size_t)config->listeners_count * workers;

    *sockets =
        (struct listen_sockets){calloc(count, sizeof(int)), config->listeners_count, workers};
    for (size_t i = 0; sockets->fds != NULL && i < count; i++) {
        sockets->fds[i] = -1;
    }
    return sockets->fds != NULL;
}

static const char *what_to_do(int reason)
{
    switch (reason) {
    case EADDRINUSE:
        return "; `ss -ltnp` tells by whom. Going from 0.0.0.0 or \"::\" to one address on the "
               "same port, or back, takes a restart";
    case EADDRNOTAVAIL: return "; this host has no such address: `ip address` lists them";
    case EACCES: return "; start it as root, or choose a port above 1023";
    case EPERM: return "; `transparent` needs CAP_NET_ADMIN, see docs/operations.md";
    default: return "";
    }
}

static void tell_failure(const struct config_listener *listener, struct listen_error *error)
{
    int reason = errno;
    char name[128];

    listen_name(listener, name, sizeof name);
    snprintf(error->text, sizeof error->text, "listener %s: cannot listen on %s: %s%s",
             listener->name, name, strerror(reason), what_to_do(reason));
}

bool listen_sockets_change(const struct config *running, const struct listen_sockets *open,
                           const struct config *config, struct listen_sockets *sockets,
                           struct listen_error *error)
{
    if (!make_room(config, open->workers, sockets)) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return false;
    }
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        unsigned from = find_same(running, listener);
        if (from < running->listeners_count
                ? !copy_listener(open, from, listener->transparent, sockets, i)
                : !open_listener(listener, i, sockets)) {
            tell_failure(listener, error);
            listen_sockets_close(sockets);
            return false;
        }
    }
    return true;
}

bool listen_sockets_open(const struct config *config, unsigned workers,
                         struct listen_sockets *sockets, struct listen_error *error)
{
    static const struct config nothing;
    const struct listen_sockets none = {NULL, 0, workers};

    return listen_sockets_change(&nothing, &none, config, sockets, error);
}

void listen_sockets_close(struct listen_sockets *sockets)
{
    size_t count = (size_t)sockets->listeners * sockets->workers;

    for (size_t i = 0; sockets->fds != NULL && i < count; i++) {
        if (sockets->fds[i] >= 0) {
            close(sockets->fds[i]);
        }
    }
    free(sockets->fds);
    *sockets = (struct listen_sockets){NULL, 0, 0};
}

const int *listen_sockets_of(const struct listen_sockets *sockets, unsigned worker)
{
    return &sockets->fds[(size_t)worker * sockets->listeners];
}
