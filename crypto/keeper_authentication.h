/*
 * One authentication that the keeper does, step by step: a client's, or a login upstream.
 *
 * A step may take long and runs in a thread of a pool; between begin and end of a step nobody
 * else touches the authentication, except to say that nobody waits for it any more.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_AUTHENTICATION_H
#define COUNTERSIGN_CRYPTO_KEEPER_AUTHENTICATION_H

#include <stdatomic.h>

#include "crypto/keeper_login.h"

enum authentication_kind { AUTHENTICATION_OF_CLIENT, AUTHENTICATION_UPSTREAM };

/* What a step ended with. */
struct authentication_result {
    enum step step;
    bool elsewhere;            /* nothing is done: the step must be taken in the remote pool */
    enum keeper_reason reason; /* after STEP_REFUSED, with `refusal` */
    enum refusal refusal;
    uint32_t status;        /* of a domain controller; else 0 */
    struct session_key key; /* size 0 when there is none yet */
    struct writer reply;    /* into memory that belongs to the authentication */
};

enum { AUTHENTICATION_CALLED_MAX = 64 };

struct authentication {
    enum authentication_kind kind;
    atomic_bool abandoned; /* nobody waits for the step in the pool */

    struct identity identity; /* of a client: after its last step */
    struct evidence *evidence;
    const struct accept_policy *policy;
    char called[AUTHENTICATION_CALLED_MAX]; /* the address that the client connected to, or empty */
    struct acceptor *acceptor;

    struct login login; /* upstream */

    /* Lent for one step. */
    const struct credentials *credentials;
    struct groups *groups;
    struct domain *domain;
    struct upstream_tickets *tickets;
    struct replays *replays;
    struct challenges *challenges;
    const struct siphash_key *credential_key;

    bool remote; /* the step is taken in the remote pool */
    uint8_t *token;
    size_t token_size;
    struct authentication_result result;
};

/* The identity that it is about, as far as it is known. */
const struct identity *authentication_identity(const struct authentication *authentication);

/* Copies the token for the next step; false when memory is short. */
MUST_USE bool authentication_take_token(struct authentication *authentication, struct span token);

/* Takes one step with the token; everything that can go wrong is in the result. The first step of a
 * login looks for a credential and makes the first token. */
void authentication_step(struct authentication *authentication);

/* After a step that must be taken elsewhere: the same step again, in the remote pool. */
void authentication_go_remote(struct authentication *authentication);

/* Wipes and frees what was there only for one step: token, reply and key. */
void authentication_end_step(struct authentication *authentication);

/* Wipes and frees everything in it, not the struct itself. */
void authentication_wipe(struct authentication *authentication);

#endif
