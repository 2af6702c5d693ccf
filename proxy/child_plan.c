#include "proxy/child_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto/kerberos_replay.h"
#include "proxy/keytab_check.h"
#include "proxy/settings.h"

/* Descriptors of a worker beside its connections: listeners, channels, epoll and the like; the
 * channels to the other workers and the supervisor's sockets are counted with them. */
enum { DESCRIPTORS_SPARE = 256, LEGS_OF_A_LINK = 2 };

static bool find_user(const char *option, const char *name, struct process_user *user)
{
    if (name == NULL) {
        fprintf(stderr, "countersign: %s is not set, and it is needed when started as root\n",
                option);
        return false;
    }
    if (!process_find_user(name, user)) {
        fprintf(stderr,
                "countersign: %s: there is no user %s, or it is root; name a user without rights "
                "of its own\n",
                option, name);
        return false;
    }
    return true;
}

/* Whoever shares the keeper's user can read the credentials. */
static bool find_users(const struct config_users *users, struct child_plan *plan)
{
    plan->change_users = geteuid() == 0;
    if (!plan->change_users) {
        fprintf(stderr,
                "countersign: not started as root: all processes share uid %u, the worker "
                "that parses hostile bytes and the keeper of the secrets too\n",
                (unsigned)geteuid());
        return true;
    }
    if (!find_user("users.keeper", users->keeper, &plan->keeper_user) ||
        !find_user("users.recorder", users->recorder, &plan->recorder_user) ||
        !find_user("users.worker", users->worker, &plan->worker_user)) {
        return false;
    }
    if (plan->keeper_user.uid == plan->worker_user.uid ||
        plan->keeper_user.uid == plan->recorder_user.uid) {
        fprintf(stderr, "countersign: users.keeper must be a user of its own: another process with "
                        "its uid could read the credentials\n");
        return false;
    }
    return true;
}

static bool find_groups(const struct config_users *users, struct child_plan *plan)
{
    for (unsigned i = 0; plan->change_users && i < users->keeper_groups_count; i++) {
        if (!process_add_group(users->keeper_groups[i], &plan->keeper_user)) {
            fprintf(stderr,
                    "countersign: users.keeper_groups: there is no group %s, or it is root's; "
                    "correct the name, or install what makes it\n",
                    users->keeper_groups[i]);
            return false;
        }
    }
    return true;
}

/* A missing key shows at the start, not at the first login. */
static bool check_keytabs(const struct config *config, const struct child_plan *plan, char *text,
                          size_t size)
{
    const char *paths[KEYTABS_MAX];
    struct process_user self = {.uid = geteuid(), .gid = getegid()};
    const struct process_user *keeper = plan->change_users ? &plan->keeper_user : &self;
    size_t count = keytab_list(config, paths);
    char error[256];

    for (size_t i = 0; i < count; i++) {
        if (!keytab_check(paths[i], keeper, error, sizeof error)) {
            snprintf(text, size, "keytab %s %s", paths[i], error);
            return false;
        }
    }
    return true;
}

static unsigned count_workers(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->workers != 0) {
        return config->workers;
    }
    return cores > 0 ? (unsigned)cores : 1;
}

/* Only root may raise the hard limit. Too low a limit is no reason not to serve at all. */
static void make_room(const struct config *config, unsigned workers)
{
    rlim_t needed = (rlim_t)config->limits.connections * LEGS_OF_A_LINK + DESCRIPTORS_SPARE +
                    (rlim_t)config->listeners_count * workers + workers;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
        return;
    }
    struct rlimit wanted = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    fprintf(stderr, "countersign: %llu open files are allowed, limits.connections needs %llu\n",
            (unsigned long long)limit.rlim_max, (unsigned long long)needed);
}

/* A ticket that one keeper has accepted is not accepted by the next, should the first one crash.
 * What is never touched of it takes no memory. */
static bool map_replays(struct keeper_settings *keeper)
{
    void *memory = mmap(NULL, replays_size(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    keeper->replays = memory;
    return true;
}

bool child_plan_forget_replays(const struct child_plan *plan)
{
    void *memory = plan->keeper != NULL ? plan->keeper->replays : NULL;
    if (memory == NULL) {
        return true;
    }
    plan->keeper->replays = NULL;
    return munmap(memory, replays_size()) == 0;
}

bool child_plan_make(const struct config *config, const struct upstream_address *upstreams,
                     struct child_plan *plan)
{
    struct listen_error error;

    *plan = (struct child_plan){.config = config, .upstreams = upstreams};
    plan->workers = count_workers(config);
    make_room(config, plan->workers);
    if (!find_users(&config->users, plan) || !find_groups(&config->users, plan)) {
        return false;
    }
    if (!check_keytabs(config, plan, error.text, sizeof error.text)) {
        fprintf(stderr, "countersign: %s\n", error.text);
        return false;
    }
    plan->keeper = settings_for_keeper(config);
    if (plan->keeper == NULL || !map_replays(plan->keeper)) {
        fprintf(stderr, "countersign: out of memory\n");
        return false;
    }
    if (!listen_sockets_open(config, plan->workers, &plan->sockets, &error)) {
        fprintf(stderr, "countersign: %s\n", error.text);
        return false;
    }
    return true;
}

/* Generations before `oldest`. */
static void drop_earlier(struct keeper_settings *keeper, uint32_t oldest)
{
    struct keeper_settings **at = &keeper->earlier;
    while (*at != NULL) {
        struct keeper_settings *each = *at;
        if (each->generation >= oldest) {
            at = &each->earlier;
            continue;
        }
        *at = each->earlier;
        each->free(each);
    }
}

void child_plan_free(struct child_plan *plan)
{
    listen_sockets_close(&plan->sockets);
    if (!child_plan_forget_replays(plan)) {
        fprintf(stderr, "countersign: cannot unmap the replay table: %s\n", strerror(errno));
    }
    if (plan->keeper != NULL) {
        drop_earlier(plan->keeper, UINT32_MAX);
    }
    settings_free(plan->keeper);
    plan->keeper = NULL;
    config_free(plan->owned_config);
    free(plan->owned_upstreams);
}

bool child_plan_change(const struct child_plan *plan, struct config *config,
                       struct upstream_address *upstreams, struct child_plan *wanted,
                       struct child_plan_error *error)
{
    struct listen_error listen_error;

    *wanted = *plan;
    wanted->config = wanted->owned_config = config;
    wanted->upstreams = wanted->owned_upstreams = upstreams;
    wanted->generation = plan->generation + 1;
    wanted->sockets = (struct listen_sockets){NULL, 0, 0};
    wanted->keeper = settings_for_keeper(config);
    if (wanted->keeper == NULL) {
        snprintf(error->text, sizeof error->text, "out of memory");
    } else if (!check_keytabs(config, plan, error->text, sizeof error->text)) {
        /* Told. */
    } else if (!listen_sockets_change(plan->config, &plan->sockets, config, &wanted->sockets,
                                      &listen_error)) {
        snprintf(error->text, sizeof error->text, "%s", listen_error.text);
    } else {
        wanted->keeper->generation = wanted->generation;
        return true;
    }
    child_plan_drop(wanted);
    return false;
}

void child_plan_switch(struct child_plan *plan, struct child_plan *wanted, uint32_t oldest)
{
    struct keeper_settings *before = plan->keeper;

    wanted->keeper->replays = before->replays;
    before->replays = NULL;
    settings_own(before, plan->owned_config);
    plan->keeper = NULL;
    plan->owned_config = NULL;
    child_plan_free(plan);
    wanted->keeper->earlier = before;
    drop_earlier(wanted->keeper, oldest);
    *plan = *wanted;
}

void child_plan_drop(struct child_plan *wanted)
{
    listen_sockets_close(&wanted->sockets);
    settings_free(wanted->keeper);
    config_free(wanted->owned_config);
    free(wanted->owned_upstreams);
}
