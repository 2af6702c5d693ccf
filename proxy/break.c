/*
 * Oplock and lease breaks from the file server (MS-SMB2 3.2.5.19). They are not signed and answer
 * no request: one that names no open of this link and no lease of this client goes nowhere, and is
 * an event unless such a lease has just ended. Only responses have to be encrypted (3.3.4.1.4), and
 * smbd sends breaks in the open in an encrypted session too. A break may overtake the CREATE
 * response that tells of its open, so while a CREATE waits an unknown one is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/dialect.h"
#include "proxy/open.h"
#include "proxy/worker_state.h"

enum { KEPT_BREAKS_MAX = 64 };

static void report(struct link *link, const char *reason)
{
    report_event(EVENT_UPSTREAM_FORGED, link, NULL, LEG_UPSTREAM, reason, "refused");
}

/* The session whose open or lease it is; `*known` is false when nothing here has that name. */
static struct session *find_owner(const struct link *link, const struct break_body *body,
                                  bool *known)
{
    if (body->lease) {
        *known = lease_known(link, body->lease_key);
        return NULL;
    }
    struct open *open = open_find(link, body->file_id);
    *known = open != NULL;
    return open ? open->session : NULL;
}

static struct session *find_session(const struct link *link, uint64_t upstream_id)
{
    struct table_entry *entry = table_find(&link->upstream_sessions, upstream_id);
    return entry ? CONTAINER_OF(entry, struct session, by_upstream_id) : NULL;
}

static void send_break(struct link *link, struct session *session, const uint8_t *message,
                       size_t size, bool names_session)
{
    uint8_t *copy = stream_own(&link->client.stream, size);
    if (!copy) {
        link_end(link, END_MEMORY);
        return;
    }
    bool encrypt = session && session->client_encrypts;
    memcpy(copy, message, size);
    /* What is inside a TRANSFORM is of its session. */
    if (session && (names_session || encrypt))
        smb2_set_session_id(copy, session->client_id);
    struct smb2_message told = {.header.command = SMB2_OPLOCK_BREAK, .at = copy, .size = size};
    dialect_clear(&told, TO_CLIENT, link->client.dialect, link->server.dialect, true);
    smb2_set_next_command(copy, 0);
    smb2_set_credits(copy, 0);
    smb2_set_flags(copy, SMB2_FLAGS_SERVER_TO_REDIR);
    smb2_clear_signature(copy);
    seal_send_own(&link->client, session, copy, size, encrypt);
}

static void keep(struct link *link, const struct smb2_message *message, uint64_t opened)
{
    struct kept_break *kept =
        link->breaks_count < KEPT_BREAKS_MAX ? malloc(sizeof *kept + message->size) : NULL;
    if (!kept) {
        report(link, "too_many_breaks");
        return;
    }
    kept->next = NULL;
    kept->opened = opened;
    kept->size = message->size;
    memcpy(kept->message, message->at, message->size);
    struct kept_break **last = &link->breaks;
    while (*last)
        last = &(*last)->next;
    *last = kept;
    link->breaks_count++;
}

/* `opened`: the client's id of the session whose TRANSFORM it came in, or 0. */
static void take(struct link *link, const struct smb2_message *message, uint64_t opened,
                 bool may_wait)
{
    enum { OPLOCK_SIZE = SMB2_HEADER_SIZE + 24, LEASE_SIZE = SMB2_HEADER_SIZE + 44 };
    struct break_body body;
    bool known;
    if (!break_notification_read((struct span){message->at, message->size}, &body))
        return;
    /* No more of it than it says. */
    struct smb2_message exact = *message;
    exact.size = body.lease ? LEASE_SIZE : OPLOCK_SIZE;
    message = &exact;
    struct session *session = find_owner(link, &body, &known);
    if (!known) {
        if (may_wait && link->creates_pending)
            keep(link, message, opened);
        else if (!body.lease || !lease_ended(link, body.lease_key))
            report(link, body.lease ? "break_of_unknown_lease" : "break_of_unknown_open");
        return;
    }
    uint64_t named = message->header.session_id;
    struct session *told = named ? find_session(link, named) : link_session(link, opened);
    /* An oplock is broken in its own session and no other. */
    if ((named && !told) || (session && told && told != session)) {
        report(link, "break_in_other_session");
        return;
    }
    send_break(link, session ? session : told, message->at, message->size, named != 0);
}

void break_take(struct link *link, const struct smb2_message *message, const struct session *opened)
{
    take(link, message, opened ? opened->client_id : 0, true);
}

void break_release(struct link *link)
{
    struct kept_break *kept = link->breaks;
    link->breaks = NULL;
    link->breaks_count = 0;
    while (kept) {
        struct kept_break *next = kept->next;
        struct smb2_message message = {.at = kept->message, .size = kept->size};
        if (!link_ended(link) &&
            smb2_header_read((struct span){kept->message, kept->size}, &message.header))
            take(link, &message, kept->opened, true);
        free(kept);
        kept = next;
    }
}

void break_drop_all(struct link *link)
{
    while (link->breaks) {
        struct kept_break *kept = link->breaks;
        link->breaks = kept->next;
        free(kept);
    }
}
