/*
 * The proof that a client has the key of its session: in each request, and above all in the first.
 */
#ifndef COUNTERSIGN_PROXY_CLIENT_SIGNATURE_H
#define COUNTERSIGN_PROXY_CLIENT_SIGNATURE_H

#include "proxy/link.h"

/*
 * True when a request of a session that is up is signed, and right, or came encrypted. Otherwise it
 * is told and the link ends: `unsigned_refused`, `bad_signature`, or `preauth_mismatch` (see
 * client_signature_wrong()).
 */
MUST_USE bool client_signature_check(struct session *session, const struct smb2_message *message);

/*
 * Tells that a client's message does not verify, or does not decrypt, and ends the link. At dialect
 * 3.1.1 the keys come from a hash over NEGOTIATE and SESSION_SETUP (MS-SMB2 3.1.4.2): when nothing
 * has verified with them yet, although the login was right, it is told as `preauth_mismatch`.
 * `message` may be NULL; `reason` is a stable word for `bad_signature`.
 */
void client_signature_wrong(const struct session *session, const struct smb2_message *message,
                            const char *reason);

#endif
