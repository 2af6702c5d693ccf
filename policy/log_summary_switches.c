/*
 * What was seen of each of Windows' switches, under its name there.
 */
#include <json-c/json.h>
#include <string.h>

#include "policy/log_summary_state.h"

static const struct summary_switch switches[SUMMARY_SWITCHES] = {
    {"RequireSecuritySignature (server)", 0, false, {"unsigned_refused"}},
    {"RequireSecuritySignature (client)", 0, true, {"upstream_no_signing"}},
    {"AuditClientDoesNotSupportSigning", 3021, false, {"client_no_signing", "unsigned_refused"}},
    {"AuditServerDoesNotSupportSigning", 31998, true, {"upstream_no_signing"}},
    {"AuditClientDoesNotSupportEncryption",
     3022,
     false,
     {"client_no_encryption", "unencrypted_refused"}},
    {"AuditServerDoesNotSupportEncryption",
     31999,
     true,
     {"upstream_no_encryption", "upstream_encryption"}},
    {"AuditSmb1Access", 3000, false, {"smb1_refused"}},
    {"Smb2DialectMin", 0, false, {"dialect_refused"}},
    {"RestrictReceivingNTLMTraffic", 4002, false, {"ntlm_refused"}},
    {"LmCompatibilityLevel", 0, false, {"ntlmv1_refused"}},
    {"SmbServerNameHardeningLevel", 5168, false, {"target_name_refused"}},
    {"AuditClientSpnSupport", 3024, false, {"target_name_absent"}},
    {"RestrictNullSessAccess", 0, false, {"anonymous_refused", "guest_login_refused"}},
    {"AuditInsecureGuestLogon", 31017, true, {"guest_refused"}},
    {"InvalidAuthenticationDelayTimeInMs", 0, false, {"limiter_acted"}},
};

const struct summary_switch *summary_switch(unsigned number)
{
    return &switches[number];
}

static bool tells(const struct summary_switch *one, const char *event)
{
    for (size_t i = 0; i < sizeof one->events / sizeof one->events[0]; i++)
        if (one->events[i] && strcmp(one->events[i], event) == 0)
            return true;
    return false;
}

void summary_take_switches(struct log_summary *summary, struct json_object *event)
{
    const char *name = log_text(event, "event");
    const char *client = log_text(event, "client_address");
    const char *upstream = log_text(event, "upstream_address");
    for (unsigned i = 0; name && i < SUMMARY_SWITCHES; i++) {
        const char *source = switches[i].upstream ? upstream : client;
        if (tells(&switches[i], name) &&
            !summary_tally_add(summary, &summary->switches[i], source ? source : "-",
                               log_weight(event)))
            summary->beyond++;
    }
}
