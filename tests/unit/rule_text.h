/*
 * Rules as text, and what is known of somebody, to test with.
 */
#ifndef COUNTERSIGN_TESTS_RULE_TEXT_H
#define COUNTERSIGN_TESTS_RULE_TEXT_H

#include "tests/unit/config_text.h"

#include <stdio.h>

#include "policy/rule.h"

/* Two listeners and two upstreams, so that rules can tell them apart. */
#define PLACES                                                                                     \
    "listeners:\n"                                                                                 \
    "- {name: lan, address: 192.0.2.1, upstream: nas}\n"                                           \
    "- {name: guest, address: 192.0.2.2, upstream: old}\n"                                         \
    "upstreams:\n"                                                                                 \
    "- {name: nas, address: 192.0.2.10}\n"                                                         \
    "- {name: old, address: 192.0.2.11}\n" CREDENTIALS

static inline struct config *rules(const char *text)
{
    char whole[4096];
    assert_true(snprintf(whole, sizeof whole, "%s%s", PLACES, text) < (int)sizeof whole);
    return parse(whole);
}

/* alice of CORP, by Kerberos at 3.1.1, who can encrypt. */
static inline struct rule_facts alice(void)
{
    return (struct rule_facts){
        .stage = RULE_AT_LOGIN,
        .user = "alice",
        .domain = "CORP",
        .principal = "alice@CORP.EXAMPLE.COM",
        .mechanism = CONFIG_MECHANISM_KERBEROS,
        .mutual = true,
        .address = "192.0.2.77",
        .listener = "lan",
        .upstream = "nas",
        .dialect = CONFIG_SMB_3_1_1,
        .signing = CONFIG_AES_GMAC,
        .cipher = CONFIG_AES_128_GCM,
        .target_given = true,
    };
}

/* bob of the credentials file, by NTLM, with a client that cannot encrypt, and once could. */
static inline struct rule_facts bob(void)
{
    struct rule_facts facts = alice();
    facts.user = "bob";
    facts.domain = facts.principal = NULL;
    facts.mechanism = CONFIG_MECHANISM_NTLM;
    facts.mutual = facts.target_given = false;
    facts.dialect = CONFIG_SMB_2_1;
    facts.signing = CONFIG_HMAC_SHA256;
    facts.cipher = CONFIG_CIPHER_NONE;
    facts.less = true;
    return facts;
}

static inline struct rule_facts at_share(struct rule_facts facts, const char *share)
{
    facts.stage = RULE_AT_SHARE;
    facts.share = share;
    return facts;
}

static inline struct rule_facts at_pipe(struct rule_facts facts, const char *pipe)
{
    facts.stage = RULE_AT_PIPE;
    facts.share = "ipc$";
    facts.pipe = pipe;
    return facts;
}

static inline struct rule_verdict judge(const struct config *config, struct rule_facts facts)
{
    struct rule_verdict verdict;
    rule_judge(config, &facts, &verdict);
    return verdict;
}

/* `reason` is NULL for what is simply allowed. */
static inline void expect(const struct config *config, struct rule_facts facts,
                          enum rule_outcome what, const char *rule, const char *reason)
{
    struct rule_verdict verdict = judge(config, facts);
    if (verdict.what != what || !verdict.rule != !rule || (rule && strcmp(verdict.rule, rule)) ||
        !verdict.reason != !reason || (reason && strcmp(verdict.reason, reason)))
        fail_msg("%s: outcome %d, rule %s, reason %s; not %d, %s, %s", facts.user, verdict.what,
                 verdict.rule ? verdict.rule : "none", verdict.reason ? verdict.reason : "none",
                 what, rule ? rule : "none", reason ? reason : "none");
}

#endif
