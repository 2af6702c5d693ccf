/*
 * The configuration: proxy.yaml, read whole, checked whole, as plain data.
 */
#ifndef COUNTERSIGN_POLICY_CONFIG_H
#define COUNTERSIGN_POLICY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values are the numbers of MS-SMB2 and of crypto/: proxy/ passes them on as they are. */
enum config_signing { CONFIG_HMAC_SHA256 = 0, CONFIG_AES_CMAC = 1, CONFIG_AES_GMAC = 2 };
enum config_cipher {
    CONFIG_CIPHER_NONE = 0, /* in rules only: the client cannot encrypt */
    CONFIG_AES_128_CCM = 1,
    CONFIG_AES_128_GCM = 2,
    CONFIG_AES_256_CCM = 3,
    CONFIG_AES_256_GCM = 4
};
/* Of one leg. Each step asks for more than the one before. */
enum config_encryption {
    CONFIG_ENCRYPTION_OFF = 0, /* not negotiated: nobody can encrypt */
    CONFIG_ENCRYPTION_ALLOWED =
        1, /* negotiated; used where the other end, or a share, demands it */
    CONFIG_ENCRYPTION_IF_OFFERED = 2, /* every session whose other end can */
    CONFIG_ENCRYPTION_REQUIRED = 3    /* and nobody else gets in */
};
enum config_login {
    CONFIG_LOGIN_SAME = 0,
    CONFIG_LOGIN_MAPPED = 1,
    CONFIG_LOGIN_TICKET = 2,
    CONFIG_LOGIN_DELEGATE = 3,
    CONFIG_LOGIN_TRANSITION = 4
};
enum config_mechanism { CONFIG_MECHANISM_KERBEROS = 0, CONFIG_MECHANISM_NTLM = 1 };
enum config_rc4 { CONFIG_RC4_REFUSE = 0, CONFIG_RC4_ALLOW = 1 };
enum config_mic { CONFIG_MIC_ANNOUNCED = 0, CONFIG_MIC_REQUIRED = 1 };
enum config_target_name {
    CONFIG_TARGET_NAME_OFF = 0,
    CONFIG_TARGET_NAME_IF_PRESENT = 1,
    CONFIG_TARGET_NAME_REQUIRED = 2
};
/* The usual choices of `encryption`, in one word. */
enum config_posture {
    CONFIG_POSTURE_SIGNING = CONFIG_ENCRYPTION_ALLOWED,
    CONFIG_POSTURE_IF_OFFERED = CONFIG_ENCRYPTION_IF_OFFERED,
    CONFIG_POSTURE_ENCRYPTION = CONFIG_ENCRYPTION_REQUIRED
};
enum config_multi_protocol { CONFIG_MULTI_PROTOCOL_ACCEPT = 0, CONFIG_MULTI_PROTOCOL_REFUSE = 1 };
/* What happens when an end can do less than it once could. */
enum config_downgrade { CONFIG_DOWNGRADE_RECORD = 0, CONFIG_DOWNGRADE_PIN = 1 };
enum config_dialect {
    CONFIG_SMB_2_0_2 = 0x0202,
    CONFIG_SMB_2_1 = 0x0210,
    CONFIG_SMB_3_0 = 0x0300,
    CONFIG_SMB_3_0_2 = 0x0302,
    CONFIG_SMB_3_1_1 = 0x0311
};

/* Faults of file servers, as bits: see proxy/quirk.h. */
enum config_quirk {
    CONFIG_QUIRK_UNSIGNED_ERRORS = 1,
    CONFIG_QUIRK_UNSIGNED_END_OF_FILE = 2,
    CONFIG_QUIRK_UNSIGNED_BAD_SHARE = 4
};

struct config_listener {
    char *name;
    char *address; /* numeric IPv4 or IPv6 */
    uint16_t port;
    bool transparent; /* takes connections to other hosts that the system diverts here */
    char *upstream;   /* name of a struct config_upstream */
    char **names;     /* by which clients call this listener, for the target name check */
    unsigned names_count;
    enum config_dialect min_dialect;
    enum config_dialect max_dialect;
    enum config_signing *signing; /* in order of preference, at 3.1.1 */
    unsigned signing_count;
    enum config_posture posture; /* says the same as encryption */
    enum config_encryption encryption;
    enum config_cipher *ciphers; /* in order of preference, at 3.1.1 */
    unsigned ciphers_count;
    char **encrypted_shares; /* names of shares that are encrypted on this leg in any case */
    unsigned encrypted_shares_count;
    enum config_multi_protocol multi_protocol; /* SMB1 NEGOTIATE that offers SMB2 */
    enum config_mic mic;
    enum config_target_name target_name;
    enum config_mechanism *mechanisms; /* how clients may authenticate */
    unsigned mechanisms_count;
    char *keytab;    /* path; NULL: none, and no Kerberos */
    char **services; /* that tickets may be for, without realm; none: `cifs` at any name of ours */
    unsigned services_count;
    enum config_downgrade downgrade; /* of clients */
};

struct config_upstream {
    char *name;
    char *address; /* numeric, or a host name that is resolved at start */
    uint16_t port;
    char *server_name; /* what the file server is called: SPN and UNC paths; default: address */
    enum config_login *login; /* in order */
    unsigned login_count;
    char *service; /* our own account for `delegate` and `transition`, with its realm; NULL: none */
    char *keytab;  /* with its key; NULL: none */
    enum config_dialect min_dialect;
    enum config_dialect max_dialect;
    enum config_signing *signing; /* offered at 3.1.1, in order */
    unsigned signing_count;
    enum config_encryption encryption;
    enum config_cipher *ciphers; /* offered at 3.1.1, in order */
    unsigned ciphers_count;
    char **encrypted_shares;
    unsigned encrypted_shares_count;
    enum config_quirk *quirks; /* that are tolerated of it */
    unsigned quirks_count;
    unsigned quirk_bits; /* the same in one number */
    bool strict;         /* a session's end that does not verify ends the connection too */
    enum config_downgrade downgrade;
    uint32_t connect_timeout; /* milliseconds: TCP connect and NEGOTIATE together */
    uint32_t connections;     /* of one worker */
};

struct config_audit {
    char *file; /* JSON lines; NULL when none */
    bool syslog;
    uint32_t fold; /* milliseconds for which repeats are counted; 0: each is written */
};

struct config_authentication {    /* see proxy/limiter.h */
    uint32_t failures;            /* without delay, of one user from one source */
    uint32_t failures_per_source; /* of all users */
    uint32_t failures_per_user;   /* from all sources */
    uint32_t delay_max;           /* milliseconds; 0: no delays at all */
};

struct config_users { /* user names or decimal uids; used when started as root */
    char *worker;
    char *keeper;
    char *recorder;
    char **keeper_groups; /* names or decimal gids, beside the keeper's primary group */
    unsigned keeper_groups_count;
};

/* Which realm a NetBIOS domain is. */
struct config_domain {
    char *name;
    char *realm;
    char *sid; /* NULL: not given */
};

struct config_kerberos {
    char *keytab; /* path; NULL: none. Where listeners and upstreams have no other */
    char *config; /* path of the libraries' own configuration */
    enum config_rc4 rc4;
    struct config_domain *domains;
    unsigned domains_count;
};

struct config_limits {
    uint32_t connections;            /* of one worker */
    uint32_t connections_per_source; /* of one worker, from one address */
    /* Milliseconds from accept, or from the last logoff, to a session; and for a client's next move
     * in a login. */
    uint32_t login_timeout;
    uint32_t sessions_per_connection;
    uint32_t interim_hold; /* milliseconds; see proxy/interim.c */
    uint32_t memory;       /* MiB of message buffers in one worker */
};

/* What a rule asks for by one word; see config_rule.c. */
enum config_preset {
    CONFIG_PRESET_NONE = 0,
    CONFIG_PRESET_HARDENED_UNC, /* demands kerberos and mutual_authentication */
    CONFIG_PRESET_NO_NTLM,      /* refuses what authenticated by NTLM */
    CONFIG_PRESET_ENCRYPT       /* demands encryption */
};
enum config_action { CONFIG_ALLOW = 0, CONFIG_REFUSE = 1, CONFIG_AUDIT = 2 };
enum config_target {
    CONFIG_TARGET_GIVEN = 0,
    CONFIG_TARGET_ABSENT = 1,
    CONFIG_TARGET_MISMATCH = 2
};

struct config_rule_from {
    char **network;
    unsigned network_count;
    char **listener;
    unsigned listener_count;
};

struct config_rule_to {
    char **upstream;
    unsigned upstream_count;
    char **share;
    unsigned share_count;
    char **pipe;
    unsigned pipe_count;
};

/* Lists of the numbers of the enumerations above, in one type for all. */
struct config_rule_when {
    uint32_t *mechanism; /* enum config_mechanism */
    unsigned mechanism_count;
    uint32_t *dialect; /* enum config_dialect */
    unsigned dialect_count;
    uint32_t *signing; /* enum config_signing */
    unsigned signing_count;
    uint32_t *cipher; /* enum config_cipher */
    unsigned cipher_count;
    uint32_t *target_name; /* enum config_target */
    unsigned target_name_count;
};

struct config_rule_demand {
    bool encryption; /* of the client leg */
    bool kerberos;
    bool mutual_authentication;
    enum config_dialect min_dialect; /* 0: none */
    bool read_only;
    bool pin; /* neither end of the link gives less than it once could */
};

/* A condition without entries is none. A preset has been written out into `when`, `then` and
 * `demand`. */
struct config_rule {
    char *name;
    enum config_preset preset;
    char **who; /* "alice", "CORP\\alice", "alice@EXAMPLE.COM", "@group" */
    unsigned who_count;
    struct config_rule_from from;
    struct config_rule_to to;
    struct config_rule_when when;
    enum config_action then;
    struct config_rule_demand demand;
    enum config_action authenticated_rpc;
};

struct config {
    struct config_listener *listeners;
    unsigned listeners_count;
    struct config_upstream *upstreams;
    unsigned upstreams_count;
    struct config_rule *rules; /* the first that matches decides */
    unsigned rules_count;
    enum config_action otherwise; /* where no rule matches */
    char **groups; /* that rules name, each once, without the "@"; not an option of its own */
    unsigned groups_count;
    char *credentials; /* path of the credentials file; NULL: none */
    struct config_kerberos kerberos;
    bool winbind; /* NTLM logins of domain users are put to winbind */
    struct config_audit audit;
    struct config_users users;
    struct config_limits limits;
    struct config_authentication authentication;
    char *state;        /* path of the file of what was once spoken; NULL or empty: none */
    uint32_t workers;   /* 0: one per core */
    char *netbios_name; /* what our NTLM CHALLENGE says of us; default: host name, upper case, 15 */
    char *netbios_domain; /* default WORKGROUP */
    char *dns_name;       /* default: host name */
    char *dns_domain;     /* default: what follows the first dot of dns_name, or empty */
};

/*
 * One thing that is wrong: where (line of the file, 0 for the file as a whole; the path of the
 * option, like "listeners[0].upstream"), what, and what to do, each a readable text.
 */
struct config_error {
    unsigned line;
    char text[512];
};

/*
 * Reads `path`. NULL with `error` filled: a file that cannot be read, not YAML, an unknown key, a
 * wrong type, a value out of range, a contradiction. Every default has been filled in. Does not
 * look at the credentials file nor at the network. Free with config_free(); NULL is allowed there.
 */
struct config *config_read(const char *path, struct config_error *error);
struct config *config_parse(const char *text, size_t size, struct config_error *error);
void config_free(struct config *config);

/* What config_read() parses, without a NUL; free() it. NULL with `error` filled. */
char *config_text(const char *path, size_t *size, struct config_error *error);

/* The first option that differs and that a running Countersign cannot change, like "workers"; NULL
 * when there is none. */
const char *config_needs_restart(const struct config *running, const struct config *wanted);

/* The listener's upstream; never NULL in a configuration that config_read() returned. */
const struct config_upstream *config_upstream_of(const struct config *config,
                                                 const struct config_listener *listener);

/* True when the listener takes logins by `mechanism`. */
bool config_takes(const struct config_listener *listener, enum config_mechanism mechanism);

/* True when `login` is in the upstream's list. */
bool config_logs_in_by(const struct config_upstream *upstream, enum config_login login);

/* The number of a group in `groups`, however it is spelled; groups_count when it is not there. */
unsigned config_group_index(const struct config *config, const char *group);

/* True when `share`, a share's name, is in a list of names; compared without regard to case. */
bool config_share_listed(char *const *shares, unsigned count, const char *share);

/* "3.1.1" for 0x0311 and so on; "unknown". */
const char *config_dialect_name(uint16_t dialect);

#endif
