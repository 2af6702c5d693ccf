/*
 * Which events of a log are wanted.
 */
#ifndef COUNTERSIGN_POLICY_LOG_FILTER_H
#define COUNTERSIGN_POLICY_LOG_FILTER_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum { LOG_EVENTS_MAX = 32, LOG_TIME_SIZE = 40 };

/* What is NULL, empty or zero asks for nothing. Texts are borrowed. */
struct log_filter {
    const char *events[LOG_EVENTS_MAX]; /* any of them */
    unsigned events_count;
    const char *client; /* address, or a network like 192.0.2.0/24 */
    const char *user;   /* without regard to case; also one who tried to become that one */
    char since[LOG_TIME_SIZE];
    char until[LOG_TIME_SIZE]; /* before */
    int severity;              /* at least; enum event_severity */
};

/* True when the event has all that is asked for. */
bool log_filter_wants(const struct log_filter *filter, struct json_object *event);

/* Reads a moment: "2024-05-06", "2024-05-06T07:08:09Z" (UTC), or so long ago: "30m", "12h", "7d".
 * `now` is seconds since 1970. False when it is none. */
bool log_time_read(const char *text, int64_t now, char time[LOG_TIME_SIZE]);
/* "info" and so on; -1 for anything else. */
int log_severity_read(const char *text);
/* True for an address or a network that can be asked for. */
bool log_network_read(const char *text);

#endif
