/*
 * A DCE/RPC fault of our own (C706 12.6.4.7): clients take a call that is refused by the SMB
 * request for a broken pipe, and one that has a fault for a call that did not work.
 */
#ifndef COUNTERSIGN_PROXY_RPC_FAULT_H
#define COUNTERSIGN_PROXY_RPC_FAULT_H

#include "crypto/cursor.h"

enum { RPC_FAULT_SIZE = 32 };

/* Writes the fault "access denied, and nothing was done" for a call. False, with nothing written,
 * when `request` is anything but one call in one PDU. */
MUST_USE bool rpc_fault_write(struct writer *writer, struct span request);

#endif
