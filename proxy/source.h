/*
 * Where a client comes from, as far as it can be told from others.
 */
#ifndef COUNTERSIGN_PROXY_SOURCE_H
#define COUNTERSIGN_PROXY_SOURCE_H

#include <stddef.h>

enum { SOURCE_SIZE = 64 };

/* An IPv4 address as it is, also when it came mapped into IPv6; of an IPv6 address the network,
 * "2001:db8:1:2::/64": who has one address there has them all. Anything else is copied, cut to its
 * room. */
void source_of(const char *address, char source[SOURCE_SIZE]);

#endif
