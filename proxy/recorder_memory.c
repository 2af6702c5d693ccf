/*
 * The recorder's end of the downgrade memory: what workers saw, what is written about it, and the
 * file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/clock.h"
#include "proxy/memory_file.h"
#include "proxy/recorder.h"
#include "proxy/recorder_state.h"

/* Between two writes of the file. */
enum { SAVE_EVERY_MS = 5000 };

static const char *state_path(const struct recorder *recorder)
{
    const char *path = recorder->config->state;
    return path && path[0] ? path : NULL;
}

/* Whatever it finds, the service starts: a file that somebody damaged must not keep it from that.
 */
void recorder_memory_load(struct recorder *recorder)
{
    const char *path = state_path(recorder);
    char text[512];
    if (!path)
        return;
    switch (memory_load(recorder->memory, path)) {
    case MEMORY_LOADED:
    case MEMORY_NO_FILE: return;
    case MEMORY_DAMAGED:
        snprintf(text, sizeof text, "%s is damaged; it is set aside as %s.damaged", path, path);
        break;
    case MEMORY_UNREADABLE:
        snprintf(text, sizeof text, "%s cannot be read: %s", path, strerror(errno));
        break;
    }
    fprintf(stderr, "countersign: %s; what clients and file servers can do is learnt anew\n", text);
    const struct audit_event event = {
        .kind = EVENT_MEMORY_DAMAGED, .field[FIELD_REASON] = "state", .field[FIELD_TEXT] = text};
    recorder_write(recorder, &event);
}

static void save(struct recorder *recorder, const char *path)
{
    bool failed = !memory_save(recorder->memory, path);
    if (failed && !recorder->memory_unsaved)
        fprintf(stderr,
                "countersign: %s cannot be written: %s; what is learnt now is forgotten at a "
                "restart\n",
                path, strerror(errno));
    if (!failed && recorder->memory_unsaved)
        fprintf(stderr, "countersign: %s can be written again\n", path);
    recorder->memory_unsaved = failed;
    recorder->memory_changed = failed;
}

static void forget(void *context, const struct forget_request *request)
{
    struct recorder *recorder = context;
    char text[MEMORY_NAME_MAX + 64];
    size_t count = 0;
    if (!request)
        return;
    for (unsigned kind = 0; kind < MEMORY_KINDS; kind++)
        if (request->all || request->kind == kind)
            count += memory_forget(recorder->memory, (enum memory_kind)kind,
                                   request->all ? NULL : request->name);
    snprintf(text, sizeof text, "%s: %zu forgotten", request->all ? "all" : request->name, count);
    const struct audit_event event = {.kind = EVENT_MEMORY_FORGOTTEN,
                                      .field[FIELD_REASON] = "request",
                                      .field[FIELD_TEXT] = text};
    recorder_write(recorder, &event);
}

void recorder_memory_tick(struct recorder *recorder, bool now)
{
    const char *path = state_path(recorder);
    uint64_t now_ms = clock_ms();
    if (!path)
        return;
    forget_take(path, forget, recorder);
    recorder->memory_changed = memory_take_changed(recorder->memory) || recorder->memory_changed;
    if (!recorder->memory_changed || (!now && now_ms - recorder->memory_saved_ms < SAVE_EVERY_MS))
        return;
    recorder->memory_saved_ms = now_ms;
    save(recorder, path);
}

static void write_less(struct recorder *recorder, const struct audit_event *seen,
                       const struct judgement *judgement, bool refused)
{
    struct audit_event event = *seen;
    char best[SPOKEN_TEXT_MAX];
    spoken_describe(&judgement->best, best);
    event.kind = judgement->kind;
    event.field[FIELD_REASON] = judgement->reason;
    event.field[FIELD_REMEMBERED] = best;
    event.field[FIELD_VERDICT] = refused ? "refused" : "recorded";
    recorder_write(recorder, &event);
}

static void write_change(struct recorder *recorder, const struct audit_event *seen,
                         const struct sighting *now, const struct judgement *judgement)
{
    struct audit_event event = *seen;
    char guid[GUID_TEXT_SIZE];
    bool name = strcmp(judgement->changed_reason, "name") == 0;
    guid_describe(now->guid, guid);
    event.kind = EVENT_SERVER_CHANGED;
    event.field[FIELD_REASON] = judgement->changed_reason;
    event.field[FIELD_REMEMBERED] = judgement->before;
    event.field[FIELD_CHOSEN] = name ? now->server_name : guid;
    event.field[FIELD_VERDICT] = "recorded";
    recorder_write(recorder, &event);
}

static bool answer(struct peer *peer, uint64_t query, bool less)
{
    uint8_t body[16];
    struct writer writer = writer_over(body, sizeof body);
    write_le64(&writer, query);
    write_u8(&writer, less);
    return recorder_answer(peer, RECORDER_SEEN, &writer);
}

bool recorder_take_sighting(struct peer *peer, struct span body)
{
    struct recorder *recorder = peer->recorder;
    struct sighting now;
    struct judgement judgement;
    struct audit_event event;
    struct event_storage storage;
    struct span packed;
    uint64_t query;
    if (!sighting_read(body, &query, &now, &packed) ||
        !event_unpack(packed.at, packed.size, &event, &storage))
        return false;
    event.field[FIELD_WORKER] = peer->index;
    event.field[FIELD_REPEATS] = NULL;
    memory_see(recorder->memory, &now, &judgement);
    if (judgement.less)
        write_less(recorder, &event, &judgement, now.pin);
    if (judgement.changed)
        write_change(recorder, &event, &now, &judgement);
    return !query || answer(peer, query, judgement.less);
}
