#include "proxy/rpc_context.h"

#include "proxy/ndr.h"

enum { UUID_SIZE = 16, SYNTAX_SIZE = UUID_SIZE + 4 };

struct uuid {
    uint32_t first;
    uint16_t second, third;
    uint8_t rest[8];
};

struct known_uuid {
    struct uuid uuid;
    uint8_t bit;
};

static const struct known_uuid interfaces[] = {
    {{0x12345778, 0x1234, 0xabcd, {0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xac}}, RPC_SAMR},
    {{0x12345778, 0x1234, 0xabcd, {0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab}}, RPC_LSARPC},
    {{0x6bffd098, 0xa112, 0x3610, {0x98, 0x33, 0x46, 0xc3, 0xf8, 0x7e, 0x34, 0x5a}}, RPC_WKSSVC},
    {{0x367abb81, 0x9844, 0x35f1, {0xad, 0x32, 0x98, 0xf0, 0x38, 0x00, 0x10, 0x03}}, RPC_SVCCTL},
};

static const struct known_uuid syntaxes[] = {
    {{0x8a885d04, 0x1ceb, 0x11c9, {0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60}}, RPC_NDR},
    {{0x71710533, 0xbeba, 0x4937, {0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36}}, RPC_NDR64},
};

/* A syntax identifier; its bit among those known goes to `bit`, 0 when it is none of them. The
 * version does not matter: one too many is followed rather than one too few. */
static bool take_syntax(struct ndr *ndr, const struct known_uuid *known, size_t count, uint8_t *bit)
{
    uint32_t first, version;
    uint16_t second, third;
    struct span rest;
    *bit = 0;
    if (!ndr_u32(ndr, &first) || !ndr_u16(ndr, &second) || !ndr_u16(ndr, &third) ||
        !read_span(&ndr->reader, sizeof known->uuid.rest, &rest) || !ndr_u32(ndr, &version))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct uuid *uuid = &known[i].uuid;
        if (uuid->first == first && uuid->second == second && uuid->third == third &&
            span_equal(rest, (struct span){uuid->rest, sizeof uuid->rest}))
            *bit = known[i].bit;
    }
    return true;
}

static bool remember(struct rpc_contexts *contexts, const struct rpc_context *offered)
{
    if (contexts->unseen)
        return false;
    for (unsigned i = 0; i < contexts->count; i++) {
        struct rpc_context *known = &contexts->known[i];
        if (known->id != offered->id)
            continue;
        known->interfaces |= offered->interfaces;
        known->syntaxes |= offered->syntaxes;
        return true;
    }
    if (contexts->count == RPC_CONTEXTS_MAX)
        return false;
    contexts->known[contexts->count++] = *offered;
    return true;
}

/* One context with all transfer syntaxes that are offered for it. */
static bool take_context(struct rpc_contexts *contexts, struct ndr *ndr)
{
    struct rpc_context offered = {.id = 0};
    uint8_t count, reserved, bit;
    if (!ndr_u16(ndr, &offered.id) || !read_u8(&ndr->reader, &count) ||
        !read_u8(&ndr->reader, &reserved) ||
        !take_syntax(ndr, interfaces, sizeof interfaces / sizeof *interfaces, &offered.interfaces))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!take_syntax(ndr, syntaxes, sizeof syntaxes / sizeof *syntaxes, &bit))
            return false;
        offered.syntaxes |= bit;
    }
    return !offered.interfaces || remember(contexts, &offered);
}

bool rpc_contexts_note(struct rpc_contexts *contexts, struct span body, bool big_endian)
{
    enum { SIZES_AND_GROUP = 8, RESERVED = 3 };
    struct ndr ndr = ndr_over(body, big_endian, false);
    uint8_t count;
    if (!ndr_skip(&ndr, 1, SIZES_AND_GROUP) || !read_u8(&ndr.reader, &count) ||
        !ndr_skip(&ndr, 1, RESERVED))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!take_context(contexts, &ndr))
            return false;
    return true;
}

struct rpc_context rpc_contexts_find(const struct rpc_contexts *contexts, uint16_t id)
{
    if (contexts->unseen)
        return (struct rpc_context){id, UINT8_MAX, RPC_NDR | RPC_NDR64};
    for (unsigned i = 0; i < contexts->count; i++)
        if (contexts->known[i].id == id)
            return contexts->known[i];
    return (struct rpc_context){id, 0, 0};
}
