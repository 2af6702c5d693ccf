#include "crypto/upstream_ticket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/clock.h"
#include "crypto/delegation.h"
#include "crypto/evidence.h"
#include "crypto/kdc_outage.h"
#include "crypto/kerberos.h"

struct upstream_tickets {
    struct kdc_outages outages;
    struct service_credentials *accounts;
    struct ticket_cache *cache;
};

struct upstream_tickets *upstream_tickets_new(void)
{
    struct upstream_tickets *tickets = calloc(1, sizeof *tickets);
    if (!tickets)
        return NULL;
    kdc_outages_init(&tickets->outages);
    tickets->accounts = service_credentials_new(&tickets->outages);
    tickets->cache = ticket_cache_new();
    if (tickets->accounts && tickets->cache)
        return tickets;
    upstream_tickets_free(tickets);
    return NULL;
}

void upstream_tickets_free(struct upstream_tickets *tickets)
{
    if (!tickets)
        return;
    service_credentials_free(tickets->accounts);
    ticket_cache_free(tickets->cache);
    free(tickets);
}

void upstream_ticket_drop(struct upstream_tickets *tickets, const struct ticket_key *key)
{
    ticket_cache_drop(tickets->cache, key);
}

void upstream_tickets_forget(struct upstream_tickets *tickets)
{
    service_credentials_forget(tickets->accounts);
    ticket_cache_clear(tickets->cache);
}

/* The realm that krb5.conf gives the host, else our account's, whose KDC may know where it is. */
static krb5_error_code set_realm(krb5_context context, krb5_principal service,
                                 const krb5_data *own_realm)
{
    char **realms;
    char *host =
        service->length > 1 ? strndup(service->data[1].data, service->data[1].length) : strdup("");
    if (!host)
        return ENOMEM;
    krb5_error_code code = krb5_get_host_realm(context, host, &realms);
    free(host);
    if (code != 0)
        return code;
    bool known = realms[0] && realms[0][0];
    char *realm = known ? strdup(realms[0]) : strndup(own_realm->data, own_realm->length);
    (void)krb5_free_host_realm(context, realms);
    code = realm ? krb5_set_principal_realm(context, service, realm) : ENOMEM;
    free(realm);
    return code;
}

static krb5_error_code parse_target(krb5_context context, const char *target,
                                    const krb5_data *own_realm, krb5_principal *service)
{
    if (strchr(target, '@'))
        return krb5_parse_name(context, target, service);
    krb5_error_code code =
        krb5_parse_name_flags(context, target, KRB5_PRINCIPAL_PARSE_NO_REALM, service);
    if (code == 0)
        code = set_realm(context, *service, own_realm);
    if (code != 0) {
        krb5_free_principal(context, *service);
        *service = NULL;
    }
    return code;
}

/* S4U2Self and S4U2Proxy ask for the user; what the KDC says of that user is not about our own
 * account. */
static enum refusal refusal_of_user(krb5_error_code code)
{
    switch (code) {
    case KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN: return REFUSAL_UNKNOWN_USER;
    case KRB5KDC_ERR_CLIENT_REVOKED:
    case KRB5KDC_ERR_KEY_EXP:
    case KRB5KDC_ERR_NAME_EXP: return REFUSAL_NOT_DELEGATED;
    default: return kerberos_upstream_refusal(code);
    }
}

static krb5_error_code ask_transition(krb5_context context, const struct ticket_request *request,
                                      const krb5_creds *tgt, krb5_principal service,
                                      krb5_creds *creds)
{
    krb5_creds evidence = {.magic = 0};
    krb5_error_code code =
        delegation_self(context, tgt, request->key.client, request->enterprise, &evidence);
    if (code == 0)
        code = delegation_proxy(context, tgt, &evidence, service, creds);
    krb5_free_cred_contents(context, &evidence);
    return code;
}

static krb5_error_code ask_delegate(krb5_context context, const struct ticket_request *request,
                                    const krb5_creds *tgt, krb5_principal service,
                                    krb5_creds *creds)
{
    krb5_creds evidence;
    krb5_error_code code = evidence_creds(request->evidence, context, &evidence);
    if (code == 0)
        code = delegation_proxy(context, tgt, &evidence, service, creds);
    krb5_free_cred_contents(context, &evidence);
    return code;
}

static krb5_error_code ask(krb5_context context, const struct ticket_request *request,
                           const krb5_creds *tgt, krb5_creds *creds)
{
    krb5_principal service;
    krb5_error_code code = parse_target(context, request->target, &tgt->client->realm, &service);
    if (code != 0)
        return code;
    switch (request->key.login) {
    case LOGIN_TRANSITION: code = ask_transition(context, request, tgt, service, creds); break;
    case LOGIN_DELEGATE: code = ask_delegate(context, request, tgt, service, creds); break;
    default: code = service_ticket(context, tgt, service, creds); break;
    }
    krb5_free_principal(context, service);
    return code;
}

/* The KDC does not take our ticket-granting ticket, which may be of another time or another
 * database than its own. */
static bool is_about_tgt(krb5_error_code code)
{
    return code == KRB5KRB_AP_ERR_TKT_EXPIRED || code == KRB5KRB_AP_ERR_TKT_NYV ||
           code == KRB5KRB_AP_ERR_BAD_INTEGRITY || code == KRB5KRB_AP_ERR_MODIFIED ||
           code == KRB5KRB_AP_ERR_BADKEYVER || code == KRB5KDC_ERR_TGT_REVOKED;
}

/* One round of questions with one ticket-granting ticket. */
static enum ticket_answer ask_once(struct upstream_tickets *tickets, krb5_context context,
                                   const struct ticket_request *request, krb5_creds *creds,
                                   enum refusal *refusal, bool *again)
{
    krb5_creds tgt;
    *again = false;
    switch (service_credential_get(tickets->accounts, context, &request->account, &tgt, refusal)) {
    case SERVICE_CREDENTIAL_READY: break;
    case SERVICE_CREDENTIAL_RESTS: return TICKET_RESTS;
    case SERVICE_CREDENTIAL_REFUSED: return TICKET_REFUSED;
    }
    krb5_error_code code = KRB5_KDC_UNREACH;
    const char *realm = strrchr(request->account.principal, '@');
    realm = realm ? realm + 1 : "";
    if (kdc_outage_ask(&tickets->outages, realm, clock_ms())) {
        code = ask(context, request, &tgt, creds);
        kdc_outage_told(&tickets->outages, realm,
                        kerberos_upstream_refusal(code) != REFUSAL_KDC_UNREACHABLE, clock_ms());
    }
    krb5_free_cred_contents(context, &tgt);
    if (is_about_tgt(code)) {
        service_credential_drop(tickets->accounts, &request->account);
        *again = true;
    }
    *refusal = request->key.login == LOGIN_MAPPED ? kerberos_upstream_refusal(code)
                                                  : refusal_of_user(code);
    return code == 0 ? TICKET_HERE : TICKET_REFUSED;
}

static enum ticket_answer fetch(struct upstream_tickets *tickets, krb5_context context,
                                const struct ticket_request *request, krb5_creds *creds,
                                enum refusal *refusal)
{
    bool again;
    unsigned era = ticket_cache_era(tickets->cache);
    enum ticket_answer answer = ask_once(tickets, context, request, creds, refusal, &again);
    if (again)
        answer = ask_once(tickets, context, request, creds, refusal, &again);
    if (answer == TICKET_HERE)
        ticket_cache_keep(tickets->cache, context, &request->key, creds, era);
    else if (*refusal == REFUSAL_KDC_UNREACHABLE &&
             ticket_cache_find(tickets->cache, context, &request->key, TICKET_VALID, creds))
        answer = TICKET_HERE;
    return answer;
}

enum ticket_answer upstream_ticket(struct upstream_tickets *tickets, krb5_context context,
                                   const struct ticket_request *request, bool may_block,
                                   krb5_creds *creds, enum refusal *refusal)
{
    *refusal = REFUSAL_NONE;
    if (!request->renewal &&
        ticket_cache_find(tickets->cache, context, &request->key, TICKET_FRESH, creds))
        return TICKET_HERE;
    return may_block ? fetch(tickets, context, request, creds, refusal) : TICKET_ASK;
}
