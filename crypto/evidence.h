/*
 * A client's service ticket with its session key, as the acceptor found them: what `ticket` shows
 * to the file server again and `delegate` shows to the KDC.
 *
 * Reference-counted and immutable, so that several threads may hold the same; wiped by the last
 * release. Whoever holds one can be the client towards the ticket's service: it never leaves the
 * keeper.
 */
#ifndef COUNTERSIGN_CRYPTO_EVIDENCE_H
#define COUNTERSIGN_CRYPTO_EVIDENCE_H

#include "crypto/cursor.h"

#include <krb5.h>

struct evidence;

/*
 * Evidence of a ticket that has been decrypted (`ticket->enc_part2`) and accepted; `der` is the
 * Ticket as the client sent it. Everything is copied. NULL when out of memory. The caller releases
 * it.
 */
MUST_USE struct evidence *evidence_new(const krb5_ticket *ticket, struct span der);

/* One more reference to `evidence`, which it returns; and one less. NULL is allowed. */
struct evidence *evidence_hold(struct evidence *evidence);
void evidence_release(struct evidence *evidence);

/* The full principal that the ticket is for, as in the ticket ("cifs/files.example.com@REALM"), and
 * that of the user. They live as long as the evidence. */
const char *evidence_service(const struct evidence *evidence);
const char *evidence_client(const struct evidence *evidence);

/* Fills `creds` with a copy, for krb5_cc_store_cred(); the caller frees it with
 * krb5_free_cred_contents(), also to wipe it. On an error `creds` is zeroed. */
MUST_USE krb5_error_code evidence_creds(const struct evidence *evidence, krb5_context context,
                                        krb5_creds *creds);

#endif
