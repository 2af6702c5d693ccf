/*
 * What the client leg's NEGOTIATE is answered (MS-SMB2 3.3.5.3, 3.3.5.4): what both ends can do, or
 * that it comes to nothing.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/accept.h"
#include "proxy/body.h"
#include "proxy/client_negotiate.h"
#include "proxy/settings.h"
#include "proxy/worker_state.h"

enum {
    SIZE_WITHOUT_LARGE_MTU = 64 * 1024,
    SIZE_MAX_CARRIED = 8 * 1024 * 1024,
    NEGOTIATE_ROOM = 1024,
};

/* One server identity for all workers and restarts, as a server's GUID should be; it is no secret.
 */
static void server_guid(const struct link *link, uint8_t guid[GUID_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char text[1024];
    int length = snprintf(text, sizeof text, "countersign server guid %s %s",
                          link->worker->config->dns_name, link->listener->name);
    size_t size = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    if (EVP_Digest(text, size, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof digest);
    memcpy(guid, digest, GUID_SIZE);
}

/* 100 ns units since 1601 */
static uint64_t file_time_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + 11644473600u) * 10000000u + (uint64_t)now.tv_nsec / 100;
}

/* What we tell the client of ourselves; the legs' fields have been filled in. */
static struct negotiate_response describe(const struct link *link, uint16_t dialect,
                                          struct span hint)
{
    const struct leg *leg = &link->client;
    struct negotiate_response response = {
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED,
        .dialect = dialect,
        .capabilities = leg->server_capabilities,
        .max_transact_size = leg->max_transact,
        .max_read_size = leg->max_read,
        .max_write_size = leg->max_write,
        .system_time = file_time_now(),
        .token = hint,
        .has_preauth = dialect == SMB_3_1_1,
        .preauth_sha512 = true,
        .has_signing = dialect == SMB_3_1_1 && link->offer &&
                       negotiate_offers_signing(link->offer, (uint16_t)leg->signing),
        .signing = (uint16_t)leg->signing,
        .has_cipher = dialect == SMB_3_1_1 && leg->cipher,
        .cipher = leg->cipher,
    };
    memcpy(response.server_guid, leg->server_guid, GUID_SIZE);
    return response;
}

static void send_response(struct link *link, uint16_t dialect, uint64_t message_id,
                          uint16_t credits)
{
    struct leg *leg = &link->client;
    uint8_t token[256], salt[PREAUTH_SALT_SIZE];
    struct writer hint = writer_over(token, sizeof token);
    struct accept_policy policy = {.keytab = NULL};
    settings_mechanisms(link->listener, &policy);
    accept_write_hint(&hint, &policy);
    struct negotiate_response response = describe(link, dialect, writer_span(&hint));
    struct smb2_header header = {
        .command = SMB2_NEGOTIATE,
        .credits = credits,
        .flags = SMB2_FLAGS_SERVER_TO_REDIR,
        .message_id = message_id,
    };
    uint8_t *message = stream_own(&leg->stream, NEGOTIATE_ROOM);
    if (!message || !writer_done(&hint) || RAND_bytes(salt, sizeof salt) != 1) {
        link_end(link, END_MEMORY);
        return;
    }
    struct writer writer = writer_over(message, NEGOTIATE_ROOM);
    smb2_header_write(&writer, &header);
    negotiate_response_write(&writer, &response, salt);
    if (!writer_done(&writer) ||
        (dialect == SMB_3_1_1 && !preauth_add(&leg->preauth, writer_span(&writer)))) {
        link_end(link, END_MEMORY);
        return;
    }
    seal_send_own(leg, NULL, message, writer_size(&writer), false);
}

void client_negotiate_error(struct link *link, uint64_t message_id, uint32_t status)
{
    struct smb2_header header = {
        .command = SMB2_NEGOTIATE,
        .status = status,
        .credits = 1,
        .flags = SMB2_FLAGS_SERVER_TO_REDIR,
        .message_id = message_id,
    };
    uint8_t *message = stream_own(&link->client.stream, 128);
    if (!message)
        return;
    struct writer writer = writer_over(message, 128);
    smb2_header_write(&writer, &header);
    error_body_write(&writer);
    if (writer_done(&writer))
        seal_send_own(&link->client, NULL, message, writer_size(&writer), false);
}

void client_negotiate_refuse(struct link *link, uint32_t status)
{
    client_negotiate_error(link, link->offer_message_id, status);
    stream_flush(&link->client.stream);
}

void client_negotiate_wildcard(struct link *link)
{
    server_guid(link, link->client.server_guid);
    link->client.max_transact = link->client.max_read = link->client.max_write =
        SIZE_WITHOUT_LARGE_MTU;
    link->state = LINK_WILDCARD;
    send_response(link, SMB_2_WILDCARD, 0, credit_window_grant(&link->window, 1));
}

/* Only what is carried through, only what both ends have. */
static void choose_capabilities(struct link *link)
{
    struct leg *client = &link->client;
    const struct leg *server = &link->server;
    uint32_t carried = 0;
    if (client->dialect >= SMB_2_1 && server->dialect >= SMB_2_1)
        carried = SMB2_GLOBAL_CAP_LARGE_MTU;
    /* A 3.x client asks for leases with epochs, which a 2.1 server does not count. */
    if (client->dialect >= SMB_2_1 &&
        server->dialect >= (client->dialect >= SMB_3_0 ? SMB_3_0 : SMB_2_1))
        carried |= SMB2_GLOBAL_CAP_LEASING;
    if (client->dialect >= SMB_3_0 && server->dialect >= SMB_3_0)
        carried |= SMB2_GLOBAL_CAP_DIRECTORY_LEASING & client->client_capabilities;
    client->server_capabilities = carried & server->server_capabilities;
    /* Each leg encrypts for itself; at 3.1.1 a context says so. */
    if (client->cipher && client->dialect < SMB_3_1_1)
        client->server_capabilities |= SMB2_GLOBAL_CAP_ENCRYPTION;
    uint32_t most = client->server_capabilities & SMB2_GLOBAL_CAP_LARGE_MTU
                        ? SIZE_MAX_CARRIED
                        : SIZE_WITHOUT_LARGE_MTU;
    client->max_transact = server->max_transact < most ? server->max_transact : most;
    client->max_read = server->max_read < most ? server->max_read : most;
    client->max_write = server->max_write < most ? server->max_write : most;
}

static void report_link(struct link *link)
{
    struct report report;
    char offered[160] = "SMB 2.002";
    report_start(&report, EVENT_LINK, link, NULL, LEG_CLIENT, NULL);
    if (link->offer) {
        negotiate_list_dialects(link->offer, offered, sizeof offered);
        if (link->offer->netname[0])
            report.event.field[FIELD_TARGET_NAME] = link->offer->netname;
    }
    report.event.field[FIELD_OFFERED] = offered;
    report.event.field[FIELD_CHOSEN] = smb2_dialect_name(link->client.dialect);
    report.event.field[FIELD_VERDICT] = "allowed";
    report_send(link->worker, &report);
    link->announced = true;
}

/* What the administrator wants to know before asking for more. */
static void report_unable(struct link *link)
{
    uint16_t mode = link->client.client_security_mode;
    if (link->offer && !(mode & (SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED)))
        report_event(EVENT_CLIENT_NO_SIGNING, link, NULL, LEG_CLIENT, "security_mode", "recorded");
    if (link->listener->encryption == CONFIG_ENCRYPTION_IF_OFFERED && !link->client.cipher)
        report_event(EVENT_CLIENT_NO_ENCRYPTION, link, NULL, LEG_CLIENT, "client_cannot_encrypt",
                     "recorded");
    if (link->upstream->encryption == CONFIG_ENCRYPTION_IF_OFFERED && !link->server.cipher)
        report_event(EVENT_UPSTREAM_NO_ENCRYPTION, link, NULL, LEG_UPSTREAM, "not_offered",
                     "recorded");
}

void client_negotiate_answer(struct link *link)
{
    link->client.dialect = link->client_choice;
    link->state = LINK_READY;
    server_guid(link, link->client.server_guid);
    link->client.server_security_mode =
        SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED;
    choose_capabilities(link);
    report_link(link);
    report_unable(link);
    send_response(link, link->client.dialect, link->offer_message_id,
                  answer_credits(link, link->offer_credits, true));
    free(link->offer);
    link->offer = NULL;
    link_deadline(link, link->worker->config->limits.login_timeout);
}
