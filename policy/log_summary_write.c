/*
 * A summary as text and as JSON.
 */
#include <json-c/json.h>
#include <string.h>

#include "policy/log_output.h"
#include "policy/log_summary_state.h"

static void write_cell(FILE *to, const char *text, size_t width)
{
    log_print(to, text[0] ? text : "-");
    for (size_t size = strlen(text[0] ? text : "-"); size < width; size++)
        fputc(' ', to);
    fputs("  ", to);
}

static const char *login_word(const struct summary_client *client)
{
    if (client->kerberos && client->ntlm)
        return "both";
    return client->kerberos ? "kerberos" : client->ntlm ? "ntlm" : "-";
}

/* "-" where a client has not logged in, and so has said nothing. */
static const char *sent(const struct summary_client *client, enum stricter stricter)
{
    if (!client->ntlm) /* a ticket is for a name, always */
        return client->kerberos && stricter == STRICTER_TARGET_NAME ? "yes" : "-";
    return client->would_break[stricter] == 0              ? "yes"
           : client->would_break[stricter] >= client->ntlm ? "no"
                                                           : "not always";
}

static void write_clients(FILE *to, const struct log_summary *summary)
{
    fputs("Clients, and what they can do:\n\n", to);
    fprintf(to, "%-24s  %-7s  %-12s  %-11s  %-8s  %-10s  %-10s  %11s  %8s  %8s\n", "CLIENT",
            "DIALECT", "SIGNING", "CIPHER", "LOGIN", "MIC", "TARGET", "CONNECTIONS", "LOGINS",
            "REFUSED");
    for (size_t i = 0; i < summary->clients_count; i++) {
        const struct summary_client *client = &summary->clients[i];
        write_cell(to, client->address, 24);
        write_cell(to, client->dialect, 7);
        write_cell(to, client->signing, 12);
        write_cell(to, client->cipher, 11);
        write_cell(to, login_word(client), 8);
        write_cell(to, sent(client, STRICTER_MIC), 10);
        write_cell(to, sent(client, STRICTER_TARGET_NAME), 10);
        fprintf(to, "%11llu  %8llu  %8llu\n", (unsigned long long)client->connections,
                (unsigned long long)client->logins, (unsigned long long)client->refused);
    }
}

/* Those that were let in at all: of the others nothing new breaks. */
static size_t count_breaking(const struct log_summary *summary, enum stricter stricter,
                             uint64_t *times)
{
    size_t count = 0;
    *times = 0;
    for (size_t i = 0; i < summary->clients_count; i++) {
        *times += summary->clients[i].would_break[stricter];
        count += summary->clients[i].would_break[stricter] > 0;
    }
    return count;
}

static void write_breaking(FILE *to, const struct log_summary *summary)
{
    fputs("\nWho would break under a stricter rule:\n", to);
    for (unsigned stricter = 0; stricter < STRICTER_COUNT; stricter++) {
        uint64_t times;
        size_t count = count_breaking(summary, (enum stricter)stricter, &times);
        const char *windows = stricter_switch((enum stricter)stricter);
        fprintf(to, "\n%-24s %zu of %zu clients, %llu %s%s%s%s\n",
                stricter_name((enum stricter)stricter), count, summary->clients_count,
                (unsigned long long)times,
                stricter <= STRICTER_ENCRYPTION ? "connections" : "logins",
                windows ? " (Windows: " : "", windows ? windows : "", windows ? ")" : "");
        for (size_t i = 0; i < summary->clients_count; i++) {
            const struct summary_client *client = &summary->clients[i];
            if (!client->would_break[stricter])
                continue;
            fputs("  ", to);
            write_cell(to, client->address, 24);
            fprintf(to, "%llu\n", (unsigned long long)client->would_break[stricter]);
        }
    }
}

static size_t sources_of(const struct summary_tally *tally)
{
    return tally->sources ? (size_t)json_object_object_length(tally->sources) : 0;
}

static void write_sources(FILE *to, const struct summary_tally *tally)
{
    if (!tally->sources)
        return;
    json_object_object_foreach(tally->sources, address, count)
    {
        fputs("  ", to);
        write_cell(to, address, 24);
        fprintf(to, "%lld\n", (long long)json_object_get_int64(count));
    }
}

static void write_rules(FILE *to, const struct log_summary *summary)
{
    if (!summary->rules_count)
        return;
    fputs("\nWhat rules that only record would have refused:\n\n", to);
    fprintf(to, "%-24s  %-24s  %8s  %8s\n", "RULE", "REASON", "EVENTS", "CLIENTS");
    for (size_t i = 0; i < summary->rules_count; i++) {
        const struct summary_rule *rule = &summary->rules[i];
        write_cell(to, rule->name, 24);
        write_cell(to, rule->reason, 24);
        fprintf(to, "%8llu  %8zu\n", (unsigned long long)rule->tally.events,
                sources_of(&rule->tally));
        write_sources(to, &rule->tally);
    }
}

/* Those of which there is nothing to tell stand here too: that is what somebody asks for. */
static void write_switches(FILE *to, const struct log_summary *summary)
{
    fputs("\nWindows' switches, and who met them (RequireSecuritySignature is always on, on both "
          "legs):\n\n",
          to);
    fprintf(to, "%-36s  %7s  %8s  %8s\n", "SWITCH", "EVENT", "TIMES", "WHO");
    for (unsigned i = 0; i < SUMMARY_SWITCHES; i++) {
        const struct summary_switch *about = summary_switch(i);
        const struct summary_tally *tally = &summary->switches[i];
        char id[16] = "-";
        if (about->windows_id)
            snprintf(id, sizeof id, "%u", about->windows_id);
        fprintf(to, "%-36s  %7s  %8llu  %8zu\n", about->name, id, (unsigned long long)tally->events,
                sources_of(tally));
        write_sources(to, tally);
    }
}

void log_summary_write_text(FILE *to, const struct log_summary *summary,
                            const struct log_counts *counts)
{
    write_clients(to, summary);
    write_breaking(to, summary);
    write_rules(to, summary);
    write_switches(to, summary);
    fprintf(to, "\n%llu lines read, %llu damaged.\n", (unsigned long long)counts->lines,
            (unsigned long long)counts->damaged);
    if (summary->beyond)
        fprintf(to, "%llu events of clients or rules beyond the first are not in these tables.\n",
                (unsigned long long)summary->beyond);
}

/* ---- JSON ---- */

static void add(struct json_object *to, const char *name, struct json_object *value)
{
    if (!value || json_object_object_add(to, name, value) != 0)
        json_object_put(value);
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
    add(to, name, json_object_new_string(text));
}

static void add_number(struct json_object *to, const char *name, uint64_t number)
{
    add(to, name, json_object_new_uint64(number));
}

static struct json_object *client_json(const struct summary_client *client)
{
    struct json_object *object = json_object_new_object();
    struct json_object *breaks = json_object_new_object();
    if (!object || !breaks) {
        json_object_put(object);
        json_object_put(breaks);
        return NULL;
    }
    add_text(object, "client_address", client->address);
    add_text(object, "client_dialect", client->dialect);
    add_text(object, "client_signing", client->signing);
    add_text(object, "client_cipher", client->cipher);
    add_text(object, "mic", sent(client, STRICTER_MIC));
    add_text(object, "target_name", sent(client, STRICTER_TARGET_NAME));
    add_text(object, "last_seen", client->last);
    add_number(object, "connections", client->connections);
    add_number(object, "logins", client->logins);
    add_number(object, "kerberos", client->kerberos);
    add_number(object, "ntlm", client->ntlm);
    add_number(object, "refused", client->refused);
    for (unsigned stricter = 0; stricter < STRICTER_COUNT; stricter++)
        if (client->would_break[stricter])
            add_number(breaks, stricter_name((enum stricter)stricter),
                       client->would_break[stricter]);
    add(object, "would_break", breaks);
    return object;
}

static void add_tally(struct json_object *to, const struct summary_tally *tally, const char *who)
{
    add_number(to, "events", tally->events);
    add_number(to, who, sources_of(tally));
    add(to, "addresses",
        tally->sources ? json_object_get(tally->sources) : json_object_new_object());
}

static struct json_object *rule_json(const struct summary_rule *rule)
{
    struct json_object *object = json_object_new_object();
    if (!object)
        return NULL;
    add_text(object, "rule", rule->name);
    add_text(object, "reason", rule->reason);
    add_tally(object, &rule->tally, "clients");
    return object;
}

static struct json_object *switches_json(const struct log_summary *summary)
{
    struct json_object *object = json_object_new_object();
    for (unsigned i = 0; object && i < SUMMARY_SWITCHES; i++) {
        const struct summary_switch *about = summary_switch(i);
        struct json_object *one = json_object_new_object();
        if (!one)
            continue;
        if (about->windows_id)
            add_number(one, "windows_event_id", about->windows_id);
        add_tally(one, &summary->switches[i], about->upstream ? "file_servers" : "clients");
        add(object, about->name, one);
    }
    return object;
}

static struct json_object *breaking_json(const struct log_summary *summary)
{
    struct json_object *object = json_object_new_object();
    for (unsigned stricter = 0; object && stricter < STRICTER_COUNT; stricter++) {
        uint64_t times;
        struct json_object *one = json_object_new_object();
        if (!one)
            continue;
        add_number(one, "clients", count_breaking(summary, (enum stricter)stricter, &times));
        add_number(one, "times", times);
        if (stricter_switch((enum stricter)stricter))
            add_text(one, "windows_switch", stricter_switch((enum stricter)stricter));
        add(object, stricter_name((enum stricter)stricter), one);
    }
    return object;
}

static void append(struct json_object *list, struct json_object *value)
{
    if (!list || !value || json_object_array_add(list, value) != 0)
        json_object_put(value);
}

void log_summary_write_json(FILE *to, const struct log_summary *summary,
                            const struct log_counts *counts)
{
    struct json_object *object = json_object_new_object();
    struct json_object *clients = json_object_new_array(), *rules = json_object_new_array();
    for (size_t i = 0; i < summary->clients_count; i++)
        append(clients, client_json(&summary->clients[i]));
    for (size_t i = 0; i < summary->rules_count; i++)
        append(rules, rule_json(&summary->rules[i]));
    if (object) {
        add(object, "clients", clients);
        add(object, "would_break", breaking_json(summary));
        add(object, "audited_rules", rules);
        add(object, "windows_switches", switches_json(summary));
        add_number(object, "lines", counts->lines);
        add_number(object, "damaged", counts->damaged);
        add_number(object, "beyond", summary->beyond);
        fprintf(to, "%s\n",
                json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                           JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(object);
}

/* ---- CEF ---- */

/* An event of its own, as what writes events takes it. */
static struct json_object *client_event(const struct summary_client *client)
{
    struct json_object *event = json_object_new_object();
    char breaks[SUMMARY_TEXT_MAX * STRICTER_COUNT * 2] = "";
    if (!event)
        return NULL;
    for (unsigned stricter = 0; stricter < STRICTER_COUNT; stricter++) {
        size_t used = strlen(breaks);
        if (client->would_break[stricter])
            snprintf(&breaks[used], sizeof breaks - used, "%s%s (%llu)", used ? ", " : "",
                     stricter_name((enum stricter)stricter),
                     (unsigned long long)client->would_break[stricter]);
    }
    add_text(event, "time", client->last);
    add_text(event, "event", "client_summary");
    add_text(event, "severity", breaks[0] ? "notice" : "info");
    add_text(event, "client_address", client->address);
    add_text(event, "client_dialect", client->dialect[0] ? client->dialect : "-");
    add_text(event, "client_signing", client->signing[0] ? client->signing : "-");
    add_text(event, "client_cipher", client->cipher[0] ? client->cipher : "-");
    add_text(event, "mechanism", login_word(client));
    add_text(event, "target_name", sent(client, STRICTER_TARGET_NAME));
    add_text(event, "mic", sent(client, STRICTER_MIC));
    add_text(event, "would_break", breaks[0] ? breaks : "-");
    add_number(event, "connections", client->connections);
    add_number(event, "logins", client->logins);
    add_number(event, "refused", client->refused);
    return event;
}

void log_summary_write_cef(FILE *to, const struct log_summary *summary)
{
    for (size_t i = 0; i < summary->clients_count; i++) {
        struct json_object *event = client_event(&summary->clients[i]);
        if (event)
            log_write_cef_client(to, event);
        json_object_put(event);
    }
}
