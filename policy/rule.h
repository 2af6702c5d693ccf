/*
 * Rules: who may do what from where, and what is demanded of them.
 *
 * The first rule that matches decides. It is asked three times in a session's life: at its login,
 * when it connects to a share, and when it opens a named pipe. A rule that names shares or pipes
 * does not match before the share or pipe is known; what would be refused meanwhile is not refused
 * yet when such a rule, standing earlier, may still allow it.
 */
#ifndef COUNTERSIGN_POLICY_RULE_H
#define COUNTERSIGN_POLICY_RULE_H

#include "policy/config.h"

enum rule_stage {
    RULE_AT_LOGIN,
    RULE_AT_SHARE,
    RULE_AT_PIPE,
};

/* What is known. Texts are borrowed. */
struct rule_facts {
    enum rule_stage stage;
    const char *user;      /* without a domain */
    const char *domain;    /* only when somebody else than the client vouches for it; else NULL */
    const char *principal; /* Kerberos: "alice@EXAMPLE.COM"; else NULL */
    const uint8_t *groups; /* bit n: member of the n-th of the configuration's groups */
    enum config_mechanism mechanism;
    bool mutual; /* Kerberos with mutual authentication */
    const char *address;
    const char *listener;
    const char *upstream;
    enum config_dialect dialect; /* of the client leg, as the two below */
    enum config_signing signing;
    enum config_cipher cipher; /* CONFIG_CIPHER_NONE: it cannot encrypt */
    bool target_given;         /* the login names the server it is for */
    bool target_mismatch;      /* the names by which the client called us differ */
    bool less;         /* the client, or the file server of its link, gives less than it once
                          could, or that is not known */
    const char *share; /* RULE_AT_SHARE, RULE_AT_PIPE */
    const char *pipe;  /* RULE_AT_PIPE */
};

enum rule_outcome {
    RULE_ALLOW,
    RULE_REFUSE,
    RULE_AUDIT, /* allow, and record that it would have been refused */
};

struct rule_verdict {
    enum rule_outcome what;
    unsigned index;         /* of the rule; the number of rules when none matched */
    const char *rule;       /* its name; NULL when none matched. Borrowed from the configuration. */
    const char *reason;     /* a stable word, unless allowed: "rule", "no_rule", "kerberos",
                               "mutual_authentication", "min_dialect", "encryption", "pin",
                               "pipe" */
    bool encryption;        /* the client leg has to be encrypted */
    bool read_only;         /* nothing may be changed */
    bool read_only_audit;   /* changes are recorded */
    bool authenticated_rpc; /* at a pipe: may authenticate inside of it */
    bool rpc_audit;         /* … is recorded if it does */
};

void rule_judge(const struct config *config, const struct rule_facts *facts,
                struct rule_verdict *verdict);

/* True when a rule demands anything. */
bool rule_demands(const struct config_rule_demand *demand);

/* True when any rule, whomever it is about, demands that nobody gives less than once. */
bool rule_demands_pin(const struct config *config);

/* One of the pipes that are open to everybody unless a rule says otherwise: srvsvc, wkssvc, lsarpc,
 * samr. `pipe` is the bare name. */
bool rule_pipe_is_ordinary(const char *pipe);

/* The share of named pipes. */
bool rule_share_has_pipes(const char *share);

/* True when everything that `later` matches is matched by `earlier` too. */
bool rule_covers(const struct config_rule *earlier, const struct config_rule *later);

#endif
