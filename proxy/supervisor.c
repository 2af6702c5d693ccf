#include "proxy/supervisor.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "proxy/child_plan.h"
#include "proxy/control_socket.h"
#include "proxy/phase.h"
#include "proxy/recorder.h"
#include "proxy/report.h"

enum { SIGNALS = 5 };

struct supervisor {
    struct child_plan plan;
    struct event_base *base;
    struct event *signals[SIGNALS];
    struct event *deadline; /* of the phase */
    struct child *children;
    unsigned children_count;
    enum phase phase;
    int status; /* the exit status so far */
    struct reload *reload;
    struct control_socket *control; /* NULL: none */
    const char *path;               /* of the configuration */
    const char *control_path;
};

static void advance(struct supervisor *supervisor);

static void set_timer(struct event *timer, unsigned milliseconds)
{
    struct timeval delay = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000};
    if (evtimer_add(timer, &delay) != 0) {
        fprintf(stderr, "countersign: cannot set a timer\n");
    }
}

/* Stopping. */

static void enter_stop(struct supervisor *supervisor, enum phase phase)
{
    supervisor->phase = phase;
    for (unsigned i = phase_first(phase); i < phase_end(phase, supervisor->children_count); i++) {
        struct child *child = &supervisor->children[i];
        evtimer_del(child->restart);
        if (child->pid != 0) {
            /* One that cannot be told any more is on its way out, or killed at the deadline. */
            (void)child_tell(child, CONTROL_STOP);
        }
    }
    set_timer(supervisor->deadline, SUPERVISOR_STOP_MS);
    advance(supervisor);
}

static void begin_stop(struct supervisor *supervisor, int status)
{
    if (supervisor->phase >= PHASE_STOP_WORKERS) {
        return;
    }
    supervisor->status = status;
    (void)sd_notify(0, "STOPPING=1");
    control_socket_close(supervisor->control);
    supervisor->control = NULL;
    enter_stop(supervisor, PHASE_STOP_WORKERS);
}

static void kill_rest(struct supervisor *supervisor)
{
    for (unsigned i = phase_first(supervisor->phase);
         i < phase_end(supervisor->phase, supervisor->children_count); i++) {
        struct child *child = &supervisor->children[i];
        if (child->pid != 0) {
            char name[32];
            child_describe(child, name, sizeof name);
            fprintf(stderr, "countersign: the %s does not stop; killed\n", name);
            kill(child->pid, SIGKILL);
        }
    }
}

/* Starting. */

/* A channel to every process that runs; each replaces the one to this child's predecessor. */
static void introduce_to_all(struct supervisor *supervisor, struct child *child)
{
    for (unsigned i = 0; i < supervisor->children_count; i++) {
        struct child *other = &supervisor->children[i];
        if (other != child && other->pid != 0) {
            child_introduce(child, other);
        }
    }
}

static void report_endings(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->children_count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->ended && report_ended_event(child, &supervisor->children[RECORDER])) {
            child->ended = false;
        }
    }
}

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct child *child = context;

    if (fd >= 0) {
        close(fd);
    }
    if (type == CONTROL_PREPARED && fd < 0) {
        struct supervisor *supervisor = child->owner;
        return reload_answer(supervisor->reload, child, body);
    }
    if (type != CONTROL_READY || body.size != 0 || fd >= 0 || child->ready) {
        return false;
    }
    child->ready = true;
    advance(child->owner);
    return true;
}

/* The end itself is SIGCHLD's to tell, but a child that talks nonsense is ended. */
static void on_gone(void *context, bool malformed)
{
    struct child *child = context;

    channel_free(child->control);
    child->control = NULL;
    if (malformed && child->pid != 0) {
        char name[32];
        child_describe(child, name, sizeof name);
        fprintf(stderr, "countersign: the %s sent a malformed message; killed\n", name);
        kill(child->pid, SIGKILL);
    }
}

static bool start(struct supervisor *supervisor, struct child *child)
{
    static const struct channel_handler handler = {on_message, on_gone};

    if (!child_start(child, &supervisor->plan, supervisor->base, &handler)) {
        char name[32];
        child_describe(child, name, sizeof name);
        fprintf(stderr, "countersign: cannot start the %s: %s\n", name, strerror(errno));
        return false;
    }
    introduce_to_all(supervisor, child);
    if (child->role == PEER_RECORDER) {
        report_endings(supervisor);
    }
    return true;
}

static void on_restart(evutil_socket_t fd, short what, void *context)
{
    struct child *child = context;

    (void)fd;
    (void)what;
    if (!start(child->owner, child)) {
        set_timer(child->restart, CHILD_DELAY_MAX_MS);
    }
}

static void enter_start(struct supervisor *supervisor, enum phase phase)
{
    supervisor->phase = phase;
    set_timer(supervisor->deadline, SUPERVISOR_START_MS);
    for (unsigned i = phase_first(phase); i < phase_end(phase, supervisor->children_count); i++) {
        if (!start(supervisor, &supervisor->children[i])) {
            begin_stop(supervisor, EXIT_FAILURE);
            return;
        }
    }
}

static void enter_serving(struct supervisor *supervisor)
{
    supervisor->phase = PHASE_SERVING;
    evtimer_del(supervisor->deadline);
    report_listeners(supervisor->plan.config, &supervisor->children[RECORDER]);
    supervisor->control =
        control_socket_open(supervisor->base, supervisor->control_path, supervisor->reload);
    if (supervisor->control == NULL) {
        fprintf(stderr, "countersign: %s: %s; only SIGHUP reloads\n", supervisor->control_path,
                strerror(errno));
    }
    fprintf(stderr, "countersign: ready\n");
    (void)sd_notify(0, "READY=1");
}

/* From phase to phase. */

static bool all_ready(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < phase_end(supervisor->phase, supervisor->children_count); i++) {
        if (!supervisor->children[i].ready) {
            return false;
        }
    }
    return true;
}

static bool all_gone(const struct supervisor *supervisor)
{
    for (unsigned i = phase_first(supervisor->phase);
         i < phase_end(supervisor->phase, supervisor->children_count); i++) {
        if (supervisor->children[i].pid != 0) {
            return false;
        }
    }
    return true;
}

static void advance(struct supervisor *supervisor)
{
    switch (supervisor->phase) {
    case PHASE_FOUNDATION:
        if (all_ready(supervisor)) {
            enter_start(supervisor, PHASE_WORKERS);
        }
        return;
    case PHASE_WORKERS:
        if (all_ready(supervisor)) {
            enter_serving(supervisor);
        }
        return;
    case PHASE_SERVING: return;
    case PHASE_STOP_WORKERS:
        if (all_gone(supervisor)) {
            enter_stop(supervisor, PHASE_STOP_KEEPER);
        }
        return;
    case PHASE_STOP_KEEPER:
        if (all_gone(supervisor)) {
            enter_stop(supervisor, PHASE_STOP_RECORDER);
        }
        return;
    case PHASE_STOP_RECORDER:
        if (all_gone(supervisor)) {
            event_base_loopexit(supervisor->base, NULL);
        }
        return;
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    struct supervisor *supervisor = context;

    (void)fd;
    (void)what;
    if (supervisor->phase >= PHASE_STOP_WORKERS) {
        kill_rest(supervisor);
        return;
    }
    for (unsigned i = 0; i < phase_end(supervisor->phase, supervisor->children_count); i++) {
        if (!supervisor->children[i].ready) {
            char name[32];
            child_describe(&supervisor->children[i], name, sizeof name);
            fprintf(stderr, "countersign: the %s is not ready after %d seconds\n", name,
                    SUPERVISOR_START_MS / 1000);
        }
    }
    begin_stop(supervisor, EXIT_FAILURE);
}

static void child_ended(struct supervisor *supervisor, struct child *child, int status)
{
    child_note_end(child, status);
    if (supervisor->phase == PHASE_SERVING) {
        report_ended(child);
        report_endings(supervisor);
        reload_child_ended(supervisor->reload);
        set_timer(child->restart, child->delay_ms);
    } else if (supervisor->phase < PHASE_SERVING) {
        report_failed(child);
        begin_stop(supervisor, EXIT_FAILURE);
    } else {
        if (status != 0) {
            report_unclean(child);
        }
        advance(supervisor);
    }
}

static void reap(struct supervisor *supervisor)
{
    int status;

    for (unsigned i = 0; i < supervisor->children_count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid) {
            child_ended(supervisor, child, status);
        }
    }
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    struct supervisor *supervisor = context;

    (void)what;
    switch (number) {
    case SIGCHLD: reap(supervisor); return;
    case SIGHUP: reload_begin(supervisor->reload, false, NULL, NULL); return;
    case SIGUSR1:
        (void)child_tell(&supervisor->children[RECORDER], (enum keeper_message)RECORDER_COUNTERS);
        return;
    default: begin_stop(supervisor, EXIT_SUCCESS); return;
    }
}

/* Making and unmaking. */

static bool make_events(struct supervisor *supervisor)
{
    static const int numbers[SIGNALS] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    for (unsigned i = 0; i < SIGNALS; i++) {
        supervisor->signals[i] = evsignal_new(supervisor->base, numbers[i], on_signal, supervisor);
        if (supervisor->signals[i] == NULL || evsignal_add(supervisor->signals[i], NULL) != 0) {
            return false;
        }
    }
    supervisor->deadline = evtimer_new(supervisor->base, on_deadline, supervisor);
    return supervisor->deadline != NULL;
}

static bool make_children(struct supervisor *supervisor)
{
    supervisor->children_count = FIRST_WORKER + supervisor->plan.workers;
    supervisor->children = calloc(supervisor->children_count, sizeof *supervisor->children);
    if (supervisor->children == NULL) {
        supervisor->children_count = 0;
        return false;
    }
    for (unsigned i = 0; i < supervisor->children_count; i++) {
        struct child *child = &supervisor->children[i];
        child->role = i == RECORDER ? PEER_RECORDER : i == KEEPER ? PEER_KEEPER : PEER_WORKER;
        child->index = i < FIRST_WORKER ? 0 : i - FIRST_WORKER;
        child->owner = supervisor;
        child->restart = evtimer_new(supervisor->base, on_restart, child);
        if (child->restart == NULL) {
            return false;
        }
    }
    return true;
}

static void unmake(struct supervisor *supervisor)
{
    control_socket_close(supervisor->control);
    reload_free(supervisor->reload);
    for (unsigned i = 0; i < supervisor->children_count; i++) {
        channel_free(supervisor->children[i].control);
        if (supervisor->children[i].restart != NULL) {
            event_free(supervisor->children[i].restart);
        }
    }
    free(supervisor->children);
    for (unsigned i = 0; i < SIGNALS; i++) {
        if (supervisor->signals[i] != NULL) {
            event_free(supervisor->signals[i]);
        }
    }
    if (supervisor->deadline != NULL) {
        event_free(supervisor->deadline);
    }
    if (supervisor->base != NULL) {
        event_base_free(supervisor->base);
    }
    child_plan_free(&supervisor->plan);
}

static bool make(struct supervisor *supervisor)
{
    supervisor->base = event_base_new();
    if (supervisor->base == NULL || !make_events(supervisor) || !make_children(supervisor)) {
        fprintf(stderr, "countersign: out of memory\n");
        return false;
    }
    supervisor->reload = reload_new(supervisor->base, supervisor->path, &supervisor->plan,
                                    supervisor->children, supervisor->children_count);
    return supervisor->reload != NULL;
}

int supervisor_run(const struct config *config, const struct upstream_address *upstreams,
                   const char *path, const char *control)
{
    struct supervisor supervisor = {.status = EXIT_FAILURE, .path = path, .control_path = control};

    (void)signal(SIGPIPE, SIG_IGN);
    if (child_plan_make(config, upstreams, &supervisor.plan) && make(&supervisor)) {
        enter_start(&supervisor, PHASE_FOUNDATION);
        if (event_base_dispatch(supervisor.base) < 0) {
            fprintf(stderr, "countersign: the event loop failed\n");
            supervisor.status = EXIT_FAILURE;
        }
    }
    unmake(&supervisor);
    return supervisor.status;
}
