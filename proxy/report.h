/*
 * What the supervisor has to say: to the audit log by way of the recorder, and on standard error.
 */
#ifndef COUNTERSIGN_PROXY_REPORT_H
#define COUNTERSIGN_PROXY_REPORT_H

#include "proxy/child.h"

/* Event `listener_up` for each listener, and a line each. */
void report_listeners(const struct config *config, struct child *recorder);

/* Event `reloaded` or `reload_refused`, and a line: what came of a reload. */
void report_reload(bool done, const char *text, struct child *recorder);

/* A line for a child that ended: it is started again after its delay, or it foils the start, or it
 * did not end well when it was told to. */
void report_ended(const struct child *child);
void report_failed(const struct child *child);
void report_unclean(const struct child *child);

/* Event `process_ended` for a child whose end the recorder has not been told yet; false when it
 * cannot be told now. */
bool report_ended_event(const struct child *child, struct child *recorder);

#endif
