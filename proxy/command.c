#include "proxy/command.h"

#include "proxy/body.h"
#include "proxy/charge.h"
#include "proxy/dialect.h"
#include "proxy/durable.h"
#include "proxy/worker_state.h"

static const struct verdict forward = {VERDICT_FORWARD, 0};
static const struct verdict answered = {VERDICT_ANSWERED, 0};

static struct verdict refuse(uint32_t status)
{
    return (struct verdict){VERDICT_REFUSE, status};
}

static struct span bytes_of(const struct smb2_message *message)
{
    return (struct span){message->at, message->size};
}

static struct verdict decide_logoff(struct link *link, struct session *session,
                                    struct smb2_message *message)
{
    (void)link;
    (void)message;
    /* In the midst of a re-authentication that it does not go on with. */
    if (session->state == SESSION_RENEWING && session->step == STEP_CLIENT) {
        worker_forget(session);
        session->step = STEP_IDLE;
    } else if (session->state != SESSION_VALID) {
        return refuse(STATUS_REQUEST_NOT_ACCEPTED);
    }
    session->state = SESSION_LOGGING_OFF;
    return forward;
}

static struct verdict decide_tree_connect(struct link *link, struct session *session,
                                          struct smb2_message *message)
{
    struct tree_connect_request body;
    if (!tree_connect_request_read(bytes_of(message), link->client.dialect, &body))
        return refuse(STATUS_INVALID_PARAMETER);
    /* An extension holds a remoted identity: it belongs to clusters, which are not carried. */
    if (!tree_path_split(body.path, &(struct span){0}, &(struct span){0}))
        return refuse(STATUS_BAD_NETWORK_NAME);
    if (link->client.dialect == SMB_3_1_1 && body.flags & SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT)
        return refuse(STATUS_NOT_SUPPORTED);
    if (link->trees >= TREES_MAX) {
        report_event(EVENT_LIMIT_REACHED, link, session, LEG_CLIENT, "trees", "refused");
        return refuse(STATUS_INSUFFICIENT_RESOURCES);
    }
    uint32_t status = tree_judge(session, body.path);
    return status == STATUS_SUCCESS ? forward : refuse(status);
}

static struct verdict decide_create(struct link *link, struct session *session,
                                    struct smb2_message *message)
{
    struct create_request body;
    struct create_context context;
    bool broken = false;
    if (!create_request_read(bytes_of(message), &body))
        return refuse(STATUS_INVALID_PARAMETER);
    while (create_context_next(&body.contexts, &context, &broken))
        ;
    if (broken)
        return refuse(STATUS_INVALID_PARAMETER);
    return durable_may_have(link, session, bytes_of(message))
               ? forward
               : refuse(STATUS_OBJECT_NAME_NOT_FOUND);
}

static struct verdict refuse_bypass(struct link *link, const struct session *session,
                                    const char *reason, uint32_t status)
{
    report_event(EVENT_BYPASS_REFUSED, link, session, LEG_CLIENT, reason, "refused");
    return refuse(status);
}

static struct verdict decide_ioctl(struct link *link, struct session *session,
                                   struct smb2_message *message)
{
    struct ioctl_request body;
    if (!ioctl_request_read(bytes_of(message), &body))
        return refuse(STATUS_INVALID_PARAMETER);

    switch (body.code) {
    case FSCTL_VALIDATE_NEGOTIATE_INFO: validate_answer(link, session, message); return answered;
    case FSCTL_QUERY_NETWORK_INTERFACE_INFO:
        /* The answer would be the file server's own addresses. */
        return refuse_bypass(link, session, "network_interfaces", STATUS_INVALID_DEVICE_REQUEST);
    case FSCTL_DFS_GET_REFERRALS:
    case FSCTL_DFS_GET_REFERRALS_EX:
        return refuse_bypass(link, session, "dfs_referral", STATUS_NOT_FOUND);
    default: return forward;
    }
}

/* FileNormalizedNameInformation came with 3.1.1: a client of an older dialect is told what an older
 * server would tell it (MS-SMB2 3.3.5.20.1). */
static struct verdict decide_query_info(struct link *link, struct session *session,
                                        struct smb2_message *message)
{
    enum { INFO_FILE = 1, NORMALIZED_NAME_INFORMATION = 48 };
    const uint8_t *body = message->at + SMB2_HEADER_SIZE;
    (void)session;
    bool normalized = body[2] == INFO_FILE && body[3] == NORMALIZED_NAME_INFORMATION;
    return normalized && link->client.dialect < SMB_3_1_1 ? refuse(STATUS_NOT_SUPPORTED) : forward;
}

/* Answered here: some servers do not sign their answer, and the legs' own keep-alive tells of a
 * dead peer. */
static struct verdict decide_echo(struct link *link, struct session *session,
                                  struct smb2_message *message)
{
    struct answer answer;
    if (answer_start(&answer, link, session, &message->header, STATUS_SUCCESS, 4)) {
        empty_body_write(&answer.writer);
        answer_send(&answer);
    }
    return answered;
}

static struct verdict decide_cancel(struct link *link, struct session *session,
                                    struct smb2_message *message)
{
    cancel_forward(link, session, &message->header);
    return answered;
}

/* `least_body` includes the variable byte where StructureSize is odd only if it must be there. */
static const struct command_row rows[SMB2_COMMAND_COUNT] = {
    [SMB2_LOGOFF] = {4, 0, 4, decide_logoff},
    [SMB2_TREE_CONNECT] = {9, 0, 8, decide_tree_connect},
    [SMB2_TREE_DISCONNECT] = {4, 0, 4, NULL},
    [SMB2_CREATE] = {57, 0, 56, decide_create},
    [SMB2_CLOSE] = {24, 0, 24, NULL},
    [SMB2_FLUSH] = {24, 0, 24, NULL},
    [SMB2_READ] = {49, 0, 48, NULL},
    [SMB2_WRITE] = {49, 0, 48, NULL},
    [SMB2_LOCK] = {48, 0, 24, NULL},
    [SMB2_IOCTL] = {57, 0, 56, decide_ioctl},
    [SMB2_CANCEL] = {4, 0, 4, decide_cancel},
    [SMB2_ECHO] = {4, 0, 4, decide_echo},
    [SMB2_QUERY_DIRECTORY] = {33, 0, 32, NULL},
    [SMB2_CHANGE_NOTIFY] = {32, 0, 32, NULL},
    [SMB2_QUERY_INFO] = {41, 0, 40, decide_query_info},
    [SMB2_SET_INFO] = {33, 0, 32, NULL},
    [SMB2_OPLOCK_BREAK] = {24, 36, 24, NULL},
};

static bool has_shape(const struct command_row *row, const struct smb2_message *message)
{
    struct reader reader = reader_over(message->at, message->size);
    uint16_t size;
    if (!read_skip(&reader, SMB2_HEADER_SIZE) || reader_left(&reader) < row->least_body ||
        !read_le16(&reader, &size))
        return false;
    if (size == row->structure_size)
        return true;
    return row->structure_size_also && size == row->structure_size_also &&
           message->size >= (size_t)SMB2_HEADER_SIZE + size;
}

struct verdict command_decide(struct link *link, struct session *session,
                              struct smb2_message *message)
{
    uint16_t command = message->header.command;
    if (command >= SMB2_COMMAND_COUNT || rows[command].structure_size == 0)
        return refuse(STATUS_INVALID_PARAMETER);
    const struct command_row *row = &rows[command];
    if (!has_shape(row, message))
        return command == SMB2_CANCEL ? answered : refuse(STATUS_INVALID_PARAMETER);
    if (!charge_pays(link, message))
        return refuse(STATUS_INVALID_PARAMETER);
    /* Without DFS towards the file server a DFS path means nothing there. */
    if (message->header.flags & SMB2_FLAGS_DFS_OPERATIONS)
        return refuse_bypass(link, session, "dfs_path", STATUS_FS_DRIVER_REQUIRED);
    return row->decide ? row->decide(link, session, message) : forward;
}

void command_translate(const struct link *link, struct smb2_message *message)
{
    charge_translate(link, message);
    dialect_clear(message, TO_UPSTREAM, link->client.dialect, link->server.dialect, true);
}
