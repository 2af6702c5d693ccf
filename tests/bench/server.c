/*
 * A file server without files: it negotiates SMB 3.1.1 with whatever signing algorithm and cipher
 * it is offered first, authenticates one user with NTLMv2, and then answers READ with as much as
 * was asked for, WRITE with success, from memory and as fast as it can sign or encrypt. It checks
 * every signature. One thread and one session a connection.
 *
 *   server ADDRESS PORT
 */
#include <openssl/rand.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crypto/accept.h"
#include "crypto/algorithms.h"
#include "crypto/nt_hash.h"
#include "proxy/body.h"
#include "proxy/negotiate.h"
#include "tests/bench/endpoint.h"
#include "tests/bench/peer.h"

enum { THREAD_STACK = 512 * 1024, TREE_ID = 1, SMALL_ROOM = 1024, TOKEN_ROOM = 4096 };

struct connection {
    struct peer peer;
    struct acceptor *acceptor;   /* NULL: no SESSION_SETUP under way */
    struct preauth_hash preauth; /* of the session */
};

static uint8_t user_hash[NT_HASH_SIZE];

static enum nt_hash_found find_user(void *context, const char *user, const char *domain,
                                    uint8_t hash[NT_HASH_SIZE])
{
    (void)context;
    (void)domain;
    memcpy(hash, user_hash, NT_HASH_SIZE);
    return strcmp(user, BENCH_USER) == 0 ? NT_HASH_PLAIN : NT_HASH_NONE;
}

/* A response, its header written, with room for `body` bytes; `writer` is for the body. */
static uint8_t *start(struct connection *connection, const struct smb2_header *request,
                      uint32_t status, size_t body, struct writer *writer)
{
    size_t size = SMB2_HEADER_SIZE + body;
    uint8_t *message = peer_message(&connection->peer, size);
    struct smb2_header header = *request;
    if (!message)
        return NULL;
    header.status = status;
    header.flags = SMB2_FLAGS_SERVER_TO_REDIR;
    header.session_id = connection->peer.session_id;
    header.credits = request->credits ? request->credits : 1;
    *writer = writer_over(message, size);
    smb2_header_write(writer, &header);
    return message;
}

static bool finish(struct connection *connection, uint8_t *message, const struct writer *writer)
{
    return message && writer_done(writer) &&
           peer_send(&connection->peer, message, writer_size(writer));
}

static bool answer_negotiate(struct connection *connection, const struct smb2_message *request)
{
    struct peer *peer = &connection->peer;
    struct span bytes = {request->at, request->size};
    struct negotiate_request offer;
    struct writer writer;
    uint8_t salt[PREAUTH_SALT_SIZE] = {0}, token[256];
    struct writer hint = writer_over(token, sizeof token);
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message || negotiate_request_read(bytes, &offer) != STATUS_SUCCESS || !offer.has_signing ||
        !preauth_add(&peer->preauth, bytes))
        return false;
    accept_write_hint(&hint, &(const struct accept_policy){.refuse_ntlm = false});
    peer->signing = (enum signing_algorithm)offer.signing[0];
    peer->cipher = offer.has_encryption ? (enum cipher)offer.ciphers[0] : CIPHER_NONE;
    struct negotiate_response response = {
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED,
        .dialect = SMB_3_1_1,
        .capabilities = SMB2_GLOBAL_CAP_LARGE_MTU | SMB2_GLOBAL_CAP_LEASING,
        .max_transact_size = PEER_DATA_MAX,
        .max_read_size = PEER_DATA_MAX,
        .max_write_size = PEER_DATA_MAX,
        .token = writer_span(&hint),
        .has_preauth = true,
        .preauth_sha512 = true,
        .has_signing = true,
        .signing = offer.signing[0],
        .has_cipher = offer.has_encryption,
        .cipher = (uint16_t)peer->cipher,
    };
    negotiate_response_write(&writer, &response, salt);
    return writer_done(&hint) && preauth_add(&peer->preauth, writer_span(&writer)) &&
           finish(connection, message, &writer);
}

/* A new session's first token. */
static bool begin_login(struct connection *connection)
{
    static const char *const no_names[1];
    static const struct accept_policy policy = {
        .names = no_names,
        .netbios_name = "BENCH",
        .netbios_domain = "WORKGROUP",
        .dns_name = "bench.test",
        .dns_domain = "test",
        .challenge_lifetime_s = 60,
    };
    struct peer *peer = &connection->peer;
    connection->acceptor = acceptor_new(&policy, "");
    connection->preauth = peer->preauth;
    return connection->acceptor &&
           RAND_bytes((uint8_t *)&peer->session_id, sizeof peer->session_id) == 1;
}

/* The session is proven: from its last response on, it is signed. */
static bool end_login(struct connection *connection)
{
    struct session_key key;
    acceptor_session_key(connection->acceptor, &key);
    acceptor_free(connection->acceptor);
    connection->acceptor = NULL;
    return peer_session(&connection->peer, &key, &connection->preauth);
}

static bool answer_session_setup(struct connection *connection, const struct smb2_message *request)
{
    struct span bytes = {request->at, request->size};
    struct session_setup_request body;
    uint8_t token[TOKEN_ROOM];
    struct writer reply = writer_over(token, sizeof token), writer;
    if (!session_setup_request_read(bytes, &body) ||
        (!connection->acceptor && !begin_login(connection)) ||
        !preauth_add(&connection->preauth, bytes))
        return false;
    static const struct accept_backend backend = {.lookup = find_user};
    enum step step = acceptor_step(connection->acceptor, body.token, &backend, &reply);
    bool done = step == STEP_DONE;
    if (step == STEP_REFUSED || (done && !end_login(connection)))
        return false;
    uint8_t *message =
        start(connection, &request->header, done ? STATUS_SUCCESS : STATUS_MORE_PROCESSING_REQUIRED,
              TOKEN_ROOM, &writer);
    if (!message)
        return false;
    session_setup_response_write(&writer,
                                 &(struct session_setup_response){.token = writer_span(&reply)});
    return (done || preauth_add(&connection->preauth, writer_span(&writer))) &&
           finish(connection, message, &writer);
}

static bool answer_empty(struct connection *connection, const struct smb2_message *request)
{
    struct writer writer;
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message)
        return false;
    empty_body_write(&writer);
    return finish(connection, message, &writer);
}

static bool answer_tree_connect(struct connection *connection, const struct smb2_message *request)
{
    struct smb2_header header = request->header;
    struct writer writer;
    header.tree_id = TREE_ID;
    uint8_t *message = start(connection, &header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message)
        return false;
    write_le16(&writer, 16);
    write_le16(&writer, 1); /* a disk */
    write_zeros(&writer, 8);
    write_le32(&writer, 0x001f01ff); /* MaximalAccess */
    return finish(connection, message, &writer);
}

/* Its answer is still signed. */
static bool answer_logoff(struct connection *connection, const struct smb2_message *request)
{
    bool answered = answer_empty(connection, request);
    peer_forget_session(&connection->peer);
    return answered;
}

/* CLOSE: times and sizes are nobody's business. */
static bool answer_close(struct connection *connection, const struct smb2_message *request)
{
    struct writer writer;
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message)
        return false;
    write_le16(&writer, 60);
    write_zeros(&writer, 58);
    return finish(connection, message, &writer);
}

static bool answer_create(struct connection *connection, const struct smb2_message *request)
{
    struct writer writer;
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message)
        return false;
    write_le16(&writer, 89);
    write_zeros(&writer, 62);
    write_le64(&writer, 1); /* FileId */
    write_le64(&writer, 1);
    write_zeros(&writer, 8);
    return finish(connection, message, &writer);
}

static bool answer_read(struct connection *connection, const struct smb2_message *request)
{
    struct reader reader = reader_over(request->at, request->size);
    struct writer writer;
    uint32_t size;
    if (!read_skip(&reader, SMB2_HEADER_SIZE + 4) || !read_le32(&reader, &size) ||
        size > PEER_DATA_MAX)
        return false;
    /* The data is whatever lies there: it has to be sent, not to be something. */
    uint8_t *message =
        start(connection, &request->header, STATUS_SUCCESS, READ_BODY + size, &writer);
    if (!message)
        return false;
    write_le16(&writer, READ_BODY + 1);
    write_le16(&writer, SMB2_HEADER_SIZE + READ_BODY);
    write_le32(&writer, size);
    write_zeros(&writer, 8);
    return writer_done(&writer) &&
           peer_send(&connection->peer, message, writer_size(&writer) + size);
}

static bool answer_write(struct connection *connection, const struct smb2_message *request)
{
    struct writer writer;
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message || request->size < SMB2_HEADER_SIZE + WRITE_BODY)
        return false;
    write_le16(&writer, 17);
    write_le16(&writer, 0);
    write_le32(&writer, (uint32_t)(request->size - SMB2_HEADER_SIZE - WRITE_BODY));
    write_zeros(&writer, 8);
    return finish(connection, message, &writer);
}

static bool answer_query_info(struct connection *connection, const struct smb2_message *request)
{
    enum { DATA = SMALL_MESSAGE - SMB2_HEADER_SIZE - INFO_RESPONSE_BODY };
    struct writer writer;
    uint8_t *message = start(connection, &request->header, STATUS_SUCCESS, SMALL_ROOM, &writer);
    if (!message)
        return false;
    write_le16(&writer, INFO_RESPONSE_BODY + 1);
    write_le16(&writer, SMB2_HEADER_SIZE + INFO_RESPONSE_BODY);
    write_le32(&writer, DATA);
    write_zeros(&writer, DATA);
    return finish(connection, message, &writer);
}

static bool answer(struct connection *connection, const struct smb2_message *request)
{
    switch (request->header.command) {
    case SMB2_NEGOTIATE: return answer_negotiate(connection, request);
    case SMB2_SESSION_SETUP: return answer_session_setup(connection, request);
    case SMB2_TREE_CONNECT: return answer_tree_connect(connection, request);
    case SMB2_CREATE: return answer_create(connection, request);
    case SMB2_CLOSE: return answer_close(connection, request);
    case SMB2_READ: return answer_read(connection, request);
    case SMB2_WRITE: return answer_write(connection, request);
    case SMB2_QUERY_INFO: return answer_query_info(connection, request);
    case SMB2_LOGOFF: return answer_logoff(connection, request);
    case SMB2_TREE_DISCONNECT:
    case SMB2_ECHO: return answer_empty(connection, request);
    default: return false;
    }
}

static void *serve(void *context)
{
    struct connection *connection = context;
    struct smb2_message request;
    while (peer_receive(&connection->peer, &request) && answer(connection, &request))
        ;
    acceptor_free(connection->acceptor);
    peer_close(&connection->peer);
    free(connection);
    return NULL;
}

static void take(int fd, const pthread_attr_t *attributes)
{
    struct connection *connection = calloc(1, sizeof *connection);
    pthread_t thread;
    if (!connection || !peer_open(&connection->peer, fd, true) ||
        pthread_create(&thread, attributes, serve, connection) != 0)
        fail("connection");
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    if (argc != 3) {
        fprintf(stderr, "usage: server ADDRESS PORT\n");
        return 2;
    }
    struct sockaddr_in at = endpoint_read(argv[1], argv[2]);
    if (!algorithms_prepare() || !nt_hash_of_password(BENCH_PASSWORD, user_hash) ||
        pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) != 0 ||
        pthread_attr_setstacksize(&attributes, THREAD_STACK) != 0)
        fail("start");
    int listener = endpoint_listen(&at);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            fail("accept");
        take(fd, &attributes);
    }
}
