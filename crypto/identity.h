/*
 * Who authenticated on a client leg, as plain data.
 */
#ifndef COUNTERSIGN_CRYPTO_IDENTITY_H
#define COUNTERSIGN_CRYPTO_IDENTITY_H

#include <stdbool.h>

/* Sizes in bytes of UTF-8 text with its NUL. Longer names are refused, never cut. */
enum { IDENTITY_NAME_MAX = 512, IDENTITY_TARGET_MAX = 1024 };

enum mechanism {
    MECHANISM_NONE,
    MECHANISM_NTLM,
    MECHANISM_KERBEROS,
};

struct identity {
    enum mechanism mechanism;
    char user[IDENTITY_NAME_MAX];          /* as the client spelled it */
    char domain[IDENTITY_NAME_MAX];        /* as the client spelled it; may be empty */
    char workstation[IDENTITY_NAME_MAX];   /* NTLM's, which proves nothing; may be empty */
    char target_name[IDENTITY_TARGET_MAX]; /* the SPN the client meant; empty when it gave none */
    bool spnego;                           /* wrapped in SPNEGO, not raw NTLMSSP */
    bool mic_present;                      /* NTLM: a MIC was announced and right */
};

/* "ntlm", "kerberos" or "none". */
const char *mechanism_name(enum mechanism mechanism);

/* The same account: user and domain compared without regard to case, the mechanism exactly. */
bool identity_same(const struct identity *a, const struct identity *b);

#endif
