/*
 * Audit events: what kinds there are, what each carries, and how one is written.
 *
 * An event is a kind and a set of text fields. A worker packs it, the recorder unpacks, checks and
 * writes it as one JSON object on one line. No field ever holds a secret.
 */
#ifndef COUNTERSIGN_POLICY_EVENT_H
#define COUNTERSIGN_POLICY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name in the log is the kind in lower case without EVENT_: see event_kind_of(). */
enum event_kind {
    EVENT_LISTENER_UP,
    EVENT_RELOADED,         /* another configuration is in use */
    EVENT_RELOAD_REFUSED,   /* … is not, because of this */
    EVENT_SESSION_REJUDGED, /* the rules of another configuration ended a session */
    EVENT_PROCESS_ENDED,    /* a child died and is being restarted */
    EVENT_COUNTERS,         /* how often each event happened, at stop or on request */
    EVENT_LINK,             /* both legs negotiated */
    EVENT_LINK_ENDED,       /* with its reason; once for every client connection */
    EVENT_LOGIN,            /* a session pair is up */
    EVENT_LOGOFF,
    EVENT_TREE_CONNECT,
    EVENT_SMB1_REFUSED,        /* SMB1 message, or NEGOTIATE without an SMB2 dialect (3000) */
    EVENT_DIALECT_REFUSED,     /* no common dialect within policy */
    EVENT_NEGOTIATE_REFUSED,   /* malformed or contradictory NEGOTIATE */
    EVENT_UNSIGNED_REFUSED,    /* a message that must be signed was not */
    EVENT_UNENCRYPTED_REFUSED, /* a message only signed where the session or share is encrypted */
    EVENT_BAD_SIGNATURE,       /* a signature did not verify */
    EVENT_PREAUTH_MISMATCH,    /* 3.1.1: the first signature with keys of the negotiation did not */
    EVENT_LOGIN_REFUSED,       /* client's authentication refused; reason says why */
    EVENT_NTLMV1_REFUSED,
    EVENT_NTLM_REFUSED,     /* NTLM where only Kerberos is taken (4002) */
    EVENT_KERBEROS_REFUSED, /* a ticket; reason says why */
    EVENT_RC4_REFUSED,      /* a ticket or session key of a weak encryption type */
    EVENT_DOMAIN_UNAVAILABLE,
    EVENT_KDC_UNREACHABLE,
    EVENT_DELEGATION_REFUSED, /* the KDC does not let us act for the user */
    EVENT_ANONYMOUS_REFUSED,
    EVENT_GUEST_LOGIN_REFUSED, /* a client's, by that name */
    EVENT_GUEST_REFUSED,       /* upstream answered as guest or anonymous */
    EVENT_TARGET_NAME_REFUSED, /* SPN check failed (5168) */
    EVENT_MIC_REFUSED,
    EVENT_MECHANISM_DOWNGRADED, /* SPNEGO: mechListMIC wrong or missing, or another mechanism */
    EVENT_MIC_ABSENT,           /* allowed by policy, recorded */
    EVENT_TARGET_NAME_ABSENT,   /* allowed by policy, recorded */
    EVENT_UPSTREAM_UNREACHABLE,
    EVENT_UPSTREAM_REFUSED, /* it speaks no dialect of ours, or nonsense */
    EVENT_UPSTREAM_SMB1_ONLY,
    EVENT_UPSTREAM_NO_SIGNING, /* does not offer signing, or did not sign (31998) */
    EVENT_UPSTREAM_BAD_SIGNATURE,
    EVENT_UPSTREAM_LOGIN_REFUSED, /* file server refused the upstream login */
    EVENT_UPSTREAM_ENCRYPTION,    /* it demands encryption that is not carried */
    EVENT_VALIDATE_MISMATCH,      /* VALIDATE_NEGOTIATE_INFO did not match, either leg */
    EVENT_LOGIN_FALLBACK,         /* a later login of the list was used */
    EVENT_SESSION_EXPIRED,        /* a proof ran out, on either leg; the client renews it */
    EVENT_SESSION_RENEWED,        /* upstream, without the client */
    EVENT_LOGIN_ABANDONED,        /* closed after SUCCESS without one valid signed request */
    EVENT_IDENTITY_CHANGED,       /* re-authentication as somebody else, refused */
    EVENT_FOREIGN_SESSION,        /* a SessionId that is somebody else's */
    EVENT_BINDING_REFUSED,        /* session binding (multichannel) */
    EVENT_BYPASS_REFUSED,         /* network interfaces, DFS referrals: a way around the proxy */
    EVENT_PROTOCOL_ERROR,         /* malformed message or sequence */
    EVENT_LIMIT_REACHED,
    EVENT_RULE_REFUSED,           /* a rule, or its demand */
    EVENT_RULE_AUDIT,             /* allowed by a rule that records what it would refuse */
    EVENT_READ_ONLY_REFUSED,      /* a change where a rule says read_only */
    EVENT_PIPE_REFUSED,           /* a named pipe that no rule opens */
    EVENT_RPC_BIND_REFUSED,       /* a login inside a named pipe */
    EVENT_RPC_CALL_REFUSED,       /* a call that needs the session key of the connection */
    EVENT_NAME_MISMATCH,          /* the client calls us by different names; recorded */
    EVENT_CLIENT_NO_SIGNING,      /* a client says that it does not sign (3021); recorded */
    EVENT_CLIENT_NO_ENCRYPTION,   /* a client that cannot encrypt (3022); recorded */
    EVENT_UPSTREAM_NO_ENCRYPTION, /* a file server that cannot encrypt (31999); recorded */
    EVENT_UPSTREAM_FORGED,        /* interim response or break that belongs to nothing */
    EVENT_UPSTREAM_UNVERIFIED,    /* the end of a session, which nobody could have signed */
    EVENT_QUIRK_USED,             /* a fault of a file server that the configuration tolerates */
    EVENT_EVENTS_LOST,            /* a worker had to drop events */
    EVENT_LIMITER_ACTED,          /* too many failed logins: an attempt was not even looked at */
    EVENT_DOWNGRADE,              /* less than the same end could do before */
    EVENT_CONTEXTS_STRIPPED,      /* 3.1.1 without a context that the same end sent before */
    EVENT_SERVER_CHANGED,         /* a file server's GUID or name is another one */
    EVENT_MEMORY_DAMAGED,         /* what was remembered could not be read, and is set aside */
    EVENT_MEMORY_FORGOTTEN,       /* an administrator had something forgotten */
    EVENT_MESSAGE_REPLAYED,       /* a MessageId that was used before */
    EVENT_REFLECTION_REFUSED,     /* a file server shows a challenge of ours */
    EVENT_KIND_COUNT
};

enum event_severity { SEVERITY_INFO, SEVERITY_NOTICE, SEVERITY_WARNING, SEVERITY_ERROR };

/* Fields, in the order in which they are written. A number is plain decimal digits: anything else
 * there is left out by whoever packs or writes the event, and refused by event_unpack(). */
enum event_field {
    FIELD_LEG,     /* "client" or "upstream" */
    FIELD_REASON,  /* a stable word */
    FIELD_TEXT,    /* a sentence for people */
    FIELD_VERDICT, /* "allowed", "refused", "recorded" */
    FIELD_REPEATS, /* number: for how many events of before this one stands */
    FIELD_LISTENER,
    FIELD_UPSTREAM,
    FIELD_CLIENT_ADDRESS,
    FIELD_CLIENT_PORT, /* number */
    FIELD_UPSTREAM_ADDRESS,
    FIELD_UPSTREAM_PORT, /* number */
    FIELD_USER,
    FIELD_DOMAIN,
    FIELD_PRINCIPAL,
    FIELD_CLAIMED, /* who a session tried to become */
    FIELD_MECHANISM,
    FIELD_AUTHORITY, /* "local", "domain" or "kerberos" */
    FIELD_WORKSTATION,
    FIELD_TARGET_NAME,
    FIELD_LOGIN,   /* same, mapped … */
    FIELD_ACCOUNT, /* who the file server sees */
    FIELD_NETNAME, /* by which the client looked us up */
    FIELD_SHARE,
    FIELD_PIPE,
    FIELD_RULE,
    FIELD_COMMAND,
    FIELD_STATUS, /* "0xc000006d" */
    FIELD_OFFERED,
    FIELD_CHOSEN,
    FIELD_REMEMBERED, /* what was offered or chosen at best, before */
    FIELD_CLIENT_DIALECT,
    FIELD_CLIENT_SIGNING,
    FIELD_CLIENT_CIPHER,
    FIELD_UPSTREAM_DIALECT,
    FIELD_UPSTREAM_SIGNING,
    FIELD_UPSTREAM_CIPHER,
    FIELD_CLIENT_GUID,
    FIELD_SESSION, /* the client's SessionId, "0x…" */
    FIELD_LINK,    /* number, unique within a worker's life */
    FIELD_WORKER,  /* number */
    FIELD_PID,     /* number */
    FIELD_LOST,    /* number: of events */
    FIELD_COUNT
};

struct event_description {
    const char *name; /* "smb1_refused" */
    enum event_severity severity;
    uint16_t windows_id;         /* 0: Windows has none */
    const char *windows_channel; /* "SMBServer/Audit"; NULL */
    const char *meaning;         /* one sentence */
};

/* Field values are borrowed; NULL: not there. */
struct audit_event {
    enum event_kind kind;
    const char *field[FIELD_COUNT];
};

/* Sizes in bytes of a packed event and of one field's text without a NUL; longer texts are cut at a
 * UTF-8 boundary and end in "…". */
enum { EVENT_PACKED_MAX = 16 * 1024, EVENT_FIELD_MAX = 2048 };

const struct event_description *event_describe(enum event_kind kind);
const char *event_field_name(enum event_field field);

/* Packs into `buffer`; the size used, or 0 when it does not fit. */
size_t event_pack(const struct audit_event *event, uint8_t *buffer, size_t size);

/* An unpacked event owns its texts in `storage`. */
struct event_storage {
    char text[EVENT_PACKED_MAX + FIELD_COUNT];
};
/* False for anything that event_pack() did not write. */
bool event_unpack(const uint8_t *buffer, size_t size, struct audit_event *event,
                  struct event_storage *storage);

/* One JSON object without a line feed, allocated with malloc; NULL when out of memory. `time_ns` is
 * nanoseconds since 1970 UTC, written as RFC 3339 with microseconds. Invalid UTF-8 is replaced. */
char *event_json(const struct audit_event *event, int64_t time_ns);

#endif
