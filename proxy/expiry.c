#include "proxy/expiry.h"

#include <time.h>

#include "proxy/command.h"

enum { LOCK_FLAGS_OFFSET = 24 + 16, LOCK_UNLOCK = 4 };

/* What undoes, ends or carries nothing goes on. The specification names LOGOFF, CLOSE and LOCK;
 * Windows takes CANCEL and ECHO too, and of LOCK only the release. */
static bool is_taken(const struct smb2_message *message)
{
    struct span flags;
    switch (message->header.command) {
    case SMB2_LOGOFF:
    case SMB2_CLOSE:
    case SMB2_CANCEL:
    case SMB2_ECHO: return true;
    case SMB2_LOCK:
        return span_slice((struct span){message->at, message->size},
                          SMB2_HEADER_SIZE + LOCK_FLAGS_OFFSET, 4, &flags) &&
               get_le32(flags.at) & LOCK_UNLOCK;
    default: return false;
    }
}

bool expiry_refuses(struct session *session, const struct smb2_message *message)
{
    int64_t expires = session->identity ? session->identity->expires : 0;
    if (expires == 0 || time(NULL) < expires || is_taken(message))
        return false;
    if (!session->expiry_told)
        report_event(EVENT_SESSION_EXPIRED, session->link, session, LEG_CLIENT, "ticket",
                     "refused");
    session->expiry_told = true;
    return true;
}
