#include "policy/network.h"

#include <arpa/inet.h>
#include <string.h>

#include "policy/plain.h"

enum { V4_BYTES = 4, MAPPED_BITS = 96, TEXT_MAX = 64 };

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ::ffff:a.b.c.d with a prefix that leaves the first 96 bits alone is a.b.c.d. */
static void unmap(struct network *network)
{
    if (!network->v6 || network->bits < MAPPED_BITS ||
        memcmp(network->bytes, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    network->v6 = false;
    network->bits -= MAPPED_BITS;
    memmove(network->bytes, &network->bytes[sizeof mapped_prefix], V4_BYTES);
    memset(&network->bytes[V4_BYTES], 0, NETWORK_BYTES - V4_BYTES);
}

/* An address without a prefix: all of its bits count. */
static bool read_address(const char *text, struct network *network)
{
    memset(network, 0, sizeof *network);
    network->v6 = strchr(text, ':') != NULL;
    network->bits = 8 * (network->v6 ? NETWORK_BYTES : V4_BYTES);
    return inet_pton(network->v6 ? AF_INET6 : AF_INET, text, network->bytes) == 1;
}

bool network_is_address(const char *text)
{
    struct network network;
    return read_address(text, &network);
}

/* The bits of byte `at` that count. */
static uint8_t mask(const struct network *network, unsigned at)
{
    unsigned before = 8 * at;
    if (network->bits >= before + 8)
        return 0xff;
    return network->bits <= before ? 0 : (uint8_t)(0xff << (before + 8 - network->bits));
}

static bool has_host_bits(const struct network *network)
{
    for (unsigned i = 0; i < NETWORK_BYTES; i++)
        if (network->bytes[i] & ~mask(network, i))
            return true;
    return false;
}

enum network_error network_read(const char *text, struct network *network)
{
    char address[TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    uint64_t bits;
    if (size >= sizeof address)
        return NETWORK_MALFORMED;
    memcpy(address, text, size);
    address[size] = '\0';
    if (!read_address(address, network))
        return NETWORK_MALFORMED;
    if (slash) {
        if (!plain_number(&slash[1], &bits) || bits > network->bits)
            return NETWORK_MALFORMED;
        network->bits = (unsigned)bits;
    }
    bool clean = !has_host_bits(network);
    unmap(network);
    return clean ? NETWORK_GOOD : NETWORK_HOST_BITS;
}

bool network_covers(const struct network *outer, const struct network *inner)
{
    if (outer->v6 != inner->v6 || outer->bits > inner->bits)
        return false;
    for (unsigned i = 0; i < NETWORK_BYTES; i++)
        if ((outer->bytes[i] ^ inner->bytes[i]) & mask(outer, i))
            return false;
    return true;
}

bool network_has(const struct network *network, const char *address)
{
    char plain[TEXT_MAX];
    struct network one;
    size_t size = strcspn(address, "%");
    if (size >= sizeof plain)
        return false;
    memcpy(plain, address, size);
    plain[size] = '\0';
    if (!read_address(plain, &one))
        return false;
    unmap(&one);
    return network_covers(network, &one);
}
