/*
 * Generations of a worker's configuration. A link lives with the one it was made with: listener,
 * upstream, rules. A reload with `apply` gives it the rules of the new one.
 *
 * The body of CONTROL_PREPARE to a worker: le32 number, and for each upstream u8 size and the
 * socket address.
 */
#ifndef COUNTERSIGN_PROXY_GENERATION_H
#define COUNTERSIGN_PROXY_GENERATION_H

#include "crypto/cursor.h"
#include "proxy/worker.h"

struct worker;
struct link;
struct identity;
struct session;
struct tree;
enum leg_role;

struct generation {
    struct generation *next;
    uint32_t number;
    unsigned links; /* that refer to it, once or twice each */
    const struct config *config;
    const struct upstream_address *upstreams;
    unsigned *upstream_connections; /* one count for each upstream */
    int *listen_fds;                /* one for each listener; -1: has not come yet */
    unsigned listen_count;          /* that have come */
    bool read_here; /* configuration and addresses are its own, and were not there at the start */
};

/* The first one, from the worker's settings. False when out of memory. */
MUST_USE bool generation_begin(struct worker *worker);
void generation_free_all(struct worker *worker);

/* The supervisor's messages; `fd` is theirs to close. False when malformed. */
MUST_USE bool generation_prepare(struct worker *worker, struct span body, int fd);
MUST_USE bool generation_listener(struct worker *worker, struct span body, int fd);
void generation_abort(struct worker *worker);
/* Answers that what was prepared is used, or forgotten, and its sockets closed. */
MUST_USE bool generation_settled(struct worker *worker);
/* New connections get what was prepared. False when there was nothing, or listening fails. */
MUST_USE bool generation_use(struct worker *worker);

/* A link refers to it, or not any more. */
void generation_hold(struct generation *generation);
void generation_release(struct worker *worker, struct generation *generation);

/* By its number, also the one that is being prepared; NULL when it is gone. */
struct generation *generation_find(const struct worker *worker, uint32_t number);

/* What the keeper calls a listener or upstream of a generation. */
uint32_t generation_number(const struct generation *generation, unsigned index);

/* A number of an upstream that is the same in all generations, workers and processes while its name
 * and address are. */
uint32_t generation_upstream(const struct generation *generation, unsigned index);

/* Connections to the upstream of a name, in all generations. */
unsigned generation_connections(const struct worker *worker, const char *upstream);

/* ---- rejudge.c ---- */

/* Judges every session by the newest configuration, and ends those that it refuses; a connection
 * whose listener or upstream is not there any more, or has come to what they do not allow now, is
 * ended. The others go on with the newest configuration. */
void rejudge_links(struct worker *worker);

/* Groups are numbered as a configuration names them: numbers them as another does. False when that
 * names a group of which the keeper was not asked at the login. */
MUST_USE bool rejudge_groups(const struct config *from, const struct config *to, uint8_t *groups);

/* Of a client that has proved who it is, as the keeper was asked under `asked`: what is to be known
 * of it under the link's rules. False, with the login refused, when they do not allow it. */
MUST_USE bool rejudge_proven(struct session *session, const struct generation *asked,
                             struct identity *identity);

/* ---- rejudge_fit.c ---- */

/* Each compares with the link's listener and upstream as they are now: NULL, or as a stable word
 * why it cannot stay; `leg` is where. */
const char *rejudge_link_fits(const struct link *link, enum leg_role *leg);
const char *rejudge_proof_fits(const struct link *link, const struct identity *identity);
const char *rejudge_login_fits(const struct session *session);
const char *rejudge_encryption_fits(const struct session *session);
/* The same of a share; from now on it is encrypted upstream when that is demanded and can be. */
const char *rejudge_share_fits(const struct session *session, struct tree *tree, const char *share);

#endif
