/*
 * A reload that is applied to the sessions that are up: each is judged again as at its login and at
 * its TREE_CONNECTs, by the new rules. Pipes that are open stay open.
 */
#include <string.h>

#include "proxy/judge.h"
#include "proxy/worker_state.h"

enum { GROUPS_BYTES = IDENTITY_GROUPS_MAX / 8 };

/* Groups are numbered as the configuration names them. False when the new one names a group of
 * which the keeper was not asked at the login. */
static bool renumber_groups(const struct config *from, const struct config *to, uint8_t *groups)
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

struct shares {
    struct session *session;
    const char *reason; /* why it cannot stay; NULL: it can */
};

static void judge_tree(struct table_entry *entry, void *context)
{
    struct shares *shares = context;
    struct tree *tree = CONTAINER_OF(entry, struct tree, by_id);
    const char *share = tree->path ? strrchr(tree->path, '\\') : NULL;
    struct rule_verdict verdict;
    if (shares->reason)
        return;
    if (!share || !judge_share(shares->session, share + 1, tree->path, &verdict))
        shares->reason = "share";
    else if (verdict.encryption && !tree->client_encrypts && !shares->session->client_encrypts)
        shares->reason = "encryption";
    else
        tree_bind_verdict(shares->session, tree, &verdict);
}

static const char *judge(struct session *session, const struct config *before)
{
    struct shares shares = {session, NULL};
    if (!renumber_groups(before, session->link->rules->config, session->identity->groups))
        return "group_not_known";
    if (!judge_login(session))
        return "login";
    if (session->rule_encrypts && !session->client_encrypts)
        return "encryption";
    table_each(&session->trees, judge_tree, &shares);
    return shares.reason;
}

static void judge_session(struct table_entry *entry, void *context)
{
    const struct config *before = context;
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    struct link *link = session->link;
    if (session->state != SESSION_VALID)
        return;
    const char *reason = judge(session, before);
    if (!reason)
        return;
    report_event(EVENT_SESSION_REJUDGED, link, session, LEG_CLIENT, reason, "refused");
    session_end(session, true);
}

static void look_for_login(struct table_entry *entry, void *context)
{
    const struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    bool *under_way = context;
    *under_way |= session->state < SESSION_VALID || session->state == SESSION_RENEWING;
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

static void end_link(struct link *link, const char *reason)
{
    report_event(EVENT_SESSION_REJUDGED, link, NULL, LEG_CLIENT, reason, "refused");
    table_each(&link->sessions, end_session, NULL);
    link_end(link, END_RELOADED);
}

static void rejudge(struct link *link, struct generation *now)
{
    struct generation *before = link->rules;
    bool login = false;
    int listener = listener_now(link, now);
    table_each(&link->sessions, look_for_login, &login);
    if (listener < 0 || login) {
        end_link(link, listener < 0 ? "listener" : "login_under_way");
        return;
    }
    link->rules = now;
    link->listener_index = (unsigned)listener;
    generation_hold(now);
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
