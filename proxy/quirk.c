#include "proxy/quirk.h"

#include <openssl/crypto.h>
#include <string.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

enum { FILE_STANDARD_INFORMATION = 5, STANDARD_SIZE = 24, QUERY_ROOM = 128 };

/* An error response of the least size (MS-SMB2 2.2.2): nothing but its status. */
static bool is_bare_error(const struct smb2_message *message)
{
    uint8_t contexts;
    struct span data;
    return message->header.status >> 30 == 3 && message->header.next_command == 0 &&
           error_body_read((struct span){message->at, message->size}, &contexts, &data) &&
           contexts == 0 && data.size == 0;
}

/* Zero, or the request's own sent back: what servers leave there that have no key at hand. */
static bool carries_no_signature(const struct smb2_message *message, const struct pending *pending)
{
    static const uint8_t zero[SIGNATURE_SIZE];
    const uint8_t *signature = message->at + SIGNATURE_OFFSET;
    return CRYPTO_memcmp(signature, zero, sizeof zero) == 0 ||
           CRYPTO_memcmp(signature, pending->signature, sizeof pending->signature) == 0;
}

static bool is_unsigned_error(const struct smb2_message *message, const struct pending *pending)
{
    uint32_t status = message->header.status;
    return (status == STATUS_NETWORK_NAME_DELETED || status == STATUS_FILE_CLOSED ||
            status == STATUS_INVALID_PARAMETER) &&
           carries_no_signature(message, pending);
}

static void tell(struct link *link, const struct response_part *part, const char *quirk)
{
    const struct smb2_header *header = &part->message.header;
    struct report report;
    report_start(&report, EVENT_QUIRK_USED, link, part->pending->session, LEG_UPSTREAM, quirk);
    report.event.field[FIELD_COMMAND] = smb2_command_name(header->command);
    report.event.field[FIELD_VERDICT] = "recorded";
    report_status(&report, header->status);
    report_send(link->worker, &report);
}

/* A file that a READ names itself, or that the CREATE before it in its chain has told. */
static bool names_a_file(const struct pending *pending)
{
    static const uint8_t none[FILE_ID_SIZE];
    uint8_t before[FILE_ID_SIZE];
    memset(before, 0xff, sizeof before);
    return memcmp(pending->file_id, none, sizeof none) != 0 &&
           memcmp(pending->file_id, before, sizeof before) != 0;
}

static bool can_ask(const struct link *link, const struct pending *pending)
{
    return pending->command == SMB2_READ && pending->interim != INTERIM_SENT &&
           names_a_file(pending) && link->purse.available > 0;
}

enum quirk_answer quirk_judge(struct link *link, struct response_part *part)
{
    const struct pending *pending = part->pending;
    struct smb2_message *message = &part->message;
    unsigned quirks = link->upstream->quirk_bits;
    uint32_t status = message->header.status;
    if (quirks == 0 || pending->kind != PENDING_FORWARDED || pending->upstream_encrypts ||
        !is_bare_error(message))
        return QUIRK_NONE;
    if (quirks & CONFIG_QUIRK_UNSIGNED_ERRORS && is_unsigned_error(message, pending)) {
        tell(link, part, "unsigned_errors");
        return QUIRK_BELIEVE;
    }
    if (quirks & CONFIG_QUIRK_UNSIGNED_BAD_SHARE && pending->command == SMB2_TREE_CONNECT &&
        status == STATUS_BAD_NETWORK_NAME) {
        tell(link, part, "unsigned_bad_share");
        return QUIRK_BELIEVE;
    }
    if (quirks & CONFIG_QUIRK_UNSIGNED_END_OF_FILE && status == STATUS_END_OF_FILE &&
        can_ask(link, pending)) {
        tell(link, part, "unsigned_end_of_file");
        return QUIRK_CONFIRM;
    }
    return QUIRK_NONE;
}

static void write_query(const struct pending *read, const struct session *session, uint64_t id,
                        bool charge, struct writer *writer)
{
    struct smb2_header header = {
        .credit_charge = charge,
        .command = SMB2_QUERY_INFO,
        .credits = 1,
        .flags = SMB2_FLAGS_SIGNED,
        .message_id = id,
        .tree_id = read->tree_id,
        .session_id = session->upstream_id,
    };
    smb2_header_write(writer, &header);
    write_le16(writer, 41);
    write_u8(writer, 1); /* SMB2_0_INFO_FILE */
    write_u8(writer, FILE_STANDARD_INFORMATION);
    write_le32(writer, STANDARD_SIZE);
    write_zeros(writer, 16); /* no input, no additional information, no flags */
    write_bytes(writer, read->file_id, FILE_ID_SIZE);
    write_u8(writer, 0);
}

void quirk_ask(struct link *link, struct pending *read)
{
    struct session *session = read->session;
    uint8_t *message = stream_own(&link->server.stream, QUERY_ROOM);
    if (!message) {
        link_end(link, END_MEMORY);
        return;
    }
    uint64_t id = credit_purse_spend(&link->purse, 1);
    struct pending *query = pending_add(&link->pending, PENDING_CONFIRM, id, session);
    struct writer writer = writer_over(message, QUERY_ROOM);
    write_query(read, session, id, link->server.dialect >= SMB_2_1, &writer);
    if (!query || !writer_done(&writer)) {
        link_end(link, END_MEMORY);
        return;
    }
    query->command = SMB2_QUERY_INFO;
    query->upstream_charge = 1;
    query->confirms = read->by_upstream_id.key;
    read->confirming = true;
    if (seal_close(&link->server, session, message, writer_size(&writer), false))
        seal_send_own(&link->server, session, message, writer_size(&writer), false);
}

/* FileStandardInformation of a QUERY_INFO response (MS-SMB2 2.2.38, MS-FSCC 2.4.46): EndOfFile. */
static bool read_end_of_file(const struct smb2_message *message, uint64_t *end)
{
    struct span bytes = {message->at, message->size}, body, info;
    struct reader reader;
    uint16_t size, offset;
    uint32_t length;
    if (message->header.status != STATUS_SUCCESS ||
        !span_slice(bytes, SMB2_HEADER_SIZE, message->size - SMB2_HEADER_SIZE, &body))
        return false;
    reader = reader_over_span(body);
    if (!read_le16(&reader, &size) || size != 9 || !read_le16(&reader, &offset) ||
        !read_le32(&reader, &length) || length < STANDARD_SIZE ||
        !span_slice(bytes, offset, length, &info))
        return false;
    reader = reader_over_span(info);
    return read_skip(&reader, 8) && read_le64(&reader, end);
}

static void answer_end_of_file(struct link *link, struct pending *read)
{
    struct session *session = read->session;
    struct smb2_header request = {
        .command = SMB2_READ,
        .credits = read->credits_wanted,
        .credit_charge = read->client_charge,
        .message_id = read->by_client_id.key,
        .process_id = read->process_id,
        .tree_id = read->tree_id,
        .session_id = session->client_id,
        .encrypted = read->client_encrypts,
    };
    pending_remove(&link->pending, read);
    answer_error(link, session, &request, STATUS_END_OF_FILE);
}

void quirk_confirmed(struct link *link, struct pending *query, const struct smb2_message *message)
{
    struct pending *read = pending_by_upstream_id(&link->pending, query->confirms);
    uint64_t end;
    pending_remove(&link->pending, query);
    if (!read || !read->confirming)
        return;
    if (read->answered) { /* its session ended meanwhile */
        pending_remove(&link->pending, read);
        return;
    }
    if (read_end_of_file(message, &end) && end <= read->read_offset) {
        answer_end_of_file(link, read);
        return;
    }
    link_refuse(link, END_UPSTREAM_SIGNATURE, EVENT_UPSTREAM_BAD_SIGNATURE, LEG_UPSTREAM,
                "end_of_file_denied");
}
