/*
 * Events of the log for people and for other programs.
 */
#ifndef COUNTERSIGN_POLICY_LOG_OUTPUT_H
#define COUNTERSIGN_POLICY_LOG_OUTPUT_H

#include <stdio.h>

struct json_object;

/* Each writes one event as one line. */
void log_write_heading(FILE *to); /* of the table that log_write_text() makes */
void log_write_text(FILE *to, struct json_object *event);
void log_write_json(FILE *to, struct json_object *event);
/* ArcSight's Common Event Format, version 0. */
void log_write_cef(FILE *to, struct json_object *event);
/* The same of what a summary says of one client: see log_summary_write.c. */
void log_write_cef_client(FILE *to, struct json_object *event);

#endif
