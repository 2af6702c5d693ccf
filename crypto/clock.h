/*
 * The clock by which all processes measure how long something takes.
 */
#ifndef COUNTERSIGN_CRYPTO_CLOCK_H
#define COUNTERSIGN_CRYPTO_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: the same in all processes, never set, not counted while the
 * machine sleeps. */
uint64_t clock_ms(void);

#endif
