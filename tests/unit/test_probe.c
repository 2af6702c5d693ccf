/*
 * The probe against a file server that a thread plays: what it offers, and every way not to answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "crypto/spnego.h"
#include "proxy/probe.h"

/* What is answered is waited for until it comes; what is not, for a while. */
enum { FRAME_MAX = 4096, ANSWERED_MS = 20000, SILENT_MS = 300, SOMETIMES_MS = 2000 };

enum behaviour {
    ANSWER,
    CLOSE,          /* at once, without an answer */
    STAY_SILENT,    /* until the client gives up */
    SEND_GARBAGE,   /* a frame that is no SMB */
    SEND_HALF,      /* less than the frame's length says */
    SEND_TOO_LONG,  /* a length beyond what is read */
    SEND_KEEPALIVE, /* a transport message that is none of direct TCP */
    SEND_ERROR,     /* an SMB2 error for everything */
    SEND_OTHER,     /* a dialect that was not offered */
    SEND_REQUEST,   /* a NEGOTIATE that is no response */
};

struct server {
    enum behaviour behaviour;
    int patience_ms;
    unsigned answers; /* then it stays silent; 0: no limit */
    bool smb1;
    bool smb2;
    bool without_preauth;
    uint16_t dialects[5], signing[3], ciphers[4];
    unsigned dialects_count, signing_count, ciphers_count;
    uint16_t security_mode;
    uint32_t capabilities;

    int listener;
    struct sockaddr_in address;
    pthread_t thread;
    unsigned asked;
};

static bool receive(int fd, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t count = recv(fd, &bytes[got], size - got, 0);
        if (count <= 0)
            return false;
        got += (size_t)count;
    }
    return true;
}

static void send_framed(int fd, struct span message, size_t claimed)
{
    uint8_t head[4] = {0, (uint8_t)(claimed >> 16), (uint8_t)(claimed >> 8), (uint8_t)claimed};
    if (send(fd, head, 4, MSG_NOSIGNAL) == 4 && message.size > 0)
        (void)!send(fd, message.at, message.size, MSG_NOSIGNAL);
}

static bool has(const uint16_t *list, unsigned count, uint16_t value)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* The newest dialect in common; 0 when there is none. */
static uint16_t choose_dialect(const struct server *server, const struct negotiate_request *request)
{
    uint16_t newest = 0;
    for (unsigned i = 0; i < request->dialects_count; i++)
        if (has(server->dialects, server->dialects_count, request->dialects[i]) &&
            request->dialects[i] > newest)
            newest = request->dialects[i];
    return newest;
}

static void choose_algorithms(const struct server *server, const struct negotiate_request *request,
                              struct negotiate_response *response)
{
    for (unsigned i = 0; i < server->signing_count && !response->has_signing; i++) {
        response->signing = server->signing[i];
        response->has_signing = has(request->signing, request->signing_count, server->signing[i]);
    }
    for (unsigned i = 0; i < server->ciphers_count && !response->has_cipher; i++) {
        response->cipher = server->ciphers[i];
        response->has_cipher = has(request->ciphers, request->ciphers_count, server->ciphers[i]);
    }
}

static void write_error(struct writer *writer)
{
    smb2_header_write(writer, &(struct smb2_header){.flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                                    .status = STATUS_NOT_SUPPORTED});
    write_le16(writer, 9);
    write_zeros(writer, 7);
}

static void write_answer(const struct server *server, struct span message, struct writer *writer)
{
    static const uint8_t salt[PREAUTH_SALT_SIZE];
    struct negotiate_request request;
    struct negotiate_response response = {.security_mode = server->security_mode,
                                          .capabilities = server->capabilities,
                                          .max_transact_size = 65536,
                                          .max_read_size = 1048576,
                                          .max_write_size = 2097152,
                                          .has_preauth = !server->without_preauth};
    uint8_t token[256];
    struct writer hint = writer_over(token, sizeof token);
    assert_int_equal(negotiate_request_read(message, &request), STATUS_SUCCESS);
    response.dialect = choose_dialect(server, &request);
    if (server->behaviour == SEND_ERROR || response.dialect == 0) {
        write_error(writer);
        return;
    }
    if (server->behaviour == SEND_OTHER)
        response.dialect = SMB_2_WILDCARD;
    if (response.dialect == SMB_3_1_1)
        choose_algorithms(server, &request, &response);
    spnego_hint_write(&hint, spnego_ntlm_list());
    response.token = writer_span(&hint);
    bool answers = server->behaviour != SEND_REQUEST;
    smb2_header_write(writer,
                      &(struct smb2_header){.flags = answers ? SMB2_FLAGS_SERVER_TO_REDIR : 0});
    negotiate_response_write(writer, &response, salt);
}

static void write_smb1_answer(const struct server *server, struct writer *writer)
{
    write_le32(writer, SMB1_PROTOCOL_ID);
    write_u8(writer, 0x72);
    write_zeros(writer, 27);
    write_u8(writer, server->smb1 ? 17 : 1);
    write_le16(writer, server->smb1 ? 0 : 0xffff);
    write_zeros(writer, 40);
}

static void wait_for_the_end(int fd)
{
    uint8_t byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void reply(struct server *server, int fd, struct span message)
{
    uint8_t bytes[FRAME_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    bool smb1 = get_le32(message.at) == SMB1_PROTOCOL_ID;
    if (smb1)
        write_smb1_answer(server, &writer);
    else if (server->smb2)
        write_answer(server, message, &writer);
    else
        return;
    assert_true(writer_done(&writer));
    switch (server->behaviour) {
    case CLOSE: return;
    case STAY_SILENT: wait_for_the_end(fd); return;
    case SEND_GARBAGE:
        send_framed(fd, (struct span){(const uint8_t *)"HTTP/1.1 400", 12}, 12);
        return;
    case SEND_HALF:
        send_framed(fd, writer_span(&writer), writer_size(&writer) + 1);
        wait_for_the_end(fd);
        return;
    case SEND_TOO_LONG: send_framed(fd, (struct span){0}, 65537); return;
    case SEND_KEEPALIVE: (void)!send(fd, "\x85\0\0", 4, MSG_NOSIGNAL); return;
    default: send_framed(fd, writer_span(&writer), writer_size(&writer));
    }
}

static void serve(struct server *server, int fd)
{
    uint8_t head[4], bytes[FRAME_MAX];
    if (!receive(fd, head, sizeof head))
        return;
    size_t size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    assert_int_equal(head[0], 0);
    assert_in_range(size, 32, sizeof bytes);
    if (!receive(fd, bytes, size))
        return;
    server->asked++;
    if (server->answers && server->asked > server->answers)
        wait_for_the_end(fd);
    else
        reply(server, fd, (struct span){bytes, size});
}

static void *play(void *context)
{
    struct server *server = context;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        serve(server, fd);
        close(fd);
    }
    return NULL;
}

static struct server good_server(void)
{
    return (struct server){
        .smb2 = true,
        .patience_ms = ANSWERED_MS,
        .dialects = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1},
        .dialects_count = 5,
        .signing = {SIGNING_HMAC_SHA256, SIGNING_AES_GMAC},
        .signing_count = 2,
        .ciphers = {CIPHER_AES_128_CCM, CIPHER_AES_256_GCM},
        .ciphers_count = 2,
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED,
        .capabilities = SMB2_GLOBAL_CAP_LARGE_MTU,
    };
}

static bool probe(struct server *server, struct probe_result *result)
{
    socklen_t size = sizeof server->address;
    server->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = (struct sockaddr *)&server->address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(server->listener, errno);
    assert_return_code(bind(server->listener, address, size), errno);
    assert_return_code(listen(server->listener, 16), errno);
    assert_return_code(getsockname(server->listener, address, &size), errno);
    assert_int_equal(pthread_create(&server->thread, NULL, play, server), 0);
    bool answered = probe_server(address, size, server->patience_ms, result);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    return answered;
}

static void test_all_it_offers(void **state)
{
    (void)state;
    static const uint16_t dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};
    struct server server = good_server();
    struct probe_result result;
    assert_true(probe(&server, &result));
    assert_int_equal(result.outcome, PROBE_ANSWERED);
    assert_true(result.complete);
    assert_false(result.smb1);
    assert_int_equal(result.dialects_count, 5);
    assert_memory_equal(result.dialects, dialects, sizeof dialects);
    assert_int_equal(result.security_mode, SMB2_NEGOTIATE_SIGNING_ENABLED);
    assert_int_equal(result.capabilities, SMB2_GLOBAL_CAP_LARGE_MTU);
    assert_int_equal(result.max_transact_size, 65536);
    assert_int_equal(result.max_read_size, 1048576);
    assert_int_equal(result.max_write_size, 2097152);
    assert_true(result.tells_mechanisms);
    assert_true(result.ntlm);
    assert_true(result.negotiates_signing);
    assert_int_equal(result.signing_count, 2);
    assert_int_equal(result.signing[0], SIGNING_AES_GMAC);
    assert_int_equal(result.signing[1], SIGNING_HMAC_SHA256);
    assert_int_equal(result.ciphers_count, 2);
    assert_int_equal(result.ciphers[0], CIPHER_AES_256_GCM);
    assert_int_equal(result.ciphers[1], CIPHER_AES_128_CCM);
}

static void test_old_server(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    server.dialects[0] = SMB_2_1;
    server.dialects_count = 1;
    server.smb1 = true;
    assert_true(probe(&server, &result));
    assert_int_equal(result.dialects_count, 1);
    assert_int_equal(result.dialects[0], SMB_2_1);
    assert_int_equal(result.signing_count, 0);
    assert_int_equal(result.ciphers_count, 0);
    assert_true(result.smb1);
}

static void test_signing_not_negotiated(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    server.signing_count = server.ciphers_count = 0;
    assert_true(probe(&server, &result));
    assert_false(result.negotiates_signing);
    assert_int_equal(result.signing_count, 1);
    assert_int_equal(result.signing[0], SIGNING_AES_CMAC);
    assert_int_equal(result.ciphers_count, 0);
}

static void test_smb1_only(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    server.smb2 = false;
    server.smb1 = true;
    assert_false(probe(&server, &result));
    assert_int_equal(result.outcome, PROBE_CLOSED);
    assert_true(result.smb1);
}

static void test_ways_not_to_answer(void **state)
{
    (void)state;
    static const struct {
        enum behaviour behaviour;
        enum probe_outcome outcome;
    } cases[] = {
        {CLOSE, PROBE_CLOSED},
        {STAY_SILENT, PROBE_SILENT},
        {SEND_GARBAGE, PROBE_MALFORMED},
        {SEND_HALF, PROBE_SILENT},
        {SEND_TOO_LONG, PROBE_MALFORMED},
        {SEND_KEEPALIVE, PROBE_MALFORMED},
        {SEND_ERROR, PROBE_REFUSED},
        {SEND_OTHER, PROBE_MALFORMED},
        {SEND_REQUEST, PROBE_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server = good_server();
        struct probe_result result;
        server.behaviour = cases[i].behaviour;
        server.patience_ms = cases[i].outcome == PROBE_SILENT ? SILENT_MS : ANSWERED_MS;
        assert_false(probe(&server, &result));
        assert_int_equal(result.outcome, cases[i].outcome);
        assert_false(result.smb1);
        assert_int_equal(result.status,
                         cases[i].outcome == PROBE_REFUSED ? STATUS_NOT_SUPPORTED : STATUS_SUCCESS);
    }
}

/* 3.1.1 without a hash algorithm of ours cannot be spoken. */
static void test_without_preauth(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    server.without_preauth = true;
    assert_false(probe(&server, &result));
    assert_int_equal(result.outcome, PROBE_MALFORMED);
}

/* It is not asked for ever: the first silence is the last question. */
static void test_stops_answering(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    server.answers = 3;
    server.patience_ms = SOMETIMES_MS;
    assert_true(probe(&server, &result));
    assert_false(result.complete);
    assert_int_equal(server.asked, 4);
    assert_int_equal(result.dialects_count, 3);
    assert_int_equal(result.dialects[2], SMB_3_1_1);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct server server = good_server();
    struct probe_result result;
    assert_true(probe(&server, &result));
    /* nobody listens there any more */
    assert_false(probe_server((struct sockaddr *)&server.address, sizeof server.address,
                              ANSWERED_MS, &result));
    assert_int_equal(result.outcome, PROBE_UNREACHABLE);
    assert_int_equal(result.error, ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_it_offers),          cmocka_unit_test(test_old_server),
        cmocka_unit_test(test_signing_not_negotiated), cmocka_unit_test(test_smb1_only),
        cmocka_unit_test(test_ways_not_to_answer),     cmocka_unit_test(test_without_preauth),
        cmocka_unit_test(test_stops_answering),        cmocka_unit_test(test_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
