/*
 * `countersign check`: what a file server offers, and whether that and the configuration go
 * together.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/check.h"
#include "proxy/probe.h"
#include "proxy/resolve.h"

enum { LIST_MAX = 128, SIZE_LEAST = 64 * 1024 };

struct list {
    char text[LIST_MAX];
    size_t used;
};

static void list_add(struct list *list, const char *name)
{
    int more = snprintf(&list->text[list->used], sizeof list->text - list->used, "%s%s",
                        list->used ? ", " : "", name);
    if (more > 0 && (size_t)more < sizeof list->text - list->used)
        list->used += (size_t)more;
}

static bool allows_signing(const struct config_upstream *upstream, uint16_t algorithm)
{
    for (unsigned i = 0; i < upstream->signing_count; i++)
        if ((uint16_t)upstream->signing[i] == algorithm)
            return true;
    return false;
}

/* What the file server will choose from what the configuration lets us offer; 0 when nothing. */
static uint16_t dialect_spoken(const struct config_upstream *upstream,
                               const struct probe_result *result)
{
    uint16_t newest = 0;
    for (unsigned i = 0; i < result->dialects_count; i++)
        if (result->dialects[i] >= upstream->min_dialect &&
            result->dialects[i] <= upstream->max_dialect)
            newest = result->dialects[i];
    return newest;
}

static void tell_dialects(struct check *check, const struct config_upstream *upstream,
                          const struct probe_result *result)
{
    struct list list = {.used = 0};
    uint16_t spoken = dialect_spoken(upstream, result);
    uint16_t newest = result->dialects[result->dialects_count - 1];
    for (unsigned i = 0; i < result->dialects_count; i++)
        list_add(&list, smb2_dialect_name(result->dialects[i]));
    check_say("  dialects: %s", list.text);
    if (spoken == 0) {
        check_problem(check,
                      "no dialect in common: the configuration allows %s to %s; change min_dialect "
                      "or max_dialect of this upstream",
                      smb2_dialect_name((uint16_t)upstream->min_dialect),
                      smb2_dialect_name((uint16_t)upstream->max_dialect));
        return;
    }
    check_say("  Countersign will speak %s with it", smb2_dialect_name(spoken));
    if (spoken < newest)
        check_warning(check, "it can do %s; raise max_dialect unless that has a fault here",
                      smb2_dialect_name(newest));
    else if (spoken > (uint16_t)upstream->min_dialect)
        check_say("  note: min_dialect: %s would rule out that somebody on the way talks it down",
                  smb2_dialect_name(spoken));
}

/* The algorithms that count at the dialect that will be spoken. */
static void tell_algorithms(struct check *check, const struct config_upstream *upstream,
                            const struct probe_result *result)
{
    uint16_t spoken = dialect_spoken(upstream, result);
    struct list offered = {.used = 0};
    bool common = false;
    if (spoken == 0)
        return;
    if (spoken != SMB_3_1_1) {
        check_say("  signing algorithm: %s, as always at %s",
                  signing_algorithm_name(spoken < SMB_3_0 ? SIGNING_HMAC_SHA256 : SIGNING_AES_CMAC),
                  smb2_dialect_name(spoken));
        return;
    }
    for (unsigned i = 0; i < result->signing_count; i++) {
        list_add(&offered, signing_algorithm_name((enum signing_algorithm)result->signing[i]));
        common = common || allows_signing(upstream, result->signing[i]);
    }
    check_say("  signing algorithms: %s%s", offered.text,
              result->negotiates_signing ? "" : " (it does not negotiate them)");
    if (!common)
        check_problem(check, "none of them is in `signing` of this upstream; add one");
}

static void tell_signing(struct check *check, const struct probe_result *result)
{
    if (result->security_mode & SMB2_NEGOTIATE_SIGNING_REQUIRED) {
        check_say("  signing: required");
    } else if (result->security_mode & SMB2_NEGOTIATE_SIGNING_ENABLED) {
        check_say("  signing: possible, not required");
        check_warning(check, "the file server does not insist on signing; Countersign will sign "
                             "anyway, but whoever reaches it past Countersign need not: let only "
                             "this host connect to it");
    } else {
        check_say("  signing: not offered");
        check_problem(check, "the file server does not offer signing, and Countersign connects to "
                             "none without; turn signing on there");
    }
}

static void tell_encryption(const struct probe_result *result)
{
    struct list list = {.used = 0};
    bool offered = result->ciphers_count > 0 || (result->capabilities & SMB2_GLOBAL_CAP_ENCRYPTION);
    for (unsigned i = 0; i < result->ciphers_count; i++)
        list_add(&list, cipher_name((enum cipher)result->ciphers[i]));
    check_say("  encryption: %s",
              list.used ? list.text : (offered ? cipher_name(CIPHER_AES_128_CCM) : "none"));
}

static void tell_sizes(struct check *check, const struct probe_result *result)
{
    check_say("  largest read %u KiB, write %u KiB, other %u KiB", result->max_read_size / 1024,
              result->max_write_size / 1024, result->max_transact_size / 1024);
    if (result->max_read_size < SIZE_LEAST || result->max_write_size < SIZE_LEAST ||
        result->max_transact_size < SIZE_LEAST)
        check_warning(check, "clients may refuse sizes below 64 KiB");
}

static void tell_mechanisms(struct check *check, const struct probe_result *result)
{
    if (result->tells_mechanisms && !result->ntlm)
        check_problem(check, "it does not offer NTLM, which the logins `same` and `mapped` need; "
                             "allow NTLMv2 there for this host");
}

static void tell_smb1(struct check *check, const struct probe_result *result)
{
    if (result->smb1)
        check_warning(check,
                      "the file server still speaks SMB1, which has none of this protection: turn "
                      "it off there, and let only this host connect to it");
}

static void tell_offer(struct check *check, const struct config_upstream *upstream,
                       const struct probe_result *result)
{
    tell_dialects(check, upstream, result);
    tell_signing(check, result);
    tell_algorithms(check, upstream, result);
    tell_encryption(result);
    tell_sizes(check, result);
    tell_mechanisms(check, result);
    tell_smb1(check, result);
    if (!result->complete)
        check_warning(check, "it stopped answering before all was asked; what is said above may "
                             "be incomplete: look for a limit on connections, and check again");
}

/* Connections fail for few reasons, and for each there is something to look at. */
static const char *connect_advice(int error)
{
    switch (error) {
    case ECONNREFUSED: return "nothing listens there: start the file server, or correct `port`";
    case ETIMEDOUT:
        return "no answer: is it on, is `address` right, does a firewall drop this host's packets?";
    case EHOSTUNREACH:
    case ENETUNREACH: return "no route to it: look at `address` and at this host's routes";
    case EACCES:
    case EPERM: return "forbidden on this host: look at its firewall rules";
    default: return "look at `address` and `port`, and at the network";
    }
}

static void tell_failure(struct check *check, const struct config_upstream *upstream,
                         const struct probe_result *result)
{
    switch (result->outcome) {
    case PROBE_UNREACHABLE:
        check_problem(check, "cannot connect (%s); %s", strerror(result->error),
                      connect_advice(result->error));
        return;
    case PROBE_INTERNAL:
        check_problem(check, "cannot ask it (%s)",
                      result->error ? strerror(result->error) : "no random numbers");
        return;
    default: break;
    }
    if (result->smb1) {
        check_problem(check, "it speaks SMB1 only, which Countersign does not: turn on SMB2 there");
        return;
    }
    if (result->outcome == PROBE_SILENT)
        check_problem(check,
                      "connected, but no answer within %u ms; is it a file server, and awake? "
                      "connect_timeout of this upstream can be raised",
                      upstream->connect_timeout);
    else if (result->outcome == PROBE_CLOSED)
        check_problem(check, "it closes the connection without an answer; does it speak SMB2, and "
                             "does it allow this host?");
    else if (result->outcome == PROBE_REFUSED)
        check_problem(check, "it refuses every dialect of SMB2 (status 0x%08x)", result->status);
    else
        check_problem(check, "what answers there is no SMB2 file server; correct `address` and "
                             "`port`");
}

static void tell_address(const struct config_upstream *upstream,
                         const struct upstream_address *address)
{
    char host[NI_MAXHOST];
    const struct sockaddr *found = (const struct sockaddr *)&address->address;
    if (getnameinfo(found, address->size, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0 ||
        strcmp(host, upstream->address) == 0)
        check_say("upstream %s: %s port %u", upstream->name, upstream->address, upstream->port);
    else
        check_say("upstream %s: %s (%s) port %u", upstream->name, upstream->address, host,
                  upstream->port);
}

void check_upstream(struct check *check, const struct config_upstream *upstream)
{
    struct config_upstream copy = *upstream;
    struct config alone = {.upstreams = &copy, .upstreams_count = 1};
    struct probe_result result;
    char error[512];
    struct upstream_address *address = resolve_upstreams(&alone, error, sizeof error);
    if (!address) {
        check_say("upstream %s: %s port %u", upstream->name, upstream->address, upstream->port);
        check_problem(check, "%s; correct `address`, or this host's name resolution", error);
        return;
    }
    tell_address(upstream, address);
    if (probe_server((const struct sockaddr *)&address->address, address->size,
                     upstream->connect_timeout, &result))
        tell_offer(check, upstream, &result);
    else
        tell_failure(check, upstream, &result);
    free(address);
}
