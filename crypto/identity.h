/*
 * Who authenticated on a client leg, as plain data.
 */
#ifndef COUNTERSIGN_CRYPTO_IDENTITY_H
#define COUNTERSIGN_CRYPTO_IDENTITY_H

#include "crypto/sid.h"

/* Sizes in bytes of UTF-8 text with its NUL. Longer names are refused, never cut. Of groups, only
 * those count that the configuration names: so many at most. */
enum { IDENTITY_NAME_MAX = 512, IDENTITY_TARGET_MAX = 1024, IDENTITY_GROUPS_MAX = 256 };

enum mechanism {
    MECHANISM_NONE,
    MECHANISM_NTLM,
    MECHANISM_KERBEROS,
};

/* Who vouches for the name. */
enum authority {
    AUTHORITY_NONE,
    AUTHORITY_LOCAL,    /* the credentials file */
    AUTHORITY_DOMAIN,   /* a domain controller, through winbind */
    AUTHORITY_KERBEROS, /* a KDC, by a ticket */
};

/* In which way an NTLM login names no server (MS-NLMP 2.2.2.1). */
enum target_absence {
    TARGET_ABSENT,    /* there is no MsvAvTargetName */
    TARGET_EMPTY,     /* it has no text: what Windows sends for a program that gave it no name */
    TARGET_UNTRUSTED, /* the client says that it had the name from a source it does not trust */
};

struct identity {
    enum mechanism mechanism;
    enum authority authority;
    char user[IDENTITY_NAME_MAX];   /* NTLM: as the client spelled it; Kerberos: the principal's
                                       name without its realm */
    char domain[IDENTITY_NAME_MAX]; /* NTLM: as the client spelled it, may be empty; Kerberos: the
                                       NetBIOS domain of the PAC, or the realm when there is none */
    char principal[IDENTITY_NAME_MAX]; /* Kerberos: "alice@EXAMPLE.COM"; else empty */
    struct sid sid; /* Kerberos: the user's own, of the PAC; none without one, and for others */
    char workstation[IDENTITY_NAME_MAX];   /* NTLM's, which proves nothing; may be empty */
    char target_name[IDENTITY_TARGET_MAX]; /* the SPN the client meant; empty when it gave none */
    enum target_absence target_absence;    /* why `target_name` is empty, with NTLM */
    bool spnego;                           /* wrapped in SPNEGO, not raw NTLMSSP */
    bool mic_present;                      /* NTLM: a MIC was announced and right */
    bool mutual; /* Kerberos: the client asked for mutual authentication */
    int64_t
        expires; /* seconds since 1970 UTC: when the proof runs out (the ticket's end); 0: never */
    uint8_t groups[IDENTITY_GROUPS_MAX / 8]; /* bit n: member of the n-th group of the settings */
};

/* Member of the group number `group` of the settings; false for numbers beyond. */
bool identity_in_group(const struct identity *identity, unsigned group);

/* "ntlm", "kerberos" or "none". */
const char *mechanism_name(enum mechanism mechanism);

/* "absent", "empty" or "untrusted". */
const char *target_absence_name(enum target_absence absence);

/* "local", "domain", "kerberos" or "none". */
const char *authority_name(enum authority authority);

/* The same account; the mechanism and who vouches are compared exactly, names of NTLM without
 * regard to case. With Kerberos it is the same SID in the same realm where both have one, however
 * the name is spelled: KDCs of Active Directory give tickets in the spelling that the client asked
 * in. Without one everything must be equal, case included, as it counts in an MIT realm. */
bool identity_same(const struct identity *a, const struct identity *b);

/* A KDC vouches for the name, and does not tell which domain it is of: the ticket has no PAC. */
bool identity_domain_untold(const struct identity *identity);

/* What follows the last '@' of a principal; empty when there is none. */
const char *identity_realm(const char *principal);

/* The same in no more memory than it needs, for whoever keeps many of them. NULL when memory is
 * short; free() it. identity_unpack() gives back exactly what was packed. */
struct packed_identity;
struct packed_identity *identity_pack(const struct identity *identity);
void identity_unpack(const struct packed_identity *packed, struct identity *identity);

#endif
