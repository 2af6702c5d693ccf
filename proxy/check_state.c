/*
 * `countersign check`: the file of what clients and file servers once could.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/check.h"
#include "proxy/process.h"

/* The recorder makes a new file beside the old one, so the directory must be its own. */
void check_state(struct check *check, const struct config *config)
{
    char directory[PATH_MAX];
    struct process_user recorder = {.uid = geteuid()};
    struct stat status;
    if (!config->state || !config->state[0]) {
        check_say("state: none; what clients and file servers could do is forgotten at a restart");
        return;
    }
    check_say("state: %s", config->state);
    snprintf(directory, sizeof directory, "%s", config->state);
    *strrchr(directory, '/') = '\0';
    const char *shown = directory[0] ? directory : "/";
    if (stat(shown, &status) != 0)
        check_warning(check,
                      "%s: %s; make it, for users.recorder, or nothing is remembered over a "
                      "restart",
                      shown, strerror(errno));
    else if (geteuid() == 0 && process_find_user(config->users.recorder, &recorder) &&
             status.st_uid != recorder.uid)
        check_warning(check,
                      "%s does not belong to users.recorder, which cannot write there; "
                      "nothing is remembered over a restart",
                      shown);
}
