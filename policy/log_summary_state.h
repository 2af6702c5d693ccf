/*
 * What a summary has gathered: between log_summary.c, which gathers, and log_summary_write.c.
 */
#ifndef COUNTERSIGN_POLICY_LOG_SUMMARY_STATE_H
#define COUNTERSIGN_POLICY_LOG_SUMMARY_STATE_H

#include "policy/log_summary.h"

/* What could be demanded of clients. */
enum stricter {
    STRICTER_DIALECT_3,   /* min_dialect: 3.0 */
    STRICTER_DIALECT,     /* min_dialect: 3.1.1 */
    STRICTER_ENCRYPTION,  /* encryption: required */
    STRICTER_NTLM,        /* Kerberos only */
    STRICTER_MIC,         /* mic: required */
    STRICTER_TARGET_NAME, /* target_name: required */
    STRICTER_COUNT
};

enum { SUMMARY_TEXT_MAX = 64 };

struct summary_client {
    char address[SUMMARY_TEXT_MAX];
    char dialect[SUMMARY_TEXT_MAX]; /* the best that was agreed on; empty: never any */
    char signing[SUMMARY_TEXT_MAX];
    char cipher[SUMMARY_TEXT_MAX]; /* empty: never any */
    char last[SUMMARY_TEXT_MAX];   /* when it was last seen */
    uint64_t connections, logins, kerberos, ntlm, refused;
    uint64_t would_break[STRICTER_COUNT]; /* connections or logins */
};

struct summary_tally {
    uint64_t events;
    struct json_object *sources; /* address → how many of the events; NULL: none yet */
};

/* What a rule that only records would have refused. */
struct summary_rule {
    char name[SUMMARY_TEXT_MAX];
    char reason[SUMMARY_TEXT_MAX];
    struct summary_tally tally;
};

enum { SUMMARY_SWITCHES = 15 };

struct log_summary {
    struct summary_client *clients;
    size_t clients_count, clients_room;
    struct json_object *by_address; /* address → index */
    struct summary_rule rules[SUMMARY_RULES_MAX];
    size_t rules_count;
    struct summary_tally switches[SUMMARY_SWITCHES];
    size_t sources;  /* of all tallies together */
    uint64_t beyond; /* events of clients or rules that there was no room for */
};

/* How a demand is written in the configuration, and the Windows switch for it; NULL: none. */
const char *stricter_name(enum stricter stricter);
const char *stricter_switch(enum stricter stricter);

/* Counts events from a source; false when there was no room for the source. */
bool summary_tally_add(struct log_summary *summary, struct summary_tally *tally, const char *source,
                       uint64_t events);

/* One of Windows' switches, by its name there (docs/switches.md). */
struct summary_switch {
    const char *name;
    unsigned windows_id; /* of the event that Windows writes for it; 0: none */
    bool upstream;       /* it is about file servers */
    const char *events[2];
};

const struct summary_switch *summary_switch(unsigned number);

/* Counts an event under the switches that it would be of in Windows. */
void summary_take_switches(struct log_summary *summary, struct json_object *event);

#endif
