#include "proxy/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void source_of(const char *address, char source[SOURCE_SIZE])
{
    struct in6_addr in6;
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, address, &in6) != 1) {
        snprintf(source, SOURCE_SIZE, "%s", address);
        return;
    }
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        inet_ntop(AF_INET, &in6.s6_addr[12], text, sizeof text);
        snprintf(source, SOURCE_SIZE, "%s", text);
        return;
    }
    memset(&in6.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &in6, text, sizeof text);
    snprintf(source, SOURCE_SIZE, "%s/64", text);
}
