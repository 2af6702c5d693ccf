/*
 * Folding: repeats of one event from one source are counted instead of being written.
 *
 * The first is the caller's to write, at once. What repeats it is counted and, once in a window of
 * time, written as one event with the number in its field `repeats`; after a window in which
 * nothing came the next is a first one again. The table is bounded: when it is full the oldest
 * window ends early. Nothing is dropped: firsts and repeats add up to what was taken.
 */
#ifndef COUNTERSIGN_PROXY_FOLD_H
#define COUNTERSIGN_PROXY_FOLD_H

#include "crypto/cursor.h"
#include "policy/event.h"

/* How many different repeats are counted at a time, and how many of one source differ by who or
 * what they are about before they are counted together. */
enum { FOLD_MAX = 4096, FOLD_SUBJECTS_MAX = 16 };

/* Writes the event that stands for `repeats` others. What those did not have in common is not in
 * it. */
typedef void fold_write(void *context, const struct audit_event *event, uint64_t repeats);

struct fold;

/* `window_ms` 0: nothing is ever folded. NULL when out of memory or randomness. */
struct fold *fold_new(uint32_t window_ms, size_t most, fold_write *write, void *context);
/* Counts that have not been written are lost: fold_flush() first. NULL is allowed. */
void fold_free(struct fold *fold);

/* True when the event was counted as a repeat; else the caller writes it. `now_ms` is a clock that
 * never goes back. */
MUST_USE bool fold_take(struct fold *fold, const struct audit_event *event, uint64_t now_ms);

/* Writes what has been counted in the windows that have ended; about once a second. */
void fold_tick(struct fold *fold, uint64_t now_ms);
/* Writes all that has been counted. */
void fold_flush(struct fold *fold);

/* Kinds of repeats in the table now. */
size_t fold_count(const struct fold *fold);

#endif
