/*
 * The acceptor of a client's authentication: Kerberos or NTLMv2, with or without SPNEGO
 * around it (RFC 4178, MS-SPNG, RFC 4121, MS-NLMP 3.2.5). It decides who the client is; what an
 * identity may do is decided elsewhere.
 *
 * An acceptor is one authentication attempt: one ticket, or one challenge, used once. It belongs
 * to one thread at a time; threads may take turns.
 */
#ifndef COUNTERSIGN_CRYPTO_ACCEPT_H
#define COUNTERSIGN_CRYPTO_ACCEPT_H

#include "crypto/cursor.h"
#include "crypto/identity.h"
#include "crypto/kdf.h"
#include "crypto/refusal.h"

enum { NT_HASH_SIZE = 16, TOKEN_MAX = 65535 };

/* How much the MIC of the NTLM AUTHENTICATE is insisted on. */
enum mic_level { MIC_ANNOUNCED, MIC_REQUIRED };

/* How much MsvAvTargetName is insisted on (SPN target name validation). */
enum target_name_level { TARGET_NAME_OFF, TARGET_NAME_IF_PRESENT, TARGET_NAME_REQUIRED };

/* Which realm a domain is: tickets of other realms do not speak for it (crypto/domain_claim.h). */
struct domain_binding {
    const char *name;  /* NetBIOS */
    const char *realm; /* as in principals, compared exactly */
    struct sid sid;    /* may be none */
};

/* Plain data; whoever made it keeps it alive as long as the acceptors made from it. */
struct accept_policy {
    enum mic_level mic;
    enum target_name_level target_name;
    /* Names and addresses by which clients may call this listener; compared without case, without
     * port, after the service class. The class must be `cifs` (or `host`). */
    const char *const *names;
    size_t names_count;
    bool all_addresses; /* every address of this host is one, but those that all hosts have */
    bool transparent;   /* the address that a client connected to is one, whosever it is: */
    const char *called; /* … that, for an attempt (acceptor_new()); NULL in a listener's policy */
    /* What the CHALLENGE says of us. */
    const char *netbios_name;
    const char *netbios_domain;
    const char *dns_name;
    const char *dns_domain;
    unsigned challenge_lifetime_s; /* an AUTHENTICATE later than this is refused; 60 by default */
    bool refuse_ntlm;              /* Kerberos only */
    /* Kerberos, when `keytab` is not NULL: a path, read anew for each ticket. */
    const char *keytab;
    /* The services that tickets may be for, without realm ("cifs/files.example.com"), compared
     * without case; none: `cifs` at any of our names. */
    const char *const *services;
    size_t services_count;
    bool allow_rc4; /* RC4 for tickets and keys beside AES; nothing else is ever taken */
    /* A ticket must tell the user's domain and groups (MS-PAC 2.5), which clients can leave out. */
    bool pac_required;
    const struct domain_binding *domains; /* that are known beside our own */
    size_t domains_count;
};

enum step {
    STEP_CONTINUE, /* send the token, expect another */
    STEP_DONE,     /* proven; send the token if there is one */
    STEP_REFUSED,
};

/* A local account, and whose word its domain is. */
enum nt_hash_found {
    NT_HASH_NONE,      /* no such account */
    NT_HASH_PLAIN,     /* an account of that name without a domain */
    NT_HASH_OF_DOMAIN, /* an account of exactly that domain */
};

/*
 * Finds the NT hash of a local account. `user` and `domain` are UTF-8, as the client spelled them;
 * an account of that domain goes before one without. Fills `hash` unless there is none. Called once
 * per attempt at most.
 */
typedef enum nt_hash_found nt_hash_lookup(void *context, const char *user, const char *domain,
                                          uint8_t hash[NT_HASH_SIZE]);

struct domain;
struct evidence;
struct groups;
struct replays;
struct challenges;

/* What an acceptor asks while it takes a step; lent for that step. */
struct accept_backend {
    nt_hash_lookup *lookup;
    void *lookup_context;
    struct domain *domain;         /* NULL: there is no domain to ask (crypto/domain.h) */
    struct groups *groups;         /* NULL: none are named (crypto/groups.h) */
    struct replays *replays;       /* NULL: no Kerberos (crypto/kerberos_replay.h) */
    struct challenges *challenges; /* NULL: nobody asks whether one is ours (crypto/challenges.h) */
};

struct acceptor;

/* `called`: the address that the client connected to, as text, or empty; it counts when the policy
 * is `transparent`, and lives as long as the acceptor. NULL when out of memory. acceptor_free()
 * wipes every key; NULL is allowed. */
struct acceptor *acceptor_new(const struct accept_policy *policy, const char *called);
void acceptor_free(struct acceptor *acceptor);

/*
 * Takes the client's next token and writes ours to `reply` (room for TOKEN_MAX bytes is always
 * enough; nothing may be written). After STEP_DONE or STEP_REFUSED no further step is taken: it
 * answers STEP_REFUSED with REFUSAL_OUT_OF_ORDER.
 */
enum step acceptor_step(struct acceptor *acceptor, struct span token,
                        const struct accept_backend *backend, struct writer *reply);

/* After STEP_REFUSED: why. */
enum refusal acceptor_refusal(const struct acceptor *acceptor);

/* After STEP_REFUSED: the NT status of a domain controller, 0 when none was asked. */
uint32_t acceptor_status(const struct acceptor *acceptor);

/* The next step with this token would ask winbind, and may block as long as that does. Nothing is
 * changed. */
bool acceptor_asks_domain(const struct acceptor *acceptor, struct span token,
                          const struct accept_backend *backend);

/* Who it is: complete after STEP_DONE; after STEP_REFUSED, what was claimed (unproven, for the
 * log). */
const struct identity *acceptor_identity(const struct acceptor *acceptor);

/* After STEP_DONE: the session key (NTLM: ExportedSessionKey, 16 bytes; Kerberos: as many as its
 * encryption type has). The caller wipes its copy. */
void acceptor_session_key(const struct acceptor *acceptor, struct session_key *key);

/* After STEP_DONE with Kerberos, once: the client's ticket, which the caller releases
 * (crypto/evidence.h). NULL otherwise. */
struct evidence *acceptor_take_evidence(struct acceptor *acceptor);

/* The NegTokenInit2 that a server's NEGOTIATE response carries (MS-SPNG 2.2.1): the mechanisms that
 * the policy takes, in the order of Windows. Needs no secret. */
void accept_write_hint(struct writer *writer, const struct accept_policy *policy);

#endif
