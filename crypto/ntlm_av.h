/*
 * AV pairs (MS-NLMP 2.2.2.1): what a CHALLENGE says of its server, and what a client gives back,
 * with additions of its own, under NTProofStr.
 */
#ifndef COUNTERSIGN_CRYPTO_NTLM_AV_H
#define COUNTERSIGN_CRYPTO_NTLM_AV_H

#include "crypto/cursor.h"

enum av_id {
    AV_EOL = 0,
    AV_NB_COMPUTER = 1,
    AV_NB_DOMAIN = 2,
    AV_DNS_COMPUTER = 3,
    AV_DNS_DOMAIN = 4,
    AV_DNS_TREE = 5,
    AV_FLAGS = 6,
    AV_TIMESTAMP = 7,
    AV_SINGLE_HOST = 8,
    AV_TARGET_NAME = 9,
    AV_CHANNEL_BINDINGS = 10,
};

/* The bits of AV_FLAGS. */
enum { AV_FLAG_CONSTRAINED = 1, AV_FLAG_MIC = 2, AV_FLAG_UNTRUSTED_SPN = 4 };

/* There are ten ids; nobody honest sends more pairs than this. */
enum { AV_PAIRS_MAX = 32, AV_CHANNEL_BINDINGS_SIZE = 16 };

struct av_pair {
    uint16_t id;
    struct span value;
};

struct av_list {
    struct av_pair pairs[AV_PAIRS_MAX];
    size_t count;
};

/* Reads pairs up to AV_EOL, borrowing their values; what follows AV_EOL is left alone. False when a
 * pair is cut short, AV_EOL is missing, or there are more than AV_PAIRS_MAX. */
MUST_USE bool av_list_read(struct span bytes, struct av_list *list);

/* The first pair with that id, or NULL. */
const struct av_pair *av_list_find(const struct av_list *list, enum av_id id);

/* True when an id occurs twice: then two readers could see two different lists. */
bool av_list_repeats(const struct av_list *list);

/* The pair's value as an integer; false when there is no such pair or it has another size. */
MUST_USE bool av_list_le32(const struct av_list *list, enum av_id id, uint32_t *value);
MUST_USE bool av_list_le64(const struct av_list *list, enum av_id id, uint64_t *value);

/* Writers of one pair, and of AV_EOL. */
void av_write(struct writer *writer, enum av_id id, struct span value);
/* As UTF-16LE. False when `utf8` is not UTF-8 or too long for a pair. */
MUST_USE bool av_write_text(struct writer *writer, enum av_id id, const char *utf8);
void av_write_le32(struct writer *writer, enum av_id id, uint32_t value);
void av_write_le64(struct writer *writer, enum av_id id, uint64_t value);
void av_write_end(struct writer *writer);

#endif
