/*
 * Events about links and session pairs, on their way to the recorder.
 */
#include <stdio.h>
#include <string.h>

#include "proxy/memory.h"
#include "proxy/recorder.h"
#include "proxy/worker_state.h"

enum { STRIKES_MAX = 64 };

static void set_number(struct audit_event *event, enum event_field field, char *text, size_t size,
                       unsigned long long value)
{
    snprintf(text, size, "%llu", value);
    event->field[field] = text;
}

static void set_guid(struct report *report, const uint8_t guid[GUID_SIZE])
{
    static const uint8_t none[GUID_SIZE];
    if (memcmp(guid, none, GUID_SIZE) == 0)
        return;
    guid_describe(guid, report->guid);
    report->event.field[FIELD_CLIENT_GUID] = report->guid;
}

static void set_leg(struct audit_event *event, const struct leg *leg, enum event_field dialect,
                    enum event_field signing, enum event_field cipher)
{
    if (leg->dialect == 0)
        return;
    event->field[dialect] = smb2_dialect_name(leg->dialect);
    event->field[signing] = signing_algorithm_name(leg->signing);
    if (leg->cipher)
        event->field[cipher] = cipher_name((enum cipher)leg->cipher);
}

static const char *unless_empty(const char *text)
{
    return text[0] ? text : NULL;
}

static void set_session(struct report *report, const struct session *session)
{
    struct audit_event *event = &report->event;
    snprintf(report->session, sizeof report->session, "0x%016llx",
             (unsigned long long)session->client_id);
    event->field[FIELD_SESSION] = report->session;
    event->field[FIELD_LOGIN] = unless_empty(session->login);
    event->field[FIELD_ACCOUNT] = unless_empty(session->account);
    const struct identity *identity = session->identity;
    if (!identity)
        return;
    event->field[FIELD_USER] = identity->user;
    event->field[FIELD_DOMAIN] = unless_empty(identity->domain);
    event->field[FIELD_PRINCIPAL] = unless_empty(identity->principal);
    event->field[FIELD_MECHANISM] = mechanism_name(identity->mechanism);
    if (identity->authority != AUTHORITY_NONE)
        event->field[FIELD_AUTHORITY] = authority_name(identity->authority);
    event->field[FIELD_WORKSTATION] = unless_empty(identity->workstation);
    event->field[FIELD_TARGET_NAME] = unless_empty(identity->target_name);
}

void report_start(struct report *report, enum event_kind kind, const struct link *link,
                  const struct session *session, enum leg_role leg, const char *reason)
{
    memset(report, 0, sizeof *report);
    struct audit_event *event = &report->event;
    event->kind = kind;
    event->field[FIELD_LEG] = leg == LEG_CLIENT ? "client" : "upstream";
    event->field[FIELD_REASON] = reason;
    event->field[FIELD_LISTENER] = link->listener->name;
    event->field[FIELD_UPSTREAM] = link->upstream->name;
    event->field[FIELD_CLIENT_ADDRESS] = link->client.address;
    set_number(event, FIELD_CLIENT_PORT, report->client_port, sizeof report->client_port,
               link->client.port);
    if (link->server.address[0]) {
        event->field[FIELD_UPSTREAM_ADDRESS] = link->server.address;
        set_number(event, FIELD_UPSTREAM_PORT, report->upstream_port, sizeof report->upstream_port,
                   link->server.port);
    }
    set_leg(event, &link->client, FIELD_CLIENT_DIALECT, FIELD_CLIENT_SIGNING, FIELD_CLIENT_CIPHER);
    set_leg(event, &link->server, FIELD_UPSTREAM_DIALECT, FIELD_UPSTREAM_SIGNING,
            FIELD_UPSTREAM_CIPHER);
    set_guid(report, link->client.client_guid);
    set_number(event, FIELD_LINK, report->link, sizeof report->link, link->number);
    set_number(event, FIELD_WORKER, report->worker, sizeof report->worker,
               link->worker->settings->index);
    if (session)
        set_session(report, session);
}

void report_status(struct report *report, uint32_t status)
{
    snprintf(report->status, sizeof report->status, "0x%08x", status);
    report->event.field[FIELD_STATUS] = report->status;
}

void report_send(struct worker *worker, const struct report *report)
{
    uint8_t packed[EVENT_PACKED_MAX];
    size_t size = event_pack(&report->event, packed, sizeof packed);
    if (size == 0 || !worker->recorder ||
        !channel_send(worker->recorder, RECORDER_EVENT, (struct span){packed, size}, -1))
        worker_lose_event(worker, report->event.kind);
}

void report_event(enum event_kind kind, struct link *link, const struct session *session,
                  enum leg_role leg, const char *reason, const char *verdict)
{
    struct report report;
    report_start(&report, kind, link, session, leg, reason);
    report.event.field[FIELD_VERDICT] = verdict;
    report_send(link->worker, &report);
    report_strike(link, kind);
}

void report_strike(struct link *link, enum event_kind kind)
{
    if ((link->sessions_valid == 0 || kind == EVENT_UPSTREAM_FORGED) &&
        ++link->strikes > STRIKES_MAX)
        link_end(link, END_LIMIT);
}
