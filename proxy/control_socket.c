#include "proxy/control_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASKERS_MAX = 16, VERDICT_MAX = 2048 };

struct asker {
    LIST_ENTRY(asker) next;
    struct control_socket *control;
    struct channel *channel;
};

struct control_socket {
    int fd;
    struct event_base *base;
    struct event *readable;
    struct reload *reload;
    struct sockaddr_un address;
    LIST_HEAD(, asker) askers;
    unsigned count;
};

bool control_address(const char *path, struct sockaddr_un *address)
{
    size_t size = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (size >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, size);
    return true;
}

static void free_asker(struct asker *asker)
{
    LIST_REMOVE(asker, next);
    asker->control->count--;
    reload_forget_asker(asker->control->reload, asker);
    channel_free(asker->channel);
    free(asker);
}

/* It closes when it has read its answer. */
static void tell(void *context, bool done, const char *text)
{
    struct asker *asker = context;
    uint8_t buffer[VERDICT_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);

    write_u8(&writer, done);
    write_bytes(&writer, text, strlen(text));
    if (writer_done(&writer)) {
        /* Whoever does not read it has gone. */
        bool sent = channel_send(asker->channel, CONTROL_VERDICT, writer_span(&writer), -1);
        (void)sent;
    }
}

static bool on_message(void *context, uint16_t type, struct span body, int fd)
{
    struct asker *asker = context;
    struct reader reader = reader_over_span(body);
    uint8_t apply;

    if (fd >= 0) {
        close(fd);
        return false;
    }
    if (type != CONTROL_ASK || !read_u8(&reader, &apply) || apply > 1 ||
        reader_left(&reader) != 0) {
        return false;
    }
    reload_begin(asker->control->reload, apply, tell, asker);
    return true;
}

static void on_gone(void *context, bool malformed)
{
    (void)malformed;
    free_asker(context);
}

static bool may_ask(int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static void on_asker(evutil_socket_t listening, short what, void *context)
{
    static const struct channel_handler handler = {on_message, on_gone};
    struct control_socket *control = context;
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (fd < 0) {
        return;
    }
    struct asker *asker =
        may_ask(fd) && control->count < ASKERS_MAX ? calloc(1, sizeof *asker) : NULL;
    if (asker == NULL) {
        close(fd);
        return;
    }
    asker->control = control;
    LIST_INSERT_HEAD(&control->askers, asker, next);
    control->count++;
    asker->channel = channel_new(control->base, fd, &handler, asker);
    if (asker->channel == NULL) {
        free_asker(asker);
    }
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* What a Countersign left that did not end well; not a socket that somebody answers at. */
static bool clear_way(const struct sockaddr_un *address)
{
    struct stat about;
    int fd;

    if (lstat(address->sun_path, &about) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(about.st_mode) || (fd = new_socket()) < 0) {
        errno = EADDRINUSE;
        return false;
    }
    bool used = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                errno != ECONNREFUSED;
    close(fd);
    if (used) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0;
}

/* 0600 from its first moment on. */
static int listen_at(const struct sockaddr_un *address)
{
    int fd = new_socket();

    if (fd < 0) {
        return -1;
    }
    mode_t before = umask(0177);
    bool bound = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    umask(before);
    if (!bound || listen(fd, ASKERS_MAX) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

struct control_socket *control_socket_open(struct event_base *base, const char *path,
                                           struct reload *reload)
{
    struct sockaddr_un address;
    struct control_socket *control = calloc(1, sizeof *control);
    int fd = -1;

    if (control != NULL && control_address(path, &address) && clear_way(&address)) {
        fd = listen_at(&address);
    }
    if (fd < 0) {
        int saved = errno;
        free(control);
        errno = saved;
        return NULL;
    }
    *control =
        (struct control_socket){.fd = fd, .base = base, .reload = reload, .address = address};
    LIST_INIT(&control->askers);
    control->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_asker, control);
    if (control->readable == NULL || event_add(control->readable, NULL) != 0) {
        control_socket_close(control);
        errno = ENOMEM;
        return NULL;
    }
    return control;
}

void control_socket_close(struct control_socket *control)
{
    if (control == NULL) {
        return;
    }
    while (!LIST_EMPTY(&control->askers)) {
        free_asker(LIST_FIRST(&control->askers));
    }
    if (control->readable != NULL) {
        event_free(control->readable);
    }
    close(control->fd);
    unlink(control->address.sun_path);
    free(control);
}
