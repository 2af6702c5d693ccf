/*
 * The audit log: where events go. Used by the recorder process only.
 */
#ifndef COUNTERSIGN_POLICY_AUDIT_H
#define COUNTERSIGN_POLICY_AUDIT_H

#include "policy/event.h"

struct audit;

/* Opens the log file for appending (created 0640) and syslog, as configured. `file` may be NULL.
 * NULL with errno set when the file cannot be opened. */
struct audit *audit_open(const char *file, bool syslog);
void audit_close(struct audit *audit); /* NULL is allowed */

/* Opens the file again, after a rotation. When that fails the old one stays in use: false, errno.
 */
bool audit_reopen(struct audit *audit);

/* Stamps, writes and counts one event, in one write(2). False when it could not be written to the
 * file (disk full …): counted as lost, and the next event that can be written says how many. */
bool audit_write(struct audit *audit, const struct audit_event *event);

/* How often events of this kind were written or lost since audit_open(). */
uint64_t audit_count(const struct audit *audit, enum event_kind kind);
uint64_t audit_lost(const struct audit *audit);

/* Writes a `counters` event: every kind with a count above zero, as an object under "counts". */
void audit_write_counters(struct audit *audit);

#endif
