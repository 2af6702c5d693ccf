#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/network.h"
#include "proxy/memory_file.h"
#include "proxy/process.h"
#include "proxy/source.h"
#include "proxy/subcommand.h"

/* The recorder looks each second. */
enum { WAIT_MS = 5000, STEP_MS = 50 };

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: countersign forget [--config FILE] --client ADDRESS | --client GUID |\n"
            "                          --upstream NAME | --all\n"
            "\n"
            "Has what a client or a file server once could at best forgotten, after it was really\n"
            "changed. A client is meant by the client_address or the client_guid of the event\n"
            "`downgrade`; of an address, the GUIDs last seen there are forgotten with it. FILE\n"
            "is %s unless given.\n",
            COMMAND_CONFIG_PATH);
    return status;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "countersign forget: %s: %s\n", what, why);
    return COMMAND_FAILED;
}

/* GUIDs have no dots and colons, addresses no four hyphens. */
static bool name_client(const char *text, struct forget_request *request)
{
    char source[SOURCE_SIZE];
    bool numeric = network_is_address(text);
    bool network = strchr(text, ':') && strchr(text, '/');
    if (numeric)
        source_of(text, source);
    else
        snprintf(source, sizeof source, "%s", text);
    request->kind = numeric || network ? MEMORY_ADDRESS : MEMORY_GUID;
    snprintf(request->name, sizeof request->name, "%s", source);
    return numeric || network ||
           (strlen(text) == 36 && strspn(text, "0123456789abcdefABCDEF-") == 36);
}

static bool name_upstream(const struct config *config, const char *name,
                          struct forget_request *request)
{
    request->kind = MEMORY_UPSTREAM;
    snprintf(request->name, sizeof request->name, "%s", name);
    for (unsigned i = 0; i < config->upstreams_count; i++)
        if (strcmp(config->upstreams[i].name, name) == 0)
            return true;
    return false;
}

/* The directory is the recorder's own: root does not write there. */
static bool become_recorder(const struct config *config)
{
    struct process_user user;
    if (geteuid() != 0)
        return true;
    if (!process_find_user(config->users.recorder, &user)) {
        errno = ENOENT;
        return false;
    }
    return setgroups(0, NULL) == 0 && setresgid(user.gid, user.gid, user.gid) == 0 &&
           setresuid(user.uid, user.uid, user.uid) == 0;
}

static int ask(const struct config *config, const struct forget_request *request)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    if (!become_recorder(config))
        return fail("users.recorder", strerror(errno));
    if (!forget_ask(config->state, request))
        return fail(config->state, strerror(errno));
    for (unsigned waited = 0; waited < WAIT_MS; waited += STEP_MS) {
        if (forget_done(config->state)) {
            printf("forgotten; the event memory_forgotten says what\n");
            return COMMAND_OK;
        }
        nanosleep(&step, NULL);
    }
    printf("the proxy does not run: it will be forgotten when it starts\n");
    return COMMAND_OK;
}

static int forget(const char *path, const char *client, const char *upstream, bool all)
{
    struct forget_request request = {.all = all};
    struct config_error error;
    int status;
    if (client && !name_client(client, &request))
        return fail(client, "is neither an address nor a GUID");
    struct config *config = config_read(path, &error);
    if (!config)
        return fail(path, error.text);
    if (!config->state || !config->state[0])
        status = fail(path, "it names no `state` file: nothing is remembered over a restart");
    else if (upstream && !name_upstream(config, upstream, &request))
        status = fail(upstream, "there is no such upstream in the configuration");
    else
        status = ask(config, &request);
    config_free(config);
    return status;
}

int command_forget(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"client", required_argument, NULL, 'C'},
        {"upstream", required_argument, NULL, 'u'}, {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    const char *path = COMMAND_CONFIG_PATH, *client = NULL, *upstream = NULL;
    bool all = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'C': client = optarg; break;
        case 'u': upstream = optarg; break;
        case 'a': all = true; break;
        case 'h': return usage(stdout, COMMAND_OK);
        default: return usage(stderr, COMMAND_USAGE);
        }
    }
    if (optind != argc || !!client + !!upstream + all != 1)
        return usage(stderr, COMMAND_USAGE);
    return forget(path, client, upstream, all);
}
