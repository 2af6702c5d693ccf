#include "proxy/judge.h"

#include <string.h>

#include "proxy/called.h"
#include "proxy/worker_state.h"

static const struct config *config_of(const struct session *session)
{
    return session->link->rules->config;
}

static const char *unless_empty(const char *text)
{
    return text[0] ? text : NULL;
}

/* A domain is the client's own word when the credentials file vouches for the user. */
static const char *vouched_domain(const struct identity *identity)
{
    return identity->authority == AUTHORITY_LOCAL ? NULL : unless_empty(identity->domain);
}

static struct rule_facts facts_of(const struct session *session, enum rule_stage stage)
{
    const struct link *link = session->link;
    const struct identity *identity = session->identity;
    return (struct rule_facts){
        .stage = stage,
        .user = identity->user,
        .domain = vouched_domain(identity),
        .principal = unless_empty(identity->principal),
        .groups = identity->groups,
        .mechanism = identity->mechanism == MECHANISM_KERBEROS ? CONFIG_MECHANISM_KERBEROS
                                                               : CONFIG_MECHANISM_NTLM,
        .mutual = identity->mechanism == MECHANISM_KERBEROS && identity->mutual,
        .address = link->client.address,
        .listener = link->listener->name,
        .upstream = link->upstream->name,
        .dialect = (enum config_dialect)link->client.dialect,
        .signing = (enum config_signing)link->client.signing,
        .cipher = (enum config_cipher)link->client.cipher,
        .target_given = identity->target_name[0] != '\0',
        .target_mismatch = session->names_differ,
        .less = link_gives_less(session),
    };
}

/* What was recorded of the login is not recorded again of each share and pipe. */
static bool is_new(const struct session *session, const struct rule_verdict *verdict)
{
    return verdict->what == RULE_REFUSE ||
           (verdict->what == RULE_AUDIT && verdict->index + 1 != session->rule_recorded);
}

static void tell(struct session *session, const struct rule_verdict *verdict, const char *path,
                 const char *pipe)
{
    bool refused = verdict->what == RULE_REFUSE;
    struct report report;
    if (!is_new(session, verdict))
        return;
    /* A pipe that nobody has opened, by rule or by default. */
    bool unopened = refused && pipe && strcmp(verdict->reason, "pipe") == 0;
    report_start(&report,
                 unopened  ? EVENT_PIPE_REFUSED
                 : refused ? EVENT_RULE_REFUSED
                           : EVENT_RULE_AUDIT,
                 session->link, session, LEG_CLIENT, verdict->reason);
    report.event.field[FIELD_VERDICT] = refused ? "refused" : "recorded";
    report.event.field[FIELD_RULE] = unopened ? NULL : verdict->rule;
    report.event.field[FIELD_SHARE] = path;
    report.event.field[FIELD_PIPE] = pipe;
    report_send(session->link->worker, &report);
    if (refused)
        report_strike(session->link, report.event.kind);
}

static void tell_mismatch(struct session *session, const char *reason, const char *path)
{
    struct report report;
    session->names_differ = true;
    if (session->names_told)
        return;
    session->names_told = true;
    report_start(&report, EVENT_NAME_MISMATCH, session->link, session, LEG_CLIENT, reason);
    report.event.field[FIELD_VERDICT] = "recorded";
    report.event.field[FIELD_NETNAME] = session->link->netname;
    report.event.field[FIELD_SHARE] = path;
    report_send(session->link->worker, &report);
}

/* A session that is up cannot become encrypted: its client is told so at its login alone. */
static bool allow_login(struct session *session, bool is_up)
{
    const char *netname = session->link->netname;
    struct rule_verdict verdict;
    if (netname && !called_the_same(netname, session->identity->target_name))
        tell_mismatch(session, "target_name", NULL);
    struct rule_facts facts = facts_of(session, RULE_AT_LOGIN);
    rule_judge(config_of(session), &facts, &verdict);
    if (is_up && verdict.encryption && !session->client_encrypts) {
        verdict.what = RULE_REFUSE;
        verdict.reason = "encryption";
    }
    tell(session, &verdict, NULL, NULL);
    session->rule_encrypts = verdict.encryption;
    session->rule_recorded = verdict.what == RULE_AUDIT ? verdict.index + 1 : 0;
    return verdict.what != RULE_REFUSE;
}

bool judge_login(struct session *session)
{
    return allow_login(session, false);
}

bool judge_renewal(struct session *session)
{
    return allow_login(session, true);
}

void judge_share_again(const struct session *session, const char *share,
                       struct rule_verdict *verdict)
{
    struct rule_facts facts = facts_of(session, RULE_AT_SHARE);
    facts.share = share;
    rule_judge(config_of(session), &facts, verdict);
}

bool judge_share(struct session *session, const char *share, const char *path,
                 struct rule_verdict *verdict)
{
    judge_share_again(session, share, verdict);
    tell(session, verdict, path, NULL);
    return verdict->what != RULE_REFUSE;
}

void judge_pipe_again(const struct session *session, const char *pipe, struct rule_verdict *verdict)
{
    struct rule_facts facts = facts_of(session, RULE_AT_PIPE);
    facts.share = "IPC$";
    facts.pipe = pipe;
    rule_judge(config_of(session), &facts, verdict);
}

bool judge_pipe(struct session *session, const char *pipe, struct rule_verdict *verdict)
{
    judge_pipe_again(session, pipe, verdict);
    tell(session, verdict, NULL, pipe);
    return verdict->what != RULE_REFUSE;
}

void judge_server_name(struct session *session, const char *server, const char *path)
{
    const char *netname = session->link->netname;
    const char *target = session->identity->target_name;
    if ((target[0] && !called_the_same(server, target)) ||
        (netname && !called_the_same(server, netname)))
        tell_mismatch(session, "tree_path", path);
}
