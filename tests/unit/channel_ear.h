/*
 * An end of a channel that remembers what it heard, and a raw end to say what channel_send() would
 * not.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_CHANNEL_EAR_H
#define COUNTERSIGN_TESTS_UNIT_CHANNEL_EAR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "crypto/channel.h"

static struct event_base *base;

/* Everything one end of a channel has heard. */
struct heard {
    struct channel *channel;
    unsigned messages;
    unsigned gone;
    bool malformed;
    uint16_t type;
    uint8_t *body;
    size_t size;
    int fd;
    bool answer;          /* what `message` answers */
    bool free_in_message; /* and then frees the channel first */
    bool free_in_gone;
};

static inline void hear_free(struct heard *heard)
{
    channel_free(heard->channel);
    heard->channel = NULL;
}

static inline bool hear_message(void *context, uint16_t type, struct span body, int fd)
{
    struct heard *heard = context;
    assert_int_equal(heard->gone, 0);
    heard->messages++;
    heard->type = type;
    heard->size = body.size;
    heard->body = realloc(heard->body, body.size + 1);
    assert_non_null(heard->body);
    if (heard->free_in_message)
        hear_free(heard);
    /* The body is still there after the channel was freed. */
    if (body.size)
        memcpy(heard->body, body.at, body.size);
    if (heard->fd >= 0)
        close(heard->fd);
    heard->fd = fd;
    return heard->answer;
}

static inline void hear_gone(void *context, bool malformed)
{
    struct heard *heard = context;
    heard->gone++;
    heard->malformed = malformed;
    if (heard->free_in_gone)
        hear_free(heard);
}

static const struct channel_handler handler = {.message = hear_message, .gone = hear_gone};

static inline void listen_to(struct heard *heard, int fd)
{
    *heard = (struct heard){.fd = -1, .answer = true};
    heard->channel = channel_new(base, fd, &handler, heard);
    assert_non_null(heard->channel);
}

static inline void forget(struct heard *heard)
{
    hear_free(heard);
    free(heard->body);
    if (heard->fd >= 0)
        close(heard->fd);
}

/* Runs the loop until it has nothing to do at once. */
static inline void settle(void)
{
    for (int i = 0; i < 2000; i++)
        assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static inline unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static inline int make_base(void **state)
{
    (void)state;
    base = event_base_new();
    return base ? 0 : -1;
}

static inline int drop_base(void **state)
{
    (void)state;
    event_base_free(base);
    return 0;
}

/* A raw end against a listening one, to send what channel_send() would not. */
static inline int raw_pair(struct heard *heard)
{
    int fds[2];
    assert_true(channel_pair(fds));
    listen_to(heard, fds[1]);
    return fds[0];
}

static inline void raw_send(int fd, const void *bytes, size_t size, const int *passed, size_t count)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(head), passed, count * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

#endif
