#include "policy/log_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/event_json.h"
#include "policy/log_read.h"
#include "policy/network.h"
#include "policy/plain.h"

enum { DAY = 24 * 60 * 60 };

bool log_network_read(const char *text)
{
    struct network network;
    return network_read(text, &network) != NETWORK_MALFORMED;
}

/* What folding made of many addresses of one network is in every network that this one is in. */
static bool is_in(const char *address, const char *wanted)
{
    struct network one, whole;
    return network_read(address, &one) != NETWORK_MALFORMED &&
           network_read(wanted, &whole) != NETWORK_MALFORMED && network_covers(&whole, &one);
}

static bool has_name(const struct log_filter *filter, const char *name)
{
    for (unsigned i = 0; i < filter->events_count; i++)
        if (strcmp(filter->events[i], name) == 0)
            return true;
    return filter->events_count == 0;
}

/* Somebody's name, or the same with a domain before it or a realm behind it. */
static bool is_user(const char *said, const char *wanted)
{
    char bare[EVENT_FIELD_MAX + 1];
    const char *slash = strchr(said, '\\');
    const char *name = slash ? &slash[1] : said;
    size_t size = strcspn(name, "@");
    if (plain_same(said, wanted) || plain_same(name, wanted))
        return true;
    if (slash || size >= sizeof bare)
        return false;
    memcpy(bare, name, size);
    bare[size] = '\0';
    return plain_same(bare, wanted);
}

/* Whose it is, or who he tried to become. */
static bool is_about(struct json_object *event, const char *wanted)
{
    const char *user = log_text(event, "user"), *claimed = log_text(event, "claimed");
    return (user && plain_same(user, wanted)) || (claimed && is_user(claimed, wanted));
}

bool log_filter_wants(const struct log_filter *filter, struct json_object *event)
{
    const char *time = log_text(event, "time");
    const char *client = log_text(event, "client_address");
    const char *severity = log_text(event, "severity");
    /* Times are all written alike, so they are ordered like texts. */
    return has_name(filter, log_text(event, "event")) &&
           (!filter->since[0] || strcmp(time, filter->since) >= 0) &&
           (!filter->until[0] || strcmp(time, filter->until) < 0) &&
           (!filter->client || (client && is_in(client, filter->client))) &&
           (!filter->user || is_about(event, filter->user)) &&
           (!filter->severity || (severity && log_severity_read(severity) >= filter->severity));
}

int log_severity_read(const char *text)
{
    for (int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR; severity++)
        if (strcmp(event_severity_name((enum event_severity)severity), text) == 0)
            return severity;
    return -1;
}

/* "12h": so many seconds; 0 when it is none. */
static int64_t read_duration(const char *text)
{
    char digits[8];
    uint64_t number;
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length >= sizeof digits || strlen(text) != length + 1)
        return 0;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!plain_number(digits, &number))
        return 0;
    switch (text[length]) {
    case 's': return (int64_t)number;
    case 'm': return (int64_t)number * 60;
    case 'h': return (int64_t)number * 60 * 60;
    case 'd': return (int64_t)number * DAY;
    default: return 0;
    }
}

/* The start of a time as the log writes it, as far as it goes. */
static bool is_moment(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddd";
    size_t size = strlen(text);
    if (size && text[size - 1] == 'Z')
        size--;
    if (size != 10 && size != 13 && size != 16 && size != 19 && (size < 21 || size >= sizeof form))
        return false;
    for (size_t i = 0; i < size; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

bool log_time_read(const char *text, int64_t now, char moment[LOG_TIME_SIZE])
{
    int64_t ago = read_duration(text);
    if (ago > 0) {
        time_t then = (time_t)(now - ago);
        struct tm parts;
        return gmtime_r(&then, &parts) &&
               strftime(moment, LOG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &parts) > 0;
    }
    if (!is_moment(text))
        return false;
    size_t size = strcspn(text, "Z");
    snprintf(moment, LOG_TIME_SIZE, "%.*s", (int)size, text);
    return true;
}
