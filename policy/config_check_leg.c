/*
 * Checks of what listeners and upstreams have alike: dialects, signing and encryption.
 */
#include <string.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/plain.h"
#include "policy/share_name.h"

/* A share's name has at most 80 characters (MS-FSCC 2.1.6), which are at most 4 bytes each. */
enum { SHARES_MAX = 256, SHARE_MAX_SIZE = 4 * 80 };

static bool check_dialects(struct config_checking *checking, const char *where,
                           const struct config_leg *leg)
{
    if (leg->min_dialect <= leg->max_dialect)
        return true;
    return config_refuse(checking, config_path_option(where, "min_dialect").text,
                         "%s is above max_dialect %s; no dialect would be left: lower it or raise "
                         "the other",
                         config_dialect_name((uint16_t)leg->min_dialect),
                         config_dialect_name((uint16_t)leg->max_dialect));
}

static bool refuse_repeated(struct config_checking *checking, const char *list, unsigned index)
{
    return config_refuse(checking, config_path_entry(list, index).text,
                         "is in the list already; remove it");
}

static bool check_signing(struct config_checking *checking, const char *where,
                          const struct config_leg *leg)
{
    struct config_path path = config_path_option(where, "signing");
    if (leg->signing_count == 0)
        return config_refuse(checking, path.text,
                             "is empty, but signing cannot be turned off; list at least one of "
                             "aes-gmac, aes-cmac, hmac-sha256");
    for (unsigned i = 1; i < leg->signing_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (leg->signing[i] == leg->signing[j])
                return refuse_repeated(checking, path.text, i);
    return true;
}

static bool check_ciphers(struct config_checking *checking, const char *where,
                          const struct config_leg *leg)
{
    struct config_path path = config_path_option(where, "ciphers");
    if (leg->ciphers_count == 0)
        return config_refuse(checking, path.text,
                             "is empty; list at least one of aes-128-gcm, aes-256-gcm, "
                             "aes-128-ccm, aes-256-ccm, or turn encryption off by \"encryption: "
                             "off\"");
    for (unsigned i = 1; i < leg->ciphers_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (leg->ciphers[i] == leg->ciphers[j])
                return refuse_repeated(checking, path.text, i);
    return true;
}

bool config_check_share(struct config_checking *checking, const char *path, const char *share)
{
    if (!config_check_given(checking, path, share, "payroll"))
        return false;
    if (!plain_printable(share))
        return config_refuse(checking, path, "%s has unprintable characters; remove them",
                             config_quote(share).text);
    if (!share_name_is_clear(share))
        return config_refuse(checking, path,
                             "%s has accents apart from their letters, ligatures, or characters "
                             "that are not seen, which file servers read each in its own way; "
                             "write it with plain letters",
                             config_quote(share).text);
    size_t bad = strcspn(share, "/\\");
    if (share[bad])
        return config_refuse(checking, path,
                             "%s must not contain \"%c\"; give the share's name only, like payroll",
                             config_quote(share).text, share[bad]);
    if (strlen(share) > SHARE_MAX_SIZE)
        return config_refuse(checking, path, "%s has %zu bytes; at most %d are allowed",
                             config_quote(share).text, strlen(share), (int)SHARE_MAX_SIZE);
    return true;
}

static bool check_shares(struct config_checking *checking, const char *where,
                         const struct config_leg *leg)
{
    struct config_path list = config_path_option(where, "encrypted_shares");
    if (!config_check_most(checking, list.text, leg->encrypted_shares_count, SHARES_MAX))
        return false;
    for (unsigned i = 0; i < leg->encrypted_shares_count; i++) {
        const char *share = leg->encrypted_shares[i];
        struct config_path path = config_path_entry(list.text, i);
        if (!config_check_share(checking, path.text, share))
            return false;
        if (config_share_listed(leg->encrypted_shares, i, share))
            return config_refuse(checking, path.text, "%s is in the list already; remove it",
                                 config_quote(share).text);
    }
    return true;
}

/* Encryption came with 3.0 (MS-SMB2 1.7): what is demanded must be possible for somebody. */
static bool check_possible(struct config_checking *checking, const char *where,
                           const struct config_leg *leg)
{
    const char *most = config_dialect_name((uint16_t)leg->max_dialect);
    struct config_path encryption = config_path_option(where, "encryption");
    struct config_path shares = config_path_option(where, "encrypted_shares");
    bool can = leg->max_dialect >= CONFIG_SMB_3_0;
    if (leg->encryption == CONFIG_ENCRYPTION_REQUIRED && !can)
        return config_refuse(checking, encryption.text,
                             "is required, which max_dialect %s cannot do; raise max_dialect to "
                             "3.0 or more, or do not require it",
                             most);
    if (leg->encrypted_shares_count == 0)
        return true;
    if (leg->encryption == CONFIG_ENCRYPTION_OFF)
        return config_refuse(checking, shares.text,
                             "names shares, but encryption is off: nobody could open them; set "
                             "\"encryption: allowed\", or empty the list");
    if (!can)
        return config_refuse(checking, shares.text,
                             "names shares, but max_dialect %s cannot encrypt: nobody could open "
                             "them; raise max_dialect to 3.0 or more, or empty the list",
                             most);
    return true;
}

bool config_check_leg(struct config_checking *checking, const char *where,
                      const struct config_leg *leg)
{
    return check_dialects(checking, where, leg) && check_signing(checking, where, leg) &&
           check_ciphers(checking, where, leg) && check_shares(checking, where, leg) &&
           check_possible(checking, where, leg);
}
