/*
 * What the log says of each client: what it can do, and what it would be locked out by. This is the
 * table to look at before a rule is made stricter.
 */
#ifndef COUNTERSIGN_POLICY_LOG_SUMMARY_H
#define COUNTERSIGN_POLICY_LOG_SUMMARY_H

#include <stdio.h>

#include "policy/log_read.h"

/* Clients and rules beyond these are counted together. */
enum {
    SUMMARY_CLIENTS_MAX = 65536,
    SUMMARY_RULES_MAX = 256,
    SUMMARY_SOURCES_MAX = 4 * SUMMARY_CLIENTS_MAX
};

struct log_summary;

struct log_summary *log_summary_new(void); /* NULL when out of memory */
void log_summary_free(struct log_summary *summary);

/* For log_read(): context is the summary. */
void log_summary_take(void *context, struct json_object *event);

/* Whole, as tables, as one JSON object, or as one event for each client. `counts`: of the files
 * that were read. */
void log_summary_write_text(FILE *to, const struct log_summary *summary,
                            const struct log_counts *counts);
void log_summary_write_json(FILE *to, const struct log_summary *summary,
                            const struct log_counts *counts);
void log_summary_write_cef(FILE *to, const struct log_summary *summary);

#endif
