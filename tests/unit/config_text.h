/*
 * Configurations to test with.
 */
#ifndef COUNTERSIGN_TESTS_CONFIG_TEXT_H
#define COUNTERSIGN_TESTS_CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "policy/config.h"

/* The least that is a configuration; lines 1 to 8. */
#define LISTENER                                                                                   \
    "listeners:\n"                                                                                 \
    "- name: lan\n"                                                                                \
    "  address: 0.0.0.0\n"                                                                         \
    "  upstream: nas\n"
#define UPSTREAM                                                                                   \
    "upstreams:\n"                                                                                 \
    "- name: nas\n"                                                                                \
    "  address: 192.0.2.10\n"
#define CREDENTIALS "credentials: /etc/countersign/credentials\n"
#define LEAST       LISTENER UPSTREAM CREDENTIALS

/* Fails the test when it is refused. */
static inline struct config *parse(const char *text)
{
    struct config_error error = {0};
    struct config *config = config_parse(text, strlen(text), &error);
    if (!config)
        fail_msg("line %u: %s\nin:\n%s", error.line, error.text, text);
    return config;
}

#endif
