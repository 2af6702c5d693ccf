/*
 * The session directory: which upstream session belongs to a client session, and to whom.
 *
 * A client that comes back after its connection was cut names its previous session; the file server
 * knows that by another id (MS-SMB2 3.3.5.5.3). The recorder keeps the directory, since the client
 * may come back to another worker. It is a cache: what has come to a good end is taken out; of the
 * rest, a bounded number, the longest unused are forgotten.
 */
#ifndef COUNTERSIGN_PROXY_DIRECTORY_H
#define COUNTERSIGN_PROXY_DIRECTORY_H

#include "proxy/table.h"

/* Names of at most DIRECTORY_WHO_MAX bytes with the NUL; a longer identity is not entered. */
enum { DIRECTORY_MAX = 65536, DIRECTORY_WHO_MAX = 1100, DIRECTORY_ACCOUNT_MAX = 800 };

/* `who` is the identity's name as one text, for comparison. `account` is what tells the same
 * account by whatever name, empty when nothing does: two entries that both have one are of one
 * identity when that is the same, others when `who` is. */
struct directory_entry {
    uint64_t client_id;
    uint64_t upstream_id;
    uint32_t upstream; /* index of the configuration */
    bool any_case;     /* `who` is compared without regard to case */
    char who[DIRECTORY_WHO_MAX];
    char account[DIRECTORY_ACCOUNT_MAX];
};

enum directory_answer {
    DIRECTORY_UNKNOWN = 0,
    DIRECTORY_FOUND = 1,
    DIRECTORY_OTHER = 2, /* it is somebody else's, or of another upstream */
};

struct directory;

/* NULL when out of memory. `most`: how many sessions it remembers. */
struct directory *directory_new(size_t most);
void directory_free(struct directory *directory); /* NULL is allowed */
/* Enters a session, or enters it again. Nothing happens when out of memory. */
void directory_add(struct directory *directory, const struct directory_entry *entry);
/* Forgets one that has come to its end, if it is of that very identity and upstream. */
void directory_remove(struct directory *directory, const struct directory_entry *entry);
/* Looks one up for `who`; `upstream_id` is set when it was FOUND. */
enum directory_answer directory_find(struct directory *directory,
                                     const struct directory_entry *wanted, uint64_t *upstream_id);

/*
 * Messages between a worker and the recorder (types in recorder.h). An ADD, REMOVE or FIND packs an
 * entry after a query number (0 but in a FIND): le64 query, le64 client id, le64 upstream id, le32
 * upstream, u8 any case, le16 size, who, le16 size, account. A FOUND answers: le64 query, u8
 * answer, le64 upstream id.
 */
void directory_entry_write(struct writer *writer, uint64_t query,
                           const struct directory_entry *entry);
MUST_USE bool directory_entry_read(struct span body, uint64_t *query,
                                   struct directory_entry *entry);
void directory_found_write(struct writer *writer, uint64_t query, enum directory_answer answer,
                           uint64_t upstream_id);
MUST_USE bool directory_found_read(struct span body, uint64_t *query, enum directory_answer *answer,
                                   uint64_t *upstream_id);

#endif
