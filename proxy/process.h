/*
 * What a child process gives up before it touches a byte from outside.
 */
#ifndef COUNTERSIGN_PROXY_PROCESS_H
#define COUNTERSIGN_PROXY_PROCESS_H

#include <sys/types.h>

#include "crypto/keeper_message.h"

#if defined(__SANITIZE_ADDRESS__)
#define PROCESS_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROCESS_IS_SANITIZED 1
#endif
#endif
#ifndef PROCESS_IS_SANITIZED
#define PROCESS_IS_SANITIZED                                                                       \
    0 /* 1: AddressSanitizer's leak check must be able to trace the process */
#endif

enum { PROCESS_GROUPS_MAX = 16 };

struct process_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[PROCESS_GROUPS_MAX]; /* supplementary ones */
    size_t groups_count;
};

/* "cs-keeper", "cs-recorder", "cs-worker": the process names in ps and top. */
const char *process_name(enum peer_role role);

/*
 * Finds a user by name, or by decimal uid; the group is the user's primary one, or for a uid
 * without an account the same number. False for an unknown name, and for root: nothing would be
 * given up.
 */
MUST_USE bool process_find_user(const char *name, struct process_user *user);

/*
 * Adds a supplementary group, by name or decimal gid. False for an unknown name, for root's group,
 * and when there are PROCESS_GROUPS_MAX already.
 */
MUST_USE bool process_add_group(const char *name, struct process_user *user);

/*
 * Confines the calling process, for good: becomes `user` with its supplementary groups and no other
 * (NULL: stays who it is), drops every capability, can gain none by execve, leaves no core and is
 * not traceable, and may from now on make only the system calls that its role needs
 * (proxy/syscall_filter.h). When something fails, false with errno set and `step` naming it; the
 * process must then end.
 *
 * Under AddressSanitizer it stays traceable and unfiltered.
 */
MUST_USE bool process_confine(enum peer_role role, const struct process_user *user,
                              const char **step);

/*
 * Sees to it that the process does not outlive `parent`: when that dies, SIGTERM starts an alarm of
 * PROCESS_GRACE_S seconds, in which the process can notice the closed control channel and end in
 * good order. False when `parent` is dead already. To be called after process_confine(), which the
 * kernel answers by forgetting such wishes.
 */
enum { PROCESS_GRACE_S = 15 };
MUST_USE bool process_die_with(pid_t parent);

#endif
