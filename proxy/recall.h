/*
 * A question to the downgrade memory about one end of a link, and what it said:
 * proxy/link_memory.c.
 */
#ifndef COUNTERSIGN_PROXY_RECALL_H
#define COUNTERSIGN_PROXY_RECALL_H

#include "proxy/table.h"

struct link;
struct session;

enum recall_answer {
    RECALL_UNKNOWN, /* there is no answer: not yet, or the recorder was not there */
    RECALL_AS_EVER,
    RECALL_LESS, /* than it once could */
};

struct recall {
    struct table_entry by_query; /* in a table only while it is asked */
    struct link *link;
    struct session *session; /* whose login it is about; NULL: about what a leg negotiated */
    bool asked;
    bool awaited; /* nothing goes on before the answer */
    enum recall_answer answer;
};

#endif
