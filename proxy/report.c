#include "proxy/report.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "policy/event.h"
#include "proxy/recorder.h"

static bool send_event(const struct audit_event *event, struct child *recorder)
{
    uint8_t buffer[EVENT_PACKED_MAX];
    size_t size = event_pack(event, buffer, sizeof buffer);
    struct span body = {buffer, size};

    return size != 0 && recorder->control != NULL &&
           channel_send(recorder->control, RECORDER_EVENT, body, -1);
}

void report_listeners(const struct config *config, struct child *recorder)
{
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct audit_event event = {.kind = EVENT_LISTENER_UP};
        char name[128], text[160];

        listen_name(listener, name, sizeof name);
        snprintf(text, sizeof text, "listening on %s", name);
        fprintf(stderr, "countersign: %s for upstream %s\n", text, listener->upstream);
        event.field[FIELD_TEXT] = text;
        event.field[FIELD_LISTENER] = listener->name;
        event.field[FIELD_UPSTREAM] = listener->upstream;
        if (!send_event(&event, recorder)) {
            fprintf(stderr, "countersign: cannot record that %s is up\n", listener->name);
        }
    }
}

void report_reload(bool done, const char *text, struct child *recorder)
{
    struct audit_event event = {.kind = done ? EVENT_RELOADED : EVENT_RELOAD_REFUSED};

    fprintf(stderr, "countersign: %s\n", text);
    event.field[FIELD_TEXT] = text;
    if (!send_event(&event, recorder)) {
        fprintf(stderr, "countersign: cannot record the reload\n");
    }
}

/* "worker 3 (pid 4711) ended by signal 11 (Segmentation fault)" */
static void describe_end(const struct child *child, char *to, size_t size)
{
    char name[32], how[128];
    int status = child->ended_status;

    child_describe(child, name, sizeof name);
    if (WIFSIGNALED(status)) {
        snprintf(how, sizeof how, "by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else {
        snprintf(how, sizeof how, "with status %d", WEXITSTATUS(status));
    }
    snprintf(to, size, "%s (pid %ld) ended %s", name, (long)child->ended_pid, how);
}

void report_ended(const struct child *child)
{
    char end[256];
    describe_end(child, end, sizeof end);
    fprintf(stderr, "countersign: %s; started again in %u ms\n", end, child->delay_ms);
}

void report_failed(const struct child *child)
{
    char end[256];
    describe_end(child, end, sizeof end);
    fprintf(stderr, "countersign: %s before everything was ready\n", end);
}

void report_unclean(const struct child *child)
{
    char end[256];
    describe_end(child, end, sizeof end);
    fprintf(stderr, "countersign: %s while stopping\n", end);
}

bool report_ended_event(const struct child *child, struct child *recorder)
{
    struct audit_event event = {.kind = EVENT_PROCESS_ENDED};
    char text[256], pid[24], worker[16];

    describe_end(child, text, sizeof text);
    snprintf(pid, sizeof pid, "%ld", (long)child->ended_pid);
    snprintf(worker, sizeof worker, "%u", child->index);
    event.field[FIELD_REASON] = WIFSIGNALED(child->ended_status) ? "signal" : "exit";
    event.field[FIELD_TEXT] = text;
    event.field[FIELD_PID] = pid;
    event.field[FIELD_WORKER] = child->role == PEER_WORKER ? worker : NULL;
    return send_event(&event, recorder);
}
