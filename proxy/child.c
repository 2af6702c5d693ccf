#include "proxy/child.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/clock.h"
#include "proxy/child_role.h"

/* Signals meant for the supervisor that a terminal sends to the whole group are not for children;
 * SIGTERM is in process_die_with(). */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
}

/* Without event_reinit() the child would take its parent's descriptors out of the parent's epoll.
 */
static bool leave_loop(struct event_base *base)
{
    if (event_reinit(base) != 0) {
        return false;
    }
    event_base_free(base);
    return true;
}

static void in_child(const struct child *child, const struct child_plan *plan,
                     struct event_base *base, int control_fd, pid_t parent)
{
    sigset_t none;

    if (!leave_loop(base)) {
        fprintf(stderr, "countersign: %s: cannot leave its parent's event loop\n",
                process_name(child->role));
        exit(EXIT_FAILURE);
    }
    reset_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exit(child_role_run(child->role, child->index, plan, control_fd, parent));
}

/* Signals stay blocked until the child has its own handlers: the parent's would write into the
 * parent's event loop. */
static pid_t fork_blocked(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, before);
    fflush(NULL);
    return fork();
}

bool child_start(struct child *child, const struct child_plan *plan, struct event_base *base,
                 const struct channel_handler *handler)
{
    int fds[2];
    sigset_t before;
    pid_t parent = getpid();

    if (!channel_pair(fds)) {
        return false;
    }
    pid_t pid = fork_blocked(&before);
    if (pid == 0) {
        close(fds[0]);
        in_child(child, plan, base, fds[1], parent);
    }
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        errno = saved;
        return false;
    }
    child->pid = pid;
    child->ready = false;
    child->preparing = 0;
    child->started_ms = clock_ms();
    child->control = channel_new(base, fds[0], handler, child);
    /* Without a control channel the child ends by itself, and is started again like any other. */
    return true;
}

static void send_peer(struct child *to, const struct child *peer, int fd)
{
    uint8_t buffer[64];
    struct writer writer = writer_over(buffer, sizeof buffer);
    struct control_peer message = {.role = peer->role, .index = peer->index};

    control_peer_write(&writer, &message);
    if (to->control == NULL || !writer_done(&writer) ||
        !channel_send(to->control, CONTROL_PEER, writer_span(&writer), fd)) {
        char name[32];
        child_describe(to, name, sizeof name);
        fprintf(stderr, "countersign: cannot give the %s a new channel\n", name);
    }
}

void child_introduce(struct child *one, struct child *other)
{
    int fds[2];

    if (!channel_pair(fds)) {
        fprintf(stderr, "countersign: cannot make a channel: %s\n", strerror(errno));
        return;
    }
    send_peer(one, other, fds[0]);
    send_peer(other, one, fds[1]);
    close(fds[0]);
    close(fds[1]);
}

bool child_tell(struct child *child, enum keeper_message message)
{
    struct span empty = {NULL, 0};
    return child->control != NULL && channel_send(child->control, message, empty, -1);
}

void child_note_end(struct child *child, int status)
{
    child->ended = true;
    child->ended_pid = child->pid;
    child->ended_status = status;
    child->pid = 0;
    child->ready = false;
    channel_free(child->control);
    child->control = NULL;
    if (child->delay_ms == 0 || clock_ms() - child->started_ms >= CHILD_STEADY_MS) {
        child->delay_ms = CHILD_DELAY_MS;
    } else {
        child->delay_ms *= 2;
    }
    if (child->delay_ms > CHILD_DELAY_MAX_MS) {
        child->delay_ms = CHILD_DELAY_MAX_MS;
    }
}

void child_describe(const struct child *child, char *to, size_t size)
{
    switch (child->role) {
    case PEER_KEEPER: snprintf(to, size, "keeper"); return;
    case PEER_RECORDER: snprintf(to, size, "recorder"); return;
    case PEER_WORKER: snprintf(to, size, "worker %u", child->index); return;
    }
    snprintf(to, size, "child");
}
