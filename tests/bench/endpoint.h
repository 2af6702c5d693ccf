/*
 * Addresses and sockets of the benchmark's programs, which take both from the command line and end
 * with a message when they are of no use.
 */
#ifndef COUNTERSIGN_BENCH_ENDPOINT_H
#define COUNTERSIGN_BENCH_ENDPOINT_H

#include <netinet/in.h>

/* Ends the program, telling what it could not do. */
_Noreturn void fail(const char *what);

struct sockaddr_in endpoint_read(const char *address, const char *port);
int endpoint_listen(const struct sockaddr_in *at);
int endpoint_connect(const struct sockaddr_in *to);

#endif
