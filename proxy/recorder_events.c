/*
 * Events on their way into the log: folded, counted, and what was lost on the way told.
 */
#include <stdio.h>

#include "crypto/clock.h"
#include "proxy/recorder_state.h"

static void note_loss(struct recorder *recorder, bool lost)
{
    if (lost && !recorder->losing)
        fprintf(stderr, "countersign: the audit log cannot be written: events are being lost\n");
    if (!lost && recorder->losing)
        fprintf(stderr, "countersign: the audit log can be written again\n");
    recorder->losing = lost;
}

void recorder_write(struct recorder *recorder, const struct audit_event *event)
{
    if (fold_take(recorder->fold, event, clock_ms()))
        audit_fold(recorder->log, event->kind);
    else
        note_loss(recorder, !audit_write(recorder->log, event));
}

void recorder_write_repeats(void *context, const struct audit_event *event, uint64_t repeats)
{
    struct recorder *recorder = context;
    note_loss(recorder, !audit_write_repeats(recorder->log, event, repeats));
}

/* What only the recorder knows. */
static bool is_own(enum event_kind kind)
{
    return kind == EVENT_COUNTERS || kind == EVENT_EVENTS_LOST || kind == EVENT_MEMORY_DAMAGED ||
           kind == EVENT_MEMORY_FORGOTTEN;
}

/* The number of a worker is ours to say: a subverted one must not blame another. How often
 * something happened is, too. */
bool recorder_take_event(struct recorder *recorder, struct span body, const struct peer *peer)
{
    struct audit_event event;
    struct event_storage storage;
    if (!event_unpack(body.at, body.size, &event, &storage) || is_own(event.kind) ||
        event.field[FIELD_REPEATS])
        return false;
    if (peer && peer->role == PEER_WORKER)
        event.field[FIELD_WORKER] = peer->index;
    recorder_write(recorder, &event);
    return true;
}

bool recorder_take_losses(struct peer *peer, struct span body)
{
    struct reader reader = reader_over_span(body);
    uint64_t total = 0, count;
    uint16_t kind;
    char text[32];
    while (reader_left(&reader)) {
        if (!read_le16(&reader, &kind) || kind >= EVENT_KIND_COUNT || !read_le64(&reader, &count))
            return false;
        audit_add_lost(peer->recorder->log, (enum event_kind)kind, count);
        total += count;
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)total);
    const struct audit_event event = {
        .kind = EVENT_EVENTS_LOST,
        .field[FIELD_REASON] = "channel_full",
        .field[FIELD_TEXT] = "a worker could not send events to the recorder; the counters have "
                             "them",
        .field[FIELD_WORKER] = peer->index,
        .field[FIELD_LOST] = text,
    };
    recorder_write(peer->recorder, &event);
    return true;
}
