/*
 * How many elements an array has.
 */
#ifndef COUNTERSIGN_TESTS_COUNT_OF_H
#define COUNTERSIGN_TESTS_COUNT_OF_H

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
