#include "crypto/own_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Without netlink and bind(), which are denied to who asks this. */

enum { ROOM_FOR_MORE = 16 };

static bool is_listed(const struct ifconf *all, struct in_addr wanted)
{
    struct sockaddr_in address;
    for (size_t i = 0; i < (size_t)all->ifc_len / sizeof *all->ifc_req; i++) {
        memcpy(&address, &all->ifc_req[i].ifr_addr, sizeof address);
        if (address.sin_family == AF_INET && address.sin_addr.s_addr == wanted.s_addr)
            return true;
    }
    return false;
}

static bool own_v4(struct in_addr wanted)
{
    struct ifconf all = {.ifc_len = 0};
    if (ntohl(wanted.s_addr) >> 24 == IN_LOOPBACKNET)
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool listed = fd >= 0 && ioctl(fd, SIOCGIFCONF, &all) == 0;
    all.ifc_len += ROOM_FOR_MORE * (int)sizeof *all.ifc_req;
    all.ifc_req = listed ? malloc((size_t)all.ifc_len) : NULL;
    listed = all.ifc_req && ioctl(fd, SIOCGIFCONF, &all) == 0 && is_listed(&all, wanted);
    free(all.ifc_req);
    if (fd >= 0)
        close(fd);
    return listed;
}

/* What is sent to an address of one's own comes from that address (RFC 6724 5, rule 1). */
static bool own_v6(const struct in6_addr *wanted)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = *wanted}, from;
    socklen_t size = sizeof from;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool own = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
               getsockname(fd, (struct sockaddr *)&from, &size) == 0 && size == sizeof from &&
               memcmp(&from.sin6_addr, wanted, sizeof *wanted) == 0;
    close(fd);
    return own;
}

bool own_address(const char *text)
{
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1)
        return own_v4(four);
    if (inet_pton(AF_INET6, text, &six) != 1 || IN6_IS_ADDR_LOOPBACK(&six))
        return false;
    if (!IN6_IS_ADDR_V4MAPPED(&six))
        return own_v6(&six);
    memcpy(&four, &six.s6_addr[12], sizeof four);
    return own_v4(four);
}
