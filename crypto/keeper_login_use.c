#include "crypto/keeper_login_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/evidence.h"
#include "crypto/kerberos.h"
#include "crypto/siphash.h"
#include "crypto/text.h"

/* The first that is more than a missing credential is what the administrator meant to happen. */
enum login_use login_unusable(struct login *login, enum keeper_reason reason, enum refusal refusal)
{
    if (login->trouble.reason == KEEPER_REASON_NO_CREDENTIAL)
        login->trouble = (struct login_trouble){reason, refusal};
    return LOGIN_UNUSABLE;
}

static enum login_use no_credential(struct login *login)
{
    return login_unusable(login, KEEPER_REASON_NO_CREDENTIAL, REFUSAL_NONE);
}

static enum login_use internal(struct login *login)
{
    return login_unusable(login, KEEPER_REASON_INTERNAL, REFUSAL_NONE);
}

MUST_USE static bool copy_name(const char *from, char to[ACCOUNT_NAME_MAX])
{
    int length = snprintf(to, ACCOUNT_NAME_MAX, "%s", from);
    return length >= 0 && length < ACCOUNT_NAME_MAX;
}

static enum login_use use_ntlm(struct login *login, const struct login_means *means,
                               const struct account *account)
{
    if (account_name(account->domain, account->user, login->account, sizeof login->account))
        login->ntlm = initiator_new(account->user, account->domain, account->nt_hash,
                                    login->upstream->target);
    if (!login->ntlm)
        return internal(login);
    login->credential = siphash(means->credential_key, account->nt_hash, sizeof account->nt_hash);
    initiator_refuse_own(login->ntlm, means->challenges);
    return LOGIN_USED;
}

static enum login_use use_same(struct login *login, const struct login_means *means)
{
    struct account account;
    bool found = account_same(means->credentials, &login->grant.identity, &account);
    enum login_use use = found ? use_ntlm(login, means, &account) : no_credential(login);
    OPENSSL_cleanse(&account, sizeof account);
    return use;
}

/* The account that the file server will see: the ticket's client. */
static enum login_use use_creds(struct login *login, krb5_context context, const krb5_creds *creds)
{
    enum refusal refusal;
    char *client;
    if (krb5_unparse_name(context, creds->client, &client) != 0)
        return internal(login);
    bool fits = copy_name(client, login->account);
    krb5_free_unparsed_name(context, client);
    if (!fits)
        return internal(login);
    login->kerberos = kerberos_initiator_new(creds, &refusal);
    login->expires = kerberos_time(creds->times.endtime);
    return login->kerberos ? LOGIN_USED : login_unusable(login, KEEPER_REASON_REFUSAL, refusal);
}

/* A ticket for our own account is of no use to the file server, which has not its key. Every other
 * key in the listener's keytab is the file server's. */
static enum login_use use_ticket(struct login *login)
{
    const char *service = login->upstream->service;
    const struct evidence *evidence = login->grant.evidence;
    krb5_context context = kerberos_context();
    krb5_creds creds;
    if (!evidence || (service && text_same_name(evidence_service(evidence), service)))
        return no_credential(login);
    if (!context || evidence_creds(evidence, context, &creds) != 0)
        return internal(login);
    enum login_use use = use_creds(login, context, &creds);
    krb5_free_cred_contents(context, &creds);
    return use;
}

/* The ticket must be of the user who was proven, under the name that was asked for or, as Windows
 * has it where it found "user@DOMAIN", under the user's own. */
MUST_USE static bool is_of_user(krb5_context context, const krb5_creds *creds, const char *user,
                                const char *asked)
{
    char *name;
    if (!user)
        return true;
    if (krb5_unparse_name_flags(context, creds->client,
                                KRB5_PRINCIPAL_UNPARSE_NO_REALM | KRB5_PRINCIPAL_UNPARSE_DISPLAY,
                                &name) != 0)
        return false;
    size_t size = strlen(name);
    bool same = text_same_name(name, user) ||
                (strncmp(asked, name, size) == 0 && strrchr(asked, '@') == asked + size);
    krb5_free_unparsed_name(context, name);
    return same;
}

/* Gets the ticket that a KDC gives; `user` is who it must be of, or NULL. */
static enum login_use use_request(struct login *login, const struct login_means *means,
                                  struct ticket_request *request, const char *user)
{
    enum refusal refusal;
    krb5_creds creds;
    krb5_context context = kerberos_context();
    if (!context)
        return internal(login);
    request->key.upstream = login->index;
    request->key.client = login->client;
    request->target = login->upstream->target;
    request->renewal = login->grant.renewal;
    switch (upstream_ticket(means->tickets, context, request, means->remote, &creds, &refusal)) {
    case TICKET_ASK: return LOGIN_USE_ELSEWHERE;
    case TICKET_RESTS: return login_unusable(login, KEEPER_REASON_BACK_OFF, REFUSAL_NONE);
    case TICKET_REFUSED: return login_unusable(login, KEEPER_REASON_REFUSAL, refusal);
    case TICKET_HERE: break;
    }
    enum login_use use = is_of_user(context, &creds, user, login->client)
                             ? use_creds(login, context, &creds)
                             : login_unusable(login, KEEPER_REASON_REFUSAL, REFUSAL_NOT_DELEGATED);
    krb5_free_cred_contents(context, &creds);
    return use;
}

/* Who has a ticket of the realm that our own service is in belongs to it; so does a user of the
 * domain that this host has joined. */
MUST_USE static bool at_home(const struct login *login, const struct login_means *means)
{
    const struct grant *grant = &login->grant;
    if (grant->identity.authority == AUTHORITY_DOMAIN)
        return *means->own_domain && text_same_name(grant->identity.domain, means->own_domain);
    return grant->evidence && strcmp(identity_realm(evidence_service(grant->evidence)),
                                     identity_realm(evidence_client(grant->evidence))) == 0;
}

static enum login_use use_mapped_kerberos(struct login *login, const struct login_means *means,
                                          const struct account *account)
{
    struct ticket_request request = {
        .key.login = LOGIN_MAPPED,
        .account = {account->user, account->key, account->secret},
    };
    return copy_name(account->user, login->client) ? use_request(login, means, &request, NULL)
                                                   : internal(login);
}

static bool tries_same(const struct login *login)
{
    for (size_t i = 0; i < login->next; i++)
        if (login->upstream->logins[i] == LOGIN_SAME)
            return true;
    return false;
}

/* Leaving out the PAC is up to the client: it must not choose its account, nor its login, by that.
 */
static enum login_use untold(struct login *login)
{
    login->trouble = (struct login_trouble){KEEPER_REASON_REFUSAL, REFUSAL_PAC_MISSING};
    return LOGIN_USE_REFUSED;
}

static enum login_use use_mapped(struct login *login, const struct login_means *means)
{
    struct account account;
    enum login_use use = LOGIN_UNUSABLE;
    switch (account_mapped(means->credentials, &login->grant.identity, at_home(login, means),
                           tries_same(login), &account)) {
    case ACCOUNT_MAPPED:
        use = account.key == ACCOUNT_NT_HASH ? use_ntlm(login, means, &account)
                                             : use_mapped_kerberos(login, means, &account);
        break;
    case ACCOUNT_UNMAPPED: use = no_credential(login); break;
    case ACCOUNT_UNTOLD: use = untold(login); break;
    }
    OPENSSL_cleanse(&account, sizeof account);
    return use;
}

static struct service_account own_account(const struct login *login)
{
    const struct keeper_upstream *upstream = login->upstream;
    return (struct service_account){upstream->service, ACCOUNT_KEYTAB, upstream->keytab};
}

/* The KDC takes only a ticket for the account that asks. */
static enum login_use use_delegate(struct login *login, const struct login_means *means)
{
    const struct evidence *evidence = login->grant.evidence;
    const struct keeper_upstream *upstream = login->upstream;
    if (!evidence || !upstream->service || !upstream->keytab ||
        !text_same_name(evidence_service(evidence), upstream->service))
        return no_credential(login);
    struct ticket_request request = {
        .key.login = LOGIN_DELEGATE,
        .account = own_account(login),
        .evidence = evidence,
    };
    return copy_name(evidence_client(evidence), login->client)
               ? use_request(login, means, &request, NULL)
               : internal(login);
}

/* The domain is that of the realm: under the realm's own name, or under its NetBIOS name as far as
 * this host knows it. */
MUST_USE static bool is_domain_of(const char *domain, const char *realm,
                                  const struct login_means *means)
{
    return text_same_name(domain, realm) ||
           (*means->own_domain && text_same_name(domain, means->own_domain) &&
            text_same_name(means->own_dns_domain, realm));
}

/* A plain name of one part, which needs no escape in any spelling of a principal. */
MUST_USE static bool is_plain(const char *name)
{
    return *name && !strpbrk(name, "/@\\\t\n\b");
}

/* The principal that an NTLM user is in the realm of our own account; `enterprise`: only a KDC can
 * find it, since the user is of a domain that the realm trusts. A local user is nobody there,
 * unless his own entry in the credentials file says that he is of that domain. */
MUST_USE static bool name_ntlm_user(struct login *login, const struct login_means *means,
                                    bool *enterprise)
{
    const struct identity *identity = &login->grant.identity;
    const char *realm = identity_realm(login->upstream->service);
    char domain[IDENTITY_NAME_MAX];
    bool local = identity->authority == AUTHORITY_LOCAL;
    if (local)
        account_entry_domain(means->credentials, identity, domain, sizeof domain);
    else
        (void)snprintf(domain, sizeof domain, "%s", identity->domain);
    bool ours = is_domain_of(domain, realm, means);
    if (!*domain || !is_plain(identity->user) || (local && !ours))
        return false;
    *enterprise = !ours;
    int length = ours
                     ? snprintf(login->client, sizeof login->client, "%s@%s", identity->user, realm)
                     : snprintf(login->client, sizeof login->client, "%s@%s@%s", identity->user,
                                domain, realm);
    return is_plain(domain) && length > 0 && (size_t)length < sizeof login->client;
}

static enum login_use use_transition(struct login *login, const struct login_means *means)
{
    const struct identity *identity = &login->grant.identity;
    const struct keeper_upstream *upstream = login->upstream;
    bool kerberos = identity->authority == AUTHORITY_KERBEROS;
    struct ticket_request request = {.key.login = LOGIN_TRANSITION, .account = own_account(login)};
    if (!upstream->service || !upstream->keytab ||
        (kerberos ? !copy_name(identity->principal, login->client)
                  : !name_ntlm_user(login, means, &request.enterprise)))
        return no_credential(login);
    return use_request(login, means, &request, kerberos ? NULL : identity->user);
}

enum login_use login_use(struct login *login, const struct login_means *means, enum login_kind kind)
{
    login->client[0] = '\0';
    switch (kind) {
    case LOGIN_SAME: return use_same(login, means);
    case LOGIN_MAPPED: return use_mapped(login, means);
    case LOGIN_TICKET: return use_ticket(login);
    case LOGIN_DELEGATE: return use_delegate(login, means);
    case LOGIN_TRANSITION: return use_transition(login, means);
    }
    return no_credential(login);
}
