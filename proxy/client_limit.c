/*
 * The authentication limiter at a login: the user's name is known only when the keeper has parsed
 * the proof, so the limiter is asked with the keeper's answer in hand, which is then thrown away.
 */
#include <stdio.h>

#include "crypto/text.h"
#include "proxy/refusal.h"
#include "proxy/worker_state.h"

void report_claim(struct report *report, const struct identity *claimed)
{
    struct audit_event *event = &report->event;
    event->field[FIELD_USER] = claimed->user;
    event->field[FIELD_DOMAIN] = claimed->domain[0] ? claimed->domain : NULL;
    event->field[FIELD_PRINCIPAL] = claimed->principal[0] ? claimed->principal : NULL;
    event->field[FIELD_WORKSTATION] = claimed->workstation[0] ? claimed->workstation : NULL;
    event->field[FIELD_TARGET_NAME] = claimed->target_name[0] ? claimed->target_name : NULL;
}

void report_claimed(struct report *report, const struct identity *claimed)
{
    bool principal = claimed->principal[0], domain = claimed->domain[0];
    snprintf(report->claimed, sizeof report->claimed, "%s%s%s",
             principal ? claimed->principal
             : domain  ? claimed->domain
                       : "",
             !principal && domain ? "\\" : "", principal ? "" : claimed->user);
    report->event.field[FIELD_CLAIMED] = report->claimed;
}

bool client_limit_refuses(struct session *session, const struct identity *claimed)
{
    struct link *link = session->link;
    struct report report;
    /* Whoever renews a session of his own has proved himself before. */
    if (!claimed->user[0] ||
        (session->identity && text_same_name(session->identity->user, claimed->user)))
        return false;
    const char *reason = worker_login_limited(link, claimed->user);
    if (!reason)
        return false;
    report_start(&report, EVENT_LIMITER_ACTED, link, session, LEG_CLIENT, reason);
    report_claim(&report, claimed);
    report.event.field[FIELD_MECHANISM] = mechanism_name(claimed->mechanism);
    report.event.field[FIELD_VERDICT] = "refused";
    report_status(&report, STATUS_ACCOUNT_LOCKED_OUT);
    report_send(link->worker, &report);
    client_login_failed(session, STATUS_ACCOUNT_LOCKED_OUT);
    if (link->sessions_valid == 0)
        link_end(link, END_LIMIT);
    return true;
}

/* Refusals that are, or may be, somebody trying out passwords; NTLMv1 is not even looked at. */
static bool is_guess(const struct keeper_refused *reply)
{
    return reply->reason == KEEPER_REASON_REFUSAL &&
           (reply->refusal == REFUSAL_MIC_WRONG ||
            (reply->refusal != REFUSAL_NTLMV1 &&
             refused_client(reply).status == STATUS_LOGON_FAILURE));
}

bool client_limit_guess(struct session *session, const struct keeper_refused *reply)
{
    if (!is_guess(reply))
        return false;
    if (client_limit_refuses(session, &reply->identity))
        return true;
    worker_tell_outcome(session->link, reply->identity.user, false);
    return false;
}
