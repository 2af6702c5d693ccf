/*
 * A reload that is applied to the sessions that are up: each is judged again as at its login, at
 * its TREE_CONNECTs and at the CREATEs of its pipes, by listener, upstream and rules as they are
 * now.
 */
#include <string.h>

#include "proxy/judge.h"
#include "proxy/open.h"
#include "proxy/pipe.h"
#include "proxy/worker_state.h"

enum { GROUPS_BYTES = IDENTITY_GROUPS_MAX / 8 };

bool rejudge_groups(const struct config *from, const struct config *to, uint8_t *groups)
{
    uint8_t now[GROUPS_BYTES] = {0};
    for (unsigned i = 0; i < to->groups_count; i++) {
        unsigned was = config_group_index(from, to->groups[i]);
        if (was == from->groups_count)
            return false;
        if (groups[was / 8] & 1u << was % 8)
            now[i / 8] |= (uint8_t)(1u << i % 8);
    }
    memcpy(groups, now, sizeof now);
    return true;
}

struct objects {
    struct session *session;
    const char *reason; /* why it cannot stay; NULL: it can */
    const char *pipe;   /* "pipe": which */
};

static void judge_tree(struct table_entry *entry, void *context)
{
    struct objects *objects = context;
    struct tree *tree = CONTAINER_OF(entry, struct tree, by_id);
    const char *share = tree->share;
    struct rule_verdict verdict;
    if (objects->reason)
        return;
    if (!share || !judge_share(objects->session, share, tree->path, &verdict))
        objects->reason = "share";
    else if ((objects->reason = rejudge_share_fits(objects->session, tree, share)))
        return;
    else if (verdict.encryption && !tree->client_encrypts && !objects->session->client_encrypts)
        objects->reason = "encryption";
    else
        tree_bind_verdict(objects->session, tree, &verdict);
}

/* A pipe that may be opened, but not with what has been said in it, cannot stay either. */
static void judge_open_pipe(struct objects *objects, struct pipe *pipe)
{
    struct rule_verdict verdict;
    if (judge_pipe(objects->session, pipe->name, &verdict) && pipe_bind_verdict(pipe, &verdict))
        return;
    objects->reason = "pipe";
    objects->pipe = pipe->name;
}

static void judge_open(struct table_entry *entry, void *context)
{
    struct objects *objects = context;
    struct open *open = CONTAINER_OF(entry, struct open, by_volatile_id);
    if (!objects->reason && open->session == objects->session && open->pipe)
        judge_open_pipe(objects, open->pipe);
}

/* What the file server has not answered yet was let through by the old rules. */
static void judge_pending(struct objects *objects)
{
    struct rule_verdict verdict;
    struct pending *at = objects->session->pending_first;
    for (; at && !objects->reason; at = at->session_next) {
        if (at->pipe)
            judge_open_pipe(objects, at->pipe);
        if (at->share && !judge_share(objects->session, at->share, at->path, &verdict))
            objects->reason = "share";
    }
}

static const char *judge_identity(struct session *session, const struct config *before)
{
    if (!rejudge_groups(before, session->link->rules->config, session->identity->groups))
        return "group_not_known";
    /* By the rules, when the memory has answered: client_login_remembered(). */
    bool later = session->step == STEP_MEMORY;
    return later || judge_login(session) ? rejudge_login_fits(session) : "login";
}

/* Tells in `objects` why the session cannot stay. */
static void judge(struct objects *objects, const struct config *before)
{
    struct session *session = objects->session;
    objects->reason = judge_identity(session, before);
    if (!objects->reason)
        objects->reason = rejudge_encryption_fits(session);
    if (objects->reason)
        return;
    table_each(&session->trees, judge_tree, objects);
    table_each(&session->link->opens, judge_open, objects);
    judge_pending(objects);
}

/* A login that the file server is still asked for: its client has been told nothing yet, also not
 * whether the session is encrypted. */
static const char *judge_half(struct session *session, const struct config *before)
{
    const char *reason = judge_identity(session, before);
    session->client_encrypts |= session->client_seal && session->rule_encrypts;
    session->client_encrypts |=
        session->client_seal && session->link->listener->encryption >= CONFIG_ENCRYPTION_IF_OFFERED;
    return reason;
}

/* One whose client has not proved who it is will be judged when it has. */
static void judge_session(struct table_entry *entry, void *context)
{
    const struct config *before = context;
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    struct objects objects = {session, NULL, NULL};
    struct report report;
    bool half = session->state == SESSION_LOGGING_IN;
    if (!half && session->state != SESSION_VALID && session->state != SESSION_RENEWING)
        return;
    if (half)
        objects.reason = judge_half(session, before);
    else
        judge(&objects, before);
    if (!objects.reason)
        return;
    report_start(&report, EVENT_SESSION_REJUDGED, session->link, session, LEG_CLIENT,
                 objects.reason);
    report.event.field[FIELD_VERDICT] = "refused";
    report.event.field[FIELD_PIPE] = objects.pipe;
    report_send(session->link->worker, &report);
    if (half)
        client_login_failed(session, STATUS_ACCESS_DENIED);
    else
        session_end(session, true);
}

bool rejudge_proven(struct session *session, const struct generation *asked,
                    struct identity *identity)
{
    struct link *link = session->link;
    if (asked == link->rules)
        return true;
    const char *reason = rejudge_groups(asked->config, link->rules->config, identity->groups)
                             ? rejudge_proof_fits(link, identity)
                             : "group_not_known";
    if (!reason)
        return true;
    report_event(EVENT_SESSION_REJUDGED, link, session, LEG_CLIENT, reason, "refused");
    client_login_failed(session, STATUS_ACCESS_DENIED);
    return false;
}

static void end_session(struct table_entry *entry, void *context)
{
    (void)context;
    session_end(CONTAINER_OF(entry, struct session, by_client_id), true);
}

/* The number of the link's listener in the new configuration; -1 when it is not there any more, or
 * leads elsewhere. */
static int listener_now(const struct link *link, const struct generation *now)
{
    for (unsigned i = 0; i < now->config->listeners_count; i++) {
        const struct config_listener *listener = &now->config->listeners[i];
        const struct config_upstream *upstream = config_upstream_of(now->config, listener);
        unsigned index = (unsigned)(upstream - now->config->upstreams);
        if (strcmp(listener->name, link->listener->name) == 0)
            return strcmp(listener->address, link->listener->address) == 0 &&
                           listener->port == link->listener->port &&
                           generation_upstream(now, index) == link->upstream_number
                       ? (int)i
                       : -1;
    }
    return -1;
}

static void end_link(struct link *link, enum leg_role leg, const char *reason)
{
    report_event(EVENT_SESSION_REJUDGED, link, NULL, leg, reason, "refused");
    table_each(&link->sessions, end_session, NULL);
    link_end(link, END_RELOADED);
}

static void rejudge(struct link *link, struct generation *now)
{
    struct generation *before = link->rules;
    enum leg_role leg;
    int listener = listener_now(link, now);
    if (listener < 0) {
        end_link(link, LEG_CLIENT, "listener");
        return;
    }
    link->rules = now;
    link->listener_index = (unsigned)listener;
    link->listener = &now->config->listeners[listener];
    link->upstream = config_upstream_of(now->config, link->listener);
    generation_hold(now);
    const char *reason = rejudge_link_fits(link, &leg);
    if (reason)
        end_link(link, leg, reason);
    else
        table_each(&link->sessions, judge_session, (struct config *)(uintptr_t)before->config);
    generation_release(link->worker, before);
}

void rejudge_links(struct worker *worker)
{
    struct link *next;
    for (struct link *link = worker->links; link; link = next) {
        next = link->next;
        if (!link_ended(link) && link->rules != worker->generation)
            rejudge(link, worker->generation);
        link_settle(link);
    }
}
