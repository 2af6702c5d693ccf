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

/* Counts an event that is not written now, but as one of the repeats of a later one. */
void audit_fold(struct audit *audit, enum event_kind kind);
/* Writes an event that stands for `repeats` others, each counted by audit_fold() already. Where it
 * cannot be written, as many are lost. */
bool audit_write_repeats(struct audit *audit, const struct audit_event *event, uint64_t repeats);
/* Counts events that were lost before they came here. */
void audit_add_lost(struct audit *audit, enum event_kind kind, uint64_t count);

/* How often events of this kind were written, folded or lost since audit_open(). */
uint64_t audit_count(const struct audit *audit, enum event_kind kind);
uint64_t audit_lost(const struct audit *audit);

/* Writes a `counters` event: every kind with a count above zero, as an object under "counts"; of
 * all of them, how many were written as repeats only, and how many were lost. */
void audit_write_counters(struct audit *audit);

#endif
