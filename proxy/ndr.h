/*
 * A walk over the parameters of a DCE/RPC call, as NDR (C706 14) or NDR64 (MS-RPCE 2.2.5) lays them
 * out, in either byte order. Nothing is kept of what is passed over.
 */
#ifndef COUNTERSIGN_PROXY_NDR_H
#define COUNTERSIGN_PROXY_NDR_H

#include "crypto/cursor.h"

/* Every function moves on; false: what should be there is not there whole. */
struct ndr {
    struct reader reader;
    const uint8_t *start; /* what alignment counts from */
    bool big_endian;
    bool wide; /* NDR64 */
};

/* A walk from the start of a stub, which must outlive it. */
struct ndr ndr_over(struct span stub, bool big_endian, bool wide);

MUST_USE bool ndr_u16(struct ndr *ndr, uint16_t *value);
MUST_USE bool ndr_u32(struct ndr *ndr, uint32_t *value);
/* An enumeration: two bytes in NDR, four in NDR64. */
MUST_USE bool ndr_enum(struct ndr *ndr, uint32_t *value);
/* A pointer's place; `*given` is false for a null one. */
MUST_USE bool ndr_pointer(struct ndr *ndr, bool *given);
/* `size` bytes that begin at a multiple of `unit`. */
MUST_USE bool ndr_skip(struct ndr *ndr, size_t unit, size_t size);

/* A string of characters of `unit` bytes, and one behind a pointer that may be null. */
MUST_USE bool ndr_string(struct ndr *ndr, size_t unit);
MUST_USE bool ndr_unique_string(struct ndr *ndr, size_t unit);
/* Behind a pointer that may be null: a value of four bytes, or bytes that bring their number. */
MUST_USE bool ndr_unique_u32(struct ndr *ndr);
MUST_USE bool ndr_unique_bytes(struct ndr *ndr);
/* RPC_SID (MS-DTYP 2.4.2.3) and RPC_UNICODE_STRING (2.3.10). */
MUST_USE bool ndr_sid(struct ndr *ndr);
MUST_USE bool ndr_counted_string(struct ndr *ndr);

#endif
