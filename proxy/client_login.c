/*
 * SESSION_SETUP on the client leg (MS-SMB2 3.3.5.5): the client's tokens go to the keeper; when it
 * is proven, the upstream session is opened; only then is the client told SUCCESS.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/clock.h"
#include "proxy/body.h"
#include "proxy/client_signature.h"
#include "proxy/judge.h"
#include "proxy/refusal.h"
#include "proxy/renewal.h"
#include "proxy/worker_state.h"

enum { HALF_OPEN_MAX_EARLY = 4, HALF_OPEN_MAX = 64 };

static struct smb2_header setup_request(const struct session *session)
{
    return (struct smb2_header){
        .credit_charge = 1,
        .command = SMB2_SESSION_SETUP,
        .credits = session->setup_credits,
        .message_id = session->setup_message_id,
        .session_id = session->client_id,
        .encrypted = session->setup_encrypted,
    };
}

/* A SESSION_SETUP response. `sign`: the final one of a new session, and each of a renewal. */
static void respond(struct session *session, uint32_t status, struct span token, bool sign)
{
    struct link *link = session->link;
    struct smb2_header request = setup_request(session);
    struct session_setup_response body = {.token = token};
    struct answer answer;
    if (status == STATUS_SUCCESS && session->client_encrypts)
        body.session_flags = SMB2_SESSION_FLAG_ENCRYPT_DATA;
    session->setup_waiting = false;
    if (!answer_start(&answer, link, session, &request, status, 16 + token.size))
        return;
    answer.close = sign;
    session_setup_response_write(&answer.writer, &body);
    if (!writer_done(&answer.writer)) {
        link_end(link, END_MEMORY);
        return;
    }
    /* The final response is not part of the hash that its own key depends on. */
    if (status == STATUS_MORE_PROCESSING_REQUIRED && link->client.dialect == SMB_3_1_1 &&
        session->state == SESSION_AUTHENTICATING &&
        !preauth_add(&session->client_preauth, writer_span(&answer.writer))) {
        link_end(link, END_MEMORY);
        return;
    }
    answer_send(&answer);
}

static void refuse_setup(struct link *link, const struct smb2_header *request, uint32_t status)
{
    answer_error(link, NULL, request, status);
}

/* Signed where there is a key. */
void client_login_refuse(struct session *session, uint32_t status)
{
    struct smb2_header request = setup_request(session);
    bool renewal = session->state >= SESSION_VALID;
    session->setup_waiting = false;
    answer_error(session->link, renewal ? session : NULL, &request, status);
}

void client_login_failed(struct session *session, uint32_t status)
{
    if (session->setup_waiting)
        client_login_refuse(session, status);
    session_end(session, true);
}

/* It is the client's turn, and has been for as long as a connection may be without a session. */
static bool is_left(const struct session *session)
{
    return session->step == STEP_CLIENT && clock_ms() - session->challenged_ms >=
                                               session->link->worker->config->limits.login_timeout;
}

static void end_left(struct table_entry *entry, void *context)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    (void)context;
    if (session->state == SESSION_AUTHENTICATING && is_left(session))
        session_end(session, false);
}

void client_login_take_back(struct session *session)
{
    if (session->state != SESSION_RENEWING || !is_left(session))
        return;
    worker_forget(session);
    session->state = SESSION_VALID;
    session->step = STEP_IDLE;
}

static struct session *begin_session(struct link *link, const struct smb2_header *header)
{
    /* Else a connection that many use for long would one day take nobody any more. */
    if (link->sessions.count > link->sessions_valid)
        table_each(&link->sessions, end_left, NULL);
    if (link->sessions.count >= link->worker->config->limits.sessions_per_connection) {
        report_event(EVENT_LIMIT_REACHED, link, NULL, LEG_CLIENT, "sessions_per_connection",
                     "refused");
        refuse_setup(link, header, STATUS_INSUFFICIENT_RESOURCES);
        return NULL;
    }
    /* Strangers get few attempts at a time: the keeper has to serve everybody. */
    if (link->sessions.count - link->sessions_valid >=
        (link->sessions_valid ? HALF_OPEN_MAX : HALF_OPEN_MAX_EARLY)) {
        report_event(EVENT_LIMIT_REACHED, link, NULL, LEG_CLIENT, "half_open_sessions", "refused");
        refuse_setup(link, header, STATUS_INSUFFICIENT_RESOURCES);
        return NULL;
    }
    struct session *session = session_new(link);
    if (!session) {
        link_end(link, END_MEMORY);
        return NULL;
    }
    session->client_preauth = link->client.preauth;
    table_add(&link->sessions, &session->by_client_id, session->client_id);
    return session;
}

/* The session that a SESSION_SETUP belongs to, ready for its next token; NULL when it was answered.
 */
static struct session *find_session(struct link *link, const struct smb2_message *message)
{
    const struct smb2_header *header = &message->header;
    if (header->session_id == 0)
        return begin_session(link, header);
    struct session *session = link_session(link, header->session_id);
    if (!session || session->state == SESSION_LOGGING_OFF) {
        answer_no_session(link, message, STATUS_USER_SESSION_DELETED);
        return NULL;
    }
    /* Re-authentication is signed with the session's key (MS-SMB2 3.3.5.5.2), as every request. */
    if (session->state >= SESSION_VALID && !client_signature_check(session, message))
        return NULL;
    if (session->state < SESSION_VALID && header->flags & SMB2_FLAGS_SIGNED) {
        refuse_setup(link, header, STATUS_NOT_SUPPORTED); /* there is no key yet */
        return NULL;
    }
    if (session->renews_alone && renewal_keep_setup(session, message))
        return NULL;
    client_login_take_back(session);
    if (session->setup_waiting || (session->step != STEP_IDLE && session->step != STEP_CLIENT)) {
        answer_error(link, session->state >= SESSION_VALID ? session : NULL, header,
                     STATUS_REQUEST_NOT_ACCEPTED);
        return NULL;
    }
    return session;
}

static bool refuse_binding(struct link *link, const struct smb2_header *header,
                           const struct session_setup_request *body)
{
    if (!(body->flags & SMB2_SESSION_FLAG_BINDING))
        return false;
    report_event(EVENT_BINDING_REFUSED, link, NULL, LEG_CLIENT, "multichannel_not_carried",
                 "refused");
    refuse_setup(link, header,
                 header->session_id == 0 ? STATUS_INVALID_PARAMETER : STATUS_REQUEST_NOT_ACCEPTED);
    return true;
}

void client_session_setup(struct link *link, struct smb2_message *message)
{
    struct session_setup_request body;
    struct smb2_header *header = &message->header;
    if (!session_setup_request_read((struct span){message->at, message->size}, &body)) {
        refuse_setup(link, header, STATUS_INVALID_PARAMETER);
        return;
    }
    if (refuse_binding(link, header, &body))
        return;
    struct session *session = find_session(link, message);
    if (!session)
        return;
    if (session->state == SESSION_VALID)
        session->state = SESSION_RENEWING;
    session->setup_message_id = header->message_id;
    session->setup_credits = header->credits;
    session->setup_waiting = true;
    session->setup_encrypted = header->encrypted;
    if (session->state == SESSION_AUTHENTICATING)
        session->previous_id = body.previous_session_id;
    if (session->state == SESSION_AUTHENTICATING && link->client.dialect == SMB_3_1_1 &&
        !preauth_add(&session->client_preauth, (struct span){message->at, message->size})) {
        link_end(link, END_MEMORY);
        return;
    }
    session->step = STEP_KEEPER_ACCEPT;
    if (!worker_accept(session, body.token)) {
        report_event(EVENT_LOGIN_REFUSED, link, session, LEG_CLIENT, "keeper_unavailable",
                     "refused");
        client_login_failed(session, STATUS_NO_LOGON_SERVERS);
    }
}

void client_login_continue(struct session *session, const struct keeper_continue *reply)
{
    session->step = STEP_CLIENT;
    session->challenged_ms = clock_ms();
    respond(session, STATUS_MORE_PROCESSING_REQUIRED, reply->token,
            session->state == SESSION_RENEWING);
}

/* Keys of the client leg: the hash holds every SESSION_SETUP up to the last request. */
static bool derive_client_keys(struct session *session, const struct session_key *key)
{
    struct session_keys keys;
    const struct leg *leg = &session->link->client;
    bool derived =
        session_keys_derive(leg->dialect, leg->cipher, key, &session->client_preauth, &keys);
    if (derived)
        session->client_signer = signer_new(leg->signing, keys.signing);
    if (derived && leg->cipher) {
        session->client_open =
            sealer_new(leg->cipher, keys.client_to_server, session->client_id, false);
        session->client_seal =
            sealer_new(leg->cipher, keys.server_to_client, session->client_id, true);
        derived = session->client_open && session->client_seal;
    }
    session_keys_wipe(&keys);
    return derived && session->client_signer;
}

static void report_absences(struct session *session, const struct identity *identity)
{
    struct link *link = session->link;
    if (identity->mechanism != MECHANISM_NTLM)
        return;
    if (!identity->mic_present)
        report_event(EVENT_MIC_ABSENT, link, session, LEG_CLIENT, "mic_not_announced", "recorded");
    if (!identity->target_name[0])
        report_event(EVENT_TARGET_NAME_ABSENT, link, session, LEG_CLIENT,
                     target_absence_name(identity->target_absence), "recorded");
}

/* Who is in other groups than before is judged anew. */
static bool groups_allow(struct session *session, const struct identity *now)
{
    struct identity *identity = session->identity;
    if (memcmp(identity->groups, now->groups, sizeof now->groups) == 0)
        return true;
    memcpy(identity->groups, now->groups, sizeof now->groups);
    return judge_renewal(session);
}

static void refuse_other_identity(struct session *session, const struct identity *now)
{
    struct report report;
    report_start(&report, EVENT_IDENTITY_CHANGED, session->link, session, LEG_CLIENT,
                 "other_identity");
    report_claimed(&report, now);
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(session->link->worker, &report);
    client_login_failed(session, STATUS_ACCESS_DENIED);
}

static void finish_renewal(struct session *session, const struct keeper_proven *reply)
{
    struct link *link = session->link;
    if (!identity_same(session->identity, &reply->identity)) {
        refuse_other_identity(session, &reply->identity);
        return;
    }
    if (!token_keep(&session->final_token, reply->token)) {
        link_end(link, END_MEMORY);
        return;
    }
    session->identity->expires = reply->identity.expires;
    session->expiry_told = false;
    if (!groups_allow(session, &reply->identity)) {
        client_login_failed(session, STATUS_ACCESS_DENIED);
        return;
    }
    if (!renewal_needs_upstream(session)) {
        client_login_renewed(session);
        return;
    }
    /* The file server wants the same from us, before the client is told that it may go on. */
    renewal_forget(session);
    memcpy(session->handle, reply->handle, sizeof session->handle);
    upstream_login_start(session);
}

void client_login_renewed(struct session *session)
{
    session->state = SESSION_VALID;
    session->step = STEP_IDLE;
    respond(session, STATUS_SUCCESS,
            (struct span){session->final_token.at, session->final_token.size}, true);
    token_drop(&session->final_token);
}

void client_login_proven(struct session *session, const struct keeper_proven *reply)
{
    struct link *link = session->link;
    if (client_limit_refuses(session, &reply->identity))
        return;
    worker_tell_outcome(link, reply->identity.user, true);
    if (session->state == SESSION_RENEWING) {
        finish_renewal(session, reply);
        return;
    }
    session->identity = malloc(sizeof *session->identity);
    if (!session->identity || !token_keep(&session->final_token, reply->token) ||
        !derive_client_keys(session, &reply->key)) {
        link_end(link, END_MEMORY);
        return;
    }
    *session->identity = reply->identity;
    memcpy(session->handle, reply->handle, sizeof session->handle);
    report_absences(session, &reply->identity);
    session->state = SESSION_LOGGING_IN;
    link_see_login(session);
}

void client_login_remembered(struct session *session)
{
    if (!judge_login(session)) {
        client_login_failed(session, STATUS_ACCESS_DENIED);
        return;
    }
    if (session->previous_id && worker_find_previous(session, session->previous_id))
        session->step = STEP_DIRECTORY;
    else
        upstream_login_start(session);
}

/* Only an identity's own previous session is ended for it; of anybody else's the file server hears
 * nothing (MS-SMB2 3.3.5.5.3). */
void client_login_previous(struct session *session, enum directory_answer answer,
                           uint64_t upstream_id)
{
    if (answer == DIRECTORY_OTHER)
        report_event(EVENT_FOREIGN_SESSION, session->link, session, LEG_CLIENT,
                     "previous_session_of_another", "refused");
    session->upstream_previous_id = upstream_id;
    upstream_login_start(session);
}

void client_login_refused(struct session *session, const struct keeper_refused *reply)
{
    struct link *link = session->link;
    struct report report;
    const struct refused refused = refused_client(reply);
    const struct identity *claimed = &reply->identity;
    if (client_limit_guess(session, reply))
        return;
    report_start(&report, refused.kind, link, session, LEG_CLIENT, refused.reason);
    if (claimed->user[0] && session->identity)
        report_claimed(&report, claimed);
    else if (claimed->user[0])
        report_claim(&report, claimed);
    report.event.field[FIELD_MECHANISM] = mechanism_name(claimed->mechanism);
    report.event.field[FIELD_VERDICT] = "refused";
    report_status(&report, refused.status);
    report_send(link->worker, &report);
    report_strike(link, refused.kind);
    client_login_failed(session, refused.status);
}

void client_login_done(struct session *session)
{
    struct link *link = session->link;
    report_event(EVENT_LOGIN, link, session, LEG_CLIENT, NULL, "allowed");
    worker_enter_session(session);
    link->strikes = 0;
    if (link->sessions_valid++ == 0)
        link_deadline(link, 0);
    link->client.stream.frame_max = link->server.stream.frame_max = FRAME_MAX;
    session->state = SESSION_VALID;
    session->step = STEP_IDLE;
    respond(session, STATUS_SUCCESS,
            (struct span){session->final_token.at, session->final_token.size}, true);
    token_drop(&session->final_token);
}
