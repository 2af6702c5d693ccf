#include "proxy/charge.h"

static bool multi_credit(const struct leg *leg)
{
    return leg->dialect >= SMB_2_1 && leg->server_capabilities & SMB2_GLOBAL_CAP_LARGE_MTU;
}

uint32_t charge_client(const struct link *link, const struct smb2_header *header)
{
    if (header->command == SMB2_CANCEL)
        return 0;
    return multi_credit(&link->client) && header->credit_charge ? header->credit_charge : 1;
}

uint32_t charge_upstream(const struct link *link, const struct smb2_header *header)
{
    if (header->command == SMB2_CANCEL || header->command == SMB2_ECHO)
        return 0;
    return multi_credit(&link->server) ? charge_client(link, header) : 1;
}

/* Where a body says how much it sends, and how much it may get: offsets of at most two lengths
 * each, which are added; 0 for none. */
struct payload {
    uint8_t sent[2], got[2];
};

static const struct payload payloads[SMB2_COMMAND_COUNT] = {
    [SMB2_READ] = {{0}, {4}},
    [SMB2_WRITE] = {{4}, {0}},
    [SMB2_IOCTL] = {{28, 40}, {32, 44}},
    [SMB2_QUERY_DIRECTORY] = {{0}, {28}},
    [SMB2_CHANGE_NOTIFY] = {{0}, {4}},
    [SMB2_QUERY_INFO] = {{12}, {4}},
    [SMB2_SET_INFO] = {{4}, {0}},
};

static uint64_t length_at(const struct smb2_message *message, uint8_t offset)
{
    struct reader reader = reader_over(message->at, message->size);
    uint32_t length = 0;
    if (!offset || !read_skip(&reader, SMB2_HEADER_SIZE + (size_t)offset) ||
        !read_le32(&reader, &length))
        return 0;
    return length;
}

bool charge_pays(const struct link *link, const struct smb2_message *message)
{
    enum { PAID_BY_ONE = 65536 };
    if (!multi_credit(&link->client))
        return true;
    const struct payload *payload = &payloads[message->header.command];
    uint64_t paid = (uint64_t)charge_client(link, &message->header) * PAID_BY_ONE;
    return length_at(message, payload->sent[0]) + length_at(message, payload->sent[1]) <= paid &&
           length_at(message, payload->got[0]) + length_at(message, payload->got[1]) <= paid;
}

/* 2.0.2 and servers without multi-credit requests know no CreditCharge (MS-SMB2 2.2.1.2). */
void charge_translate(const struct link *link, struct smb2_message *message)
{
    uint32_t charge = link->server.dialect >= SMB_2_1;
    if (multi_credit(&link->server))
        charge = charge_upstream(link, &message->header);
    smb2_set_credit_charge(message->at, (uint16_t)charge);
}
