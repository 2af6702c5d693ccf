#include "tests/bench/endpoint.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

struct sockaddr_in endpoint_read(const char *address, const char *port)
{
    struct sockaddr_in read = {.sin_family = AF_INET};
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    if (inet_pton(AF_INET, address, &read.sin_addr) != 1 || *end || number > UINT16_MAX) {
        fprintf(stderr, "not an address and a port: %s %s\n", address, port);
        exit(2);
    }
    read.sin_port = htons((uint16_t)number);
    return read;
}

int endpoint_listen(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)at, sizeof *at) != 0 || listen(fd, SOMAXCONN) != 0)
        fail("listen");
    return fd;
}

int endpoint_connect(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
        fail("connect");
    return fd;
}
