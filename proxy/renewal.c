#include "proxy/renewal.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "proxy/worker_state.h"

/* Seconds. A renewal begins in the last tenth of the time, but not earlier than LEAD_MAX before the
 * end, and not in its last second: tickets of ten hours are renewed in the last five minutes. */
enum { LEAD_MAX = 300, LEAD_MIN = 2, LEAD_SHARE = 10, AGAIN_AFTER = 1, DELAY_MAX = 7 * 24 * 3600 };

/* A token and the head of its message. */
enum { SETUP_MAX = 66 * 1024 };

static void start(struct session *session)
{
    session->renews_alone = true;
    session->renewal_shown = false;
    memcpy(session->handle, session->renewal, sizeof session->handle);
    OPENSSL_cleanse(session->renewal, sizeof session->renewal);
    session->renewable = false;
    upstream_login_start(session);
}

static bool may_start(struct session *session)
{
    client_login_take_back(session);
    return session->renewable && session->state == SESSION_VALID && session->step == STEP_IDLE;
}

static void set_timer(struct session *session, int64_t seconds, uint32_t microseconds)
{
    struct timeval wait = {seconds, microseconds};
    /* Without a timer the file server will say when it is time. */
    (void)evtimer_add(session->renewal_timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    struct session *session = context;
    struct link *link = session->link;
    (void)fd;
    (void)what;
    if (may_start(session))
        start(session);
    else if (session->renewable) /* the client is renewing it, or logs off */
        set_timer(session, AGAIN_AFTER, 0);
    link_settle(link);
}

/* Sessions that began together do not all come back together: half of the lead is by chance. */
static void schedule(struct session *session)
{
    uint32_t chance = 0;
    int64_t left = session->upstream_expires - (int64_t)time(NULL);
    if (!session->renewal_timer)
        session->renewal_timer = evtimer_new(session->link->worker->base, on_timer, session);
    if (!session->renewal_timer)
        return;
    if (left > DELAY_MAX)
        left = DELAY_MAX;
    int64_t lead = left / LEAD_SHARE < LEAD_MAX ? left / LEAD_SHARE : LEAD_MAX;
    if (lead < LEAD_MIN)
        lead = LEAD_MIN;
    (void)RAND_bytes((uint8_t *)&chance, sizeof chance); /* no matter if it is none */
    int64_t wait = left - lead + chance % (lead / 2);
    set_timer(session, wait < AGAIN_AFTER ? AGAIN_AFTER : wait, chance % 1000000);
}

void renewal_take(struct session *session, const struct keeper_logged_in *reply)
{
    static const uint8_t none[KEEPER_HANDLE_SIZE];
    renewal_forget(session);
    session->renewable = CRYPTO_memcmp(reply->renewal, none, sizeof none) != 0;
    memcpy(session->renewal, reply->renewal, sizeof session->renewal);
    session->upstream_expires = reply->expires;
    if (session->renewable && reply->expires)
        schedule(session);
}

void renewal_expired(struct session *session)
{
    if (!session->upstream_expired)
        report_event(EVENT_SESSION_EXPIRED, session->link, session, LEG_UPSTREAM, "file_server",
                     "recorded");
    session->upstream_expired = true;
    if (may_start(session))
        start(session);
}

bool renewal_needs_upstream(const struct session *session)
{
    return session->upstream_expired || (session->upstream_expires && session->identity->expires);
}

/* What the client sent meanwhile. */
static void take_kept_setup(struct session *session)
{
    struct link *link = session->link;
    struct kept_token kept = session->kept_setup;
    struct smb2_message message = {.at = kept.at, .size = kept.size};
    session->kept_setup = (struct kept_token){0};
    if (!kept.at)
        return;
    if (smb2_header_read((struct span){kept.at, kept.size}, &message.header)) {
        message.header.encrypted = session->kept_setup_encrypted;
        client_session_setup(link, &message);
    }
    token_drop(&kept);
}

void renewal_done(struct session *session)
{
    session->renews_alone = false;
    session->upstream_expired = false;
    session->step = STEP_IDLE;
    report_event(EVENT_SESSION_RENEWED, session->link, session, LEG_UPSTREAM, NULL, "allowed");
    take_kept_setup(session);
}

void renewal_failed(struct session *session)
{
    session->renews_alone = false;
    session->step = STEP_IDLE;
    if (session->renewal_shown) {
        report_event(EVENT_LOGOFF, session->link, session, LEG_UPSTREAM, "renewal_failed", NULL);
        session_end(session, true);
        return;
    }
    take_kept_setup(session);
}

bool renewal_keep_setup(struct session *session, const struct smb2_message *message)
{
    if (session->kept_setup.at || message->size > SETUP_MAX)
        return false;
    if (!token_keep(&session->kept_setup, (struct span){message->at, message->size}))
        link_end(session->link, END_MEMORY);
    session->kept_setup_encrypted = message->header.encrypted;
    return true;
}

void renewal_forget(struct session *session)
{
    if (session->renewable)
        worker_release(session);
    OPENSSL_cleanse(session->renewal, sizeof session->renewal);
    session->renewable = false;
    if (session->renewal_timer)
        evtimer_del(session->renewal_timer);
}
