/*
 * What a link knows of the durable handle that the frame in hand wants back; see durable.h.
 */
#ifndef COUNTERSIGN_PROXY_DURABLE_CHECK_H
#define COUNTERSIGN_PROXY_DURABLE_CHECK_H

#include "proxy/directory.h"

enum durable_state { DURABLE_NOTHING, DURABLE_ASKED, DURABLE_ANSWERED };
struct durable_check {
    enum durable_state state;
    uint64_t session_id; /* of the client who asks */
    uint64_t persistent_id;
    enum directory_answer answer;
};

#endif
