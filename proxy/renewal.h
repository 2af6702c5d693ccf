/*
 * Renewal of a session upstream, without its client (MS-SMB2 3.2.4.2.3): what the file server was
 * shown runs out, and the keeper can log in again for the same identity.
 *
 * It begins some time before the end, or when the file server says that the session has expired.
 * Requests go on meanwhile. When it cannot be had, nothing is lost yet: the file server will say
 * that the session has expired, the client is told so and authenticates again, and with that proof
 * the session is renewed upstream before the client is answered. Only what went wrong after the
 * file server has seen something of it ends the session, as the file server will have ended it.
 */
#ifndef COUNTERSIGN_PROXY_RENEWAL_H
#define COUNTERSIGN_PROXY_RENEWAL_H

#include "crypto/keeper_message.h"
#include "proxy/link.h"

/* The session was logged in upstream, or renewed: takes the handle for the next time, and sets the
 * time for it. */
void renewal_take(struct session *session, const struct keeper_logged_in *reply);

/* The file server says that the session has expired. */
void renewal_expired(struct session *session);

/* True when the client's renewal has to be followed by one upstream: the file server asked for it,
 * or what it was shown ends with the client's old proof. */
bool renewal_needs_upstream(const struct session *session);

/* A renewal without the client has come to its end. A failed one may end the session. */
void renewal_done(struct session *session);
void renewal_failed(struct session *session);

/* The client's own SESSION_SETUP, already verified, waits for the renewal that is under way. False
 * when one waits already, or this one is longer than any. */
MUST_USE bool renewal_keep_setup(struct session *session, const struct smb2_message *message);

/* The handle is not needed any more: the session ends, or the client's new proof takes its place.
 */
void renewal_forget(struct session *session);

#endif
