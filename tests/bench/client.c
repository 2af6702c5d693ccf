#include "tests/bench/client.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "crypto/algorithms.h"
#include "crypto/initiate.h"
#include "crypto/nt_hash.h"
#include "crypto/text.h"
#include "proxy/negotiate.h"

/* Enough for any depth: 64 requests of a mebibyte. */
enum { LOGIN_CREDITS = 1024, SMALL_ROOM = 1024, TOKEN_ROOM = 4096 };

static uint8_t user_hash[NT_HASH_SIZE];

void client_prepare(void)
{
    if (!algorithms_prepare() || !nt_hash_of_password(BENCH_PASSWORD, user_hash))
        fail("OpenSSL");
}

/* A request in the making. */
struct request {
    uint8_t *message;
    struct writer writer;
};

/* `body`: room for it; `carried`: bytes of data that it asks for or brings. */
static struct request start(struct client *client, uint16_t command, size_t body, size_t carried)
{
    size_t size = SMB2_HEADER_SIZE + body;
    struct request request = {.message = peer_message(&client->peer, size)};
    uint16_t charge = (uint16_t)(carried ? 1 + (carried - 1) / CREDIT_BYTES : 1);
    struct smb2_header header = {
        .credit_charge = command == SMB2_NEGOTIATE ? 0 : charge,
        .command = command,
        .credits = command == SMB2_SESSION_SETUP ? LOGIN_CREDITS : charge,
        .message_id = client->next_id,
        .tree_id = client->tree_id,
        .session_id = client->peer.session_id,
    };
    if (!request.message)
        fail("send");
    client->next_id += charge;
    request.writer = writer_over(request.message, size);
    smb2_header_write(&request.writer, &header);
    return request;
}

/* `data`: bytes behind what has been written, which lie there already. */
static void finish(struct client *client, struct request *request, size_t data)
{
    if (!writer_done(&request->writer) ||
        !peer_send(&client->peer, request->message, writer_size(&request->writer) + data))
        fail("send");
}

static struct smb2_message answer(struct client *client, uint32_t status)
{
    struct smb2_message message;
    if (!peer_receive(&client->peer, &message))
        fail("receive");
    if (message.header.status != status) {
        errno = EPROTO;
        fail(smb2_command_name(message.header.command));
    }
    return message;
}

struct smb2_message client_answer(struct client *client, size_t body)
{
    struct smb2_message message = answer(client, STATUS_SUCCESS);
    if (message.size < SMB2_HEADER_SIZE + body)
        fail("short answer");
    return message;
}

static struct span bytes_of(const struct smb2_message *message)
{
    return (struct span){message->at, message->size};
}

void client_connect(struct client *client, const struct client_options *options)
{
    struct negotiate_request offer = {
        .dialects = {SMB_3_1_1},
        .dialects_count = 1,
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED,
        .capabilities = SMB2_GLOBAL_CAP_LARGE_MTU | SMB2_GLOBAL_CAP_LEASING,
        .has_encryption = options->cipher != CIPHER_NONE,
        .ciphers = {(uint16_t)options->cipher},
        .ciphers_count = options->cipher != CIPHER_NONE,
        .has_signing = true,
        .signing = {(uint16_t)options->signing},
        .signing_count = 1,
    };
    struct negotiate_response response;
    uint8_t salt[PREAUTH_SALT_SIZE] = {0};
    *client = (struct client){.options = options};
    if (!peer_open(&client->peer, endpoint_connect(&options->server), false) ||
        RAND_bytes(offer.client_guid, GUID_SIZE) != 1)
        fail("connect");
    struct request request = start(client, SMB2_NEGOTIATE, SMALL_ROOM, 0);
    negotiate_request_write(&request.writer, &offer, salt);
    if (!preauth_add(&client->peer.preauth, writer_span(&request.writer)))
        fail("preauth");
    finish(client, &request, 0);
    struct smb2_message reply = client_answer(client, 0);
    if (!negotiate_response_read(bytes_of(&reply), &response) || response.dialect != SMB_3_1_1 ||
        response.signing != (uint16_t)options->signing ||
        (options->cipher && response.cipher != (uint16_t)options->cipher) ||
        !preauth_add(&client->peer.preauth, bytes_of(&reply)))
        fail("negotiate");
    client->peer.signing = options->signing;
    client->peer.cipher = options->cipher;
}

static void send_token(struct client *client, struct initiator *initiator, struct span token,
                       struct preauth_hash *preauth)
{
    uint8_t reply[TOKEN_ROOM];
    struct writer writer = writer_over(reply, sizeof reply);
    struct request request = start(client, SMB2_SESSION_SETUP, TOKEN_ROOM, 0);
    if (initiator_step(initiator, token, &writer) != STEP_CONTINUE)
        fail("initiator");
    session_setup_request_write(&request.writer,
                                &(struct session_setup_request){
                                    .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED,
                                    .token = writer_span(&writer),
                                });
    if (!preauth_add(preauth, writer_span(&request.writer)))
        fail("preauth");
    finish(client, &request, 0);
}

static void take_challenge(struct client *client, struct session_setup_response *body,
                           struct preauth_hash *preauth)
{
    struct smb2_message reply = answer(client, STATUS_MORE_PROCESSING_REQUIRED);
    if (!session_setup_response_read(bytes_of(&reply), body) ||
        !preauth_add(preauth, bytes_of(&reply)))
        fail("session setup");
    client->peer.session_id = reply.header.session_id;
}

void client_login(struct client *client)
{
    struct peer *peer = &client->peer;
    struct preauth_hash preauth = peer->preauth;
    struct session_setup_response body;
    struct session_key key;
    struct writer nothing = writer_over(NULL, 0);
    struct initiator *initiator = initiator_new(BENCH_USER, "", user_hash, "cifs/bench");
    if (!initiator)
        fail("initiator");
    send_token(client, initiator, (struct span){NULL, 0}, &preauth);
    take_challenge(client, &body, &preauth);
    send_token(client, initiator, body.token, &preauth);
    struct smb2_message reply = client_answer(client, 0);
    if (!session_setup_response_read(bytes_of(&reply), &body) ||
        initiator_step(initiator, body.token, &nothing) != STEP_DONE ||
        !initiator_session_key(initiator, &key) || !peer_session(peer, &key, &preauth) ||
        !signer_verify(peer->signer, reply.at, reply.size))
        fail("login");
    initiator_free(initiator);
    peer->encrypts = client->options->cipher != CIPHER_NONE;
}

void client_logoff(struct client *client)
{
    struct request request = start(client, SMB2_LOGOFF, SMALL_ROOM, 0);
    empty_body_write(&request.writer);
    finish(client, &request, 0);
    (void)client_answer(client, 0);
    peer_forget_session(&client->peer);
}

static void write_create(struct writer *writer)
{
    write_le16(writer, 57);
    write_zeros(writer, 2);
    write_le32(writer, 2); /* ImpersonationLevel: impersonation */
    write_zeros(writer, 16);
    write_le32(writer, 0x0012019f); /* DesiredAccess: read and write */
    write_le32(writer, 0x80);       /* FileAttributes: normal */
    write_le32(writer, 7);          /* ShareAccess: all */
    write_le32(writer, 3);          /* CreateDisposition: open or create */
    write_le32(writer, 0x40);       /* CreateOptions: not a directory */
    write_le16(writer, SMB2_HEADER_SIZE + 56);
    write_le16(writer, 2);
    write_zeros(writer, 8);
    write_le16(writer, 'f');
}

void client_open(struct client *client)
{
    uint8_t path[64];
    struct writer text = writer_over(path, sizeof path);
    struct create_response body;
    if (!text_write_utf16(&text, "\\\\bench\\data", false) || !writer_done(&text))
        fail("path");
    struct request request = start(client, SMB2_TREE_CONNECT, SMALL_ROOM, 0);
    tree_connect_request_write(&request.writer,
                               &(struct tree_connect_request){.path = writer_span(&text)});
    finish(client, &request, 0);
    client->tree_id = client_answer(client, 0).header.tree_id;
    request = start(client, SMB2_CREATE, SMALL_ROOM, 0);
    write_create(&request.writer);
    finish(client, &request, 0);
    struct smb2_message reply = client_answer(client, 0);
    if (!create_response_read(bytes_of(&reply), &body))
        fail("create");
    memcpy(client->file_id, body.file_id, FILE_ID_SIZE);
}

void client_close(struct client *client)
{
    peer_close(&client->peer);
}

void client_read(struct client *client, uint32_t size)
{
    struct request request = start(client, SMB2_READ, SMALL_ROOM, size);
    struct writer *writer = &request.writer;
    write_le16(writer, 49);
    write_le16(writer, 0);
    write_le32(writer, size);
    write_zeros(writer, 8);
    write_bytes(writer, client->file_id, FILE_ID_SIZE);
    write_zeros(writer, 17);
    finish(client, &request, 0);
}

void client_write(struct client *client, uint32_t size)
{
    struct request request = start(client, SMB2_WRITE, WRITE_BODY + size, size);
    struct writer *writer = &request.writer;
    write_le16(writer, 49);
    write_le16(writer, SMB2_HEADER_SIZE + WRITE_BODY);
    write_le32(writer, size);
    write_zeros(writer, 8);
    write_bytes(writer, client->file_id, FILE_ID_SIZE);
    write_zeros(writer, 16);
    finish(client, &request, size);
}

void client_query_info(struct client *client)
{
    enum { INPUT = SMALL_MESSAGE - SMB2_HEADER_SIZE - INFO_REQUEST_BODY };
    struct request request = start(client, SMB2_QUERY_INFO, SMALL_ROOM, 0);
    struct writer *writer = &request.writer;
    write_le16(writer, 41);
    write_u8(writer, 1); /* a file's … */
    write_u8(writer, 4); /* … basic information */
    write_le32(writer, SMALL_MESSAGE);
    write_le16(writer, SMB2_HEADER_SIZE + INFO_REQUEST_BODY);
    write_le16(writer, 0);
    write_le32(writer, INPUT);
    write_zeros(writer, 8);
    write_bytes(writer, client->file_id, FILE_ID_SIZE);
    write_zeros(writer, INPUT);
    finish(client, &request, 0);
}
