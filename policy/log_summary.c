#include "policy/log_summary_state.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

const char *stricter_name(enum stricter stricter)
{
    static const char *const names[STRICTER_COUNT] = {
        [STRICTER_DIALECT_3] = "min_dialect: 3.0",
        [STRICTER_DIALECT] = "min_dialect: 3.1.1",
        [STRICTER_ENCRYPTION] = "encryption: required",
        [STRICTER_NTLM] = "mechanisms: [kerberos]",
        [STRICTER_MIC] = "mic: required",
        [STRICTER_TARGET_NAME] = "target_name: required",
    };
    return names[stricter];
}

const char *stricter_switch(enum stricter stricter)
{
    static const char *const names[STRICTER_COUNT] = {
        [STRICTER_DIALECT_3] = "Smb2DialectMin",
        [STRICTER_DIALECT] = "Smb2DialectMin",
        [STRICTER_ENCRYPTION] = "EncryptData, RejectUnencryptedAccess",
        [STRICTER_NTLM] = "RestrictReceivingNTLMTraffic",
        [STRICTER_TARGET_NAME] = "SmbServerNameHardeningLevel 2",
    };
    return names[stricter];
}

struct log_summary *log_summary_new(void)
{
    struct log_summary *summary = calloc(1, sizeof *summary);
    if (!summary)
        return NULL;
    summary->by_address = json_object_new_object();
    if (summary->by_address)
        return summary;
    free(summary);
    return NULL;
}

void log_summary_free(struct log_summary *summary)
{
    if (!summary)
        return;
    for (size_t i = 0; i < summary->rules_count; i++)
        json_object_put(summary->rules[i].tally.sources);
    for (size_t i = 0; i < SUMMARY_SWITCHES; i++)
        json_object_put(summary->switches[i].sources);
    json_object_put(summary->by_address);
    free(summary->clients);
    free(summary);
}

static void keep(char to[SUMMARY_TEXT_MAX], const char *text)
{
    snprintf(to, SUMMARY_TEXT_MAX, "%s", text ? text : "");
}

static bool make_room(struct log_summary *summary)
{
    if (summary->clients_count < summary->clients_room)
        return true;
    size_t room = summary->clients_room ? 2 * summary->clients_room : 64;
    if (room > SUMMARY_CLIENTS_MAX)
        return false;
    struct summary_client *clients = realloc(summary->clients, room * sizeof *clients);
    if (!clients)
        return false;
    summary->clients = clients;
    summary->clients_room = room;
    return true;
}

/* Found or made; NULL when there is no room for it. */
static struct summary_client *client_of(struct log_summary *summary, const char *address)
{
    struct json_object *index;
    if (json_object_object_get_ex(summary->by_address, address, &index))
        return &summary->clients[json_object_get_int64(index)];
    if (!make_room(summary))
        return NULL;
    index = json_object_new_int64((int64_t)summary->clients_count);
    if (!index || json_object_object_add(summary->by_address, address, index) != 0) {
        json_object_put(index);
        return NULL;
    }
    struct summary_client *client = &summary->clients[summary->clients_count++];
    memset(client, 0, sizeof *client);
    keep(client->address, address);
    return client;
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* `dialect`, or one that begins so; the listener may not take all that the client offers. */
static bool offers(struct json_object *event, const char *dialect)
{
    const char *offered = log_text(event, "offered"), *agreed = log_text(event, "client_dialect");
    return (agreed && strncmp(agreed, dialect, strlen(dialect)) == 0) ||
           (offered && strstr(offered, dialect));
}

static void take_link(struct summary_client *client, struct json_object *event)
{
    const char *dialect = log_text(event, "client_dialect");
    const char *cipher = log_text(event, "client_cipher");
    uint64_t weight = log_weight(event);
    client->connections += weight;
    /* Repeats of connections that had not even that in common. */
    if (!dialect)
        return;
    /* Dialects are ordered like texts. */
    if (strcmp(dialect, client->dialect) >= 0) {
        keep(client->dialect, dialect);
        keep(client->signing, log_text(event, "client_signing"));
    }
    if (cipher)
        keep(client->cipher, cipher);
    if (!offers(event, "3."))
        client->would_break[STRICTER_DIALECT_3] += weight;
    if (!offers(event, "3.1.1"))
        client->would_break[STRICTER_DIALECT] += weight;
    if (!cipher)
        client->would_break[STRICTER_ENCRYPTION] += weight;
}

static void take_login(struct summary_client *client, struct json_object *event)
{
    const char *mechanism = log_text(event, "mechanism");
    uint64_t weight = log_weight(event);
    client->logins += weight;
    if (is(mechanism, "kerberos"))
        client->kerberos += weight;
    if (is(mechanism, "ntlm")) {
        client->ntlm += weight;
        client->would_break[STRICTER_NTLM] += weight;
    }
}

static struct summary_rule *rule_of(struct log_summary *summary, const char *name,
                                    const char *reason)
{
    for (size_t i = 0; i < summary->rules_count; i++)
        if (is(name, summary->rules[i].name) && is(reason, summary->rules[i].reason))
            return &summary->rules[i];
    if (summary->rules_count == SUMMARY_RULES_MAX)
        return NULL;
    struct summary_rule *rule = &summary->rules[summary->rules_count];
    keep(rule->name, name);
    keep(rule->reason, reason);
    summary->rules_count++;
    return rule;
}

bool summary_tally_add(struct log_summary *summary, struct summary_tally *tally, const char *source,
                       uint64_t events)
{
    struct json_object *count;
    tally->events += events;
    if (!tally->sources && !(tally->sources = json_object_new_object()))
        return false;
    if (json_object_object_get_ex(tally->sources, source, &count))
        return json_object_int_inc(count, (int64_t)events);
    if (summary->sources == SUMMARY_SOURCES_MAX)
        return false;
    count = json_object_new_int64((int64_t)events);
    if (!count || json_object_object_add(tally->sources, source, count) != 0) {
        json_object_put(count);
        return false;
    }
    summary->sources++;
    return true;
}

/* A rule that records what it would have refused: its name, or that of the event. */
static void take_audited(struct log_summary *summary, struct json_object *event,
                         const char *address)
{
    char name[SUMMARY_TEXT_MAX], reason[SUMMARY_TEXT_MAX];
    const char *rule_name = log_text(event, "rule");
    keep(name, rule_name ? rule_name : log_text(event, "event"));
    keep(reason, log_text(event, "reason"));
    struct summary_rule *rule = rule_of(summary, name, reason);
    if (!rule || !summary_tally_add(summary, &rule->tally, address, log_weight(event)))
        summary->beyond++;
}

void log_summary_take(void *context, struct json_object *event)
{
    struct log_summary *summary = context;
    const char *address = log_text(event, "client_address"), *name = log_text(event, "event");
    const char *verdict = log_text(event, "verdict");
    summary_take_switches(summary, event);
    if (!address)
        return;
    if (is(name, "rule_audit"))
        take_audited(summary, event, address);
    struct summary_client *client = client_of(summary, address);
    if (!client) {
        summary->beyond++;
        return;
    }
    keep(client->last, log_text(event, "time"));
    client->refused += is(verdict, "refused") ? log_weight(event) : 0;
    if (is(name, "link"))
        take_link(client, event);
    else if (is(name, "login"))
        take_login(client, event);
    else if (is(name, "mic_absent"))
        client->would_break[STRICTER_MIC] += log_weight(event);
    else if (is(name, "target_name_absent"))
        client->would_break[STRICTER_TARGET_NAME] += log_weight(event);
}
