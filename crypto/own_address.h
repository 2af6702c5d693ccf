/*
 * Whether an address is one of this host's own, now: they come and go.
 */
#ifndef COUNTERSIGN_CRYPTO_OWN_ADDRESS_H
#define COUNTERSIGN_CRYPTO_OWN_ADDRESS_H

#include <stdbool.h>

/* `text` is any text. False for what is no address, and for the loopback addresses, which every
 * host has. Takes no time: nothing is sent. */
bool own_address(const char *text);

#endif
