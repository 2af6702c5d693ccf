/*
 * The groups that the configuration names, and who is in them.
 *
 * A name is that of a group of the credentials file ("finance"), of a group of a domain
 * ("CORP\finance"), or a SID ("S-1-5-…"). A domain's names become SIDs through winbind, when
 * somebody logs in whom a domain vouches for; what winbind found is kept, what it did not find is
 * asked again a minute later. Safe in several threads.
 */
#ifndef COUNTERSIGN_CRYPTO_GROUPS_H
#define COUNTERSIGN_CRYPTO_GROUPS_H

#include "crypto/credentials.h"
#include "crypto/domain.h"

struct groups;

/*
 * `names` in the order of the bits of struct identity; at most IDENTITY_GROUPS_MAX. All that is
 * passed must outlive it; `credentials` and `domain` may be NULL. NULL when out of memory.
 */
struct groups *groups_new(const char *const *names, size_t count,
                          const struct credentials *credentials, struct domain *domain);
void groups_free(struct groups *groups); /* NULL is allowed */

enum groups_marked {
    GROUPS_MARKED,
    /* Nobody can say what the user may do: */
    GROUPS_NOT_ASKED,   /* winbind could not be asked for a name that may be one of his groups */
    GROUPS_PAC_MISSING, /* he may be the DOMAIN\user that is a member, and his ticket does not tell
                         */
};

/*
 * Sets identity->groups of an identity whose mechanism, authority and names are set. `sids` are
 * those that a domain controller or a KDC gave him; none is known of others. May block as long as
 * winbind does.
 */
MUST_USE enum groups_marked groups_mark(struct groups *groups, const struct sids *sids,
                                        struct identity *identity);

/* Why somebody is refused whose groups are not known; REFUSAL_NONE for GROUPS_MARKED. */
enum refusal groups_refusal(enum groups_marked marked);

/* Whether groups_mark() might ask winbind for somebody who has SIDs. */
bool groups_ask_domain(struct groups *groups);

/* Why a name can be no group here; NULL when it can, or only winbind could tell. To follow "group
 * NAME: ". `winbind`: it will be asked. */
const char *groups_problem(const char *name, const struct credentials *credentials, bool winbind);

#endif
