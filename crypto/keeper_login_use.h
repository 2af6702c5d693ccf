/*
 * What each kind of login needs, and how it is begun with it.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_LOGIN_USE_H
#define COUNTERSIGN_CRYPTO_KEEPER_LOGIN_USE_H

#include "crypto/keeper_login.h"

enum login_use {
    LOGIN_USED,          /* the login has an initiator now */
    LOGIN_UNUSABLE,      /* login->trouble tells why, unless it tells more of another one */
    LOGIN_USE_REFUSED,   /* login->trouble tells why, and no other may be tried in its place */
    LOGIN_USE_ELSEWHERE, /* a KDC must be asked, and this thread must not wait for one */
};

enum login_use login_use(struct login *login, const struct login_means *means,
                         enum login_kind kind);

/* Remembers why a login cannot be used. */
enum login_use login_unusable(struct login *login, enum keeper_reason reason, enum refusal refusal);

#endif
