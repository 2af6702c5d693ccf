/*
 * SESSION_SETUP on the upstream leg (MS-SMB2 3.2.4.2.3, 3.2.5.3): the keeper makes the tokens, for
 * the identity that it proved itself; the file server's final response must be signed.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "crypto/challenge_name.h"
#include "crypto/text.h"
#include "proxy/body.h"
#include "proxy/memory.h"
#include "proxy/refusal.h"
#include "proxy/renewal.h"
#include "proxy/worker_state.h"

enum { WANTED_CREDITS = 512 };

/* Of a session that is up; its keys stay as they are (MS-SMB2 3.2.5.3). */
static bool is_renewal(const struct session *session)
{
    return session->state >= SESSION_VALID;
}

void upstream_login_start(struct session *session)
{
    session->step = STEP_KEEPER_LOGIN;
    if (!is_renewal(session))
        session->upstream_preauth = session->link->server.preauth;
    bool asked = worker_login(session);
    OPENSSL_cleanse(session->handle, sizeof session->handle);
    if (!asked)
        upstream_login_failed(session, STATUS_NO_LOGON_SERVERS);
}

void upstream_login_failed(struct session *session, uint32_t client_status)
{
    if (session->renews_alone)
        renewal_failed(session);
    else
        client_login_failed(session, client_status);
}

void upstream_login_refuse(struct session *session, enum event_kind kind, const char *reason,
                           uint32_t upstream_status, uint32_t client_status)
{
    struct report report;
    report_start(&report, kind, session->link, session,
                 kind == EVENT_UNENCRYPTED_REFUSED ? LEG_CLIENT : LEG_UPSTREAM, reason);
    report.event.field[FIELD_VERDICT] = "refused";
    if (upstream_status)
        report_status(&report, upstream_status);
    report_send(session->link->worker, &report);
    upstream_login_failed(session, client_status);
}

static void send_setup(struct session *session, struct span token)
{
    struct link *link = session->link;
    size_t room = SMB2_HEADER_SIZE + 24 + token.size;
    uint8_t *message = stream_own(&link->server.stream, room);
    if (!message) {
        link_end(link, END_MEMORY);
        return;
    }
    uint64_t id = credit_purse_spend(&link->purse, 1);
    struct pending *pending = pending_add(&link->pending, PENDING_SESSION_SETUP, id, session);
    struct smb2_header header = {
        .credit_charge = link->server.dialect >= SMB_2_1,
        .command = SMB2_SESSION_SETUP,
        .credits = WANTED_CREDITS,
        .message_id = id,
        .session_id = session->upstream_id,
    };
    bool renewal = is_renewal(session);
    /* What it was before has ended when it began. */
    struct session_setup_request body = {
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED,
        .previous_session_id = renewal ? 0 : session->upstream_previous_id,
        .token = token,
    };
    struct writer writer = writer_over(message, room);
    /* As every request of an encrypted session (MS-SMB2 3.2.4.1.8). */
    bool encrypt = renewal && session->upstream_encrypts;
    smb2_header_write(&writer, &header);
    session_setup_request_write(&writer, &body);
    if (!pending || !writer_done(&writer) ||
        (link->server.dialect == SMB_3_1_1 && !renewal &&
         !preauth_add(&session->upstream_preauth, writer_span(&writer)))) {
        link_end(link, END_MEMORY);
        return;
    }
    pending->command = SMB2_SESSION_SETUP;
    pending->upstream_charge = 1;
    pending->upstream_encrypts = encrypt;
    session->step = STEP_UPSTREAM;
    session->renewal_shown = renewal;
    if (renewal && !seal_close(&link->server, session, message, writer_size(&writer), encrypt))
        return;
    seal_send_own(&link->server, session, message, writer_size(&writer), encrypt);
}

static void report_fallback(struct session *session, struct span why)
{
    char reason[64];
    snprintf(reason, sizeof reason, "%.*s", (int)why.size, (const char *)why.at);
    report_event(EVENT_LOGIN_FALLBACK, session->link, session, LEG_UPSTREAM,
                 why.size ? reason : keeper_reason_name(KEEPER_REASON_NO_CREDENTIAL), "recorded");
}

/* A session stays the account that it was opened as, whatever login a renewal has come to and
 * whatever the credentials say by now: else what it has open would pass to another account. */
MUST_USE static bool is_same_account(const struct session *session, struct span account)
{
    char name[sizeof session->account];
    if (!is_renewal(session) || !account.size || !session->account[0])
        return true;
    snprintf(name, sizeof name, "%.*s", (int)account.size, (const char *)account.at);
    return text_same_name(name, session->account);
}

static void refuse_other_account(struct session *session, struct span account)
{
    struct report report;
    worker_forget(session);
    report_start(&report, EVENT_IDENTITY_CHANGED, session->link, session, LEG_UPSTREAM,
                 "other_account");
    snprintf(report.claimed, sizeof report.claimed, "%.*s", (int)account.size,
             (const char *)account.at);
    report.event.field[FIELD_CLAIMED] = report.claimed;
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(session->link->worker, &report);
    upstream_login_failed(session, STATUS_ACCESS_DENIED);
}

/* Sends the token now, or when the file server grants a credit. */
void upstream_login_continue(struct session *session, const struct keeper_continue *reply)
{
    struct link *link = session->link;
    /* The file server has said SUCCESS, and our side is not done yet. */
    if (session->step != STEP_KEEPER_LOGIN) {
        upstream_login_refuse(session, EVENT_UPSTREAM_LOGIN_REFUSED, "success_too_early", 0,
                              STATUS_ACCESS_DENIED);
        return;
    }
    if (!is_same_account(session, reply->account)) {
        refuse_other_account(session, reply->account);
        return;
    }
    if (reply->key.size && !is_renewal(session))
        session->upstream_key = reply->key;
    if (reply->login.size)
        snprintf(session->login, sizeof session->login, "%.*s", (int)reply->login.size,
                 (const char *)reply->login.at);
    if (reply->account.size)
        snprintf(session->account, sizeof session->account, "%.*s", (int)reply->account.size,
                 (const char *)reply->account.at);
    if (reply->fell_back && !session->fell_back) {
        session->fell_back = true;
        report_fallback(session, reply->fallback);
    }
    if (link->purse.available) {
        send_setup(session, reply->token);
        return;
    }
    if (!token_keep(&session->waiting_token, reply->token)) {
        link_end(link, END_MEMORY);
        return;
    }
    session->step = STEP_UPSTREAM_CREDIT;
    session->next_waiting = link->waiting_first;
    link->waiting_first = session;
}

void upstream_login_resume(struct link *link)
{
    while (link->waiting_first && link->purse.available && !link_ended(link)) {
        struct session *session = link->waiting_first;
        link->waiting_first = session->next_waiting;
        send_setup(session, (struct span){session->waiting_token.at, session->waiting_token.size});
        token_drop(&session->waiting_token);
    }
}

/* Why file servers refuse logins, and whom that concerns. */
static const struct upstream_error {
    uint32_t status;
    bool passed_on;  /* to the client as it is */
    bool credential; /* trying the same credential again can lock its account, and helps nobody */
} upstream_errors[] = {
    {0xc000005e, true, false}, /* NO_LOGON_SERVERS */
    {0xc0000064, false, true}, /* NO_SUCH_USER */
    {0xc000006a, false, true}, /* WRONG_PASSWORD */
    {0xc000006d, false, true}, /* LOGON_FAILURE */
    {0xc000006e, true, true},  /* ACCOUNT_RESTRICTION */
    {0xc000006f, true, false}, /* INVALID_LOGON_HOURS */
    {0xc0000070, true, false}, /* INVALID_WORKSTATION */
    {0xc0000071, true, true},  /* PASSWORD_EXPIRED */
    {0xc0000072, true, true},  /* ACCOUNT_DISABLED */
    {0xc000009a, true, false}, /* INSUFFICIENT_RESOURCES */
    {0xc000015b, true, false}, /* LOGON_TYPE_NOT_GRANTED */
    {0xc0000193, true, true},  /* ACCOUNT_EXPIRED */
    {0xc0000205, true, false}, /* INSUFF_SERVER_RESOURCES */
    {0xc0000224, true, true},  /* PASSWORD_MUST_CHANGE */
    {0xc0000234, true, true},  /* ACCOUNT_LOCKED_OUT */
};

static const struct upstream_error *find_error(uint32_t status)
{
    for (unsigned i = 0; i < sizeof upstream_errors / sizeof upstream_errors[0]; i++)
        if (upstream_errors[i].status == status)
            return &upstream_errors[i];
    return NULL;
}

/* The file server refused us. The client is never told LOGON_FAILURE, for its own proof was right;
 * the state of an account is passed on. */
static void refused_by_file_server(struct session *session, uint32_t status)
{
    const struct upstream_error *error = find_error(status);
    if (error && error->credential)
        worker_credential_refused(session);
    upstream_login_refuse(session, EVENT_UPSTREAM_LOGIN_REFUSED, "file_server_refused", status,
                          error && error->passed_on ? status : STATUS_ACCESS_DENIED);
}

static bool take_upstream_id(struct session *session, uint64_t id)
{
    struct link *link = session->link;
    if (session->upstream_id)
        return session->upstream_id == id;
    if (id == 0 || id == SMB2_SESSION_ID_RELATED || table_find(&link->upstream_sessions, id))
        return false;
    session->upstream_id = id;
    table_add(&link->upstream_sessions, &session->by_upstream_id, id);
    return true;
}

/* Messages of a renewal are protected like all of the session, with the keys that it has (MS-SMB2
 * 3.2.5.1.3). */
static bool renewal_verifies(struct session *session, const struct smb2_message *message,
                             bool encrypted)
{
    if (!is_renewal(session) || message->header.encrypted ||
        (!encrypted && message->header.flags & SMB2_FLAGS_SIGNED &&
         signer_verify(session->upstream_signer, message->at, message->size)))
        return true;
    link_refuse(session->link, END_UPSTREAM_SIGNATURE, EVENT_UPSTREAM_BAD_SIGNATURE, LEG_UPSTREAM,
                "renewal");
    return false;
}

void upstream_session_setup_response(struct link *link, struct pending *pending,
                                     struct smb2_message *message)
{
    struct session *session = pending->session;
    struct session_setup_response body;
    uint32_t status = message->header.status;
    struct span bytes = {message->at, message->size};
    bool encrypted = pending->upstream_encrypts;
    char name[MEMORY_NAME_MAX];
    pending_remove(&link->pending, pending);
    if (!session || session->step != STEP_UPSTREAM ||
        !renewal_verifies(session, message, encrypted))
        return;
    if (status != STATUS_SUCCESS && status != STATUS_MORE_PROCESSING_REQUIRED) {
        refused_by_file_server(session, status);
        return;
    }
    if (!session_setup_response_read(bytes, &body) ||
        !take_upstream_id(session, message->header.session_id)) {
        link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_UPSTREAM,
                    "session_setup");
        return;
    }
    if (status == STATUS_SUCCESS) {
        upstream_final_check(session, message, &body);
        return;
    }
    session->step = STEP_KEEPER_LOGIN;
    if (challenge_name_read(body.token, name, sizeof name))
        link_see_server_name(link, name);
    if (link->server.dialect == SMB_3_1_1 && !is_renewal(session) &&
        !preauth_add(&session->upstream_preauth, bytes))
        link_end(link, END_MEMORY);
    else if (!worker_step(session, body.token))
        upstream_login_failed(session, STATUS_NO_LOGON_SERVERS);
}

void upstream_login_done(struct session *session, const struct keeper_logged_in *reply)
{
    /* The keeper is content; but without the file server's signed SUCCESS there is no session. */
    if (session->step != STEP_KEEPER_CONFIRM && session->step != STEP_KEEPER_KEY) {
        upstream_login_refuse(session, EVENT_UPSTREAM_LOGIN_REFUSED, "success_missing", 0,
                              STATUS_ACCESS_DENIED);
        return;
    }
    if (session->step == STEP_KEEPER_KEY && !upstream_final_key(session, &reply->key))
        return;
    renewal_take(session, reply);
    if (session->renews_alone) {
        renewal_done(session);
    } else if (session->state == SESSION_RENEWING) {
        session->upstream_expired = false;
        client_login_renewed(session);
    } else {
        session->validated = !validate_needed(session->link);
        client_login_done(session);
    }
}

void upstream_login_refused(struct session *session, const struct keeper_refused *reply)
{
    const struct refused refused = refused_upstream(reply);
    upstream_login_refuse(session, refused.kind, refused.reason, 0, refused.status);
}
