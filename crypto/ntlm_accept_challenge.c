#include "crypto/ntlm_accept.h"

#include "crypto/challenges.h"
#include "crypto/ntlm_av.h"
#include "crypto/text.h"

#include <openssl/rand.h>

enum { NAME_UTF16_MAX = 2048 };

/*
 * What a client is offered. SIGN is always there: some clients leave their MIC out when it is not.
 * KEY_EXCH only when asked for: impacket sends a key whenever it is there, but announces it only
 * when it had asked itself.
 */
static uint32_t challenge_flags(uint32_t offered, bool of_domain)
{
    return NTLM_UNICODE | NTLM_REQUEST_TARGET | NTLM_NTLM | NTLM_EXTENDED | NTLM_SIGN |
           NTLM_ALWAYS_SIGN | NTLM_TARGET_INFO |
           (of_domain ? NTLM_TARGET_DOMAIN : NTLM_TARGET_SERVER) |
           (offered & (NTLM_SEAL | NTLM_KEY_EXCH | NTLM_128 | NTLM_56 | NTLM_VERSION));
}

static bool present(const char *text)
{
    return text && *text;
}

/* What the CHALLENGE says of us; borrowed. */
struct own_names {
    const char *target; /* the domain of a member, else the host */
    const char *computer, *domain;
    const char *dns_name, *dns_domain;
};

/* A domain controller takes no response to a CHALLENGE with other NetBIOS names than those that
 * winbind joined the domain with. */
static struct own_names own_names(const struct accept_policy *policy,
                                  const struct domain_names *joined)
{
    const char *workgroup =
        present(policy->netbios_domain) ? policy->netbios_domain : policy->netbios_name;
    struct own_names names = {policy->netbios_name, policy->netbios_name, workgroup,
                              policy->dns_name, policy->dns_domain};
    if (joined) {
        names.target = names.domain = joined->domain;
        names.computer = joined->computer;
        names.dns_domain = joined->dns_domain;
    }
    return names;
}

/* No AV_FLAGS: an empty one makes some clients forget their MIC. The timestamp makes all that know
 * the MIC send it (MS-NLMP 3.1.5.1.2). */
static bool write_target_info(struct writer *writer, const struct own_names *names)
{
    if (!av_write_text(writer, AV_NB_DOMAIN, names->domain) ||
        !av_write_text(writer, AV_NB_COMPUTER, names->computer) ||
        (present(names->dns_domain) && !av_write_text(writer, AV_DNS_DOMAIN, names->dns_domain)) ||
        (present(names->dns_name) && !av_write_text(writer, AV_DNS_COMPUTER, names->dns_name)))
        return false;
    av_write_le64(writer, AV_TIMESTAMP, ntlm_now());
    av_write_end(writer);
    return writer_done(writer);
}

static bool write_challenge(struct ntlm_accept *accept, const struct own_names *names)
{
    uint8_t name[NAME_UTF16_MAX], info[NTLM_CHALLENGE_MAX];
    struct ntlm_challenge challenge = {.flags =
                                           challenge_flags(accept->offered, accept->of_domain)};
    struct writer name_writer = writer_over(name, sizeof name);
    struct writer info_writer = writer_over(info, sizeof info);
    struct writer writer = writer_over(accept->challenge, sizeof accept->challenge);
    if (!present(names->computer) || !present(names->domain) ||
        RAND_bytes(challenge.server_challenge, sizeof challenge.server_challenge) != 1 ||
        !text_write_utf16(&name_writer, names->target, false) || !writer_done(&name_writer) ||
        !write_target_info(&info_writer, names))
        return false;
    challenge.target_name = writer_span(&name_writer);
    challenge.target_info = writer_span(&info_writer);
    ntlm_challenge_write(&writer, &challenge);
    accept->challenge_size = writer_size(&writer);
    return writer_done(&writer);
}

/* Winbind may have come up only now. */
static bool find_names(const struct accept_backend *backend, struct domain_names *joined)
{
    return backend->domain &&
           (domain_names(backend->domain, joined) ||
            (domain_refresh(backend->domain) && domain_names(backend->domain, joined)));
}

enum refusal ntlm_accept_negotiate(struct ntlm_accept *accept, struct span negotiate,
                                   const struct accept_backend *backend)
{
    struct ntlm_negotiate message;
    struct writer copy = writer_over(accept->negotiate, sizeof accept->negotiate);
    if (!ntlm_negotiate_read(negotiate, &message))
        return REFUSAL_MALFORMED;
    write_span(&copy, negotiate);
    accept->negotiate_size = writer_size(&copy);
    accept->offered = message.flags;
    accept->of_domain = find_names(backend, &accept->joined);
    const struct own_names names =
        own_names(accept->policy, accept->of_domain ? &accept->joined : NULL);
    if (!writer_done(&copy) || !write_challenge(accept, &names) ||
        clock_gettime(CLOCK_MONOTONIC, &accept->issued) != 0)
        return REFUSAL_INTERNAL;
    struct ntlm_challenge challenge;
    if (ntlm_challenge_read((struct span){accept->challenge, accept->challenge_size}, &challenge))
        challenges_given(backend->challenges, challenge.server_challenge);
    accept->open = true;
    return REFUSAL_NONE;
}
