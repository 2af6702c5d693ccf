#include "proxy/client_signature.h"

#include <string.h>

#include "proxy/worker_state.h"

static void refuse(const struct session *session, const struct smb2_message *message,
                   enum event_kind kind, const char *reason)
{
    struct link *link = session->link;
    struct report report;
    if (link_ended(link))
        return;
    report_start(&report, kind, link, session, LEG_CLIENT, reason);
    if (message)
        report.event.field[FIELD_COMMAND] = smb2_command_name(message->header.command);
    report.event.field[FIELD_VERDICT] = "refused";
    report_send(link->worker, &report);
    link_end(link, kind == EVENT_UNSIGNED_REFUSED ? END_UNSIGNED : END_BAD_SIGNATURE);
}

/* Sixteen zeros are no signature of any key, whatever the negotiation was. */
static bool has_signature(const struct smb2_message *message)
{
    static const uint8_t none[SIGNATURE_SIZE];
    struct span signature;
    return span_slice((struct span){message->at, message->size}, SIGNATURE_OFFSET, SIGNATURE_SIZE,
                      &signature) &&
           !span_equal(signature, (struct span){none, sizeof none});
}

void client_signature_wrong(const struct session *session, const struct smb2_message *message,
                            const char *reason)
{
    bool first = session->link->client.dialect == SMB_3_1_1 && session->state >= SESSION_VALID &&
                 !session->client_proved_key;
    if (first && (!message || has_signature(message)))
        refuse(session, message, EVENT_PREAUTH_MISMATCH, "first_request");
    else
        refuse(session, message, EVENT_BAD_SIGNATURE, reason);
}

bool client_signature_check(struct session *session, const struct smb2_message *message)
{
    if (message->header.encrypted)
        return true;
    if (!(message->header.flags & SMB2_FLAGS_SIGNED)) {
        refuse(session, message, EVENT_UNSIGNED_REFUSED, "unsigned");
        return false;
    }
    if (!signer_verify(session->client_signer, message->at, message->size)) {
        client_signature_wrong(session, message, "wrong_signature");
        return false;
    }
    session->client_proved_key = true;
    return true;
}
