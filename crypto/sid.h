/*
 * Security identifiers: who somebody is and which groups he is in, as domain controllers name them
 * (MS-DTYP 2.4.2).
 *
 * Equal identifiers have equal bytes, whether they came as text or as bytes.
 */
#ifndef COUNTERSIGN_CRYPTO_SID_H
#define COUNTERSIGN_CRYPTO_SID_H

#include "crypto/cursor.h"

/* Sizes in bytes: the longest on the wire, and the longest text with its NUL. SIDS_MAX: so many of
 * one identity at most; Windows itself stops at 1015 groups. */
enum { SID_SIZE_MAX = 68, SID_TEXT_MAX = 192, SIDS_MAX = 1024 };

/* As on the wire (MS-DTYP 2.4.2.2): revision 1, the number of sub-authorities (1 to 15), the
 * authority big-endian, the sub-authorities little-endian. `size` 0: none. */
struct sid {
    uint8_t size;
    uint8_t bytes[SID_SIZE_MAX];
};

/* All zeros: empty. Whoever filled it calls sids_free(). */
struct sids {
    size_t count;
    struct sid *at;
};

/* From text of the form of MS-DTYP 2.4.2.1, "S-1-5-21-1-2-3-513"; numbers have no leading zeros.
 * False for anything else; then `sid` is empty. */
MUST_USE bool sid_parse(const char *text, struct sid *sid);

/* Writes that text; false, with `to` an empty text, when it does not fit or `sid` is none. */
MUST_USE bool sid_text(const struct sid *sid, char *to, size_t size);

/* From bytes of the wire, which must be one identifier and nothing else. False leaves `sid` empty.
 */
MUST_USE bool sid_read(struct span binary, struct sid *sid);

/* The account or group number `rid` of a domain. False, with `sid` empty, when there is no room for
 * one sub-authority more. `sid` may be `domain`. */
MUST_USE bool sid_append(const struct sid *domain, uint32_t rid, struct sid *sid);

/* The same identifier; two that are none are equal too. */
bool sid_equal(const struct sid *a, const struct sid *b);

/* Adds one at the end; false, with nothing added, when there are SIDS_MAX or no memory. */
MUST_USE bool sids_add(struct sids *sids, const struct sid *sid);
/* True when one of them is equal to `sid`. */
bool sids_contain(const struct sids *sids, const struct sid *sid);
void sids_free(struct sids *sids); /* leaves it empty */

#endif
