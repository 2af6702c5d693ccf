/*
 * The client leg's negotiation (MS-SMB2 3.3.5.3, 3.3.5.4). It is answered only after the upstream
 * leg has been negotiated, with what both ends can do.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/accept.h"
#include "proxy/body.h"
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

static bool offers_signing(const struct negotiate_request *offer, uint16_t algorithm)
{
    for (unsigned i = 0; offer->has_signing && i < offer->signing_count; i++)
        if (offer->signing[i] == algorithm)
            return true;
    return false;
}

/* What we tell the client of ourselves; the legs' fields have been filled in. */
static void send_response(struct link *link, uint16_t dialect, uint64_t message_id,
                          uint16_t credits)
{
    struct leg *leg = &link->client;
    uint8_t token[256], salt[PREAUTH_SALT_SIZE];
    struct writer hint = writer_over(token, sizeof token);
    struct accept_policy policy = {.keytab = NULL};
    settings_mechanisms(link->listener, &policy);
    accept_write_hint(&hint, &policy);
    struct negotiate_response response = {
        .security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED,
        .dialect = dialect,
        .capabilities = leg->server_capabilities,
        .max_transact_size = leg->max_transact,
        .max_read_size = leg->max_read,
        .max_write_size = leg->max_write,
        .system_time = file_time_now(),
        .token = writer_span(&hint),
        .has_preauth = dialect == SMB_3_1_1,
        .preauth_sha512 = true,
        .has_signing = dialect == SMB_3_1_1 && link->offer &&
                       offers_signing(link->offer, (uint16_t)leg->signing),
        .signing = (uint16_t)leg->signing,
        .has_cipher = dialect == SMB_3_1_1 && leg->cipher,
        .cipher = leg->cipher,
    };
    memcpy(response.server_guid, leg->server_guid, GUID_SIZE);
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

static void send_error(struct link *link, uint64_t message_id, uint32_t status)
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
    send_error(link, link->offer_message_id, status);
    stream_flush(&link->client.stream);
}

/* Refuses the client's NEGOTIATE itself. */
static void refuse(struct link *link, uint64_t message_id, uint32_t status, enum event_kind kind,
                   const char *reason, const char *offered)
{
    struct report report;
    report_start(&report, kind, link, NULL, LEG_CLIENT, reason);
    report.event.field[FIELD_OFFERED] = offered;
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(link->worker, &report);
    send_error(link, message_id, status);
    link_end(link, END_REFUSED);
}

static void list_dialects(const struct negotiate_request *offer, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < offer->dialects_count && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i ? "," : "",
                            smb2_dialect_name(offer->dialects[i]));
        used += more > 0 ? (size_t)more : 0;
    }
}

/* The highest dialect that the client offers and the listener allows; 0 when there is none. */
static uint16_t choose_dialect(const struct link *link, const struct negotiate_request *offer)
{
    uint16_t best = 0;
    for (unsigned i = 0; i < offer->dialects_count; i++) {
        uint16_t dialect = offer->dialects[i];
        bool known = dialect == SMB_2_0_2 || dialect == SMB_2_1 || dialect == SMB_3_0 ||
                     dialect == SMB_3_0_2 || dialect == SMB_3_1_1;
        if (known && dialect > best && dialect >= link->listener->min_dialect &&
            dialect <= link->listener->max_dialect)
            best = dialect;
    }
    return best;
}

/* At 3.1.1 the listener's first choice among what the client offers; AES-CMAC, if the listener
 * allows it, when there is none (MS-SMB2 3.3.5.4). Below 3.1.1 the dialect decides. */
static bool choose_signing(const struct link *link, uint16_t dialect,
                           const struct negotiate_request *offer, enum signing_algorithm *signing)
{
    *signing = dialect < SMB_3_0 ? SIGNING_HMAC_SHA256 : SIGNING_AES_CMAC;
    bool allowed = dialect < SMB_3_1_1;
    for (unsigned i = 0; dialect == SMB_3_1_1 && i < link->listener->signing_count; i++) {
        uint16_t wanted = (uint16_t)link->listener->signing[i];
        if (offers_signing(offer, wanted)) {
            *signing = (enum signing_algorithm)wanted;
            return true;
        }
        allowed = allowed || wanted == SIGNING_AES_CMAC;
    }
    return allowed;
}

/* The listener's first choice among what the client offers; none is no error here. */
static enum cipher choose_cipher(const struct link *link, uint16_t dialect,
                                 const struct negotiate_request *offer)
{
    const struct config_listener *listener = link->listener;
    if (listener->encryption == CONFIG_ENCRYPTION_OFF || dialect < SMB_3_0)
        return CIPHER_NONE;
    if (dialect < SMB_3_1_1)
        return offer->capabilities & SMB2_GLOBAL_CAP_ENCRYPTION ? CIPHER_AES_128_CCM : CIPHER_NONE;
    for (unsigned i = 0; i < listener->ciphers_count; i++)
        for (unsigned j = 0; offer->has_encryption && j < offer->ciphers_count; j++)
            if (offer->ciphers[j] == (uint16_t)listener->ciphers[i])
                return (enum cipher)listener->ciphers[i];
    return CIPHER_NONE;
}

/* Keeps what VALIDATE_NEGOTIATE_INFO will ask about. */
static void remember_offer(struct leg *leg, const struct negotiate_request *offer)
{
    memcpy(leg->client_guid, offer->client_guid, GUID_SIZE);
    leg->client_capabilities = offer->capabilities;
    leg->client_security_mode = offer->security_mode;
    memcpy(leg->dialects, offer->dialects, sizeof leg->dialects);
    leg->dialects_count = offer->dialects_count;
}

/* The client's choice is made: go to the worker that owns the ClientGuid, then dial. */
static void accept_offer(struct link *link, struct span message)
{
    static const uint8_t none[GUID_SIZE];
    const uint8_t *guid = link->client.client_guid;
    unsigned owner = link->worker->settings->index;
    if (link->client_choice > SMB_2_0_2 && memcmp(guid, none, GUID_SIZE) != 0)
        owner = handover_owner(link->worker, guid, link->upstream_number);
    if (owner == link->worker->settings->index) {
        link_see_client(link);
        return;
    }
    if (handover_send(link, owner, message)) {
        link_end(link, END_HANDED_OVER);
        return;
    }
    refuse(link, link->offer_message_id, STATUS_INSUFF_SERVER_RESOURCES, EVENT_LIMIT_REACHED,
           "worker_restarting", NULL);
}

static void read_smb2_offer(struct link *link, struct span message,
                            const struct smb2_header *header)
{
    struct negotiate_request *offer = calloc(1, sizeof *offer);
    char dialects[160];
    if (!offer) {
        link_end(link, END_MEMORY);
        return;
    }
    link->offer = offer;
    uint32_t status = negotiate_request_read(message, offer);
    remember_offer(&link->client, offer);
    if (offer->netname[0] && !(link->netname = strdup(offer->netname))) {
        link_end(link, END_MEMORY);
        return;
    }
    list_dialects(offer, dialects, sizeof dialects);
    if (status != STATUS_SUCCESS) {
        refuse(link, header->message_id, status, EVENT_NEGOTIATE_REFUSED, "malformed", dialects);
        return;
    }
    link->client_choice = choose_dialect(link, offer);
    if (link->client_choice == 0) {
        refuse(link, header->message_id, STATUS_NOT_SUPPORTED, EVENT_DIALECT_REFUSED,
               "no_common_dialect", dialects);
        return;
    }
    if (!choose_signing(link, link->client_choice, offer, &link->client.signing)) {
        refuse(link, header->message_id, STATUS_NOT_SUPPORTED, EVENT_NEGOTIATE_REFUSED,
               "no_common_signing", dialects);
        return;
    }
    link->client.cipher = (uint16_t)choose_cipher(link, link->client_choice, offer);
    if (link->listener->encryption == CONFIG_ENCRYPTION_REQUIRED && !link->client.cipher) {
        refuse(link, header->message_id, STATUS_ACCESS_DENIED, EVENT_UNENCRYPTED_REFUSED,
               "client_cannot_encrypt", dialects);
        return;
    }
    preauth_start(&link->client.preauth);

    if (link->client_choice == SMB_3_1_1 && !preauth_add(&link->client.preauth, message)) {
        link_end(link, END_MEMORY);
        return;
    }
    link->offer_message_id = header->message_id;
    link->offer_credits = header->credits;
    accept_offer(link, message);
}

static void read_smb1_offer(struct link *link, struct span frame)
{
    char offered[256];
    enum smb1_offer offer = smb1_negotiate_read(frame, offered, sizeof offered);
    const char *reason = NULL;
    if (offer == SMB1_OFFER_NONE || link->state == LINK_WILDCARD)
        reason = "smb1";
    else if (link->listener->multi_protocol == CONFIG_MULTI_PROTOCOL_REFUSE)
        reason = "multi_protocol";
    else if (offer == SMB1_OFFER_2_002 && link->listener->min_dialect > CONFIG_SMB_2_0_2)
        reason = "dialect_below_minimum";
    if (!reason && link->listener->encryption == CONFIG_ENCRYPTION_REQUIRED &&
        offer == SMB1_OFFER_2_002)
        reason = "client_cannot_encrypt";
    if (reason) {
        /* We have no SMB1 to answer with (MS-SMB2 3.3.5.3.2). */
        struct report report;
        report_start(&report, EVENT_SMB1_REFUSED, link, NULL, LEG_CLIENT, reason);
        report.event.field[FIELD_OFFERED] = offered[0] ? offered : NULL;
        report.event.field[FIELD_VERDICT] = "refused";
        report_send(link->worker, &report);
        link_end(link, END_REFUSED);
        return;
    }
    if (!credit_window_take(&link->window, 0, 1)) {
        link_end(link, END_CLIENT_PROTOCOL);
        return;
    }
    server_guid(link, link->client.server_guid);
    if (offer == SMB1_OFFER_WILDCARD) {
        link->client.max_transact = link->client.max_read = link->client.max_write =
            SIZE_WITHOUT_LARGE_MTU;
        link->state = LINK_WILDCARD;
        send_response(link, SMB_2_WILDCARD, 0, credit_window_grant(&link->window, 1));
        return;
    }
    link->client_choice = SMB_2_0_2;
    link->client.signing = SIGNING_HMAC_SHA256;
    link_see_client(link);
}

void client_negotiate(struct link *link, struct frame *frame)
{
    struct reader reader = reader_over(frame->at, frame->size);
    struct chain rest = {frame->at, frame->size};
    struct smb2_message message;
    uint32_t protocol;
    if (read_le32(&reader, &protocol) && protocol == SMB1_PROTOCOL_ID) {
        read_smb1_offer(link, (struct span){frame->at, frame->size});
        return;
    }
    if (chain_next(&rest, &message) != CHAIN_MESSAGE || rest.size ||
        message.header.command != SMB2_NEGOTIATE ||
        (message.header.flags & SMB2_FLAGS_SERVER_TO_REDIR) ||
        !credit_window_take(&link->window, message.header.message_id, 1)) {
        link_refuse(link, END_CLIENT_PROTOCOL, EVENT_PROTOCOL_ERROR, LEG_CLIENT, "no_negotiate");
        return;
    }
    if (message.header.flags & SMB2_FLAGS_SIGNED) {
        refuse(link, message.header.message_id, STATUS_INVALID_PARAMETER, EVENT_NEGOTIATE_REFUSED,
               "signed_negotiate", NULL);
        return;
    }
    read_smb2_offer(link, (struct span){message.at, message.size}, &message.header);
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
        list_dialects(link->offer, offered, sizeof offered);
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
