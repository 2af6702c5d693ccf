#include "proxy/reload.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "crypto/keeper_message.h"
#include "policy/plain.h"
#include "proxy/reload_prepare.h"
#include "proxy/report.h"
#include "proxy/resolve.h"

/* The generation's number shares 32 bits with an index. */
enum {
    GENERATION_MAX = (1 << (31 - KEEPER_INDEX_BITS)) - 1,
    PROBLEM_MAX = 1024,
};

struct reload {
    struct child_plan *plan;
    struct child *children;
    unsigned children_count;
    const char *path;
    struct event *deadline;
    bool running;
    bool apply;
    bool ending;                                     /* it is decided, and the workers are told */
    bool changed;                                    /* … that all of it is used */
    char text[sizeof(struct child_plan_error) + 64]; /* … and who asked will be told this */
    struct child_plan wanted;
    uint32_t oldest; /* generation that any worker uses */
    reload_done *done;
    void *asker; /* NULL: gone */
};

static bool takes_part(const struct child *child)
{
    return child->role != PEER_RECORDER;
}

/* ---- the end ---- */

static void finish(struct reload *reload)
{
    void *asker = reload->asker;

    reload->running = reload->ending = false;
    reload->asker = NULL;
    event_del(reload->deadline);
    report_reload(reload->changed, reload->text, &reload->children[0]);
    (void)sd_notify(0, "READY=1");
    if (asker != NULL) {
        reload->done(asker, reload->changed, reload->text);
    }
}

static bool all_answered(const struct reload *reload)
{
    for (unsigned i = 0; i < reload->children_count; i++) {
        if (reload->children[i].pid != 0 && reload->children[i].preparing != 0) {
            return false;
        }
    }
    return true;
}

/* Until the workers have closed what is not listened at any more, nobody could listen there again:
 * the next reload, which may want to, has to wait for that. */
static void end(struct reload *reload, bool changed)
{
    const struct timeval delay = {RELOAD_MS / 1000, 0};

    reload->ending = true;
    reload->changed = changed;
    if (all_answered(reload) || evtimer_add(reload->deadline, &delay) != 0) {
        finish(reload);
    }
}

static void refuse(struct reload *reload, const char *problem)
{
    snprintf(reload->text, sizeof reload->text, "not reloaded, everything stays as it was: %s",
             problem);
    end(reload, false);
}

/* Workers answer to both; one that cannot be told has not answered either. */
static bool tell(struct child *child, enum keeper_message type, struct span body)
{
    child->preparing += child->role == PEER_WORKER;
    return child->control != NULL && channel_send(child->control, type, body, -1);
}

/* A worker that does not say that it has changed, or forgotten, goes on in terms of its own, and no
 * reload would ever work again; the one in its place has those that hold. A keeper may be waiting
 * for a domain controller. */
static void kill_silent(const struct reload *reload)
{
    for (unsigned i = 0; i < reload->children_count; i++) {
        const struct child *child = &reload->children[i];
        if (child->role == PEER_WORKER && child->pid != 0 && child->preparing != 0) {
            char name[32];
            child_describe(child, name, sizeof name);
            fprintf(stderr, "countersign: the %s does not answer; killed\n", name);
            kill(child->pid, SIGKILL);
        }
    }
}

/* After CONTROL_PREPARE. */
static void give_up(struct reload *reload, const char *problem)
{
    for (unsigned i = 0; i < reload->children_count; i++) {
        struct child *child = &reload->children[i];
        if (takes_part(child) && child->pid != 0) {
            (void)tell(child, CONTROL_ABORT, (struct span){NULL, 0});
        }
    }
    child_plan_drop(&reload->wanted);
    refuse(reload, problem);
}

static void commit(struct reload *reload)
{
    uint8_t buffer[16];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct control_reload message = {.oldest = reload->oldest, .apply = reload->apply};

    control_reload_write(&writer, &message);
    child_plan_switch(reload->plan, &reload->wanted, reload->oldest);
    for (unsigned i = 0; writer_done(&writer) && i < reload->children_count; i++) {
        struct child *child = &reload->children[i];
        if (takes_part(child) && !tell(child, CONTROL_RELOAD, writer_span(&writer))) {
            fprintf(stderr, "countersign: a child cannot be told of the reload\n");
        }
    }
    report_listeners(reload->plan->config, &reload->children[0]);
    snprintf(reload->text, sizeof reload->text, "%s",
             reload->apply ? "reloaded, and applied to the sessions that are up" : "reloaded");
    end(reload, true);
}

/* ---- the answers ---- */

/* A sentence of a process that may have been taken over, for terminals. */
static void give_up_for(struct reload *reload, struct span problem)
{
    char said[PROBLEM_MAX], clean[3 * PROBLEM_MAX + 1];

    snprintf(said, sizeof said, "%.*s", (int)problem.size, (const char *)problem.at);
    plain_clean(said, strlen(said), clean);
    for (char *at = clean; *at != '\0'; at++) {
        *at = (unsigned char)*at < ' ' ? '?' : *at;
    }
    give_up(reload, clean);
}

bool reload_answer(struct reload *reload, struct child *child, struct span body)
{
    struct control_prepared answer;

    if (child->preparing == 0 || !control_prepared_read(body, &answer)) {
        return false;
    }
    child->preparing--;
    if (!reload->running || child->preparing != 0) {
        return true;
    }
    if (reload->ending) {
        if (all_answered(reload)) {
            finish(reload);
        }
        return true;
    }
    if (answer.problem.size != 0) {
        give_up_for(reload, answer.problem);
        return true;
    }
    if (child->role == PEER_WORKER && answer.oldest < reload->oldest) {
        reload->oldest = answer.oldest;
    }
    if (all_answered(reload)) {
        commit(reload);
    }
    return true;
}

void reload_child_ended(struct reload *reload)
{
    if (!reload->running) {
        return;
    }
    if (!reload->ending) {
        give_up(reload, "a process ended meanwhile; try again");
    } else if (all_answered(reload)) {
        finish(reload);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct reload *reload = context;
    if (reload->ending) {
        kill_silent(reload);
        finish(reload);
    } else {
        give_up(reload, "a process did not answer in time");
    }
}

/* ---- the beginning ---- */

static void prepare(struct reload *reload, const char *text, size_t size)
{
    const struct timeval delay = {RELOAD_MS / 1000, 0};
    int fd = reload_text_make(text, size);
    bool sent = fd >= 0 && evtimer_add(reload->deadline, &delay) == 0;

    for (unsigned i = 0; sent && i < reload->children_count; i++) {
        if (takes_part(&reload->children[i])) {
            sent = reload_prepare_child(&reload->wanted, &reload->children[i], fd);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!sent) {
        give_up(reload, "a process cannot be told; try again");
    }
}

/* Fills `wanted`; false with the reason. */
static bool plan(struct reload *reload, const char *text, size_t size,
                 struct child_plan_error *problem)
{
    struct config_error error;
    struct config *config = config_parse(text, size, &error);

    if (config == NULL) {
        snprintf(problem->text, sizeof problem->text, "%s:%u: %s", reload->path, error.line,
                 error.text);
        return false;
    }
    const char *fixed = config_needs_restart(reload->plan->config, config);
    if (fixed != NULL) {
        snprintf(problem->text, sizeof problem->text, "%s: `%s` has changed, which takes a restart",
                 reload->path, fixed);
        config_free(config);
        return false;
    }
    struct upstream_address *upstreams =
        resolve_upstreams(config, problem->text, sizeof problem->text);
    if (upstreams == NULL) {
        config_free(config);
        return false;
    }
    return child_plan_change(reload->plan, config, upstreams, &reload->wanted, problem);
}

static bool all_run(const struct reload *reload)
{
    for (unsigned i = 0; i < reload->children_count; i++) {
        if (!reload->children[i].ready) {
            return false;
        }
    }
    return true;
}

static void begin(struct reload *reload)
{
    struct child_plan_error problem;
    struct config_error error;
    size_t size;

    if (!all_run(reload)) {
        refuse(reload, "a process is being started; try again");
        return;
    }
    if (reload->plan->generation >= GENERATION_MAX) {
        refuse(reload, "it has been reloaded too often; restart it");
        return;
    }
    char *text = config_text(reload->path, &size, &error);
    if (text == NULL) {
        snprintf(problem.text, sizeof problem.text, "%s: %s", reload->path, error.text);
        refuse(reload, problem.text);
        return;
    }
    if (plan(reload, text, size, &problem)) {
        prepare(reload, text, size);
    } else {
        refuse(reload, problem.text);
    }
    free(text);
}

static void open_log_again(struct child *recorder)
{
    if (child_tell(recorder, CONTROL_RELOAD)) {
        recorder->preparing++;
    } else {
        fprintf(stderr, "countersign: the recorder is being started; it opens its log anyway\n");
    }
}

void reload_begin(struct reload *reload, bool apply, reload_done *done, void *context)
{
    open_log_again(&reload->children[0]);
    if (reload->running) {
        static const char text[] = "not reloaded: another reload is under way; try again";
        report_reload(false, text, &reload->children[0]);
        if (done != NULL) {
            done(context, false, text);
        }
        return;
    }
    (void)sd_notify(0, "RELOADING=1");
    reload->running = true;
    reload->apply = apply;
    reload->done = done;
    reload->asker = context;
    reload->oldest = reload->plan->generation;
    begin(reload);
}

void reload_forget_asker(struct reload *reload, const void *context)
{
    if (reload->asker == context) {
        reload->asker = NULL;
    }
}

struct reload *reload_new(struct event_base *base, const char *path, struct child_plan *plan_now,
                          struct child *children, unsigned children_count)
{
    struct reload *reload = calloc(1, sizeof *reload);

    if (reload == NULL) {
        return NULL;
    }
    *reload = (struct reload){.plan = plan_now,
                              .children = children,
                              .children_count = children_count,
                              .path = path,
                              .deadline = evtimer_new(base, on_deadline, reload)};
    if (reload->deadline == NULL) {
        free(reload);
        return NULL;
    }
    return reload;
}

void reload_free(struct reload *reload)
{
    if (reload == NULL) {
        return;
    }
    if (reload->running && !reload->ending) {
        child_plan_drop(&reload->wanted);
    }
    event_free(reload->deadline);
    free(reload);
}
