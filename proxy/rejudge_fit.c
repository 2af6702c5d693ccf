/*
 * What was negotiated and proved under an earlier configuration, against what listener and upstream
 * say now. What only the keeper has seen of a login (the names of the listener, RC4 in a ticket) is
 * judged at the next one.
 */
#include <string.h>

#include "proxy/settings.h"
#include "proxy/worker_state.h"

/* What one leg has come to; older dialects have one algorithm and one cipher each, whatever the
 * lists say. */
struct agreed {
    uint16_t dialect; /* 0: not yet */
    uint16_t signing;
    uint16_t cipher;
};

/* What a listener and an upstream both say of their leg. */
struct wanted {
    enum config_dialect min_dialect, max_dialect;
    const enum config_signing *signing;
    unsigned signing_count;
    const enum config_cipher *ciphers;
    unsigned ciphers_count;
    enum config_encryption encryption;
};

#define WANTED_OF(config)                                                                          \
    ((struct wanted){(config)->min_dialect, (config)->max_dialect, (config)->signing,              \
                     (config)->signing_count, (config)->ciphers, (config)->ciphers_count,          \
                     (config)->encryption})

static bool signing_fits(struct agreed agreed, const struct wanted *now)
{
    for (unsigned i = 0; i < now->signing_count; i++)
        if ((uint16_t)now->signing[i] == agreed.signing)
            return true;
    return agreed.dialect < SMB_3_1_1;
}

static bool cipher_fits(struct agreed agreed, const struct wanted *now)
{
    for (unsigned i = 0; i < now->ciphers_count; i++)
        if ((uint16_t)now->ciphers[i] == agreed.cipher)
            return true;
    return agreed.dialect < SMB_3_1_1 || !agreed.cipher;
}

static const char *leg_reason(struct agreed agreed, struct wanted now)
{
    if (agreed.dialect < (uint16_t)now.min_dialect || agreed.dialect > (uint16_t)now.max_dialect)
        return "dialect";
    if (!signing_fits(agreed, &now))
        return "signing";
    if (!cipher_fits(agreed, &now))
        return "cipher";
    return now.encryption == CONFIG_ENCRYPTION_REQUIRED && !agreed.cipher ? "encryption" : NULL;
}

static struct agreed agreed_on(const struct leg *leg)
{
    return (struct agreed){leg->dialect, (uint16_t)leg->signing, leg->cipher};
}

const char *rejudge_link_fits(const struct link *link, enum leg_role *leg)
{
    bool ready = link->state == LINK_READY;
    struct agreed client = agreed_on(&link->client);
    if (!ready)
        client.dialect = link->client_choice;
    *leg = LEG_CLIENT;
    const char *reason = client.dialect ? leg_reason(client, WANTED_OF(link->listener)) : NULL;
    if (reason || !ready)
        return reason;
    *leg = LEG_UPSTREAM;
    return leg_reason(agreed_on(&link->server), WANTED_OF(link->upstream));
}

static bool logs_in_so(const struct session *session, const struct config_upstream *now)
{
    for (unsigned i = 0; i < now->login_count; i++)
        if (strcmp(session->login, login_kind_name((enum login_kind)now->login[i])) == 0)
            return true;
    return !session->login[0];
}

const char *rejudge_proof_fits(const struct link *link, const struct identity *identity)
{
    const struct config_listener *now = link->listener;
    bool ntlm = identity->mechanism != MECHANISM_KERBEROS;
    if (!config_takes(now, ntlm ? CONFIG_MECHANISM_NTLM : CONFIG_MECHANISM_KERBEROS))
        return "mechanism";
    if (identity_domain_untold(identity) && settings_need_pac(link->rules->config))
        return "pac_missing";
    if (ntlm && now->mic == CONFIG_MIC_REQUIRED && !identity->mic_present)
        return "mic";
    return now->target_name == CONFIG_TARGET_NAME_REQUIRED && !identity->target_name[0]
               ? "target_name"
               : NULL;
}

const char *rejudge_login_fits(const struct session *session)
{
    const char *reason = rejudge_proof_fits(session->link, session->identity);
    return reason ? reason : logs_in_so(session, session->link->upstream) ? NULL : "upstream_login";
}

const char *rejudge_encryption_fits(const struct session *session)
{
    const struct link *link = session->link;
    bool client =
        session->rule_encrypts || link->listener->encryption == CONFIG_ENCRYPTION_REQUIRED;
    bool upstream = link->upstream->encryption == CONFIG_ENCRYPTION_REQUIRED;
    return (client && !session->client_encrypts) || (upstream && !session->upstream_encrypts)
               ? "encryption"
               : NULL;
}

const char *rejudge_share_fits(const struct session *session, struct tree *tree, const char *share)
{
    const struct link *link = session->link;
    const struct config_listener *listener = link->listener;
    const struct config_upstream *upstream = link->upstream;
    if (config_share_listed(listener->encrypted_shares, listener->encrypted_shares_count, share) &&
        !tree->client_encrypts && !session->client_encrypts)
        return "encryption";
    if (!config_share_listed(upstream->encrypted_shares, upstream->encrypted_shares_count, share))
        return NULL;
    /* A file server takes encrypted requests wherever there are keys (MS-SMB2 3.3.5.2.1.1). */
    tree->upstream_encrypts |= session->upstream_seal != NULL;
    return tree->upstream_encrypts || session->upstream_encrypts ? NULL : "encryption";
}
