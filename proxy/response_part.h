/*
 * A response of a frame in hand, between response.c, which checks it, and response_final.c, which
 * makes the client's response of it.
 */
#ifndef COUNTERSIGN_PROXY_RESPONSE_PART_H
#define COUNTERSIGN_PROXY_RESPONSE_PART_H

#include "proxy/link.h"

/* What a response is, as far as it has been checked. */
enum response_kind {
    RESPONSE_FINAL,   /* verified */
    RESPONSE_OWN,     /* to a request of our own that is verified where it is handled */
    RESPONSE_DROPPED, /* to a request that we have answered ourselves */
    RESPONSE_INTERIM,
    RESPONSE_BREAK,
    RESPONSE_CONFIRM,      /* does not verify, and is to be confirmed: see proxy/quirk.h */
    RESPONSE_SESSION_GONE, /* USER_SESSION_DELETED that does not verify */
};

struct response_part {
    struct smb2_message message;
    struct pending *pending;
    const struct session *opened; /* whose TRANSFORM it came in; NULL: none */
    enum response_kind kind;
    bool forwarded;     /* goes to the client in place */
    struct frame alone; /* where it lies, when it did not fit in its place; else without a buffer */
    bool placed;        /* queued where it lies in the frame */
    bool signs;         /* all but breaks */
    bool encrypt;       /* towards the client */
    bool ends_session;  /* once it has been sent */
    struct session *session; /* whose keys close it; may be NULL for a break */
    uint64_t session_id;     /* the client's, of a session to end */
};

/* A verified final response: rewritten for the client, to be signed when its chain is known. Its
 * request is no longer pending afterwards. The link may have been ended. */
void response_take_final(struct link *link, struct response_part *part);

#endif
