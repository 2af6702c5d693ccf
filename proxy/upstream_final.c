/*
 * The file server's last SESSION_SETUP response (MS-SMB2 3.2.5.3.1). It proves that the file server
 * knows the key and that nobody changed the negotiation: no guest, no anonymous, signed, and right.
 *
 * With NTLM the key is there before it. With Kerberos the key may be in the token that it carries:
 * then it is kept as it is until the keeper has made the key of that token, and nothing of it is
 * believed before its signature has been found right.
 */
#include <openssl/crypto.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

/* A token, the head of its message, and some padding. */
enum { LAST_RESPONSE_MAX = 66 * 1024 };

static bool derive_upstream_keys(struct session *session)
{
    struct session_keys keys;
    const struct leg *leg = &session->link->server;
    bool derived = session_keys_derive(leg->dialect, leg->cipher, &session->upstream_key,
                                       &session->upstream_preauth, &keys);
    OPENSSL_cleanse(&session->upstream_key, sizeof session->upstream_key);
    if (derived)
        session->upstream_signer = signer_new(leg->signing, keys.signing);
    if (derived && leg->cipher) {
        uint64_t id = session->upstream_id;
        session->upstream_seal = sealer_new(leg->cipher, keys.client_to_server, id, true);
        session->upstream_open = sealer_new(leg->cipher, keys.server_to_client, id, false);
        derived = session->upstream_seal && session->upstream_open;
    }
    session_keys_wipe(&keys);
    return derived && session->upstream_signer;
}

/* Who encrypts: what the configuration asks of a leg that can, and what the file server demands;
 * its demand holds on both legs. False, with the session refused, when it cannot be met. */
static bool decide_encryption(struct session *session, bool demanded)
{
    const struct link *link = session->link;
    bool client_can = link->client.cipher != CIPHER_NONE;
    bool upstream_can = link->server.cipher != CIPHER_NONE;
    if (demanded && !(upstream_can && client_can)) {
        upstream_login_refuse(
            session, upstream_can ? EVENT_UNENCRYPTED_REFUSED : EVENT_UPSTREAM_ENCRYPTION,
            upstream_can ? "client_cannot_encrypt" : "session", 0, STATUS_ACCESS_DENIED);
        return false;
    }
    session->upstream_encrypts =
        upstream_can && (demanded || link->upstream->encryption >= CONFIG_ENCRYPTION_IF_OFFERED);
    session->client_encrypts =
        client_can && (demanded || session->rule_encrypts ||
                       link->listener->encryption >= CONFIG_ENCRYPTION_IF_OFFERED);
    return true;
}

static void keep(struct session *session, const struct smb2_message *message,
                 const struct session_setup_response *body)
{
    struct link *link = session->link;
    if (message->size > LAST_RESPONSE_MAX) {
        link_refuse(link, END_UPSTREAM_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_UPSTREAM,
                    "session_setup_too_long");
        return;
    }
    if (!token_keep(&session->last_response, (struct span){message->at, message->size})) {
        link_end(link, END_MEMORY);
        return;
    }
    session->step = STEP_KEEPER_KEY;
    if (!worker_step(session, body->token))
        upstream_login_failed(session, STATUS_NO_LOGON_SERVERS);
}

/* False, with the session refused, unless the response is signed with the session's key. At 3.1.1
 * the key has the hash of the negotiation in it: what is wrong there is the negotiation. */
static bool verify(struct session *session, struct span message)
{
    if (signer_verify(session->upstream_signer, message.at, message.size))
        return true;
    upstream_login_refuse(session,
                          session->link->server.dialect == SMB_3_1_1 ? EVENT_PREAUTH_MISMATCH
                                                                     : EVENT_UPSTREAM_BAD_SIGNATURE,
                          "final_response", 0, STATUS_ACCESS_DENIED);
    return false;
}

/* Derives the keys of a new session; false, with the session refused, when there is nothing to
 * derive them from. */
static bool take_key(struct session *session)
{
    if (session->upstream_key.size && !session->upstream_signer && derive_upstream_keys(session))
        return true;
    upstream_login_refuse(session, EVENT_UPSTREAM_LOGIN_REFUSED, "success_too_early", 0,
                          STATUS_ACCESS_DENIED);
    return false;
}

static bool encryption_demanded(const struct session_setup_response *body)
{
    return body->session_flags & SMB2_SESSION_FLAG_ENCRYPT_DATA;
}

void upstream_final_check(struct session *session, const struct smb2_message *message,
                          const struct session_setup_response *body)
{
    bool renewal = session->state >= SESSION_VALID;
    if (body->session_flags & (SMB2_SESSION_FLAG_IS_GUEST | SMB2_SESSION_FLAG_IS_NULL)) {
        bool guest = body->session_flags & SMB2_SESSION_FLAG_IS_GUEST;
        upstream_login_refuse(session, EVENT_GUEST_REFUSED,
                              guest ? "upstream_guest" : "upstream_anonymous", 0,
                              STATUS_ACCESS_DENIED);
        return;
    }
    if (!message->header.encrypted && !(message->header.flags & SMB2_FLAGS_SIGNED)) {
        upstream_login_refuse(session, EVENT_UPSTREAM_NO_SIGNING, "final_response_unsigned", 0,
                              STATUS_ACCESS_DENIED);
        return;
    }
    if (!renewal && session->upstream_key.size == 0) {
        keep(session, message, body);
        return;
    }
    /* A renewal was verified when it came, and changes nothing about keys and encryption. */
    if (!renewal &&
        (!take_key(session) || !verify(session, (struct span){message->at, message->size}) ||
         !decide_encryption(session, encryption_demanded(body))))
        return;
    session->step = STEP_KEEPER_CONFIRM;
    if (!worker_step(session, body->token))
        upstream_login_failed(session, STATUS_NO_LOGON_SERVERS);
}

bool upstream_final_key(struct session *session, const struct session_key *key)
{
    struct session_setup_response body;
    struct span message = {session->last_response.at, session->last_response.size};
    session->upstream_key = *key;
    if (!take_key(session) || !verify(session, message))
        return false;
    if (!session_setup_response_read(message, &body)) {
        link_end(session->link, END_UPSTREAM_PROTOCOL); /* it was read when it came */
        return false;
    }
    if (!decide_encryption(session, encryption_demanded(&body)))
        return false;
    token_drop(&session->last_response);
    return true;
}
