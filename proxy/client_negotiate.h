/*
 * The client leg's negotiation, between client_negotiate.c, which reads what the client offers and
 * chooses, and client_negotiate_answer.c, which answers. See link.h for what others call.
 */
#ifndef COUNTERSIGN_PROXY_CLIENT_NEGOTIATE_H
#define COUNTERSIGN_PROXY_CLIENT_NEGOTIATE_H

#include "proxy/link.h"

/* Answers an SMB1 NEGOTIATE that offers "SMB 2.???": the client begins anew, with SMB2 (MS-SMB2
 * 3.3.5.3.2). */
void client_negotiate_wildcard(struct link *link);

/* Answers the NEGOTIATE of that MessageId with an error. The link does not end by it. */
void client_negotiate_error(struct link *link, uint64_t message_id, uint32_t status);

#endif
