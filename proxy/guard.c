#include "proxy/guard.h"

#include <string.h>

#include "proxy/body.h"
#include "proxy/fsctl.h"
#include "proxy/judge.h"
#include "proxy/open.h"
#include "proxy/pipe.h"
#include "proxy/read_only.h"
#include "proxy/rpc_fault.h"
#include "proxy/worker_state.h"

/* Where a request stands: by its tree, and by the open that it names, which a client could name in
 * another tree. */
struct place {
    struct link *link;
    struct session *session;
    struct tree *tree;
    struct tree *open_tree; /* NULL: the same, or none */
    struct open *open;      /* NULL: none, or not known */
};

static const struct verdict forward = {VERDICT_FORWARD, 0};
static const struct verdict answered = {VERDICT_ANSWERED, 0};
static const struct verdict denied = {VERDICT_REFUSE, STATUS_ACCESS_DENIED};

static struct span bytes_of(const struct smb2_message *message)
{
    return (struct span){message->at, message->size};
}

/* Where the FileId lies in a request's body; 0: it has none. */
static const uint8_t file_id_at[SMB2_COMMAND_COUNT] = {
    [SMB2_CLOSE] = 8,         [SMB2_FLUSH] = 8,
    [SMB2_READ] = 16,         [SMB2_WRITE] = 16,
    [SMB2_LOCK] = 8,          [SMB2_IOCTL] = 8,
    [SMB2_CHANGE_NOTIFY] = 8, [SMB2_QUERY_DIRECTORY] = 8,
    [SMB2_QUERY_INFO] = 24,   [SMB2_SET_INFO] = 16,
};

/* The open that a request names; in a chain perhaps as the one that was named before. NULL: none,
 * or not known, as the one that a CREATE before it will make. */
static struct open *open_of(const struct link *link, const struct session *session,
                            const struct smb2_message *message, struct open *before)
{
    static const uint8_t the_one_before[FILE_ID_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                         0xff, 0xff, 0xff, 0xff};
    struct span file_id;
    size_t offset = file_id_at[message->header.command];
    if (message->header.command == SMB2_CREATE)
        return NULL;
    if (!offset ||
        !span_slice(bytes_of(message), SMB2_HEADER_SIZE + offset, FILE_ID_SIZE, &file_id) ||
        span_equal(file_id, (struct span){the_one_before, sizeof the_one_before}))
        return before;
    struct open *open = open_find(link, file_id.at);
    return open && open->session == session ? open : NULL;
}

static bool is_looked_into(uint16_t command)
{
    return command == SMB2_CREATE || command == SMB2_WRITE || command == SMB2_IOCTL ||
           command == SMB2_SET_INFO;
}

static void tell(const struct place *place, enum event_kind kind, const struct tree *tree,
                 const struct pipe *pipe, uint16_t command, const char *reason, bool refused)
{
    struct report report;
    report_start(&report, kind, place->link, place->session, LEG_CLIENT, reason);
    report.event.field[FIELD_VERDICT] = refused ? "refused" : "recorded";
    report.event.field[FIELD_COMMAND] = smb2_command_name(command);
    report.event.field[FIELD_SHARE] = tree ? tree->path : NULL;
    report.event.field[FIELD_PIPE] = pipe ? pipe->name : NULL;
    report.event.field[FIELD_RULE] = pipe ? pipe->rule : tree ? tree->rule : NULL;
    report_send(place->link->worker, &report);
}

/* A share in which a request must not change anything, or NULL. */
static struct tree *limiting(const struct place *place)
{
    struct tree *trees[] = {place->tree, place->open_tree};
    for (size_t i = 0; i < 2; i++)
        if (trees[i] && !trees[i]->pipes && (trees[i]->read_only || trees[i]->read_only_audit))
            return trees[i];
    return NULL;
}

/* Each command is told once of each share: clients try again and again. */
static struct verdict guard_changes(const struct place *place, struct smb2_message *message)
{
    struct tree *tree = limiting(place);
    uint16_t command = message->header.command;
    if (!tree)
        return forward;
    bool forbidden = read_only_forbids(message);
    if (forbidden && !(tree->told & 1u << command)) {
        tree->told |= 1u << command;
        tell(place, tree->read_only ? EVENT_READ_ONLY_REFUSED : EVENT_RULE_AUDIT, tree, NULL,
             command, "read_only", tree->read_only);
    }
    if (!tree->read_only)
        return forward;
    if (forbidden)
        return denied;
    if (command == SMB2_CREATE)
        read_only_limit(message);
    return forward;
}

static struct verdict guard_pipe_create(const struct place *place,
                                        const struct smb2_message *message)
{
    struct create_request body;
    struct rule_verdict verdict;
    char name[PIPE_NAME_MAX];
    if (!create_request_read(bytes_of(message), &body) || !pipe_name_read(body.name, name)) {
        tell(place, EVENT_PIPE_REFUSED, place->tree, NULL, SMB2_CREATE, "name", true);
        return denied;
    }
    return judge_pipe(place->session, name, &verdict) ? forward : denied;
}

/* A response of ours to FSCTL_PIPE_TRANSCEIVE; false when `call` cannot have one. */
static bool answer_with_fault(const struct place *place, const struct smb2_message *message,
                              struct span call)
{
    enum { RESPONSE_SIZE = 48 };
    uint8_t fault[RPC_FAULT_SIZE];
    struct writer writer = writer_over(fault, sizeof fault);
    struct ioctl_request request;
    struct answer answer;
    if (message->header.command != SMB2_IOCTL || !rpc_fault_write(&writer, call) ||
        !writer_done(&writer) || !ioctl_request_read(bytes_of(message), &request) ||
        request.max_output < RPC_FAULT_SIZE)
        return false;
    struct ioctl_response body = {.code = request.code, .output = writer_span(&writer)};
    memcpy(body.file_id, request.file_id, FILE_ID_SIZE);
    if (answer_start(&answer, place->link, place->session, &message->header, STATUS_SUCCESS,
                     RESPONSE_SIZE + RPC_FAULT_SIZE)) {
        ioctl_response_write(&answer.writer, &body);
        answer_send(&answer);
    }
    return true;
}

/* A call that would need the key of the session, of which the two legs have one each. */
static struct verdict refuse_call(const struct place *place, const struct smb2_message *message,
                                  struct span data, const char *reason)
{
    const struct pipe *pipe = place->open ? place->open->pipe : NULL;
    tell(place, EVENT_RPC_CALL_REFUSED, place->tree, pipe, message->header.command, reason, true);
    bool alone = pipe && rpc_is_between(&pipe->stream);
    return alone && answer_with_fault(place, message, data) ? answered : denied;
}

/* A login, or what is no DCE/RPC. Behind a login a pipe that may have them is left alone. */
static struct verdict guard_login(const struct place *place, struct pipe *pipe, uint16_t command,
                                  bool login)
{
    bool recorded = pipe && pipe->logins == PIPE_LOGINS_RECORDED;
    bool refused = !pipe || pipe->logins == PIPE_LOGINS_REFUSED;
    if (refused || recorded)
        tell(place, recorded ? EVENT_RULE_AUDIT : EVENT_RPC_BIND_REFUSED, place->tree, pipe,
             command, login ? "authenticated_rpc" : "no_dcerpc", refused);
    if (refused)
        return denied;
    pipe->left_alone = login || recorded;
    return forward;
}

/* What a client says in a pipe: WRITE or FSCTL_PIPE_TRANSCEIVE. Before its CREATE has been answered
 * nothing can be remembered of a pipe: then only whole PDUs are taken. */
static struct verdict guard_rpc(const struct place *place, const struct smb2_message *message,
                                struct span data)
{
    struct pipe *pipe = place->open ? place->open->pipe : NULL;
    uint16_t command = message->header.command;
    struct rpc_stream alone = {.contexts = {.unseen = true}, .whole = true};
    const char *what = "";
    if (pipe && pipe->left_alone)
        return forward;
    enum rpc_content content = rpc_take(pipe ? &pipe->stream : &alone, data, &what);
    switch (content) {
    case RPC_PLAIN: return forward;
    case RPC_AUTHENTICATED: return guard_login(place, pipe, command, true);
    case RPC_MALFORMED: return guard_login(place, pipe, command, false);
    case RPC_NEEDS_KEY: return refuse_call(place, message, data, what);
    default: return refuse_call(place, message, data, "unclear");
    }
}

static struct verdict guard_pipe_write(const struct place *place,
                                       const struct smb2_message *message)
{
    struct span data;
    struct reader reader = reader_over(message->at, message->size);
    uint16_t offset;
    uint32_t size;
    if (!read_skip(&reader, SMB2_HEADER_SIZE + 2) || !read_le16(&reader, &offset) ||
        !read_le32(&reader, &size) || !span_slice(bytes_of(message), offset, size, &data))
        return (struct verdict){VERDICT_REFUSE, STATUS_INVALID_PARAMETER};
    return guard_rpc(place, message, data);
}

static struct verdict guard_pipe_ioctl(const struct place *place,
                                       const struct smb2_message *message)
{
    struct ioctl_request body;
    if (!ioctl_request_read(bytes_of(message), &body))
        return (struct verdict){VERDICT_REFUSE, STATUS_INVALID_PARAMETER};
    if (body.code == FSCTL_PIPE_TRANSCEIVE)
        return guard_rpc(place, message, body.input);
    if (fsctl_is_of_pipes(body.code) && body.code != FSCTL_PIPE_PEEK &&
        body.code != FSCTL_PIPE_WAIT)
        return (struct verdict){VERDICT_REFUSE, STATUS_NOT_SUPPORTED};
    return forward;
}

struct verdict guard_request(struct link *link, struct session *session, struct tree *tree,
                             struct smb2_message *message, struct open **named)
{
    uint16_t command = message->header.command;
    bool looked_into = is_looked_into(command);
    if (!session->guarded || !(looked_into || message->header.next_command))
        return forward;
    *named = open_of(link, session, message, *named);
    if (!looked_into)
        return forward;
    struct place place = {link, session, tree, NULL, *named};
    if (place.open)
        place.open_tree = session_tree(session, place.open->tree_id);
    struct verdict verdict = guard_changes(&place, message);
    bool on_pipe = (tree && tree->pipes) || (place.open && place.open->pipe);
    if (verdict.what != VERDICT_FORWARD || !on_pipe)
        return verdict;
    switch (command) {
    case SMB2_CREATE: return guard_pipe_create(&place, message);
    case SMB2_WRITE: return guard_pipe_write(&place, message);
    case SMB2_IOCTL: return guard_pipe_ioctl(&place, message);
    default: return forward;
    }
}

bool guard_note(struct session *session, const struct tree *tree, struct span message,
                struct pending *pending)
{
    struct create_request body;
    struct rule_verdict verdict;
    char name[PIPE_NAME_MAX];
    pending->read_only = tree && tree->read_only && !tree->pipes;
    if (!tree || !tree->pipes)
        return true;
    if (!create_request_read(message, &body) || !pipe_name_read(body.name, name))
        return false;
    judge_pipe_again(session, name, &verdict);
    pending->pipe = pipe_new(name, &verdict);
    return pending->pipe != NULL;
}
