/*
 * The roles around a keeper: what a worker sends it, a client that logs in through that worker, and
 * a file server that the worker logs in to.
 */
#ifndef COUNTERSIGN_TESTS_UNIT_KEEPER_ROLES_H
#define COUNTERSIGN_TESTS_UNIT_KEEPER_ROLES_H

#include "tests/unit/keeper_harness.h"

/* What a worker sends. */

static uint8_t message_buffer[CHANNEL_MESSAGE_MAX];

static inline void send_written(struct played *worker, uint16_t type, const struct writer *writer)
{
    assert_true(writer_done(writer));
    assert_true(channel_send(worker->channel, type, writer_span(writer), -1));
}

static inline void send_accept(struct played *worker, uint64_t attempt, uint64_t link,
                               uint32_t listener, struct span token)
{
    struct writer writer = writer_over(message_buffer, sizeof message_buffer);
    const struct keeper_accept message = {attempt, link, listener, {NULL, 0}, {NULL, 0}, token};
    keeper_accept_write(&writer, &message);
    send_written(worker, KEEPER_ACCEPT, &writer);
}

static inline void send_login(struct played *worker, uint64_t attempt, uint64_t link,
                              uint32_t upstream, const uint8_t handle[KEEPER_HANDLE_SIZE])
{
    struct writer writer = writer_over(message_buffer, sizeof message_buffer);
    struct keeper_login message = {.attempt = attempt, .link = link, .upstream = upstream};
    memcpy(message.handle, handle, sizeof message.handle);
    keeper_login_write(&writer, &message);
    send_written(worker, KEEPER_LOGIN, &writer);
}

static inline void send_step(struct played *worker, uint64_t attempt, struct span token)
{
    struct writer writer = writer_over(message_buffer, sizeof message_buffer);
    const struct keeper_step message = {attempt, token};
    keeper_step_write(&writer, &message);
    send_written(worker, KEEPER_STEP, &writer);
}

static inline void give_up(struct played *worker, uint64_t attempt, bool refused)
{
    struct writer writer = writer_over(message_buffer, sizeof message_buffer);
    const struct keeper_forget message = {attempt, refused};
    keeper_forget_write(&writer, &message);
    send_written(worker, KEEPER_FORGET, &writer);
}

static inline void send_forget(struct played *worker, uint64_t attempt)
{
    give_up(worker, attempt, false);
}

/* The file server refused the credential of that login. */
static inline void send_credential_refused(struct played *worker, uint64_t attempt)
{
    give_up(worker, attempt, true);
}

/* Waits for the refusal of that attempt. */
static inline struct keeper_refused expect_refused(struct harness *harness, struct played *worker,
                                                   uint64_t attempt)
{
    struct keeper_refused refused;
    struct letter *letter = expect_letter(harness, worker, KEEPER_REFUSED);
    assert_true(keeper_refused_read(letter_body(letter), &refused));
    assert_true(refused.attempt == attempt);
    free(letter);
    return refused;
}

/* A client that logs in through a worker. */

struct client {
    struct initiator *initiator;
    uint8_t token[TOKEN_MAX];
    size_t token_size;
};

/* Makes its first token. */
static inline void client_begin(struct client *client, const char *user, const char *domain,
                                const uint8_t hash[NT_HASH_SIZE])
{
    struct writer writer = writer_over(client->token, sizeof client->token);
    client->initiator = initiator_new(user, domain, hash, PROXY_TARGET);
    assert_non_null(client->initiator);
    assert_int_equal(initiator_step(client->initiator, (struct span){NULL, 0}, &writer),
                     STEP_CONTINUE);
    client->token_size = writer_size(&writer);
}

static inline struct span client_token(const struct client *client)
{
    return (struct span){client->token, client->token_size};
}

/* Takes the keeper's CONTINUE and makes the AUTHENTICATE. */
static inline void client_go_on(struct harness *harness, struct played *worker,
                                struct client *client, uint64_t attempt)
{
    struct writer writer = writer_over(client->token, sizeof client->token);
    struct keeper_continue message;
    struct letter *letter = expect_letter(harness, worker, KEEPER_CONTINUE);
    assert_true(keeper_continue_read(letter_body(letter), &message));
    assert_true(message.attempt == attempt);
    assert_int_equal(message.key.size, 0);
    assert_int_equal(message.login.size + message.account.size, 0);
    assert_int_equal(initiator_step(client->initiator, message.token, &writer), STEP_CONTINUE);
    client->token_size = writer_size(&writer);
    free(letter);
}

/* The whole of a client's authentication but its end. */
static inline void client_log_in(struct harness *harness, struct played *worker,
                                 struct client *client, uint64_t attempt, uint64_t link)
{
    send_accept(worker, attempt, link, 0, client_token(client));
    client_go_on(harness, worker, client, attempt);
    send_accept(worker, attempt, link, 0, client_token(client));
}

/* Proves a user; the handle of the proof. Client and keeper have the same key. */
static inline void prove(struct harness *harness, struct played *worker, uint64_t attempt,
                         uint64_t link, const char *user, const char *domain,
                         const uint8_t hash[NT_HASH_SIZE], uint8_t handle[KEEPER_HANDLE_SIZE])
{
    static struct client client;
    uint8_t nothing[16];
    struct writer writer = writer_over(nothing, sizeof nothing);
    struct keeper_proven proven;
    struct session_key key;
    client_begin(&client, user, domain, hash);
    client_log_in(harness, worker, &client, attempt, link);
    struct letter *letter = expect_letter(harness, worker, KEEPER_PROVEN);
    assert_true(keeper_proven_read(letter_body(letter), &proven));
    assert_true(proven.attempt == attempt);
    assert_int_equal(initiator_step(client.initiator, proven.token, &writer), STEP_DONE);
    assert_true(initiator_session_key(client.initiator, &key));
    assert_int_equal(proven.key.size, key.size);
    assert_memory_equal(proven.key.bytes, key.bytes, key.size);
    assert_string_equal(proven.identity.user, user);
    /* An initiator without a domain takes the server's own name for one. */
    assert_string_equal(proven.identity.domain, *domain ? domain : "PROXY");
    assert_string_equal(proven.identity.target_name, PROXY_TARGET);
    assert_int_equal(proven.identity.mechanism, MECHANISM_NTLM);
    memcpy(handle, proven.handle, KEEPER_HANDLE_SIZE);
    initiator_free(client.initiator);
    free(letter);
}

/* A file server that a worker logs in to. */

struct server {
    struct acceptor *acceptor;
    const char *user; /* its only account */
    const uint8_t *hash;
    uint8_t token[TOKEN_MAX];
    size_t token_size;
};

static inline enum nt_hash_found server_account(void *context, const char *user, const char *domain,
                                                uint8_t hash[NT_HASH_SIZE])
{
    const struct server *server = context;
    (void)domain;
    if (strcmp(user, server->user) != 0)
        return NT_HASH_NONE;
    memcpy(hash, server->hash, NT_HASH_SIZE);
    return NT_HASH_PLAIN;
}

/* Takes the keeper's CONTINUE for the login and answers with a token. */
static inline enum step server_step(struct harness *harness, struct played *worker,
                                    struct server *server, uint64_t attempt,
                                    struct keeper_continue *message)
{
    static struct letter *letter; /* what `message` borrows from, until the next one */
    struct writer writer = writer_over(server->token, sizeof server->token);
    free(letter);
    letter = expect_letter(harness, worker, KEEPER_CONTINUE);
    assert_true(keeper_continue_read(letter_body(letter), message));
    assert_true(message->attempt == attempt);
    const struct accept_backend backend = {.lookup = server_account, .lookup_context = server};
    enum step step = acceptor_step(server->acceptor, message->token, &backend, &writer);
    server->token_size = writer_size(&writer);
    return step;
}

/* What a login must be of. */
struct login_as {
    const char *login;
    const char *account;
    bool fell_back;
};

static inline void expect_login_as(const struct keeper_continue *message, struct login_as as)
{
    assert_true(span_is(message->login, as.login) && span_is(message->account, as.account));
    assert_int_equal(message->fell_back, as.fell_back);
}

static inline void server_begin(struct server *server, const char *user,
                                const uint8_t hash[NT_HASH_SIZE])
{
    *server =
        (struct server){.acceptor = acceptor_new(&nas_policy, ""), .user = user, .hash = hash};
    assert_non_null(server->acceptor);
}

/* After send_login(): the file server has its challenge ready for the keeper. */
static inline void server_challenge(struct harness *harness, struct played *worker,
                                    struct server *server, uint64_t attempt, struct login_as as)
{
    struct keeper_continue message;
    assert_int_equal(server_step(harness, worker, server, attempt, &message), STEP_CONTINUE);
    assert_int_equal(message.key.size, 0);
    expect_login_as(&message, as);
}

static inline struct span server_token(const struct server *server)
{
    return (struct span){server->token, server->token_size};
}

/* After send_login(): the rest of it, to the end. The login must be of that kind and account. */
static inline struct keeper_logged_in serve(struct harness *harness, struct played *worker,
                                            uint64_t attempt, const char *user,
                                            const uint8_t hash[NT_HASH_SIZE], const char *login,
                                            const char *account, bool fell_back)
{
    static struct server server;
    struct keeper_continue message;
    struct keeper_logged_in logged_in;
    struct session_key key;
    const struct login_as as = {login, account, fell_back};
    server_begin(&server, user, hash);
    server_challenge(harness, worker, &server, attempt, as);
    send_step(worker, attempt, server_token(&server));
    assert_int_equal(server_step(harness, worker, &server, attempt, &message), STEP_DONE);
    expect_login_as(&message, as);
    acceptor_session_key(server.acceptor, &key);
    assert_int_equal(message.key.size, key.size);
    assert_memory_equal(message.key.bytes, key.bytes, key.size);
    send_step(worker, attempt, server_token(&server));
    struct letter *letter = expect_letter(harness, worker, KEEPER_LOGGED_IN);
    assert_true(keeper_logged_in_read(letter_body(letter), &logged_in));
    assert_true(logged_in.attempt == attempt);
    assert_int_equal(logged_in.key.size, key.size);
    assert_memory_equal(logged_in.key.bytes, key.bytes, key.size);
    assert_string_equal(acceptor_identity(server.acceptor)->user, user);
    assert_string_equal(acceptor_identity(server.acceptor)->target_name, NAS_TARGET);
    acceptor_free(server.acceptor);
    free(letter);
    return logged_in;
}

static inline void send_release(struct played *worker, const uint8_t handle[KEEPER_HANDLE_SIZE])
{
    struct writer writer = writer_over(message_buffer, sizeof message_buffer);
    struct keeper_release message;
    memcpy(message.handle, handle, sizeof message.handle);
    keeper_release_write(&writer, &message);
    assert_true(channel_send(worker->channel, KEEPER_RELEASE, writer_span(&writer), -1));
}

#endif
