/*
 * A real keeper in a process of its own, and workers, clients and file servers played against it.
 *
 * Everything that waits does so for PATIENCE seconds at most and then fails the test.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_KEEPER_HARNESS_H
#define COUNTERSIGN_TESTS_UNIT_KEEPER_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "crypto/channel.h"
#include "crypto/initiate.h"
#include "crypto/keeper.h"
#include "crypto/keeper_message.h"

enum { PATIENCE = 20, WORKERS_MAX = 32 };

#define ALICE_HASH   "0102030405060708090a0b0c0d0e0f10"
#define BOB_HASH     "1112131415161718191a1b1c1d1e1f20"
#define CAROL_HASH   "2122232425262728292a2b2c2d2e2f30"
#define SERVICE_HASH "3132333435363738393a3b3c3d3e3f40"

static const uint8_t alice_hash[NT_HASH_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t bob_hash[NT_HASH_SIZE] = {17, 18, 19, 20, 21, 22, 23, 24,
                                               25, 26, 27, 28, 29, 30, 31, 32};
static const uint8_t carol_hash[NT_HASH_SIZE] = {33, 34, 35, 36, 37, 38, 39, 40,
                                                 41, 42, 43, 44, 45, 46, 47, 48};
static const uint8_t service_hash[NT_HASH_SIZE] = {49, 50, 51, 52, 53, 54, 55, 56,
                                                   57, 58, 59, 60, 61, 62, 63, 64};

#define PROXY_TARGET "cifs/proxy.example.com"
#define NAS_TARGET   "cifs/nas.example.com"

static const char *const proxy_names[] = {"proxy.example.com"};
static const char *const nas_names[] = {"nas.example.com"};

#define POLICY(host, host_names)                                                                   \
    {                                                                                              \
        .mic = MIC_REQUIRED, .target_name = TARGET_NAME_REQUIRED, .names = host_names,             \
        .names_count = 1, .netbios_name = host, .netbios_domain = "WORKGROUP",                     \
        .dns_name = host_names##_dns, .dns_domain = "example.com", .challenge_lifetime_s = 60      \
    }
#define proxy_names_dns "proxy.example.com"
#define nas_names_dns   "nas.example.com"

static const struct keeper_listener listeners[] = {
    {.name = "first", .accept = POLICY("PROXY", proxy_names)},
    {.name = "second", .accept = POLICY("PROXY", proxy_names)},
};
static const struct accept_policy nas_policy = POLICY("NAS", nas_names);

enum { UPSTREAM_SAME, UPSTREAM_MAPPED, UPSTREAM_MAPPED_SAME, UPSTREAMS };
static const struct keeper_upstream upstreams[UPSTREAMS] = {
    {.name = "same",
     .target = NAS_TARGET,
     .address = "192.0.2.1:445",
     .logins = {LOGIN_SAME},
     .logins_count = 1},
    {.name = "mapped",
     .target = NAS_TARGET,
     .address = "192.0.2.2:445",
     .logins = {LOGIN_MAPPED},
     .logins_count = 1},
    {.name = "both",
     .target = NAS_TARGET,
     .address = "192.0.2.3:445",
     .logins = {LOGIN_MAPPED, LOGIN_SAME},
     .logins_count = 2},
};

static const char credentials_text[] = "user:alice:" ALICE_HASH "\n"
                                       "user:bob:" BOB_HASH "\n"
                                       "user:EXAMPLE\\carol:" CAROL_HASH "\n"
                                       "mapped:alice:NAS\\service:" SERVICE_HASH "\n";

/* A message that a played process received. */
struct letter {
    STAILQ_ENTRY(letter) next;
    uint16_t type;
    size_t size;
    uint8_t bytes[];
};

struct played {
    struct channel *channel;
    STAILQ_HEAD(, letter) letters;
    bool gone;
};

struct harness {
    struct event_base *base;
    pid_t keeper;
    struct played control;
    struct played workers[WORKERS_MAX]; /* here, so that they outlive a test that fails */
    size_t workers_count;
    char credentials[64];
    const struct keeper_settings *settings; /* NULL: those above */
};

static inline bool played_message(void *context, uint16_t type, struct span body, int fd)
{
    struct played *played = context;
    assert_int_equal(fd, -1);
    struct letter *letter = malloc(sizeof *letter + body.size);
    assert_non_null(letter);
    letter->type = type;
    letter->size = body.size;
    if (body.size)
        memcpy(letter->bytes, body.at, body.size);
    STAILQ_INSERT_TAIL(&played->letters, letter, next);
    return true;
}

static inline void played_gone(void *context, bool malformed)
{
    struct played *played = context;
    assert_false(malformed);
    assert_false(played->gone);
    played->gone = true;
}

static inline void play(struct harness *harness, struct played *played, int fd)
{
    static const struct channel_handler handler = {.message = played_message, .gone = played_gone};
    STAILQ_INIT(&played->letters);
    played->gone = false;
    played->channel = channel_new(harness->base, fd, &handler, played);
    assert_non_null(played->channel);
}

static inline void played_end(struct played *played)
{
    channel_free(played->channel);
    played->channel = NULL;
    while (!STAILQ_EMPTY(&played->letters)) {
        struct letter *first = STAILQ_FIRST(&played->letters);
        STAILQ_REMOVE_HEAD(&played->letters, next);
        free(first);
    }
}

/* One turn of the loop; a second at most. */
static inline void turn(struct harness *harness)
{
    static const struct timeval second = {.tv_sec = 1};
    assert_int_equal(event_base_loopexit(harness->base, &second), 0);
    assert_true(event_base_loop(harness->base, EVLOOP_ONCE) >= 0);
}

static inline void wait_for_letter(struct harness *harness, struct played *played)
{
    time_t begun = time(NULL);
    while (STAILQ_EMPTY(&played->letters)) {
        if (played->gone || time(NULL) - begun > PATIENCE)
            fail_msg("no answer: %s", played->gone ? "the channel is gone" : "it takes too long");
        turn(harness);
    }
}

static inline void wait_until_gone(struct harness *harness, struct played *played)
{
    time_t begun = time(NULL);
    while (!played->gone) {
        if (time(NULL) - begun > PATIENCE)
            fail_msg("the channel is still there");
        turn(harness);
    }
}

/* The next letter, which must be of this type. The caller frees it. */
static inline struct letter *expect_letter(struct harness *harness, struct played *played,
                                           uint16_t type)
{
    wait_for_letter(harness, played);
    struct letter *letter = STAILQ_FIRST(&played->letters);
    STAILQ_REMOVE_HEAD(&played->letters, next);
    assert_int_equal(letter->type, type);
    return letter;
}

static inline struct span letter_body(const struct letter *letter)
{
    return (struct span){letter->bytes, letter->size};
}

static inline void write_credentials(const struct harness *harness, const char *text)
{
    int fd = open(harness->credentials, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static inline void make_credentials(struct harness *harness)
{
    (void)snprintf(harness->credentials, sizeof harness->credentials, "/tmp/countersign-XXXXXX");
    int fd = mkstemp(harness->credentials);
    assert_true(fd >= 0);
    close(fd);
    write_credentials(harness, credentials_text);
}

/* Forks a keeper over the credentials file as it is; it may be one that does not start. */
static inline void fork_keeper(struct harness *harness)
{
    struct keeper_settings settings = {
        .listeners = listeners,
        .listeners_count = sizeof listeners / sizeof listeners[0],
        .upstreams = upstreams,
        .upstreams_count = UPSTREAMS,
        .threads = 2,
    };
    if (harness->settings)
        settings = *harness->settings;
    settings.credentials = harness->credentials;
    int fds[2];
    assert_true(channel_pair(fds));
    (void)fflush(NULL);
    harness->keeper = fork();
    assert_true(harness->keeper >= 0);
    if (harness->keeper == 0) {
        close(fds[0]);
        /* So that a sanitizer that finds a leak there is heard, by the exit status. */
        exit(keeper_run(&settings, fds[1]));
    }
    close(fds[1]);
    harness->base = event_base_new();
    assert_non_null(harness->base);
    play(harness, &harness->control, fds[0]);
}

static inline void send_control(struct harness *harness, uint16_t type)
{
    assert_true(channel_send(harness->control.channel, type, (struct span){NULL, 0}, -1));
}

/* Hands the keeper one end of a new channel; the other. */
static inline int hand_over(struct harness *harness, enum peer_role role, uint32_t index)
{
    uint8_t body[16];
    struct writer writer = writer_over(body, sizeof body);
    const struct control_peer peer = {.role = role, .index = index};
    int fds[2];
    assert_true(channel_pair(fds));
    control_peer_write(&writer, &peer);
    assert_true(writer_done(&writer));
    assert_true(channel_send(harness->control.channel, CONTROL_PEER, writer_span(&writer), fds[1]));
    close(fds[1]);
    return fds[0];
}

static inline struct played *add_peer(struct harness *harness, enum peer_role role, uint32_t index)
{
    assert_true(harness->workers_count < WORKERS_MAX);
    struct played *peer = &harness->workers[harness->workers_count];
    play(harness, peer, hand_over(harness, role, index));
    harness->workers_count++;
    return peer;
}

/* A new worker. What was sent to the control channel before has been done when it gets an answer.
 */
static inline struct played *add_worker(struct harness *harness)
{
    return add_peer(harness, PEER_WORKER, (uint32_t)harness->workers_count);
}

/* Its exit status; -1 when it was killed. */
static inline int keeper_status(struct harness *harness)
{
    int status;
    assert_int_equal(waitpid(harness->keeper, &status, 0), harness->keeper);
    harness->keeper = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int start_keeper_with(void **state, const struct keeper_settings *settings,
                                    const char *text)
{
    struct harness *harness = calloc(1, sizeof *harness);
    assert_non_null(harness);
    harness->settings = settings;
    make_credentials(harness);
    if (text)
        write_credentials(harness, text);
    fork_keeper(harness);
    free(expect_letter(harness, &harness->control, CONTROL_READY));
    *state = harness;
    return 0;
}

static inline int start_keeper(void **state)
{
    return start_keeper_with(state, NULL, NULL);
}

/* A keeper that is still there must end by itself, and cleanly. */
static inline int stop_keeper(void **state)
{
    struct harness *harness = *state;
    int status = 0;
    for (size_t i = 0; i < harness->workers_count; i++)
        played_end(&harness->workers[i]);
    if (harness->keeper) {
        send_control(harness, CONTROL_STOP);
        wait_until_gone(harness, &harness->control);
        status = keeper_status(harness);
    }
    played_end(&harness->control);
    event_base_free(harness->base);
    unlink(harness->credentials);
    free(harness);
    *state = NULL;
    return status;
}

/* Runs what sends between the two so that the keeper finds it all there at once. */
static inline void pause_keeper(struct harness *harness)
{
    int status;
    assert_int_equal(kill(harness->keeper, SIGSTOP), 0);
    assert_int_equal(waitpid(harness->keeper, &status, WUNTRACED), harness->keeper);
    assert_true(WIFSTOPPED(status));
}

static inline void resume_keeper(struct harness *harness)
{
    assert_int_equal(kill(harness->keeper, SIGCONT), 0);
}

#endif
