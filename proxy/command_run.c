#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/control_socket.h"
#include "proxy/resolve.h"
#include "proxy/subcommand.h"
#include "proxy/supervisor.h"

static int usage(FILE *to, int status)
{
    fprintf(
        to,
        "usage: countersign run [--config FILE] [--control PATH]\n"
        "\n"
        "Runs the proxy in the foreground until SIGTERM or SIGINT. FILE is %s\n"
        "unless given. Messages of the processes go to standard error, events to the audit log.\n"
        "`countersign reload` finds it by the socket PATH, %s unless given.\n",
        COMMAND_CONFIG_PATH, CONTROL_PATH);
    return status;
}

static int run(const char *path, const char *control)
{
    struct config_error error;
    char text[512];
    struct config *config = config_read(path, &error);

    if (config == NULL) {
        if (error.line != 0) {
            fprintf(stderr, "countersign: %s:%u: %s\n", path, error.line, error.text);
        } else {
            fprintf(stderr, "countersign: %s: %s\n", path, error.text);
        }
        return COMMAND_FAILED;
    }
    int status = COMMAND_FAILED;
    struct upstream_address *upstreams = resolve_upstreams(config, text, sizeof text);
    if (upstreams != NULL) {
        status = supervisor_run(config, upstreams, path, control);
    } else {
        fprintf(stderr, "countersign: %s\n", text);
    }
    free(upstreams);
    config_free(config);
    return status;
}

int command_run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"control", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = COMMAND_CONFIG_PATH, *control = CONTROL_PATH;
    int option;

    while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 's': control = optarg; break;
        case 'h': return usage(stdout, COMMAND_OK);
        default: return usage(stderr, COMMAND_USAGE);
        }
    }
    if (optind != argc) {
        return usage(stderr, COMMAND_USAGE);
    }
    return run(path, control);
}
