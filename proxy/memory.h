/*
 * Downgrade memory: what each client and each file server could do at best, to notice when it can
 * do less.
 *
 * A client is known by its ClientGuid; one whose GUID has not been seen is held against what its
 * address once did, and in how it authenticates until it has. A file server is known by its name in
 * the configuration. What an end can do is judged by the order of preference that the worker gives
 * along, so that a change of our own configuration is no downgrade.
 */
#ifndef COUNTERSIGN_PROXY_MEMORY_H
#define COUNTERSIGN_PROXY_MEMORY_H

#include "policy/event.h"
#include "proxy/negotiate.h"

/* How many ends are remembered; the longest unseen are forgotten. Bytes of a name with its NUL. */
enum { MEMORY_MAX = 16384, MEMORY_NAME_MAX = 160, MEMORY_LIST_MAX = 4 };

enum memory_kind { MEMORY_ADDRESS, MEMORY_GUID, MEMORY_UPSTREAM };
enum { MEMORY_KINDS = 3 };

/* What an end did. Below 3.1.1 there is no signing context; a cipher is CIPHER_NONE without. */
struct spoken {
    uint16_t dialect;
    bool has_signing;
    uint16_t signing; /* only with has_signing */
    uint16_t cipher;
    bool kerberos; /* a client has authenticated with it, a file server lists it in its NEGOTIATE
                      response */
};

/* One observation. `possible` is what could have been chosen, the best first: with a client all
 * that there is, with a file server what we offer. */
struct sighting {
    bool upstream;
    bool login;                 /* of a client that has authenticated: only `kerberos` counts */
    char name[MEMORY_NAME_MAX]; /* the client's address, the upstream's name */
    uint8_t guid[GUID_SIZE];    /* the client's, or the file server's; zeros: none */
    struct spoken spoken;
    uint16_t dialect_possible;
    uint16_t signing_possible[MEMORY_LIST_MAX];
    unsigned signing_count;
    uint16_t ciphers_possible[MEMORY_LIST_MAX];
    unsigned ciphers_count;
    char server_name[MEMORY_NAME_MAX]; /* what the file server calls itself; empty: not known */
    bool pin;                          /* what is less is refused */
    bool keep;                         /* what is less is not remembered: it may be refused */
};

struct judgement {
    bool less;
    enum event_kind kind; /* EVENT_DOWNGRADE or EVENT_CONTEXTS_STRIPPED */
    const char *reason;   /* "dialect", "signing", "cipher", "kerberos" */
    struct spoken best;   /* as it was before */
    bool changed;         /* a file server's GUID or name is another one */
    const char *changed_reason;
    char before[MEMORY_NAME_MAX]; /* that GUID or name */
};

struct memory;

/* NULL when out of memory or randomness. `most`: MEMORY_MAX but for tests. */
struct memory *memory_new(size_t most);
void memory_free(struct memory *memory); /* NULL is allowed */

/* Compares and remembers. */
void memory_see(struct memory *memory, const struct sighting *sighting,
                struct judgement *judgement);

/* Forgets one end: an address also with every client GUID that was last seen there. `name` is
 * as in the log; NULL: all of that kind. How many were forgotten. */
size_t memory_forget(struct memory *memory, enum memory_kind kind, const char *name);

/* How many ends are remembered. */
size_t memory_count(const struct memory *memory);
/* True once after something that a file should have has changed. */
bool memory_take_changed(struct memory *memory);

/* "3.1.1 AES-128-GMAC AES-128-GCM", for the log. */
enum { SPOKEN_TEXT_MAX = 64 };
void spoken_describe(const struct spoken *spoken, char text[SPOKEN_TEXT_MAX]);
/* "f00dcafe-…", as the log has it. */
enum { GUID_TEXT_SIZE = 40 };
void guid_describe(const uint8_t guid[GUID_SIZE], char text[GUID_TEXT_SIZE]);

/* ---- entries, for the file ---- */

struct remembered {
    enum memory_kind kind;
    char name[MEMORY_NAME_MAX];
    struct spoken best;
    bool logged_in;              /* of a client: has authenticated since it is known */
    uint8_t guid[GUID_SIZE];     /* of an upstream: the server's */
    char other[MEMORY_NAME_MAX]; /* of an upstream: what it calls itself; of a GUID: the
                                    address it was last seen at; may be empty */
};
/* Enters one as it is, in place of what was there: the latest is the last to be forgotten. False
 * when out of memory. */
MUST_USE bool memory_enter(struct memory *memory, const struct remembered *entry);
/* Calls `each` for all, the longest unseen first, until it answers false; that is the answer. */
bool memory_each(const struct memory *memory,
                 bool (*each)(void *context, const struct remembered *entry), void *context);

/* ---- memory_message.c: between a worker and the recorder ---- */

/* le64 query (0: no answer wanted), the sighting, and an event that the recorder completes and
 * writes if there is something to write. */
enum { SIGHTING_MESSAGE_MAX = EVENT_PACKED_MAX + 1024 };
void sighting_write(struct writer *writer, uint64_t query, const struct sighting *sighting,
                    struct span packed_event);
MUST_USE bool sighting_read(struct span body, uint64_t *query, struct sighting *sighting,
                            struct span *packed_event);

#endif
