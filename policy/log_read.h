/*
 * Reading the audit log back: its files, also rotated and compressed ones, line by line. A line
 * that is no event is counted and passed over: a log that was cut or changed can still be read.
 */
#ifndef COUNTERSIGN_POLICY_LOG_READ_H
#define COUNTERSIGN_POLICY_LOG_READ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

/* Bytes of the longest line that is read: far more than any event has. */
enum { LOG_LINE_MAX = 128 * 1024 };

struct log_counts {
    uint64_t lines;   /* that are events */
    uint64_t damaged; /* that are not */
};

/* Calls `take` with each event of the file, in its order; `event` is borrowed. "-" is standard
 * input; a file that gzip has compressed is read as it was. False with errno set when it cannot be
 * read, or not to its end. */
typedef void log_take(void *context, struct json_object *event);
bool log_read(const char *path, struct log_counts *counts, log_take *take, void *context);

/* The file and the rotated ones beside it (PATH.1, PATH.2.gz and so on), the oldest first. Calls
 * `each` for those that are there until it answers false; that is the answer. */
bool log_files(const char *path, bool (*each)(void *context, const char *file), void *context);

/* A field of an event as text, NULL when it is not there or no text; as a number, else `none`. */
const char *log_text(struct json_object *event, const char *field);
int64_t log_number(struct json_object *event, const char *field, int64_t none);
/* For how many events a line stands: its `repeats`, or 1. */
uint64_t log_weight(struct json_object *event);

/* Writes text that came out of a file, with what could be a command to a terminal replaced. */
void log_print(FILE *to, const char *text);

#endif
