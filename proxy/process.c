#include "proxy/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/syscall_filter.h"

const char *process_name(enum peer_role role)
{
    switch (role) {
    case PEER_KEEPER: return "cs-keeper";
    case PEER_RECORDER: return "cs-recorder";
    case PEER_WORKER: return "cs-worker";
    }
    return "countersign";
}

/* A whole decimal uid or gid; -1 means "unchanged" to the kernel and is nobody's. */
static bool parse_id(const char *text, id_t *id)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value >= (id_t)-1) {
        return false;
    }
    *id = (id_t)value;
    return true;
}

bool process_find_user(const char *name, struct process_user *user)
{
    uid_t uid;
    struct passwd *entry;

    *user = (struct process_user){.uid = 0};
    if (parse_id(name, &uid)) {
        entry = getpwuid(uid);
        user->uid = uid;
        user->gid = entry != NULL ? entry->pw_gid : (gid_t)uid;
    } else {
        entry = getpwnam(name);
        if (entry == NULL) {
            return false;
        }
        user->uid = entry->pw_uid;
        user->gid = entry->pw_gid;
    }
    return user->uid != 0;
}

bool process_add_group(const char *name, struct process_user *user)
{
    gid_t gid = 0;

    if (!parse_id(name, &gid)) {
        const struct group *entry = getgrnam(name);
        gid = entry != NULL ? entry->gr_gid : 0;
    }
    if (gid == 0 || user->groups_count == PROCESS_GROUPS_MAX) {
        return false;
    }
    user->groups[user->groups_count++] = gid;
    return true;
}

static bool become(const struct process_user *user)
{
    if (setgroups(user->groups_count, user->groups) != 0 ||
        setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0) {
        return false;
    }
    /* Believe it only when there is no way back. */
    if (setresuid(0, 0, 0) == 0) {
        errno = EPERM;
        return false;
    }
    return true;
}

static bool drop_capabilities(void)
{
    cap_t none = cap_init();
    if (none == NULL) {
        return false;
    }
    bool dropped = cap_reset_ambient() == 0 && cap_set_proc(none) == 0;
    int saved = errno;
    cap_free(none);
    errno = saved;
    return dropped;
}

static bool forbid_core(void)
{
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) == 0;
}

bool process_confine(enum peer_role role, const struct process_user *user, const char **step)
{
    *step = "name";
    if (prctl(PR_SET_NAME, process_name(role), 0, 0, 0) != 0) {
        return false;
    }
    *step = "user";
    if (user != NULL && !become(user)) {
        return false;
    }
    *step = "capabilities";
    if (!drop_capabilities()) {
        return false;
    }
    *step = "no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return false;
    }
    *step = "core limit";
    if (!forbid_core()) {
        return false;
    }
    *step = "dumpable";
    if (prctl(PR_SET_DUMPABLE, PROCESS_IS_SANITIZED, 0, 0, 0) != 0) {
        return false;
    }
    *step = "system call filter";
    return PROCESS_IS_SANITIZED || syscall_filter_load(role);
}

/* The default action of SIGALRM ends the process. */
static void start_grace(int signal_number)
{
    (void)signal_number;
    alarm(PROCESS_GRACE_S);
}

bool process_die_with(pid_t parent)
{
    struct sigaction action = {.sa_handler = start_grace, .sa_flags = SA_RESTART};

    if (sigaction(SIGTERM, &action, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0) {
        return false;
    }
    return getppid() == parent;
}
