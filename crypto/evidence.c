#include "crypto/evidence.h"

#include "crypto/kerberos.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct evidence {
    atomic_uint references;
    krb5_creds *creds;
    char *service;
    char *client;
};

/* libkrb5 copies what it is given and writes nothing to it; its types know no const. */
static krb5_creds lent_creds(const krb5_ticket *ticket, struct span der)
{
    const krb5_enc_tkt_part *part = ticket->enc_part2;
    krb5_creds creds = {
        .client = part->client,
        .server = ticket->server,
        .keyblock = *part->session,
        .times = part->times,
        .ticket_flags = part->flags,
        .addresses = part->caddrs,
        .ticket = {.length = (unsigned)der.size, .data = (char *)(uintptr_t)der.at},
    };
    if (creds.times.starttime == 0)
        creds.times.starttime = creds.times.authtime;
    return creds;
}

struct evidence *evidence_new(const krb5_ticket *ticket, struct span der)
{
    krb5_context context = kerberos_context();
    struct evidence *evidence = context ? calloc(1, sizeof *evidence) : NULL;
    if (!evidence)
        return NULL;
    atomic_init(&evidence->references, 1);
    krb5_creds creds = lent_creds(ticket, der);
    if (krb5_copy_creds(context, &creds, &evidence->creds) != 0 ||
        krb5_unparse_name(context, ticket->server, &evidence->service) != 0 ||
        krb5_unparse_name(context, ticket->enc_part2->client, &evidence->client) != 0) {
        evidence_release(evidence);
        evidence = NULL;
    }
    explicit_bzero(&creds, sizeof creds);
    return evidence;
}

struct evidence *evidence_hold(struct evidence *evidence)
{
    if (evidence)
        atomic_fetch_add(&evidence->references, 1);
    return evidence;
}

void evidence_release(struct evidence *evidence)
{
    if (!evidence || atomic_fetch_sub(&evidence->references, 1) != 1)
        return;
    krb5_context context = kerberos_context();
    krb5_free_creds(context, evidence->creds);
    krb5_free_unparsed_name(context, evidence->service);
    krb5_free_unparsed_name(context, evidence->client);
    free(evidence);
}

const char *evidence_service(const struct evidence *evidence)
{
    return evidence->service;
}

const char *evidence_client(const struct evidence *evidence)
{
    return evidence->client;
}

krb5_error_code evidence_creds(const struct evidence *evidence, krb5_context context,
                               krb5_creds *creds)
{
    krb5_creds *copy;
    memset(creds, 0, sizeof *creds);
    krb5_error_code code = krb5_copy_creds(context, evidence->creds, &copy);
    if (code != 0)
        return code;
    *creds = *copy;
    explicit_bzero(copy, sizeof *copy);
    free(copy);
    return 0;
}
