/* Why an authentication was refused, on either leg. */
#ifndef COUNTERSIGN_CRYPTO_REFUSAL_H
#define COUNTERSIGN_CRYPTO_REFUSAL_H

/* Each has a name for the log and is one kind of event. */
enum refusal {
    REFUSAL_NONE,
    REFUSAL_MALFORMED,             /* not a token of any kind we know, or a broken one */
    REFUSAL_NO_MECHANISM,          /* SPNEGO offered nothing we take */
    REFUSAL_OTHER_MECHANISM,       /* upstream: the file server chose what we did not offer */
    REFUSAL_MECH_LIST_MIC_WRONG,   /* not over the list that we know, or not with the key */
    REFUSAL_MECH_LIST_MIC_MISSING, /* … and it is required (RFC 4178 5) */
    REFUSAL_OUT_OF_ORDER,          /* AUTHENTICATE without our CHALLENGE, or a second one */
    REFUSAL_FLAGS,                 /* NTLM flags without what signing needs, or changed under way */
    REFUSAL_NTLMV1,                /* NTLMv1, NTLM2 session response or LM only */
    REFUSAL_ANONYMOUS,             /* empty user, empty response or the anonymous flag */
    REFUSAL_UNKNOWN_USER,          /* no such account here; clients are told LOGON_FAILURE */
    REFUSAL_GUEST,          /* the guest account, which nobody is here; told as UNKNOWN_USER */
    REFUSAL_WRONG_PASSWORD, /* NTProofStr wrong; clients are told LOGON_FAILURE */
    REFUSAL_AV_PAIRS,       /* an AV pair of our CHALLENGE missing or changed in the response */
    REFUSAL_MIC_MISSING,    /* required by policy or announced, and not there */
    REFUSAL_MIC_WRONG,
    REFUSAL_TARGET_NAME_WRONG,   /* the client meant another server: a relay */
    REFUSAL_TARGET_NAME_MISSING, /* required by policy */
    REFUSAL_STALE,               /* challenge older than its lifetime, or timestamp not ours */
    REFUSAL_CHANNEL_BINDINGS,    /* bindings to a TLS channel: SMB has none; a relay */
    REFUSAL_NTLM,                /* NTLM where Kerberos alone is taken */
    REFUSAL_DOMAIN_UNAVAILABLE,  /* no domain controller, or no winbind, to ask */
    REFUSAL_DOMAIN,              /* the domain controller said no: its status tells why */
    REFUSAL_KEYTAB,          /* the keytab cannot be read, or has no key at all for the ticket */
    REFUSAL_TICKET_KEY,      /* no key of the ticket's version, or it does not decrypt */
    REFUSAL_TICKET_SERVICE,  /* a ticket for another service than ours */
    REFUSAL_TICKET_EXPIRED,  /* or not valid yet */
    REFUSAL_CLOCK_SKEW,      /* the client's clock and ours differ too much */
    REFUSAL_REPLAY,          /* this AP-REQ has been seen before */
    REFUSAL_ENCRYPTION_TYPE, /* RC4 or DES, which policy does not take */
    REFUSAL_PAC_MISSING,     /* required by policy: what the user is in cannot be told */
    REFUSAL_DOMAIN_CLAIMED,  /* a ticket of one realm tells that the user is of another's domain */
    REFUSAL_TOO_MANY_GROUPS, /* more of them than SIDS_MAX */
    REFUSAL_KERBEROS,        /* anything else that libkrb5 found wrong */
    REFUSAL_REFLECTION,      /* upstream: the file server shows us a challenge of our own */
    REFUSAL_KDC_UNREACHABLE, /* upstream: no KDC answers */
    REFUSAL_NOT_DELEGATED,   /* upstream: the KDC does not let us act for this user there */
    REFUSAL_SERVICE_KEY,     /* upstream: our own account's key is missing or wrong */
    REFUSAL_TARGET_UNKNOWN,  /* upstream: the KDC does not know the file server's name */
    REFUSAL_INTERNAL,        /* memory, or OpenSSL */
    REFUSAL_COUNT
};

/* "ntlmv1", "mic_wrong" and so on: stable names for logs. */
const char *refusal_name(enum refusal refusal);

#endif
