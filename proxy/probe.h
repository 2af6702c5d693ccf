/*
 * What a file server offers, found out by asking: many short connections, each with one NEGOTIATE
 * and no login. Blocking: for the command line only.
 */
#ifndef COUNTERSIGN_PROXY_PROBE_H
#define COUNTERSIGN_PROXY_PROBE_H

#include <sys/socket.h>

#include "proxy/negotiate.h"

enum { PROBE_DIALECTS = 5, PROBE_SIGNING = 3, PROBE_CIPHERS = 4 };

enum probe_outcome {
    PROBE_ANSWERED,
    PROBE_UNREACHABLE, /* no connection; `error` is why, ETIMEDOUT included */
    PROBE_SILENT,      /* connected, but no whole answer in time */
    PROBE_CLOSED,      /* connected, and closed without an answer */
    PROBE_REFUSED,     /* answered with the error `status` */
    PROBE_MALFORMED,   /* answered with something else than SMB2 */
    PROBE_INTERNAL,    /* memory or descriptors; `error` is why */
};

struct probe_result {
    enum probe_outcome outcome; /* of a NEGOTIATE that offered everything */
    int error;
    uint32_t status;
    bool smb1;     /* it also, or only, answers a NEGOTIATE of SMB1 */
    bool complete; /* false: it stopped answering before all was asked */

    /* All that follows only when it answered. */
    uint16_t dialects[PROBE_DIALECTS]; /* those it speaks, the oldest first */
    unsigned dialects_count;
    uint16_t security_mode;
    uint32_t capabilities;
    uint32_t max_transact_size;
    uint32_t max_read_size;
    uint32_t max_write_size;
    bool tells_mechanisms; /* its first token lists how one can log in … */
    bool ntlm;             /* … and NTLM is in that list */

    /* At 3.1.1: what it takes when nothing else is offered. A server that does not negotiate
     * signing algorithms signs with AES-CMAC (MS-SMB2 3.2.5.2), which then is the only one listed.
     */
    bool negotiates_signing;
    uint16_t signing[PROBE_SIGNING];
    unsigned signing_count;
    uint16_t ciphers[PROBE_CIPHERS];
    unsigned ciphers_count;
};

/* True when the server speaks SMB2. Each of the connections takes at most `timeout_ms`; a server
 * that cannot be reached, or answered once and does not any more, is not asked further. */
bool probe_server(const struct sockaddr *address, socklen_t size, unsigned timeout_ms,
                  struct probe_result *result);

#endif
