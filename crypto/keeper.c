#include "crypto/keeper.h"
#include "crypto/legacy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "crypto/challenges.h"
#include "crypto/channel.h"
#include "crypto/clock.h"
#include "crypto/keeper_message.h"
#include "crypto/keeper_worker.h"
#include "crypto/kerberos_replay.h"

enum { TICK_SECONDS = 5, STOP_MS = 1000 };

struct process {
    struct keeper keeper;
    struct channel *control;
    struct event *tick;
    int status;
};

const char *login_kind_name(enum login_kind kind)
{
    switch (kind) {
    case LOGIN_SAME: return "same";
    case LOGIN_MAPPED: return "mapped";
    case LOGIN_TICKET: return "ticket";
    case LOGIN_DELEGATE: return "delegate";
    case LOGIN_TRANSITION: return "transition";
    }
    return "unknown";
}

/* Threads go on with the credentials they have; whatever begins from here on uses the new ones. */
static void use(struct keeper *keeper)
{
    generations_use(keeper);
    upstream_tickets_forget(keeper->tickets);
}

/* Without anything prepared, the credentials alone are read again. */
static void reload(struct keeper *keeper)
{
    char problem[KEEPER_PROBLEM_MAX];
    if (keeper->domain)
        (void)domain_refresh(keeper->domain);
    if (!keeper->newest->fresh &&
        !generations_prepare(keeper, 0, (struct span){NULL, 0}, problem)) {
        (void)fprintf(stderr,
                      "countersign: keeper: %s\n"
                      "countersign: keeper: going on with the credentials read before\n",
                      problem);
        return;
    }
    use(keeper);
}

MUST_USE static bool on_reload(struct keeper *keeper, struct span body)
{
    struct control_reload message = {.oldest = keeper->oldest};
    if (body.size && !control_reload_read(body, &message))
        return false;
    keeper->oldest = message.oldest;
    reload(keeper);
    return true;
}

/* The supervisor's text, which it has checked: read where it is, not through its offset. */
static bool prepare_text(struct keeper *keeper, uint32_t number, int fd,
                         char problem[KEEPER_PROBLEM_MAX])
{
    struct stat about;
    if (fstat(fd, &about) != 0 || about.st_size <= 0) {
        (void)snprintf(problem, KEEPER_PROBLEM_MAX, "the keeper cannot read the configuration");
        return false;
    }
    size_t size = (size_t)about.st_size;
    void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED) {
        (void)snprintf(problem, KEEPER_PROBLEM_MAX, "the keeper is out of memory");
        return false;
    }
    bool prepared = generations_prepare(keeper, number, (struct span){text, size}, problem);
    (void)munmap(text, size);
    return prepared;
}

MUST_USE static bool on_prepare(struct process *process, struct span body, int fd)
{
    struct keeper *keeper = &process->keeper;
    uint8_t buffer[KEEPER_PROBLEM_MAX + 8];
    char problem[KEEPER_PROBLEM_MAX] = "";
    struct reader reader = reader_over_span(body);
    struct writer writer = writer_over(buffer, sizeof buffer);
    uint32_t number;
    bool valid = fd >= 0 && read_le32(&reader, &number) && reader_left(&reader) == 0;
    if (valid && prepare_text(keeper, number, fd, problem))
        problem[0] = '\0';
    if (fd >= 0)
        close(fd);
    if (!valid)
        return false;
    struct control_prepared answer = {.oldest = keeper->oldest,
                                      .problem = {(const uint8_t *)problem, strlen(problem)}};
    control_prepared_write(&writer, &answer);
    return writer_done(&writer) &&
           channel_send(process->control, CONTROL_PREPARED, writer_span(&writer), -1);
}

MUST_USE static bool on_peer(struct keeper *keeper, struct span body, int fd)
{
    struct control_peer peer;
    if (fd < 0 || !control_peer_read(body, &peer)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    switch (peer.role) {
    case PEER_WORKER:
        if (!keeper_worker_add(keeper, peer.index, fd))
            (void)fprintf(stderr, "countersign: keeper: no memory for worker %u\n", peer.index);
        return true;
    case PEER_RECORDER: /* the workers report what the keeper decides */ close(fd); return true;
    case PEER_KEEPER: break;
    }
    close(fd);
    return false;
}

static bool on_control(void *context, uint16_t type, struct span body, int fd)
{
    struct process *process = context;
    if (type == CONTROL_PEER)
        return on_peer(&process->keeper, body, fd);
    if (type == CONTROL_PREPARE)
        return on_prepare(process, body, fd);
    if (fd >= 0) {
        close(fd);
        return false;
    }
    if (type == CONTROL_RELOAD)
        return on_reload(&process->keeper, body);
    if (body.size)
        return false;
    switch (type) {
    case CONTROL_STOP: return event_base_loopbreak(process->keeper.base) == 0;
    case CONTROL_ABORT: generations_abort(&process->keeper); return true;
    default: return false;
    }
}

/* Without a supervisor there is nothing to keep secrets for. */
static void on_control_gone(void *context, bool malformed)
{
    struct process *process = context;
    if (malformed) {
        (void)fputs("countersign: keeper: malformed message from the supervisor\n", stderr);
        process->status = 1;
    }
    (void)event_base_loopbreak(process->keeper.base);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct keeper *keeper = context;
    (void)fd;
    (void)what;
    keeper_workers_tick(keeper, clock_ms());
    generations_sweep(keeper);
}

MUST_USE static bool begin_kerberos(struct keeper *keeper)
{
    void *memory = keeper->settings->replays;
    if (!memory)
        memory = keeper->replays_memory = calloc(1, replays_size());
    keeper->replays = memory ? replays_init(memory) : NULL;
    keeper->tickets = upstream_tickets_new();
    keeper->challenges = challenges_new();
    return keeper->replays && keeper->tickets && keeper->challenges &&
           siphash_key_make(&keeper->credential_key);
}

/* Takes over `control_fd` also when it fails. */
MUST_USE static bool start(struct process *process, int control_fd)
{
    static const struct channel_handler handler = {.message = on_control, .gone = on_control_gone};
    static const struct timeval interval = {.tv_sec = TICK_SECONDS};
    struct keeper *keeper = &process->keeper;
    const struct keeper_settings *settings = keeper->settings;
    keeper->base = event_base_new();
    if (!keeper->base) {
        close(control_fd);
        return false;
    }
    process->control = channel_new(keeper->base, control_fd, &handler, process);
    keeper->local = pool_new(keeper->base, settings->threads ? settings->threads : 1);
    keeper->remote =
        pool_new(keeper->base, settings->remote_threads ? settings->remote_threads : 1);
    process->tick = event_new(keeper->base, -1, EV_PERSIST, on_tick, keeper);
    return begin_kerberos(keeper) && process->control && keeper->local && keeper->remote &&
           process->tick && event_add(process->tick, &interval) == 0 &&
           channel_send(process->control, CONTROL_READY, (struct span){NULL, 0}, -1);
}

/* In this order: what is in the pools holds on to workers and secrets. */
static void finish(struct process *process)
{
    struct keeper *keeper = &process->keeper;
    keeper_workers_end(keeper);
    /* Nothing can be taken from a thread that waits for a KDC; whoever stops us does not wait. */
    if (keeper->remote && !pool_stop(keeper->remote, STOP_MS))
        _exit(process->status);
    pool_free(keeper->local);
    pool_free(keeper->remote);
    handles_free(&keeper->handles);
    back_offs_clear(&keeper->back_offs);
    OPENSSL_cleanse(&keeper->credential_key, sizeof keeper->credential_key);
    upstream_tickets_free(keeper->tickets);
    challenges_free(keeper->challenges);
    free(keeper->replays_memory);
    generations_free(keeper);
    domain_free(keeper->domain);
    channel_free(process->control);
    if (process->tick)
        event_free(process->tick);
    if (keeper->base)
        event_base_free(keeper->base);
}

/* Winbind may come up later; that it does not answer yet is told by domain_refresh(). */
MUST_USE static bool begin_domain(struct keeper *keeper)
{
    if (!keeper->settings->winbind)
        return true;
    if (!domain_available()) {
        (void)fputs("countersign: keeper: winbind is asked for, and this Countersign was built "
                    "without libwbclient\n",
                    stderr);
        return false;
    }
    keeper->domain = domain_new();
    if (keeper->domain)
        (void)domain_refresh(keeper->domain);
    return keeper->domain != NULL;
}

int keeper_run(const struct keeper_settings *settings, int control_fd)
{
    struct process process = {.keeper = {.settings = settings}, .status = 0};
    char problem[KEEPER_PROBLEM_MAX] = "";
    LIST_INIT(&process.keeper.generations);
    handles_init(&process.keeper.handles);
    back_offs_init(&process.keeper.back_offs);
    LIST_INIT(&process.keeper.workers);
    if (!begin_domain(&process.keeper) || !generations_begin(&process.keeper, problem)) {
        if (problem[0])
            (void)fprintf(stderr, "countersign: keeper: %s\n", problem);
        generations_free(&process.keeper);
        domain_free(process.keeper.domain);
        close(control_fd);
        return 1;
    }
    if (!legacy_ready()) {
        (void)fputs(
            "countersign: keeper: OpenSSL's legacy provider cannot be loaded, and NTLM needs "
            "its MD4 and RC4; it comes with libssl3\n",
            stderr);
        close(control_fd);
        process.status = 1;
    } else if (!start(&process, control_fd)) {
        (void)fputs("countersign: keeper: cannot start: memory, threads or descriptors short\n",
                    stderr);
        process.status = 1;
    } else if (event_base_dispatch(process.keeper.base) < 0) {
        process.status = 1;
    }
    finish(&process);
    return process.status;
}
