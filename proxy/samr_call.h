/*
 * Calls to samr that set a password encrypted with the session key of the connection (MS-SAMR
 * 2.2.6, 3.1.5.6.4). The two legs have different keys, so the file server would decrypt something
 * else: most levels carry a checksum or a length by which it notices, but a hash does not, and an
 * account would be left with a password that nobody knows.
 */
#ifndef COUNTERSIGN_PROXY_SAMR_CALL_H
#define COUNTERSIGN_PROXY_SAMR_CALL_H

#include "crypto/cursor.h"

/* True when one of the whole DCE/RPC PDUs in `bytes` is such a call. This keeps administrators from
 * harm, not attackers out: whoever may set passwords needs no trick. */
bool samr_call_needs_session_key(struct span bytes);

#endif
