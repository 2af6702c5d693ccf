/*
 * What the parts of the credentials file share: its entries, its text, its bytes on disk.
 */
#ifndef COUNTERSIGN_CRYPTO_CREDENTIALS_INTERNAL_H
#define COUNTERSIGN_CRYPTO_CREDENTIALS_INTERNAL_H

#include "crypto/credentials.h"

/* NAME or DOMAIN\NAME with its NUL. */
enum { CREDENTIALS_NAME_MAX = 2 * IDENTITY_NAME_MAX };

/* A name in upper case, as UTF-16LE: two names are the same when these bytes are. */
struct name_key {
    uint8_t *bytes;
    size_t size;
};

struct entry {
    enum credentials_kind kind;
    unsigned line;
    char *name;
    char *target; /* NULL for a user */
    struct name_key key;
    enum account_key account_key;
    uint8_t nt_hash[NT_HASH_SIZE];
    char *secret; /* NULL with an NT hash */
};

struct local_group {
    unsigned line;
    char *name;
    char *text; /* its members as in the file */
    struct name_key key;
    struct name_key *members; /* in the order of their bytes */
    size_t count;
};

struct credentials {
    struct entry *entries; /* in file order */
    size_t count;
    size_t users;
    struct entry **sorted;      /* the same by kind and key */
    struct local_group *groups; /* by key */
    size_t groups_count;
};

/* Fills `error`; `line` 0 means the file as a whole. Always false. */
bool credentials_fail(struct credentials_error *error, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One entry from one line without its end; names are allocated. False with `error` filled; what was
 * allocated until then is in `entry`, for entry_wipe(). */
MUST_USE bool entry_parse(struct span line, unsigned number, struct entry *entry,
                          struct credentials_error *error);
void entry_wipe(struct entry *entry);

/* True for a line that holds no entry: empty, or a comment. */
bool line_is_blank(struct span line);

/* The next line without its end ("\n" or "\r\n"); false at the end of the text. */
MUST_USE bool line_next(struct reader *reader, struct span *line);

/* What may stand as `kind`'s NAME or as a target; NULL, or what is wrong, to follow "NAME …". */
const char *name_problem(enum credentials_kind kind, const char *name);
const char *target_problem(const char *target);

/* What may be a mapping's target and secret when it logs in by Kerberos; NULL, or what is wrong, to
 * follow "the mapped account …" and "the keytab/password …". */
const char *principal_problem(const char *target);
const char *secret_problem(enum account_key key, const char *secret);

/* What the last field begins with: "keytab=", "password=", or "" for an NT hash. */
const char *account_key_prefix(enum account_key key);

/* 32 hexadecimal digits, or false. */
MUST_USE bool nt_hash_parse(struct span digits, uint8_t nt_hash[NT_HASH_SIZE]);

/* False when memory is short or `name` is not UTF-8; free key->bytes. */
MUST_USE bool name_key_make(const char *name, struct name_key *key);

/* Whether the key is of DOMAIN\user, the domain being a NetBIOS name. `suffix`: the key of "\user".
 */
bool name_key_is_in_domain(const struct name_key *key, const struct name_key *suffix);
/* The key of "\user", as for name_key_make(); false too for a user with a backslash. */
MUST_USE bool name_key_suffix(const char *user, struct name_key *suffix);

/* The entry of exactly this name, or NULL. */
struct entry *credentials_lookup(const struct credentials *credentials, enum credentials_kind kind,
                                 const char *name);

/* What may stand as a group's name and as a member's; NULL, or what is wrong, to follow "NAME …".
 */
const char *group_problem(const char *name);
const char *member_problem(const char *name);

/* Whether the line is a group's; then `rest` is what follows "group:". */
MUST_USE bool group_line(struct span line, struct span *rest);

/* Adds the group of a line; false with `error` filled. They are found after groups_sort(), which
 * refuses two of one name. */
MUST_USE bool group_add(struct credentials *credentials, struct span line, struct span rest,
                        unsigned number, struct credentials_error *error);
MUST_USE bool groups_sort(struct credentials *credentials, struct credentials_error *error);
void groups_free_all(struct credentials *credentials);

/* NULL when there is none of that name. */
const struct local_group *group_find(const struct credentials *credentials, const char *name);

/* The bytes of a file, whose owner is remembered for its successor. */
struct file_bytes {
    uint8_t *bytes;
    size_t size;
    unsigned owner, group;
};

enum file_result { FILE_READ, FILE_MISSING, FILE_REFUSED };

/* Reads a credentials file that is regular, private, not a link and not too long; `directory` as in
 * openat(). With `owner` it must belong to *owner or to root. `error` is filled unless it was read.
 */
MUST_USE enum file_result file_load(int directory, const char *name, const unsigned *owner,
                                    struct file_bytes *file, struct credentials_error *error);
void file_wipe(struct file_bytes *file);

/* A file's directory, locked against other edits until place_leave(). */
struct file_place {
    int directory;
    char name[256];     /* the file within it */
    char new_name[256]; /* its successor until that is complete */
};

/* Waits for whoever else edits there. False with `error` filled. */
MUST_USE bool place_enter(const char *path, struct file_place *place,
                          struct credentials_error *error);
void place_leave(struct file_place *place);

/* Puts `file` in the place of what is there, in one step: whoever opens it sees the old or the new.
 */
MUST_USE bool file_replace(const struct file_place *place, const struct file_bytes *file,
                           struct credentials_error *error);

/* What is to become of the file's text. */
struct change {
    void *edit; /* the functions' own */
    /* Looks at the entries that there are, which live until write() is through: how many bytes
     * longer the text may become. False with `error` filled: nothing is changed. */
    bool (*prepare)(void *edit, const struct credentials *old, size_t *more,
                    struct credentials_error *error);
    /* Writes the new text, from the old one's. */
    void (*write)(const void *edit, struct span text, struct writer *writer);
};

/*
 * Changes the file under its lock. With `fresh`, whose bytes are none, it must belong to its owner
 * or to root, and is made, as `fresh`, when it does not exist. Without it nothing secret may be
 * added: whoever may replace the file may then change it, whoever owns it. False with `error`
 * filled and the file as it was.
 */
MUST_USE bool credentials_change(const char *path, const struct file_bytes *fresh,
                                 const struct change *change, struct credentials_error *error);

#endif
