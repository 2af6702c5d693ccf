/*
 * Interim responses (MS-SMB2 3.3.4.2): the file server's notice that an answer takes longer. They
 * are checked in response.c; here they wait.
 */
#include <time.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

static unsigned hold_milliseconds(const struct link *link)
{
    return link->worker->config->limits.interim_hold;
}

static struct timeval monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (struct timeval){now.tv_sec, now.tv_nsec / 1000};
}

static void arm_hold_timer(struct link *link)
{
    struct timeval now = monotonic_now(), wait = {0, 0};
    if (!link->pending.held_first) {
        event_del(&link->hold_timer);
        return;
    }
    if (timercmp(&link->pending.held_first->held_until, &now, >))
        timersub(&link->pending.held_first->held_until, &now, &wait);
    event_add(&link->hold_timer, &wait);
}

/* Held back a moment: a final answer that overtakes it spares clients that cannot take an unsigned
 * message at all. */
void interim_take(struct link *link, struct pending *pending, uint64_t async_id)
{
    unsigned wait = hold_milliseconds(link);
    struct timeval now = monotonic_now(), until;
    struct timeval more = {wait / 1000, (suseconds_t)(wait % 1000) * 1000};
    if (pending_by_async_id(&link->pending, async_id)) {
        link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_UPSTREAM_FORGED, LEG_UPSTREAM,
                    "async_id_twice");
        return;
    }
    timeradd(&now, &more, &until);
    pending_set_async_id(&link->pending, pending, async_id);
    pending->interim = INTERIM_HELD;
    pending_hold(&link->pending, pending, &until);
    arm_hold_timer(link);
}

static void send_interim(struct link *link, struct pending *pending)
{
    enum { ROOM = SMB2_HEADER_SIZE + 16 };
    uint8_t *message = stream_own(&link->client.stream, ROOM);
    if (!message) {
        link_end(link, END_MEMORY);
        return;
    }
    struct smb2_header header = {
        .credit_charge = pending->client_charge,
        .status = STATUS_PENDING,
        .command = pending->command,
        .credits = answer_credits(link, pending->credits_wanted, false),
        .flags = SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_ASYNC_COMMAND,
        .message_id = pending->by_client_id.key,
        .async_id = pending->by_async_id.key,
        .session_id = pending->session->client_id,
    };
    pending->credits_wanted = 0;
    struct writer writer = writer_over(message, ROOM);
    smb2_header_write(&writer, &header);
    error_body_write(&writer);
    if (writer_done(&writer))
        seal_send_own(&link->client, pending->session, message, writer_size(&writer),
                      pending->client_encrypts);
}

void interim_release(struct link *link)
{
    struct timeval now = monotonic_now();
    while (link->pending.held_first && !link_ended(link) &&
           !timercmp(&link->pending.held_first->held_until, &now, >)) {
        struct pending *pending = link->pending.held_first;
        pending_unhold(&link->pending, pending);
        pending->interim = INTERIM_SENT;
        send_interim(link, pending);
    }
    arm_hold_timer(link);
}
