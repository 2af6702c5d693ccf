/*
 * Sessions whose client's proof has run out: a Kerberos ticket has an end (MS-SMB2 3.3.5.2.9).
 *
 * Such a session is neither ended nor forgotten. Its open files and locks stay, what it waits for
 * is answered when it is; new requests are refused until the client has authenticated again, as
 * Windows and Samba do it.
 */
#ifndef COUNTERSIGN_PROXY_EXPIRY_H
#define COUNTERSIGN_PROXY_EXPIRY_H

#include "proxy/link.h"

/* True when a verified request must be refused with STATUS_NETWORK_SESSION_EXPIRED. Writes the
 * event, once until the session is renewed. */
MUST_USE bool expiry_refuses(struct session *session, const struct smb2_message *message);

#endif
