/*
 * VALIDATE_NEGOTIATE_INFO (MS-SMB2 3.2.5.5, 3.2.5.14.12, 3.3.5.15.12): the client's is answered
 * from what we negotiated with it; ours is sent upstream; neither is ever forwarded.
 */
#include <string.h>

#include "proxy/body.h"
#include "proxy/worker_state.h"

static void mismatch(struct link *link, const struct session *session, enum leg_role leg,
                     const char *reason)
{
    report_event(EVENT_VALIDATE_MISMATCH, link, session, leg, reason, "refused");
    link_end(link, END_VALIDATE_MISMATCH);
}

/* What the client says it offered, against what came. */
static bool same_offer(const struct leg *leg, const struct validate_request *said)
{
    return said->capabilities == leg->client_capabilities &&
           said->security_mode == leg->client_security_mode &&
           memcmp(said->client_guid, leg->client_guid, GUID_SIZE) == 0 &&
           said->dialects_count == leg->dialects_count &&
           memcmp(said->dialects, leg->dialects, leg->dialects_count * sizeof leg->dialects[0]) ==
               0;
}

void validate_answer(struct link *link, struct session *session, struct smb2_message *message)
{
    struct leg *leg = &link->client;
    struct ioctl_request ioctl;
    struct validate_request said;
    if (!ioctl_request_read((struct span){message->at, message->size}, &ioctl) ||
        leg->dialect == SMB_3_1_1 || ioctl.max_output < VALIDATE_RESPONSE_SIZE ||
        !validate_request_read(ioctl.input, &said) || !same_offer(leg, &said)) {
        mismatch(link, session, LEG_CLIENT,
                 leg->dialect == SMB_3_1_1 ? "not_at_3.1.1" : "negotiate_changed");
        return;
    }
    struct validate_response body = {
        .capabilities = leg->server_capabilities,
        .security_mode = leg->server_security_mode,
        .dialect = leg->dialect,
    };
    memcpy(body.server_guid, leg->server_guid, GUID_SIZE);
    uint8_t output[VALIDATE_RESPONSE_SIZE];
    struct writer out = writer_over(output, sizeof output);
    validate_response_write(&out, &body);
    struct ioctl_response response = {.code = ioctl.code, .output = writer_span(&out)};
    memcpy(response.file_id, ioctl.file_id, FILE_ID_SIZE);
    struct answer answer;
    if (!answer_start(&answer, link, session, &message->header, STATUS_SUCCESS, 64 + sizeof output))
        return;
    ioctl_response_write(&answer.writer, &response);
    answer_send(&answer);
}

/* At 3.1.1 preauth integrity covers the negotiation; below, whenever more was offered. */
bool validate_needed(const struct link *link)
{
    uint16_t dialect = link->server.dialect;
    return dialect < SMB_3_1_1 &&
           (dialect >= SMB_3_0 || (uint16_t)link->upstream->max_dialect > dialect);
}

static void write_request(const struct session *session, struct writer *writer, uint64_t message_id,
                          uint32_t tree_id)
{
    const struct leg *leg = &session->link->server;
    struct validate_request said = {
        .capabilities = leg->client_capabilities,
        .security_mode = leg->client_security_mode,
        .dialects_count = leg->dialects_count,
    };
    uint8_t input[24 + 2 * NEGOTIATE_DIALECTS_MAX];
    struct writer in = writer_over(input, sizeof input);
    memcpy(said.client_guid, leg->client_guid, GUID_SIZE);
    memcpy(said.dialects, leg->dialects, sizeof said.dialects);
    validate_request_write(&in, &said);
    struct smb2_header header = {
        .credit_charge = leg->dialect >= SMB_2_1,
        .command = SMB2_IOCTL,
        .credits = 1,
        .flags = SMB2_FLAGS_SIGNED,
        .message_id = message_id,
        .tree_id = tree_id,
        .session_id = session->upstream_id,
    };
    struct ioctl_request body = {
        .code = FSCTL_VALIDATE_NEGOTIATE_INFO,
        .flags = SMB2_IOCTL_IS_FSCTL,
        .max_output = VALIDATE_RESPONSE_SIZE,
        .input = writer_span(&in),
    };
    memset(body.file_id, 0xff, FILE_ID_SIZE);
    smb2_header_write(writer, &header);
    ioctl_request_write(writer, &body);
}

static bool upstream_encrypts(const struct session *session, uint32_t tree_id)
{
    const struct tree *tree = session_tree(session, tree_id);
    return session->upstream_encrypts || (tree && tree->upstream_encrypts);
}

void validate_start(struct session *session, uint32_t tree_id)
{
    enum { ROOM = 256 };
    struct link *link = session->link;
    session->validating = true;
    session->validate_tree_id = tree_id;
    if (link->purse.available == 0) {
        link->validations_waiting++; /* sent by validate_resume() */
        return;
    }
    uint8_t *message = stream_own(&link->server.stream, ROOM);
    if (!message) {
        link_end(link, END_MEMORY);
        return;
    }
    uint64_t id = credit_purse_spend(&link->purse, 1);
    struct pending *pending = pending_add(&link->pending, PENDING_VALIDATE, id, session);
    struct writer writer = writer_over(message, ROOM);
    write_request(session, &writer, id, tree_id);
    if (!pending || !writer_done(&writer)) {
        link_end(link, END_MEMORY);
        return;
    }
    pending->upstream_encrypts = upstream_encrypts(session, tree_id);
    if (!seal_close(&link->server, session, message, writer_size(&writer),
                    pending->upstream_encrypts))
        return;
    pending->command = SMB2_IOCTL;
    pending->upstream_charge = 1;
    session->validate_sent = true;
    seal_send_own(&link->server, session, message, writer_size(&writer),
                  pending->upstream_encrypts);
}

static void resume_one(struct table_entry *entry, void *context)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    (void)context;
    if (session->validating && !session->validate_sent)
        validate_start(session, session->validate_tree_id);
}

void validate_resume(struct link *link)
{
    if (link->validations_waiting == 0)
        return;
    link->validations_waiting = 0;
    table_each(&link->sessions, resume_one, NULL);
}

static void find_unanswered(struct table_entry *entry, void *context)
{
    struct session *session = CONTAINER_OF(entry, struct session, by_client_id);
    struct session **unanswered = context;
    if (session->validate_sent && !session->validated)
        *unanswered = session;
}

void validate_hung_up(struct link *link)
{
    struct session *unanswered = NULL;
    if (link_ended(link))
        return;
    table_each(&link->sessions, find_unanswered, &unanswered);
    if (unanswered)
        mismatch(link, unanswered, LEG_UPSTREAM, "file_server_hung_up");
}

/* Answers, always signed, of servers that know no such FSCTL. */
static bool is_tolerated(uint32_t status)
{
    return status == STATUS_FILE_CLOSED || status == STATUS_INVALID_DEVICE_REQUEST ||
           status == STATUS_FS_DRIVER_REQUIRED || status == STATUS_NOT_SUPPORTED ||
           status == STATUS_INVALID_PARAMETER;
}

static bool same_answer(const struct leg *leg, const struct smb2_message *message)
{
    struct ioctl_response ioctl;
    struct validate_response said;
    return ioctl_response_read((struct span){message->at, message->size}, &ioctl) &&
           ioctl.code == FSCTL_VALIDATE_NEGOTIATE_INFO &&
           validate_response_read(ioctl.output, &said) &&
           said.capabilities == leg->server_capabilities &&
           said.security_mode == leg->server_security_mode && said.dialect == leg->dialect &&
           memcmp(said.server_guid, leg->server_guid, GUID_SIZE) == 0;
}

void validate_response(struct link *link, struct pending *pending, struct smb2_message *message)
{
    struct session *session = pending->session;
    uint32_t status = message->header.status;
    pending_remove(&link->pending, pending);
    if (status == STATUS_SUCCESS ? !same_answer(&link->server, message) : !is_tolerated(status)) {
        mismatch(link, session, LEG_UPSTREAM,
                 status == STATUS_SUCCESS ? "negotiate_changed" : "validation_refused");
        return;
    }
    session->validated = true;
    session->validating = false;
    tree_release(session);
}
