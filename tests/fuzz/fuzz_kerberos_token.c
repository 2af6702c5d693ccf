/* The first token of Kerberos, and the Authenticator within. What our reader takes libkrb5 reads
 * the same, or not at all. */
#include "crypto/kerberos.h"
#include "crypto/kerberos_authenticator.h"
#include "crypto/kerberos_token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void compare(const struct kerberos_token *token)
{
    krb5_context context = kerberos_context();
    krb5_ticket *ticket;
    char *name;
    const krb5_data der = {.length = (unsigned)token->ticket.size,
                           .data = (char *)(uintptr_t)token->ticket.at};
    must(context != NULL);
    if (krb5_decode_ticket(&der, &ticket) != 0)
        return;
    must(krb5_unparse_name(context, ticket->server, &name) == 0);
    must(strcmp(name, token->principal) == 0);
    must(ticket->enc_part.enctype == token->etype);
    krb5_free_unparsed_name(context, name);
    krb5_free_ticket(context, ticket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span input = {data, size};
    struct kerberos_token token;
    struct kerberos_authenticator authenticator;
    if (kerberos_token_read(input, &token)) {
        must(kerberos_token_is(input) && token.authenticator.size > 0);
        must(strncmp(token.service, token.principal, strlen(token.service)) == 0);
        compare(&token);
    }
    if (kerberos_authenticator_read(input, &authenticator))
        must(memchr(authenticator.target, '\0', sizeof authenticator.target) != NULL);
    return 0;
}
