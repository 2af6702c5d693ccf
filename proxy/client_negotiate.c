/*
 * The client leg's negotiation (MS-SMB2 3.3.5.3, 3.3.5.4), until the choice among what the client
 * offers is made. It is answered only after the upstream leg has been negotiated.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/client_negotiate.h"
#include "proxy/worker_state.h"

/* Refuses the client's NEGOTIATE itself. */
static void refuse(struct link *link, uint64_t message_id, uint32_t status, enum event_kind kind,
                   const char *reason, const char *offered)
{
    struct report report;
    report_start(&report, kind, link, NULL, LEG_CLIENT, reason);
    report.event.field[FIELD_OFFERED] = offered;
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(link->worker, &report);
    client_negotiate_error(link, message_id, status);
    link_end(link, END_REFUSED);
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
        if (negotiate_offers_signing(offer, wanted)) {
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

/* Why an offer is refused. */
struct objection {
    uint32_t status;
    enum event_kind kind;
    const char *reason; /* NULL: it is not */
};

static struct objection choose(struct link *link, const struct negotiate_request *offer)
{
    link->client_choice = choose_dialect(link, offer);
    if (link->client_choice == 0)
        return (struct objection){STATUS_NOT_SUPPORTED, EVENT_DIALECT_REFUSED, "no_common_dialect"};
    if (!choose_signing(link, link->client_choice, offer, &link->client.signing))
        return (struct objection){STATUS_NOT_SUPPORTED, EVENT_NEGOTIATE_REFUSED,
                                  "no_common_signing"};
    link->client.cipher = (uint16_t)choose_cipher(link, link->client_choice, offer);
    if (link->listener->encryption == CONFIG_ENCRYPTION_REQUIRED && !link->client.cipher)
        return (struct objection){STATUS_ACCESS_DENIED, EVENT_UNENCRYPTED_REFUSED,
                                  "client_cannot_encrypt"};
    return (struct objection){.reason = NULL};
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
    negotiate_list_dialects(offer, dialects, sizeof dialects);
    if (status != STATUS_SUCCESS) {
        refuse(link, header->message_id, status, EVENT_NEGOTIATE_REFUSED, "malformed", dialects);
        return;
    }
    struct objection objection = choose(link, offer);
    if (objection.reason) {
        refuse(link, header->message_id, objection.status, objection.kind, objection.reason,
               dialects);
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
    if (offer == SMB1_OFFER_WILDCARD) {
        client_negotiate_wildcard(link);
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
