/*
 * The initiator of an upstream authentication by Kerberos: an AP-REQ with mutual authentication
 * inside SPNEGO (RFC 4121, RFC 4178, MS-KILE, MS-SPNG). It needs no KDC: the ticket is there.
 *
 * It blocks no longer than libkrb5 takes to read its configuration. It belongs to one thread at a
 * time.
 */
#ifndef COUNTERSIGN_CRYPTO_KERBEROS_INITIATE_H
#define COUNTERSIGN_CRYPTO_KERBEROS_INITIATE_H

#include "crypto/accept.h"

#include <krb5.h>

struct kerberos_initiator;

/* An initiator that shows the ticket `creds` to the service it is for, as its client. Copies them.
 * NULL with *refusal told. kerberos_initiator_free() wipes every key; NULL is allowed. */
struct kerberos_initiator *kerberos_initiator_new(const krb5_creds *creds, enum refusal *refusal);
void kerberos_initiator_free(struct kerberos_initiator *initiator);

/*
 * The first call takes an empty token and writes the AP-REQ; the next takes the file server's
 * answer, in SPNEGO or as the bare Kerberos token, and checks its AP-REP and, where there is one,
 * its mechListMIC. A file server that takes another mechanism, or proves nothing, is refused. Most
 * are done then (STEP_DONE); one that asks for our mechListMIC gets it (STEP_CONTINUE) and owes us
 * its own.
 */
enum step kerberos_initiator_step(struct kerberos_initiator *initiator, struct span token,
                                  struct writer *reply);

enum refusal kerberos_initiator_refusal(const struct kerberos_initiator *initiator);

/* Once the AP-REP has been checked, for its subkey is the session key where it has one (MS-SMB2
 * 3.2.5.3.1); false before. The caller wipes its copy. */
MUST_USE bool kerberos_initiator_session_key(const struct kerberos_initiator *initiator,
                                             struct session_key *key);

#endif
