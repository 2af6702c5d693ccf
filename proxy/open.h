/*
 * Opens and leases, as far as the proxy must know them: a break that the file server sends is not
 * signed, so it is believed only when it names an open of its link, or a lease of its client.
 */
#ifndef COUNTERSIGN_PROXY_OPEN_H
#define COUNTERSIGN_PROXY_OPEN_H

#include "proxy/body.h"
#include "proxy/table.h"

struct session;
struct link;
struct pipe;
struct worker;

/* A lease belongs to a client, not to a connection (MS-SMB2 3.3.1.11): it is counted once for each
 * CREATE that names it and each open that has it, over all links of one ClientGuid to one upstream.
 */
struct lease {
    struct table_entry by_key;
    struct worker *worker;
    uint8_t client_guid[16];
    unsigned upstream;
    uint8_t key[LEASE_KEY_SIZE];
    unsigned references;
};

/* One that nothing has any more. */
struct ended_lease {
    uint64_t ended_ms; /* by clock_ms(); 0: this place is free */
    uint8_t client_guid[16];
    unsigned upstream;
    uint8_t key[LEASE_KEY_SIZE];
};

enum { ENDED_LEASES = 256, ENDED_LEASE_MS = 60000 };

struct open {
    struct table_entry by_volatile_id; /* the second half of the FileId */
    uint8_t file_id[FILE_ID_SIZE];
    struct session *session;
    uint32_t tree_id;
    struct lease *lease; /* NULL: none; counted */
    struct pipe *pipe;   /* NULL: it is none; owned */
    bool recorded;       /* the recorder knows whose it is */
};

enum { OPENS_MAX = 65536 }; /* of one link; servers allow fewer */

/* The lease that a CREATE request asks for, counted; NULL when there is none. `message` is a CREATE
 * request that create_request_read() accepts. `*failed`: malformed contexts, or out of memory. */
struct lease *lease_of_create(struct link *link, struct span message, bool *failed);
void lease_release(struct lease *lease); /* NULL is allowed */
/* True when a break may name this lease on this link. */
bool lease_known(const struct link *link, const uint8_t key[LEASE_KEY_SIZE]);
/* True when one might have lately. A break and the end of its lease may cross; and a file server
 * that sends to a client on any of its connections, as smbd does, tells a break once more on
 * another one when the connection ends that it was told on. */
bool lease_ended(const struct link *link, const uint8_t key[LEASE_KEY_SIZE]);

/* Enters an open; takes over `lease`. A FileId that the file server gives again replaces the old
 * one. NULL when out of memory: the lease has been released. */
MUST_USE struct open *open_add(struct link *link, struct session *session, uint32_t tree_id,
                               const uint8_t file_id[FILE_ID_SIZE], struct lease *lease);
struct open *open_find(const struct link *link, const uint8_t file_id[FILE_ID_SIZE]);
/* The open has been closed; nothing happens when it is not known. */
void open_close(struct link *link, const uint8_t file_id[FILE_ID_SIZE]);
/* All opens of a session, or of one of its trees. */
void open_close_session(struct link *link, const struct session *session);
void open_close_tree(struct link *link, const struct session *session, uint32_t tree_id);
void open_close_all(struct link *link);

#endif
