/*
 * The steps of config_parse(), in their order. Each fills `error` when it answers false or NULL.
 */
#ifndef COUNTERSIGN_POLICY_CONFIG_PARTS_H
#define COUNTERSIGN_POLICY_CONFIG_PARTS_H

#include "policy/config_locate.h"

/* 1. Reads the text into the structure, keys and types checked. Absent options are zero or NULL. */
struct config *config_load(const char *text, size_t size, struct config_document *document,
                           struct config_error *error);

/* 2. Gives the options that the document does not have their defaults. Options without a default
 * (addresses, names, credentials) stay absent. */
bool config_fill(struct config *config, struct config_document *document,
                 struct config_error *error);

/* The part of it about rules: writes out their presets, and lists the groups that they name. False
 * when out of memory. */
bool config_rules_fill(struct config *config, struct config_document *document);

/* 3. Checks what the schema cannot say: ranges, texts, contradictions. */
bool config_check(const struct config *config, struct config_document *document,
                  struct config_error *error);

/* What a check works on, and the checks of values that are alike in many options. */
struct config_checking {
    const struct config *config;
    struct config_document *document;
    struct config_error *error;
};

/* Always false, with the error told: "PATH: what is wrong and what to do". */
__attribute__((format(printf, 3, 4))) bool config_refuse(struct config_checking *checking,
                                                         const char *path, const char *format, ...);

/* A number, when it is given, is in its range (config_range_of()) and in plain decimal digits. */
bool config_check_number(struct config_checking *checking, const char *path);
/* A text that is given is not empty; `example` tells what it could be. NULL when it must be given.
 */
bool config_check_given(struct config_checking *checking, const char *path, const char *value,
                        const char *example);
/* The above, and: printable, without spaces, at most `most` bytes, none of the bytes in `without`.
 */
bool config_check_name(struct config_checking *checking, const char *path, const char *value,
                       const char *example, size_t most, const char *without);
/* An absolute path. NULL is allowed: then there is none. */
bool config_check_file(struct config_checking *checking, const char *path, const char *value);

/* The parts of config_check(). */
bool config_check_listeners(struct config_checking *checking);
bool config_check_upstreams(struct config_checking *checking);
bool config_check_rules(struct config_checking *checking);
bool config_check_process(struct config_checking *checking); /* all that is not in a list */
bool config_check_kerberos(struct config_checking *checking);
/* A listener's mechanisms, and what they need; `where` is like "listeners[0]". */
bool config_check_mechanisms(struct config_checking *checking, const char *where,
                             const struct config_listener *listener);
/* That a login of an upstream's list, at `path`, has what it needs. */
bool config_check_login(struct config_checking *checking, const char *path,
                        const struct config_upstream *upstream, enum config_login login);
/* An upstream's own account and its keytab. */
bool config_check_service(struct config_checking *checking, const char *where,
                          const struct config_upstream *upstream);
/* The name of a share: printable, without slashes, but spaces are allowed. */
bool config_check_share(struct config_checking *checking, const char *path, const char *share);
/* At most `most` entries are in the list. */
bool config_check_most(struct config_checking *checking, const char *list, unsigned count,
                       unsigned most);

/* What listeners and upstreams have alike; `where` is like "listeners[0]". Borrowed. */
struct config_leg {
    enum config_dialect min_dialect;
    enum config_dialect max_dialect;
    const enum config_signing *signing;
    unsigned signing_count;
    enum config_encryption encryption;
    const enum config_cipher *ciphers;
    unsigned ciphers_count;
    char *const *encrypted_shares;
    unsigned encrypted_shares_count;
};
bool config_check_leg(struct config_checking *checking, const char *where,
                      const struct config_leg *leg);

#endif
