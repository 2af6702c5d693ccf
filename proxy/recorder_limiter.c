/*
 * The recorder's end of the authentication limiter: what workers say and what they are told.
 */
#include "crypto/clock.h"
#include "proxy/recorder.h"
#include "proxy/recorder_state.h"

static bool send_limit(struct peer *peer, const struct limit *limit)
{
    uint8_t body[LIMIT_MESSAGE_MAX];
    struct writer writer = writer_over(body, sizeof body);
    limit_write(&writer, limit);
    return writer_done(&writer) &&
           channel_send(peer->channel, RECORDER_LIMIT, writer_span(&writer), -1);
}

void recorder_tell_limit(void *context, const struct limit *limit)
{
    struct recorder *recorder = context;
    struct peer *peer;
    LIST_FOREACH(peer, &recorder->peers, next)
    /* A worker that does not read has its limits late: the next failure tells it again. */
    if (peer->role == PEER_WORKER && peer->channel)
        (void)send_limit(peer, limit);
}

static void greet_with(void *context, const struct limit *limit)
{
    (void)send_limit(context, limit);
}

void recorder_greet_worker(struct peer *peer)
{
    struct recorder *recorder = peer->recorder;
    uint8_t body[16];
    struct writer writer = writer_over(body, sizeof body);
    write_le64(&writer, recorder->limiter_key.low);
    write_le64(&writer, recorder->limiter_key.high);
    /* It may be gone already, which its channel will tell. */
    if (writer_done(&writer) &&
        channel_send(peer->channel, RECORDER_LIMITER_KEY, writer_span(&writer), -1))
        limiter_tell_all(recorder->limiter, clock_ms(), greet_with, peer);
}

bool recorder_take_outcome(struct peer *peer, struct span body)
{
    struct attempt_key attempt;
    bool proven;
    if (!outcome_read(body, &attempt, &proven))
        return false;
    limiter_note(peer->recorder->limiter, &attempt, proven, clock_ms());
    return true;
}
