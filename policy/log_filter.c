#include "policy/log_filter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/event_json.h"
#include "policy/log_read.h"
#include "policy/plain.h"

enum { DAY = 24 * 60 * 60, ADDRESS_BITS_MAX = 128, NETWORK_TEXT_MAX = 64 };

struct network {
    unsigned char bytes[16];
    unsigned size; /* of an address: 4 or 16 */
    unsigned bits;
};

static bool read_network(const char *text, struct network *network)
{
    char address[NETWORK_TEXT_MAX];
    size_t length = strcspn(text, "/");
    uint64_t bits;
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    memset(network, 0, sizeof *network);
    if (inet_pton(AF_INET, address, network->bytes) == 1)
        network->size = 4;
    else if (inet_pton(AF_INET6, address, network->bytes) == 1)
        network->size = 16;
    else
        return false;
    network->bits = 8 * network->size;
    if (text[length] == '\0')
        return true;
    if (!plain_number(&text[length + 1], &bits) || bits > network->bits)
        return false;
    network->bits = (unsigned)bits;
    return true;
}

bool log_network_read(const char *text)
{
    struct network network;
    return read_network(text, &network);
}

/* What folding made of many addresses of one network is in every network that this one is in. */
static bool is_in(const char *address, const char *wanted)
{
    struct network one, whole;
    if (!read_network(address, &one) || !read_network(wanted, &whole) || one.size != whole.size ||
        one.bits < whole.bits)
        return false;
    for (unsigned bit = 0; bit < whole.bits; bit++) {
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);
        if ((one.bytes[bit / 8] ^ whole.bytes[bit / 8]) & mask)
            return false;
    }
    return true;
}

static bool has_name(const struct log_filter *filter, const char *name)
{
    for (unsigned i = 0; i < filter->events_count; i++)
        if (strcmp(filter->events[i], name) == 0)
            return true;
    return filter->events_count == 0;
}

bool log_filter_wants(const struct log_filter *filter, struct json_object *event)
{
    const char *time = log_text(event, "time"), *user = log_text(event, "user");
    const char *client = log_text(event, "client_address");
    const char *severity = log_text(event, "severity");
    /* Times are all written alike, so they are ordered like texts. */
    return has_name(filter, log_text(event, "event")) &&
           (!filter->since[0] || strcmp(time, filter->since) >= 0) &&
           (!filter->until[0] || strcmp(time, filter->until) < 0) &&
           (!filter->client || (client && is_in(client, filter->client))) &&
           (!filter->user || (user && plain_same(user, filter->user))) &&
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
