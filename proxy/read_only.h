/*
 * Requests to a share in which nothing may be changed.
 *
 * What reads goes through; a client that asks for all it may have is given what reads (MS-SMB2
 * 2.2.13.1, 2.2.13). Everything else is refused as a share with read permission only refuses it,
 * with STATUS_ACCESS_DENIED: clients then try again to read.
 */
#ifndef COUNTERSIGN_PROXY_READ_ONLY_H
#define COUNTERSIGN_PROXY_READ_ONLY_H

#include "proxy/smb2.h"

/* What MaximalAccess may still say. */
enum { READ_ONLY_ACCESS = 0x001200a9 };

/* True when the request would change something. `message` has the shape of its command. */
bool read_only_forbids(const struct smb2_message *message);

/* Makes a CREATE that is not forbidden one that can only read: MAXIMUM_ALLOWED becomes read access,
 * and OPEN_IF becomes OPEN. */
void read_only_limit(struct smb2_message *create);

#endif
