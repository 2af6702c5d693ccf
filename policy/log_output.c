#include "policy/log_output.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "policy/event_json.h"
#include "policy/log_read.h"

#ifndef COUNTERSIGN_VERSION
#define COUNTERSIGN_VERSION "0"
#endif

/* ---- text ---- */

void log_write_heading(FILE *to)
{
    fprintf(to, "%-19s  %-8s  %-22s  %-15s  %-16s  %s\n", "TIME (UTC)", "SEVERITY", "EVENT",
            "CLIENT", "USER", "WHAT");
}

/* Padded by what it shows, as far as that is ASCII. */
static void write_column(FILE *to, const char *text, size_t width)
{
    log_print(to, text ? text : "-");
    for (size_t size = strlen(text ? text : "-"); size < width; size++)
        fputc(' ', to);
    fputs("  ", to);
}

static void write_detail(FILE *to, struct json_object *event, const char *field, const char *before)
{
    const char *text = log_text(event, field);
    if (!text)
        return;
    fputs(before, to);
    log_print(to, text);
}

void log_write_text(FILE *to, struct json_object *event)
{
    char time[20];
    snprintf(time, sizeof time, "%s", log_text(event, "time"));
    write_column(to, time, 19);
    write_column(to, log_text(event, "severity"), 8);
    write_column(to, log_text(event, "event"), 22);
    write_column(to, log_text(event, "client_address"), 15);
    write_column(to, log_text(event, "user"), 16);
    if (log_number(event, "repeats", 0) > 0)
        fprintf(to, "%llu more:", (unsigned long long)log_weight(event));
    write_detail(to, event, "verdict", " ");
    write_detail(to, event, "reason", " ");
    write_detail(to, event, "rule", " rule=");
    write_detail(to, event, "leg", " leg=");
    write_detail(to, event, "upstream", " upstream=");
    write_detail(to, event, "share", " share=");
    write_detail(to, event, "target_name", " target=");
    write_detail(to, event, "offered", " offered=");
    write_detail(to, event, "chosen", " chosen=");
    write_detail(to, event, "remembered", " remembered=");
    write_detail(to, event, "status", " status=");
    write_detail(to, event, "text", " ");
    fputc('\n', to);
}

void log_write_json(FILE *to, struct json_object *event)
{
    const char *text = json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text)
        fprintf(to, "%s\n", text);
}

/* ---- CEF ---- */

/* In the header "|" ends a field, in the extension "=" a key; a line feed ends the event. */
static void write_escaped(FILE *to, const char *text, char special)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == special)
            fputc('\\', to);
        if (*text == '\n' || *text == '\r')
            fputs(*text == '\n' ? "\\n" : "\\r", to);
        else
            fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, to);
    }
}

static void write_pair(FILE *to, const char *key, const char *value)
{
    if (!value)
        return;
    fprintf(to, " %s=", key);
    write_escaped(to, value, '=');
}

/* The event's field of that name in a custom field of CEF's, if it has it. */
static bool write_custom(FILE *to, struct json_object *event, const char *key, const char *name)
{
    const char *value = log_text(event, name);
    char label[24];
    if (!value)
        return false;
    snprintf(label, sizeof label, "%sLabel", key);
    write_pair(to, label, name);
    write_pair(to, key, value);
    return true;
}

static void write_labelled(FILE *to, const char *key, const char *name, int64_t number)
{
    fprintf(to, " %sLabel=%s %s=%lld", key, name, key, (long long)number);
}

/* CEF has addresses of IPv4, and others of IPv6; what is neither has no place in it. */
static void write_address(FILE *to, const char *address, const char *four, const char *six,
                          const char *label)
{
    struct in6_addr bytes;
    char key[16];
    if (!address)
        return;
    if (inet_pton(AF_INET, address, &bytes) == 1) {
        write_pair(to, four, address);
    } else if (inet_pton(AF_INET6, address, &bytes) == 1) {
        snprintf(key, sizeof key, "%sLabel", six);
        write_pair(to, key, label);
        write_pair(to, six, address);
    }
}

static void write_number(FILE *to, struct json_object *event, const char *key, const char *field)
{
    int64_t number = log_number(event, field, -1);
    if (number >= 0)
        fprintf(to, " %s=%lld", key, (long long)number);
}

/* Milliseconds since 1970, which CEF takes whatever the reader's time zone is. */
static void write_time(FILE *to, const char *text)
{
    struct tm parts = {.tm_isdst = 0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    unsigned milliseconds = 0;
    if (!rest)
        return;
    if (*rest == '.' && sscanf(rest, ".%3u", &milliseconds) != 1)
        milliseconds = 0;
    fprintf(to, " rt=%lld%03u", (long long)timegm(&parts), milliseconds);
}

static const char *meaning_of(const char *name)
{
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (strcmp(event_describe((enum event_kind)kind)->name, name) == 0)
            return event_describe((enum event_kind)kind)->meaning;
    return name;
}

static int severity_of(const char *name)
{
    static const struct {
        const char *name;
        int severity;
    } severities[] = {{"info", 1}, {"notice", 3}, {"warning", 6}, {"error", 8}};
    for (size_t i = 0; name && i < sizeof severities / sizeof severities[0]; i++)
        if (strcmp(severities[i].name, name) == 0)
            return severities[i].severity;
    return 5;
}

static void write_extension(FILE *to, struct json_object *event)
{
    fprintf(to, "cnt=%llu", (unsigned long long)log_weight(event));
    write_time(to, log_text(event, "time"));
    write_address(to, log_text(event, "client_address"), "src", "c6a2", "Source IPv6 Address");
    write_number(to, event, "spt", "client_port");
    write_address(to, log_text(event, "upstream_address"), "dst", "c6a3",
                  "Destination IPv6 Address");
    write_number(to, event, "dpt", "upstream_port");
    write_pair(to, "suser", log_text(event, "user"));
    write_pair(to, "sntdom", log_text(event, "domain"));
    write_pair(to, "shost", log_text(event, "workstation"));
    write_pair(to, "duser", log_text(event, "account"));
    write_pair(to, "act", log_text(event, "verdict"));
    write_pair(to, "reason", log_text(event, "reason"));
    write_pair(to, "msg", log_text(event, "text"));
    write_pair(to, "filePath", log_text(event, "share"));
    write_number(to, event, "externalId", "windows_event_id");
    write_custom(to, event, "cs1", "listener");
    write_custom(to, event, "cs2", "upstream");
    write_custom(to, event, "cs3", "target_name");
    write_custom(to, event, "cs4", "offered");
    write_custom(to, event, "cs5", "client_dialect");
    write_custom(to, event, "cs6", "session");
    write_custom(to, event, "flexString1", "rule");
    /* No event has both. */
    if (!write_custom(to, event, "flexString2", "pipe"))
        write_custom(to, event, "flexString2", "claimed");
}

static void write_head(FILE *to, struct json_object *event, const char *meaning)
{
    fputs("CEF:0|Countersign|Countersign|" COUNTERSIGN_VERSION "|", to);
    write_escaped(to, log_text(event, "event"), '|');
    fputc('|', to);
    write_escaped(to, meaning, '|');
    fprintf(to, "|%d|", severity_of(log_text(event, "severity")));
}

void log_write_cef(FILE *to, struct json_object *event)
{
    write_head(to, event, meaning_of(log_text(event, "event")));
    write_extension(to, event);
    fputc('\n', to);
}

void log_write_cef_client(FILE *to, struct json_object *event)
{
    write_head(to, event, "What a client can do, and what would break it");
    fprintf(to, "cnt=%lld", (long long)log_number(event, "connections", 0));
    write_time(to, log_text(event, "time"));
    write_address(to, log_text(event, "client_address"), "src", "c6a2", "Source IPv6 Address");
    write_pair(to, "msg", log_text(event, "would_break"));
    write_labelled(to, "cn1", "logins", log_number(event, "logins", 0));
    write_labelled(to, "cn2", "refused", log_number(event, "refused", 0));
    write_custom(to, event, "cs1", "client_dialect");
    write_custom(to, event, "cs2", "client_signing");
    write_custom(to, event, "cs3", "client_cipher");
    write_custom(to, event, "cs4", "mechanism");
    write_custom(to, event, "cs5", "target_name");
    write_custom(to, event, "cs6", "mic");
    fputc('\n', to);
}
