/*
 * Networks, as rules name them: "192.0.2.0/24", "2001:db8::/32", or one address.
 *
 * IPv4 written as IPv6 (::ffff:192.0.2.1) is IPv4, in networks and in addresses.
 */
#ifndef COUNTERSIGN_POLICY_NETWORK_H
#define COUNTERSIGN_POLICY_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

enum { NETWORK_BYTES = 16 };

struct network {
    bool v6;
    uint8_t bytes[NETWORK_BYTES]; /* the first 4 of IPv4 */
    unsigned bits;                /* of them that count */
};

enum network_error {
    NETWORK_GOOD,
    NETWORK_MALFORMED,
    NETWORK_HOST_BITS, /* bits are set behind those that count: nobody knows what was meant */
};
enum network_error network_read(const char *text, struct network *network);

/* True for a numeric address, without a scope and a prefix. */
bool network_is_address(const char *text);

/* True when a numeric address is in it; a scope ("%eth0") does not matter. False for anything that
 * is no address. */
bool network_has(const struct network *network, const char *address);

/* True when all addresses of `inner` are in `outer`. */
bool network_covers(const struct network *outer, const struct network *inner);

#endif
