#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/control_socket.h"
#include "proxy/subcommand.h"

enum { ANSWER_SECONDS = 120 };

struct asking {
    struct event_base *base;
    struct channel *channel;
    int status;
    bool answered;
};

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: countersign reload [--apply] [--control PATH]\n"
            "\n"
            "Tells the running Countersign to read configuration and credentials again and to use\n"
            "them, or, when anything is wrong with them, to go on as before; says which. Sessions\n"
            "that are up go on as they began; with --apply they are judged by what is configured\n"
            "now, and ended where that refuses them. PATH is what `countersign run` was\n"
            "given, %s otherwise.\n",
            CONTROL_PATH);
    return status;
}

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct asking *asking = context;
    struct reader reader = reader_over_span(body);
    uint8_t done;

    if (fd >= 0) {
        close(fd);
        return false;
    }
    if (type != CONTROL_VERDICT || !read_u8(&reader, &done)) {
        return false;
    }
    asking->answered = true;
    asking->status = done != 0 ? COMMAND_OK : COMMAND_FAILED;
    fprintf(done != 0 ? stdout : stderr, "countersign: %.*s\n", (int)(body.size - 1),
            (const char *)&body.at[1]);
    event_base_loopbreak(asking->base);
    return true;
}

static void on_gone(void *context, bool malformed)
{
    struct asking *asking = context;

    (void)malformed;
    event_base_loopbreak(asking->base);
}

static bool ask(struct asking *asking, int fd, bool apply)
{
    static const struct channel_handler handler = {on_message, on_gone};
    const struct timeval patience = {ANSWER_SECONDS, 0};
    uint8_t flag = apply;

    asking->channel = channel_new(asking->base, fd, &handler, asking);
    if (asking->channel == NULL ||
        !channel_send(asking->channel, CONTROL_ASK, (struct span){&flag, 1}, -1)) {
        return false;
    }
    event_base_loopexit(asking->base, &patience);
    event_base_dispatch(asking->base);
    return asking->answered;
}

static int reload(const char *path, bool apply)
{
    struct asking asking = {.status = COMMAND_FAILED};
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || !control_address(path, &address) ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        evutil_make_socket_nonblocking(fd) != 0) {
        fprintf(stderr, "countersign: %s: %s; does it run, and are you root?\n", path,
                strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return COMMAND_FAILED;
    }
    asking.base = event_base_new();
    if (asking.base == NULL) {
        close(fd);
    } else if (!ask(&asking, fd, apply)) {
        fprintf(stderr, "countersign: no answer from the running Countersign; see its log\n");
    }
    channel_free(asking.channel);
    if (asking.base != NULL) {
        event_base_free(asking.base);
    }
    return asking.status;
}

int command_reload(int argc, char **argv)
{
    static const struct option options[] = {{"apply", no_argument, NULL, 'a'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = CONTROL_PATH;
    bool apply = false;
    int option;

    while ((option = getopt_long(argc, argv, "ac:h", options, NULL)) != -1) {
        switch (option) {
        case 'a': apply = true; break;
        case 'c': path = optarg; break;
        case 'h': return usage(stdout, COMMAND_OK);
        default: return usage(stderr, COMMAND_USAGE);
        }
    }
    return optind == argc ? reload(path, apply) : usage(stderr, COMMAND_USAGE);
}
