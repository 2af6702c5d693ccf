#include "proxy/child_role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/audit.h"
#include "proxy/recorder.h"

static int by_number(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

/* Closes every descriptor from 3 up that is not in `keep`, which it sorts. */
static bool close_others(int *keep, size_t count)
{
    unsigned from = STDERR_FILENO + 1;

    qsort(keep, count, sizeof *keep, by_number);
    for (size_t i = 0; i < count; i++) {
        unsigned kept = (unsigned)keep[i];
        if (kept > from && close_range(from, kept - 1, 0) != 0) {
            return false;
        }
        from = kept + 1;
    }
    return close_range(from, ~0U, 0) == 0;
}

/* Leaves the control channel and, to a worker, its own listening sockets. */
static bool keep_own(enum peer_role role, unsigned index, const struct child_plan *plan,
                     int control_fd)
{
    size_t listeners = role == PEER_WORKER ? plan->config->listeners_count : 0;
    int *keep = calloc(listeners + 1, sizeof *keep);

    if (keep == NULL) {
        return false;
    }
    keep[0] = control_fd;
    for (size_t i = 0; i < listeners; i++) {
        keep[i + 1] = listen_sockets_of(&plan->sockets, index)[i];
    }
    bool kept = close_others(keep, listeners + 1);
    free(keep);
    return kept;
}

static bool empty_stdin(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) {
        return false;
    }
    close(null);
    return true;
}

/* Makes a log that is not there yet and gives it to the recorder, which may not be allowed to make
 * files in its directory. With O_EXCL nothing else can be given away, whoever owns the directory.
 * When this fails, run_recorder() will say what is wrong. */
static void prepare_log(const struct child_plan *plan)
{
    const struct process_user *owner = &plan->recorder_user;
    const char *file = plan->config->audit.file;

    if (file == NULL || !plan->change_users) {
        return;
    }
    int fd = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
    if (fd >= 0) {
        if (fchown(fd, owner->uid, owner->gid) != 0) {
            unlink(file);
        }
        close(fd);
    }
}

static const struct process_user *user_of(enum peer_role role, const struct child_plan *plan)
{
    if (!plan->change_users) {
        return NULL;
    }
    switch (role) {
    case PEER_KEEPER: return &plan->keeper_user;
    case PEER_RECORDER: return &plan->recorder_user;
    case PEER_WORKER: return &plan->worker_user;
    }
    return NULL;
}

/* What the Kerberos libraries take from the environment is the configuration's to say: of what was
 * inherited, nothing stays. MIT's replay cache would be a file; crypto/kerberos_replay.h is used.
 * Mechanisms that somebody installed beside Kerberos are not even loaded. */
static bool set_environment(const struct config *config)
{
    return clearenv() == 0 && setenv("KRB5_CONFIG", config->kerberos.config, 1) == 0 &&
           setenv("KRB5RCACHENAME", "none:", 1) == 0 &&
           setenv("GSS_MECH_CONFIG", "/dev/null", 1) == 0;
}

static bool confine(enum peer_role role, const struct child_plan *plan, pid_t parent)
{
    const char *step = "";

    if (!process_confine(role, user_of(role, plan), &step)) {
        fprintf(stderr, "countersign: %s: cannot give up its privileges (%s): %s\n",
                process_name(role), step, strerror(errno));
        return false;
    }
    return process_die_with(parent);
}

static int run_worker(unsigned index, const struct child_plan *plan, int control_fd)
{
    struct worker_settings settings = {
        .config = plan->config,
        .generation = plan->generation,
        .upstreams = plan->upstreams,
        .index = index,
        .count = plan->workers,
        .listen_fds = listen_sockets_of(&plan->sockets, index),
    };
    return worker_run(&settings, control_fd);
}

/* Opened by the recorder's own user, not before: what cannot be opened now could not be opened
 * again after a rotation either, and root opens no path that the recorder could bend. */
static int run_recorder(const struct child_plan *plan, int control_fd)
{
    const struct config_audit *audit = &plan->config->audit;
    struct audit *log = audit_open(audit->file, audit->syslog);

    if (log == NULL) {
        fprintf(stderr, "countersign: recorder: cannot open the audit log %s as user %u: %s\n",
                audit->file != NULL ? audit->file : "(syslog)", (unsigned)getuid(),
                strerror(errno));
        return EXIT_FAILURE;
    }
    return recorder_run(plan->config, log, control_fd);
}

int child_role_run(enum peer_role role, unsigned index, const struct child_plan *plan,
                   int control_fd, pid_t parent)
{
    if (!keep_own(role, index, plan, control_fd) || !empty_stdin()) {
        fprintf(stderr, "countersign: %s: cannot put its descriptors in order: %s\n",
                process_name(role), strerror(errno));
        return EXIT_FAILURE;
    }
    if (role == PEER_RECORDER) {
        prepare_log(plan);
    }
    bool made_own =
        role == PEER_KEEPER ? set_environment(plan->config) : child_plan_forget_replays(plan);
    if (!made_own) {
        fprintf(stderr, "countersign: %s: cannot leave what it inherited: %s\n", process_name(role),
                strerror(errno));
        return EXIT_FAILURE;
    }
    if (!confine(role, plan, parent)) {
        return EXIT_FAILURE;
    }
    switch (role) {
    case PEER_KEEPER: return keeper_run(plan->keeper, control_fd);
    case PEER_RECORDER: return run_recorder(plan, control_fd);
    case PEER_WORKER: return run_worker(index, plan, control_fd);
    }
    return EXIT_FAILURE;
}
