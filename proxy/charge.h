/*
 * What a request costs in credits, on each leg, and whether its CreditCharge pays for its payload.
 */
#ifndef COUNTERSIGN_PROXY_CHARGE_H
#define COUNTERSIGN_PROXY_CHARGE_H

#include "proxy/link.h"

/* Credits that the request costs on the client leg, and on the upstream leg; what is never
 * forwarded costs nothing there (MS-SMB2 3.2.4.1.5, 3.3.5.2.3). */
uint32_t charge_client(const struct link *link, const struct smb2_header *header);
uint32_t charge_upstream(const struct link *link, const struct smb2_header *header);

/* Whether the CreditCharge pays for what the request sends and for what it may get, 64 KiB for each
 * credit (MS-SMB2 3.3.5.2.5). True where requests of several credits were not negotiated. The
 * body's shape must have been checked. */
bool charge_pays(const struct link *link, const struct smb2_message *message);

/* Rewrites the CreditCharge of a request on its way upstream. */
void charge_translate(const struct link *link, struct smb2_message *message);

#endif
