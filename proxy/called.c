#include "proxy/called.h"

#include <arpa/inet.h>
#include <string.h>

#include "crypto/text.h"
#include "policy/network.h"

enum { HOST_MAX = 1024 };

struct host {
    char text[HOST_MAX];
    size_t size;
};

/* Ends the text before the first of `marks` that is at `from` or behind it. */
static void cut(struct host *host, size_t from, const char *marks)
{
    host->size = from + strcspn(&host->text[from], marks);
    host->text[host->size] = '\0';
}

static void drop_front(struct host *host, size_t size)
{
    host->size -= size;
    memmove(host->text, &host->text[size], host->size + 1);
}

/* The bare host of "class/host:port@REALM"; cut when it is too long. */
static struct host host_of(const char *name)
{
    struct host host = {.size = strnlen(name, HOST_MAX - 1)};
    memcpy(host.text, name, host.size);
    const char *slash = strchr(host.text, '/');
    if (slash)
        drop_front(&host, (size_t)(slash - host.text) + 1);
    cut(&host, 0, "@");
    if (host.text[0] == '[') {
        drop_front(&host, 1);
        cut(&host, 0, "]");
    }
    /* Two colons are an address. */
    size_t colon = strcspn(host.text, ":");
    if (colon < host.size && !strchr(&host.text[colon + 1], ':'))
        cut(&host, 0, ":");
    if (host.size && host.text[host.size - 1] == '.')
        host.text[--host.size] = '\0';
    return host;
}

static bool same_address(const struct host *a, const struct host *b)
{
    struct in6_addr left, right;
    return inet_pton(AF_INET6, a->text, &left) == 1 && inet_pton(AF_INET6, b->text, &right) == 1 &&
           memcmp(&left, &right, sizeof left) == 0;
}

bool called_the_same(const char *a, const char *b)
{
    struct host left = host_of(a), right = host_of(b);
    if (left.size == 0 || right.size == 0 || text_same_name(left.text, right.text) ||
        same_address(&left, &right))
        return true;
    if (network_is_address(left.text) || network_is_address(right.text))
        return false;
    bool left_dot = strchr(left.text, '.'), right_dot = strchr(right.text, '.');
    if (left_dot == right_dot)
        return false;
    cut(left_dot ? &left : &right, 0, ".");
    return text_same_name(left.text, right.text);
}
