#include "crypto/target_name.h"

#include "crypto/own_address.h"
#include "crypto/text.h"

#include <arpa/inet.h>
#include <string.h>

struct host {
    char text[IDENTITY_TARGET_MAX];
};

/* The bytes of `whole` before the first `stop`, and what is behind it; false when there is none. */
static bool split(struct span whole, uint8_t stop, struct span *before, struct span *behind)
{
    struct reader reader = reader_over_span(whole);
    uint8_t byte;
    for (size_t size = 0; read_u8(&reader, &byte); size++) {
        if (byte == stop) {
            *behind = reader_rest(&reader);
            return span_slice(whole, 0, size, before);
        }
    }
    return false;
}

static bool is_port(struct span text)
{
    struct reader reader = reader_over_span(text);
    uint8_t byte;
    while (read_u8(&reader, &byte))
        if (byte < '0' || byte > '9')
            return false;
    return text.size >= 1 && text.size <= 5;
}

/* Takes brackets, port and final dot away. More than one colon without brackets is an address. */
static bool bare_host(struct span text, struct span *host)
{
    struct span before, behind, more;
    *host = text;
    if (text.size && *text.at == '[') {
        if (!span_slice(text, 1, text.size - 1, &more) || !split(more, ']', host, &behind))
            return false;
        return behind.size == 0 ||
               (split(behind, ':', &before, &more) && before.size == 0 && is_port(more));
    }
    if (split(text, ':', &before, &behind) && !split(behind, ':', &more, &more)) {
        if (!is_port(behind))
            return false;
        *host = before;
    }
    if (host->size && host->at[host->size - 1] == '.')
        host->size--;
    return host->size > 0;
}

static bool host_read(struct span text, struct host *host)
{
    struct span bare;
    struct writer writer = writer_over(host->text, sizeof host->text);
    if (!bare_host(text, &bare))
        return false;
    write_span(&writer, bare);
    write_u8(&writer, '\0');
    return writer_done(&writer);
}

static bool same_host(const struct host *a, const struct host *b)
{
    struct in6_addr left, right;
    if (text_same_name(a->text, b->text))
        return true;
    return inet_pton(AF_INET6, a->text, &left) == 1 && inet_pton(AF_INET6, b->text, &right) == 1 &&
           memcmp(&left, &right, sizeof left) == 0;
}

static bool is_ours(const struct host *host, const char *name)
{
    struct host own;
    return name && host_read(span_of_text(name), &own) && same_host(host, &own);
}

static bool is_class(struct span class, const char *name)
{
    struct host text;
    struct writer writer = writer_over(text.text, sizeof text.text);
    write_span(&writer, class);
    write_u8(&writer, '\0');
    return writer_done(&writer) && text_same_name(text.text, name);
}

/* HOST of `class/HOST`, when the class is one of these. */
static bool takes_host(const char *target, const char *class, const char *other, struct host *host)
{
    struct span before, name;
    return split(span_of_text(target), '/', &before, &name) &&
           (is_class(before, class) || is_class(before, other)) && host_read(name, host);
}

static bool is_own_host(const struct host *host, const struct accept_policy *policy)
{
    if (is_ours(host, policy->netbios_name) || is_ours(host, policy->dns_name))
        return true;
    for (size_t i = 0; i < policy->names_count; i++)
        if (is_ours(host, policy->names[i]))
            return true;
    return is_ours(host, policy->called) || (policy->all_addresses && own_address(host->text));
}

bool target_name_matches(const char *target, const struct accept_policy *policy)
{
    struct host host;
    return takes_host(target, "cifs", "host", &host) && is_own_host(&host, policy);
}

bool target_service_matches(const char *service, const struct accept_policy *policy)
{
    struct host host;
    if (policy->services_count == 0)
        return takes_host(service, "cifs", "cifs", &host) && is_own_host(&host, policy);
    for (size_t i = 0; i < policy->services_count; i++)
        if (text_same_name(service, policy->services[i]))
            return true;
    return false;
}
