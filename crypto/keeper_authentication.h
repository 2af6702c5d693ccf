/*
 * One authentication that the keeper does, step by step: a client's, or a login upstream.
 *
 * A step may take long and runs in a thread of the pool; between begin and end of a step nobody
 * else touches the authentication.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_AUTHENTICATION_H
#define COUNTERSIGN_CRYPTO_KEEPER_AUTHENTICATION_H

#include "crypto/credentials.h"
#include "crypto/initiate.h"
#include "crypto/keeper_message.h"

enum { ACCOUNT_NAME_MAX = 2 * IDENTITY_NAME_MAX };

enum authentication_kind { AUTHENTICATION_OF_CLIENT, AUTHENTICATION_UPSTREAM };

/* What a step ended with. */
struct authentication_result {
    enum step step;
    enum keeper_reason reason; /* after STEP_REFUSED, with `refusal` */
    enum refusal refusal;
    struct session_key key; /* size 0 when there is none yet */
    struct writer reply;    /* into memory that belongs to the authentication */
};

struct authentication {
    enum authentication_kind kind;
    struct identity
        identity; /* of a client: after its last step; upstream: whom the login is for */

    const struct accept_policy *policy; /* of a client */
    struct acceptor *acceptor;

    const struct keeper_upstream *upstream; /* upstream */
    struct initiator *initiator;
    enum login_kind login;
    bool fell_back;
    char account[ACCOUNT_NAME_MAX]; /* DOMAIN\user, or user */

    const struct credentials *credentials; /* lent for one step */
    uint8_t *token;
    size_t token_size;
    struct authentication_result result;
};

/* Copies the token for the next step; false when memory is short. */
MUST_USE bool authentication_take_token(struct authentication *authentication, struct span token);

/* Takes one step with the token; everything that can go wrong is in the result. The first step of a
 * login looks for a credential and makes the first token. */
void authentication_step(struct authentication *authentication);

/* Wipes and frees what was there only for one step: token, reply and key. */
void authentication_end_step(struct authentication *authentication);

/* Wipes and frees everything in it, not the struct itself. */
void authentication_wipe(struct authentication *authentication);

#endif
