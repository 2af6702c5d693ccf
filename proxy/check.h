/*
 * What `countersign check` finds, in words for an administrator, on standard output. A problem
 * keeps something from working; a warning does not.
 */
#ifndef COUNTERSIGN_PROXY_CHECK_H
#define COUNTERSIGN_PROXY_CHECK_H

#include "policy/config.h"
#include "proxy/process.h"

struct check {
    unsigned problems;
    unsigned warnings;
};

/* One line each; a problem or a warning is marked and counted. Texts are without a full stop. */
__attribute__((format(printf, 1, 2))) void check_say(const char *format, ...);
__attribute__((format(printf, 2, 3))) void check_problem(struct check *check, const char *format,
                                                         ...);
__attribute__((format(printf, 2, 3))) void check_warning(struct check *check, const char *format,
                                                         ...);

/* Reads the configuration and names it, for the caller to free; NULL with what is wrong of it on
 * standard error. */
struct config *check_config(const char *path);

/* Says how it ended; the exit status. */
int check_conclude(const struct check *check);

/* What each listener lets through. */
void check_listeners(struct check *check, const struct config *config);

/* How many rules there are, and what happens otherwise. */
void check_rules(const struct config *config);

/* Whether the recorder will be able to write its state file. */
void check_state(struct check *check, const struct config *config);

/* Whether the accounts of the processes are there, when started as root. */
void check_users(struct check *check, const struct config *config);

/* The credentials file: whether the keeper will be able to read it, and whether it has what the
 * logins, and the groups that rules name, need. */
void check_credentials(struct check *check, const struct config *config);

/* The keytabs and the libraries' configuration, where Kerberos is used. */
void check_kerberos(struct check *check, const struct config *config);

/* Whether winbind can be asked, where NTLM logins go to it, and, unless `offline`, what it says. */
void check_winbind(struct check *check, const struct config *config, bool offline);

/* The user that the keeper will be, with its groups; false when an account is not there. */
MUST_USE bool check_find_keeper(const struct config *config, struct process_user *keeper);

/* Finds and asks one file server. */
void check_upstream(struct check *check, const struct config_upstream *upstream);

#endif
