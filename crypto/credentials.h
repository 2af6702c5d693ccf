/*
 * The credentials file: NT hashes of local users and of mapped accounts.
 *
 * Text, one entry a line, fields separated by ':', `#` starts a comment line:
 *
 *     user:NAME:NTHASH               a local user of the client leg; also the login `same`
 *     user:DOMAIN\NAME:NTHASH        only when the client names that domain
 *     mapped:NAME:[DOMAIN\]ACCOUNT:NTHASH   login `mapped` for that user (NAME may have a domain)
 *     mapped:*:[DOMAIN\]ACCOUNT:NTHASH      … for everybody without a line of their own
 *     mapped:NAME:ACCOUNT@REALM:keytab=/PATH     … by Kerberos, with the key in that keytab
 *     mapped:NAME:ACCOUNT@REALM:password=TEXT    … with a password: the rest of the line
 *     group:NAME:MEMBER,MEMBER       a group of users, by names as in `user:` lines or, for those
 *                                    who come with Kerberos, USER@REALM
 *
 * NTHASH is 32 hexadecimal digits. Names are compared without regard to case. The file must be a
 * regular file of mode 0600 or less that belongs to the reader (or to root).
 */
#ifndef COUNTERSIGN_CRYPTO_CREDENTIALS_H
#define COUNTERSIGN_CRYPTO_CREDENTIALS_H

#include "crypto/accept.h"

enum {
    CREDENTIALS_FILE_MAX = 16 * 1024 * 1024,
    CREDENTIALS_LINE_MAX = 2048,
    CREDENTIALS_GROUP_MAX = 256 * 1024, /* the line of a group */
    CREDENTIALS_SECRET_MAX = 1024,      /* a keytab's path or a password, with its NUL */
};

/* What an account proves itself with. */
enum account_key {
    ACCOUNT_NT_HASH, /* NTLMv2 */
    ACCOUNT_KEYTAB,  /* Kerberos, as for a password */
    ACCOUNT_PASSWORD,
};

struct account {
    enum account_key key;
    char user[IDENTITY_NAME_MAX];   /* with Kerberos "ACCOUNT@REALM" */
    char domain[IDENTITY_NAME_MAX]; /* empty when the entry names none, and with Kerberos */
    uint8_t nt_hash[NT_HASH_SIZE];
    char secret[CREDENTIALS_SECRET_MAX]; /* path of the keytab, or password */
};

struct credentials;

enum credentials_kind { CREDENTIALS_USER, CREDENTIALS_MAPPED };

/* What is wrong and what an administrator can do about it: a text to follow "FILE:LINE: ", without
 * the line where there is none. Never holds anything of the file's content. */
struct credentials_error {
    unsigned line; /* 0: the file as a whole */
    char text[256];
};

/* Reads and checks the file. `owner` is the uid it must belong to (uid 0 always may own it). NULL
 * with `error` filled. The buffer it was read into is wiped. */
struct credentials *credentials_read(const char *path, unsigned owner,
                                     struct credentials_error *error);

/* The same from bytes in memory (for tests and fuzzing). */
struct credentials *credentials_parse(struct span text, struct credentials_error *error);
void credentials_free(struct credentials *credentials); /* wipes every hash; NULL is allowed */

/* How many entries there are of local users, and of mappings. */
size_t credentials_users(const struct credentials *credentials);
size_t credentials_mapped(const struct credentials *credentials);

/* Finds a local user: an entry with that domain first, then one without a domain. */
MUST_USE bool credentials_find_user(const struct credentials *credentials, const char *user,
                                    const char *domain, uint8_t nt_hash[NT_HASH_SIZE]);

/* The same, but only an entry with that domain. */
MUST_USE bool credentials_find_domain_user(const struct credentials *credentials, const char *user,
                                           const char *domain, uint8_t nt_hash[NT_HASH_SIZE]);

/* Which mappings are looked for: that of DOMAIN\NAME; that of NAME, then `*`; or only `*`. */
enum credentials_names { CREDENTIALS_EXACT, CREDENTIALS_PLAIN, CREDENTIALS_EVERYBODY };

/* Finds the mapped account of a user. The caller wipes it. */
MUST_USE bool credentials_find_mapped(const struct credentials *credentials, const char *user,
                                      const char *domain, enum credentials_names names,
                                      struct account *account);

/* Whether an entry of that kind names such a user of some domain, by its NetBIOS name (one without
 * a dot): who has a Kerberos ticket that tells no domain may be that user, and may not. */
bool credentials_name_domain_user(const struct credentials *credentials, enum credentials_kind kind,
                                  const char *user);

/* Groups. A member is named exactly as in the file, without regard to case: "alice" is not
 * "CORP\\alice". */
size_t credentials_groups(const struct credentials *credentials);
bool credentials_has_group(const struct credentials *credentials, const char *name);
bool credentials_in_group(const struct credentials *credentials, const char *name,
                          const char *member);
/* Whether a member is such a user of some domain, as with credentials_name_domain_user(). */
bool credentials_group_names_domain_user(const struct credentials *credentials, const char *name,
                                         const char *user);
/* By name; `members` as in the file. */
void credentials_each_group(const struct credentials *credentials,
                            void (*each)(void *context, const char *name, const char *members),
                            void *context);

/* Editing, for `countersign user`. Each rewrites the file whole and atomically (a new 0600 file
 * with the owner of the old one, fsync, rename), keeping comments and the order of lines; false
 * with `error` filled and the old file untouched. `target` as in the file; an existing entry is
 * replaced by add. */
/* Adds many at once: all of them or, on any error, none. */
struct credentials_entry {
    enum credentials_kind kind;
    const char *name;
    const char *target; /* NULL for a user */
    enum account_key key;
    uint8_t nt_hash[NT_HASH_SIZE]; /* for ACCOUNT_NT_HASH */
    const char *secret;            /* for the others, which only mappings have */
};
MUST_USE bool credentials_add_all(const char *path, const struct credentials_entry *entries,
                                  size_t count, unsigned owner, unsigned group,
                                  struct credentials_error *error);

/* Takes out one entry, which must be there; `name` as in the file. */
MUST_USE bool credentials_remove(const char *path, enum credentials_kind kind, const char *name,
                                 struct credentials_error *error);

/* The same for groups, for `countersign group`: puts members into a group, which is made when there
 * is none; takes members out of it, or removes it when none is given. */
MUST_USE bool credentials_group_add(const char *path, const char *name, const char *const *members,
                                    size_t count, unsigned owner, unsigned group,
                                    struct credentials_error *error);
MUST_USE bool credentials_group_remove(const char *path, const char *name,
                                       const char *const *members, size_t count,
                                       struct credentials_error *error);

/* Calls `each` for every entry in file order; `target` is NULL for a user. */
void credentials_each(const struct credentials *credentials,
                      void (*each)(void *context, enum credentials_kind kind, const char *name,
                                   const char *target),
                      void *context);

#endif
