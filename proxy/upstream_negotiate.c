/*
 * The upstream leg's negotiation (MS-SMB2 3.2.4.2.2, 3.2.5.2): we are the client, with the client's
 * own ClientGuid, so that leases keep their owner.
 */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "proxy/worker_state.h"

enum { NEGOTIATE_ROOM = 1024 };

/* Refuses the file server: an event, an answer for the client, the end of the link. */
static void refuse(struct link *link, enum event_kind kind, const char *reason, uint32_t status)
{
    struct report report;
    report_start(&report, kind, link, NULL, LEG_UPSTREAM, reason);
    report.event.field[FIELD_VERDICT] = "refused";
    if (status)
        report_status(&report, status);
    report_send(link->worker, &report);
    client_negotiate_refuse(link, STATUS_HOST_UNREACHABLE);
    link_end(link, END_UPSTREAM_REFUSED);
}

/* Below 3.1.1 a capability says that AES-128-CCM can be used (MS-SMB2 3.2.4.2.2.2). */
static void offer_encryption(const struct config_upstream *upstream,
                             struct negotiate_request *request)
{
    if (upstream->encryption == CONFIG_ENCRYPTION_OFF || upstream->max_dialect < CONFIG_SMB_3_0)
        return;
    request->capabilities |= SMB2_GLOBAL_CAP_ENCRYPTION;
    if (upstream->max_dialect != CONFIG_SMB_3_1_1)
        return;
    request->has_encryption = true;
    for (unsigned i = 0; i < upstream->ciphers_count; i++)
        request->ciphers[request->ciphers_count++] = (uint16_t)upstream->ciphers[i];
}

static void fill_request(const struct link *link, struct negotiate_request *request)
{
    static const uint16_t dialects[] = {SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_0_2, SMB_3_1_1};
    const struct config_upstream *upstream = link->upstream;
    for (unsigned i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (dialects[i] >= upstream->min_dialect && dialects[i] <= upstream->max_dialect)
            request->dialects[request->dialects_count++] = dialects[i];
    request->security_mode = SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED;
    if (upstream->max_dialect >= CONFIG_SMB_3_0) {
        request->capabilities = SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU;
        if (link->client_choice >= SMB_3_0)
            request->capabilities |=
                link->client.client_capabilities & SMB2_GLOBAL_CAP_DIRECTORY_LEASING;
    }
    offer_encryption(upstream, request);
    if (upstream->max_dialect != CONFIG_SMB_3_1_1)
        return;
    request->has_preauth = request->preauth_sha512 = true;
    request->has_signing = true;
    for (unsigned i = 0; i < upstream->signing_count; i++)
        request->signing[request->signing_count++] = (uint16_t)upstream->signing[i];
    snprintf(request->netname, sizeof request->netname, "%s", upstream->server_name);
}

/* A client below 2.1 has no ClientGuid, whatever it wrote: each of its links gets one of its own,
 * since they are in any worker, and breaks for another of its ClientGuid would come to it. */
static bool choose_guid(const struct link *link, uint8_t guid[GUID_SIZE])
{
    static const uint8_t none[GUID_SIZE];
    if (link->upstream->max_dialect == CONFIG_SMB_2_0_2) {
        memset(guid, 0, GUID_SIZE);
        return true;
    }
    if (link->client_choice > SMB_2_0_2)
        memcpy(guid, link->client.client_guid, GUID_SIZE);
    return memcmp(guid, none, GUID_SIZE) != 0 || RAND_bytes(guid, GUID_SIZE) == 1;
}

void upstream_negotiate_start(struct link *link)
{
    struct leg *leg = &link->server;
    struct negotiate_request request = {0};
    uint8_t salt[PREAUTH_SALT_SIZE];
    fill_request(link, &request);
    uint8_t *message = stream_own(&leg->stream, NEGOTIATE_ROOM);
    if (!message || !choose_guid(link, request.client_guid) || RAND_bytes(salt, sizeof salt) != 1) {
        link_end(link, END_MEMORY);
        return;
    }
    memcpy(leg->client_guid, request.client_guid, GUID_SIZE);
    memcpy(leg->dialects, request.dialects, sizeof leg->dialects);
    leg->dialects_count = request.dialects_count;
    leg->client_capabilities = request.capabilities;
    leg->client_security_mode = request.security_mode;
    uint64_t id = credit_purse_spend(&link->purse, 1);
    struct pending *pending = pending_add(&link->pending, PENDING_NEGOTIATE, id, NULL);
    struct smb2_header header = {.command = SMB2_NEGOTIATE, .credits = 2, .message_id = id};
    struct writer writer = writer_over(message, NEGOTIATE_ROOM);
    smb2_header_write(&writer, &header);
    negotiate_request_write(&writer, &request, salt);
    preauth_start(&leg->preauth);
    if (!pending || !writer_done(&writer) || !preauth_add(&leg->preauth, writer_span(&writer))) {
        link_end(link, END_MEMORY);
        return;
    }
    pending->command = SMB2_NEGOTIATE;
    pending->upstream_charge = 1;
    seal_send_own(leg, NULL, message, writer_size(&writer), false);
}

static bool offered(const struct leg *leg, uint16_t dialect)
{
    for (unsigned i = 0; i < leg->dialects_count; i++)
        if (leg->dialects[i] == dialect)
            return true;
    return false;
}

/* The algorithm that the file server chose among those offered; CMAC when it says nothing. */
static bool take_signing(struct link *link, const struct negotiate_response *response)
{
    struct leg *leg = &link->server;
    leg->signing = leg->dialect < SMB_3_0 ? SIGNING_HMAC_SHA256 : SIGNING_AES_CMAC;
    if (leg->dialect != SMB_3_1_1)
        return true;
    uint16_t chosen = response->has_signing ? response->signing : SIGNING_AES_CMAC;
    for (unsigned i = 0; i < link->upstream->signing_count; i++) {
        if ((uint16_t)link->upstream->signing[i] == chosen) {
            leg->signing = (enum signing_algorithm)chosen;
            return true;
        }
    }
    return false;
}

/* False when the file server chose a cipher that was not offered. */
static bool take_cipher(struct link *link, const struct negotiate_response *response)
{
    const struct config_upstream *upstream = link->upstream;
    struct leg *leg = &link->server;
    leg->cipher = CIPHER_NONE;
    if (upstream->encryption == CONFIG_ENCRYPTION_OFF)
        return !response->has_cipher;
    if (leg->dialect == SMB_3_0 || leg->dialect == SMB_3_0_2) {
        if (response->capabilities & SMB2_GLOBAL_CAP_ENCRYPTION)
            leg->cipher = CIPHER_AES_128_CCM;
        return true;
    }
    if (leg->dialect != SMB_3_1_1 || !response->has_cipher || response->cipher == CIPHER_NONE)
        return true;
    for (unsigned i = 0; i < upstream->ciphers_count; i++)
        if ((uint16_t)upstream->ciphers[i] == response->cipher)
            leg->cipher = response->cipher;
    return leg->cipher == response->cipher;
}

static void take_response(struct link *link, const struct negotiate_response *response)
{
    struct leg *leg = &link->server;
    if (!offered(leg, response->dialect)) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "dialect_not_offered", 0);
        return;
    }
    leg->dialect = response->dialect;
    if (!(response->security_mode &
          (SMB2_NEGOTIATE_SIGNING_ENABLED | SMB2_NEGOTIATE_SIGNING_REQUIRED))) {
        refuse(link, EVENT_UPSTREAM_NO_SIGNING, "signing_not_offered", 0);
        return;
    }
    if (leg->dialect == SMB_3_1_1 && (!response->has_preauth || !response->preauth_sha512)) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "no_preauth_integrity", 0);
        return;
    }
    if (!take_cipher(link, response)) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "cipher_not_offered", 0);
        return;
    }
    if (link->upstream->encryption == CONFIG_ENCRYPTION_REQUIRED && !leg->cipher) {
        refuse(link, EVENT_UPSTREAM_ENCRYPTION, "not_offered", 0);
        return;
    }
    if (!take_signing(link, response)) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "signing_algorithm_not_offered", 0);
        return;
    }
    memcpy(leg->server_guid, response->server_guid, GUID_SIZE);
    leg->server_capabilities = response->capabilities;
    leg->server_security_mode = response->security_mode;
    leg->max_transact = response->max_transact_size;
    leg->max_read = response->max_read_size;
    leg->max_write = response->max_write_size;
    link_see_upstream(link, response);
}

void upstream_negotiate_response(struct link *link, struct smb2_message *message)
{
    struct span bytes = {message->at, message->size};
    struct negotiate_response response;
    if (message->header.status != STATUS_SUCCESS) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "negotiate_refused", message->header.status);
        return;
    }
    if (!negotiate_response_read(bytes, &response)) {
        refuse(link, EVENT_UPSTREAM_REFUSED, "malformed_negotiate", 0);
        return;
    }
    if (!preauth_add(&link->server.preauth, bytes)) {
        link_end(link, END_MEMORY);
        return;
    }
    take_response(link, &response);
}
