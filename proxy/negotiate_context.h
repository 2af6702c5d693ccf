/*
 * The contexts of a 3.1.1 NEGOTIATE (MS-SMB2 2.2.3.1, 2.2.4.1): a list whose elements begin at
 * multiples of 8 from the start of the message.
 */
#ifndef COUNTERSIGN_PROXY_NEGOTIATE_CONTEXT_H
#define COUNTERSIGN_PROXY_NEGOTIATE_CONTEXT_H

#include "proxy/negotiate.h"

enum negotiate_context_type {
    CONTEXT_PREAUTH = 1,
    CONTEXT_ENCRYPTION = 2,
    CONTEXT_NETNAME = 5,
    CONTEXT_SIGNING = 8,
};

struct negotiate_context {
    uint16_t type;
    struct span data;
};

/* Where the list is; `at` moves on with every context that is taken. */
struct negotiate_contexts {
    struct reader at;
    const uint8_t *base;
    unsigned left;
    bool first;
    uint32_t seen; /* bits of enum negotiate_context_type */
};

/* A list of `count` contexts at `offset` of the message, behind the first `fixed_end` bytes. False
 * when it cannot be there, or when there are more than NEGOTIATE_CONTEXTS_MAX. */
MUST_USE bool negotiate_contexts_open(struct span message, size_t fixed_end, uint32_t offset,
                                      uint16_t count, struct negotiate_contexts *list);

/* The next context. False when none is left, or when the list is malformed: it reaches beyond the
 * end, or has a second context of one of the types above; `*broken` tells which. */
MUST_USE bool negotiate_context_next(struct negotiate_contexts *list,
                                     struct negotiate_context *context, bool *broken);

/* The ids of an ENCRYPTION or SIGNING context: `total` is how many it has, of which the first
 * NEGOTIATE_ALGORITHMS_MAX are kept. False when it has none, or not as many as it says. */
struct negotiate_algorithms {
    uint16_t ids[NEGOTIATE_ALGORITHMS_MAX];
    unsigned count;
    unsigned total;
};
MUST_USE bool negotiate_algorithms_read(struct span data, struct negotiate_algorithms *algorithms);

/* A PREAUTH context: how many hash algorithms it has and whether SHA-512 is one. False when it has
 * none, or when algorithms or salt reach beyond its end. */
MUST_USE bool negotiate_preauth_read(struct span data, unsigned *total, bool *sha512);

/* Each writes one context, aligned. */
void negotiate_preauth_write(struct writer *writer, const uint8_t salt[PREAUTH_SALT_SIZE]);
void negotiate_algorithms_write(struct writer *writer, enum negotiate_context_type type,
                                const uint16_t *ids, unsigned count);
/* A name that is not UTF-8 makes the writer overflow. */
void negotiate_netname_write(struct writer *writer, const char *netname);

#endif
