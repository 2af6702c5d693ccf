/*
 * The keeper: the process that holds every long-term secret and does every authentication.
 *
 * A worker asks it to take a client's tokens (the acceptor's side), and to log in upstream for an
 * identity that the keeper itself proved for that worker and link. The proof is a handle: 16 random
 * bytes, good for one login start, on the channel and for the link it was made for, for a minute.
 * Authentication runs in a pool of threads, so that a slow one delays nobody else.
 */
#ifndef COUNTERSIGN_CRYPTO_KEEPER_H
#define COUNTERSIGN_CRYPTO_KEEPER_H

#include "crypto/accept.h"

enum login_kind {
    LOGIN_SAME,       /* NTLMv2 as the same user */
    LOGIN_MAPPED,     /* NTLMv2 or Kerberos as the mapped account */
    LOGIN_TICKET,     /* the client's own ticket, with a fresh authenticator */
    LOGIN_DELEGATE,   /* S4U2Proxy with the client's ticket as evidence */
    LOGIN_TRANSITION, /* S4U2Self, then S4U2Proxy */
};
enum { KEEPER_HANDLE_SIZE = 16, KEEPER_LOGINS_MAX = 5, KEEPER_ATTEMPTS_MAX = 4096 };

/* "same", "mapped", "ticket", "delegate", "transition". */
const char *login_kind_name(enum login_kind kind);

struct keeper_listener {
    const char *name;
    struct accept_policy accept;
};

struct keeper_upstream {
    const char *name;
    const char *target;  /* SPN for the upstream leg: "cifs/nas.example.com" */
    const char *address; /* and port, "192.0.2.10:445": two with the same are one file server */
    enum login_kind logins[KEEPER_LOGINS_MAX]; /* tried in order; the next only when this one has no
                                                  credential for the identity, not when that
                                                  credential was refused */
    size_t logins_count;
    /* For `delegate` and `transition`: our own account, a full principal
     * ("cifs/files.example.com@EXAMPLE.COM"), and the keytab with its key; NULL when neither is
     * used. `delegate` needs it to be the service that the client's ticket is for. */
    const char *service;
    const char *keytab;
};

/* Plain data made from the configuration; listeners and upstreams are named by index in messages.
 */
struct keeper_settings {
    const struct keeper_listener *listeners;
    size_t listeners_count;
    const struct keeper_upstream *upstreams;
    size_t upstreams_count;
    const char *credentials; /* path; NULL: there is none */
    unsigned threads;        /* of the pool for what does not leave the machine; at least 1 */
    unsigned
        remote_threads; /* of the pool for what asks a KDC or a domain controller; at least 1 */
    bool winbind;       /* NTLM of domain users goes to winbind */
    const struct domain_binding *domains; /* what the listeners' policies refer to */
    /* The groups that policy names, as it spells them: "CORP\\finance", "finance" (of the
     * credentials file) or a SID "S-1-5-…"; at most IDENTITY_GROUPS_MAX. */
    const char *const *groups;
    size_t groups_count;
    /* Memory for the tickets that clients have shown (replays_size() bytes,
     * crypto/kerberos_replay.h), shared with whoever starts a keeper in the place of this one;
     * NULL: the keeper's own, which ends with it. */
    void *replays;
    uint32_t generation; /* of the configuration that they were made from */
    /* Of older generations that connections may still live with, the next newest first: a keeper
     * that takes the place of another knows them too. NULL: there are none. */
    struct keeper_settings *earlier;
    /* Makes the settings of another generation from a configuration's text; NULL with a sentence.
     * NULL here when there will be no other. */
    struct keeper_settings *(*read)(struct span text, char *problem, size_t size);
    void (*free)(struct keeper_settings *settings); /* of what `read` made */
    void *owner;                                    /* what `free` needs for it */
};

/*
 * Runs the keeper until its control channel `control_fd` says stop or closes. Reads the credentials
 * file first, as the current user; when that fails it says why on standard error and returns 1. On
 * the control message CONTROL_RELOAD it reads the file again: a broken one leaves the old in
 * use, with a message. What CONTROL_PREPARE brought takes its place at the next CONTROL_RELOAD; a
 * generation of the settings is kept until no worker uses it. A credential that a file server
 * refused rests before it is tried again, through reloads too. Channels to workers arrive over the
 * control channel. Returns the exit status.
 */
int keeper_run(const struct keeper_settings *settings, int control_fd);

#endif
