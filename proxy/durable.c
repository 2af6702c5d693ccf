#include "proxy/durable.h"

#include <string.h>

#include "proxy/open.h"
#include "proxy/worker_state.h"

/* How many handles a CREATE request wants back, and the persistent id of the first. */
static unsigned count_reconnects(struct span message, uint64_t *persistent_id)
{
    struct create_request body;
    struct create_context context;
    bool broken;
    unsigned count = 0;
    if (!create_request_read(message, &body))
        return 0;
    while (create_context_next(&body.contexts, &context, &broken)) {
        if ((span_is(context.name, "DHnC") || span_is(context.name, "DH2C")) &&
            context.data.size >= FILE_ID_SIZE && count++ == 0)
            *persistent_id = get_le64(context.data.at);
    }
    return count;
}

bool durable_reconnects(struct span message, uint64_t *persistent_id)
{
    return count_reconnects(message, persistent_id) > 0;
}

static bool is_mapped(const struct session *session)
{
    return strcmp(session->login, login_kind_name(LOGIN_MAPPED)) == 0;
}

bool durable_is_had_back(const struct session *session, struct span message)
{
    uint64_t persistent_id;
    return is_mapped(session) && durable_reconnects(message, &persistent_id);
}

bool durable_note(struct session *session, const struct pending *create,
                  const struct create_response *body)
{
    struct span rest = body->contexts;
    struct create_context context;
    bool broken;
    if (!is_mapped(session))
        return false;
    while (create_context_next(&rest, &context, &broken)) {
        if (span_is(context.name, "DHnQ") || span_is(context.name, "DH2Q")) {
            worker_enter_durable(session, get_le64(body->file_id));
            return true;
        }
    }
    return create->had_back;
}

void durable_closed(const struct link *link, const uint8_t file_id[FILE_ID_SIZE])
{
    struct open *open = open_find(link, file_id);
    if (open && open->recorded)
        worker_leave_durable(open->session, get_le64(file_id));
}

void durable_note_ioctl(struct session *session, struct span message)
{
    struct ioctl_response body;
    if (!is_mapped(session) || !ioctl_response_read(message, &body) ||
        body.code != FSCTL_LMR_REQUEST_RESILIENCY)
        return;
    struct open *open = open_find(session->link, body.file_id);
    worker_enter_durable(session, get_le64(body.file_id));
    if (open)
        open->recorded = true;
}

bool durable_must_ask(struct link *link, struct session *session,
                      const struct smb2_message *message)
{
    uint64_t persistent_id;
    struct durable_check *check = &link->durable;
    if (message->header.command != SMB2_CREATE || !session || !is_mapped(session) ||
        !durable_reconnects((struct span){message->at, message->size}, &persistent_id))
        return false;
    /* One question for a frame: of several handles in one chain only the first can be had. */
    if (check->state != DURABLE_NOTHING)
        return check->state == DURABLE_ASKED;
    *check =
        (struct durable_check){DURABLE_ASKED, session->client_id, persistent_id, DIRECTORY_UNKNOWN};
    if (worker_find_durable(session, persistent_id))
        return true;
    check->state = DURABLE_ANSWERED; /* unknown: refused */
    return false;
}

bool durable_may_have(struct link *link, struct session *session, struct span message)
{
    uint64_t persistent_id;
    struct durable_check check = link->durable;
    unsigned count = is_mapped(session) ? count_reconnects(message, &persistent_id) : 0;
    if (count == 0)
        return true;
    if (count == 1 && check.state == DURABLE_ANSWERED && check.session_id == session->client_id &&
        check.persistent_id == persistent_id && check.answer == DIRECTORY_FOUND)
        return true;
    report_event(EVENT_FOREIGN_SESSION, link, session, LEG_CLIENT,
                 check.answer == DIRECTORY_OTHER ? "durable_handle_of_another"
                                                 : "durable_handle_unknown",
                 "refused");
    return false;
}

void durable_answer(struct session *session, enum directory_answer answer)
{
    struct durable_check *check = &session->link->durable;
    if (check->state == DURABLE_ASKED) {
        check->state = DURABLE_ANSWERED;
        check->answer = answer;
    }
}
