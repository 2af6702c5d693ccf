/*
 * The domain that this host is joined to, asked through winbind (libwbclient): NTLM logins of its
 * users, the identifiers of its groups.
 *
 * A domain controller proves a password and hands out the session key; it compares neither target
 * name nor MIC nor freshness, so all that is left to the caller (MS-NRPC 3.5.4.5, MS-APDS 3.1.5).
 * Winbind speaks to whoever may use its privileged pipe. Every call but domain_new(), domain_free()
 * and domain_names() may block for as long as winbind waits for a controller; all are safe in
 * several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_DOMAIN_H
#define COUNTERSIGN_CRYPTO_DOMAIN_H

#include "crypto/accept.h"
#include "crypto/sid.h"

enum { DOMAIN_NAME_MAX = 256, DOMAIN_KEY_SIZE = 16, DOMAIN_CHALLENGE_SIZE = 8 };

/* False when this Countersign was built without libwbclient: then nothing else here works. */
bool domain_available(void);

struct domain;

/* NULL when out of memory. Asks nobody anything yet. */
struct domain *domain_new(void);
void domain_free(struct domain *domain); /* NULL is allowed */

/* What winbind calls this host and its domain, in UTF-8. A response to a CHALLENGE with other
 * NetBIOS names is refused by the domain controller. */
struct domain_names {
    char computer[DOMAIN_NAME_MAX]; /* NetBIOS */
    char domain[DOMAIN_NAME_MAX];   /* NetBIOS */
    char dns_domain[DOMAIN_NAME_MAX];
    struct sid sid; /* of the domain; may be none */
};

/* Asks winbind for the names, which needs no domain controller. False when winbind does not answer;
 * names known before stay. The first failure after a success, and the other way round, is told on
 * standard error. */
bool domain_refresh(struct domain *domain);

/* The names of the last successful domain_refresh(); false when there was none. */
MUST_USE bool domain_names(struct domain *domain, struct domain_names *names);

/* An NTLMv2 response, as the client sent it; texts are UTF-8. */
struct domain_proof {
    const char *user;
    const char *domain;       /* as in the AUTHENTICATE; may be empty */
    const char *workstation;  /* may be empty */
    const uint8_t *challenge; /* ours, DOMAIN_CHALLENGE_SIZE bytes */
    struct span response;     /* NTProofStr and what it covers */
};

/* What a domain controller says. */
struct domain_answer {
    uint8_t base_key[DOMAIN_KEY_SIZE]; /* SessionBaseKey */
    char user[IDENTITY_NAME_MAX];      /* as the controller spells it */
    char domain[IDENTITY_NAME_MAX];    /* NetBIOS */
    int64_t expires;                   /* as in struct identity */
    struct sids sids;                  /* the user's and his groups' */
    uint32_t status; /* NT status when refused; 0 when there is none of a controller */
    bool guest;      /* refused because the controller took the user as guest */
    bool foreign;    /* refused because no domain of that name is known, by no one who would know */
};

/*
 * REFUSAL_NONE: `answer` is filled, and its SIDs are there. Otherwise UNKNOWN_USER, WRONG_PASSWORD,
 * TOO_MANY_GROUPS, DOMAIN with the status that a client may be told, DOMAIN_UNAVAILABLE, or
 * INTERNAL. The caller calls domain_answer_wipe() in any case.
 */
enum refusal domain_validate(struct domain *domain, const struct domain_proof *proof,
                             struct domain_answer *answer);
void domain_answer_wipe(struct domain_answer *answer);

/* What a refusal with this NT status is for us. */
enum refusal domain_refusal(uint32_t status);

enum domain_found { DOMAIN_FOUND, DOMAIN_NOT_FOUND, DOMAIN_NOT_ASKED };

/* The SID of a group "DOMAIN\name". DOMAIN_NOT_FOUND: there is no group of that name;
 * DOMAIN_NOT_ASKED: winbind or its domain controller did not answer. */
enum domain_found domain_group(struct domain *domain, const char *name, struct sid *sid);

/* For `countersign check`: whether the domain controller takes this host's own password. NULL, or
 * what is wrong and what to do about it. */
const char *domain_problem(struct domain *domain);

#endif
