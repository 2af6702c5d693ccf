/*
 * One end of an SMB 3.1.1 connection of the benchmark: a blocking socket, frames in large buffers,
 * and one session, signed or encrypted like any other. Bulk data is never copied, so that what is
 * between two such ends has no reason to wait for them.
 */
#ifndef COUNTERSIGN_BENCH_PEER_H
#define COUNTERSIGN_BENCH_PEER_H

#include "crypto/kdf.h"
#include "crypto/preauth.h"
#include "crypto/sealer.h"
#include "proxy/smb2.h"

#define BENCH_USER     "bench"
#define BENCH_PASSWORD "Bench.Pw1"

enum {
    PEER_DATA_MAX = 1024 * 1024, /* of one READ or WRITE */
    CREDIT_BYTES = 64 * 1024,    /* what one credit pays for (MS-SMB2 3.1.5.2) */
    READ_BODY = 16,              /* of a READ response, before its data (2.2.20) */
    WRITE_BODY = 48,             /* of a WRITE request, before its data (2.2.21) */
    INFO_REQUEST_BODY = 40,      /* QUERY_INFO (2.2.37, 2.2.38), likewise */
    INFO_RESPONSE_BODY = 8,
    SMALL_MESSAGE = 200, /* a QUERY_INFO of this size, header and all, and its response */
};

struct peer {
    int fd;
    bool server;
    bool encrypts; /* what is sent; a server's follows what it received last */
    enum signing_algorithm signing;
    enum cipher cipher;
    struct preauth_hash preauth; /* of the connection */

    uint64_t session_id;
    struct signer *signer; /* NULL: no session */
    struct sealer *seal;   /* NULL: no session, or no cipher */
    struct sealer *open;

    uint8_t *in;
    size_t in_start;
    size_t in_end;
    uint8_t *out;
    size_t out_end;
};

/* Takes over a connected socket. False, with the socket closed, when out of memory. */
MUST_USE bool peer_open(struct peer *peer, int fd, bool server);
void peer_close(struct peer *peer);

/* Room for the next message; what lies there is left from an earlier one. NULL when the connection
 * has failed, or for more than PEER_DATA_MAX and some. */
MUST_USE uint8_t *peer_message(struct peer *peer, size_t size);

/* Signs or encrypts the message that was written there, as its session goes, and queues it. */
MUST_USE bool peer_send(struct peer *peer, uint8_t *message, size_t size);

/* Waits for the next message, once all that is queued has been sent; it is there until the next
 * call. In a session it must be encrypted or validly signed, and not in a chain. False when it is
 * not, or when the connection has ended. */
MUST_USE bool peer_receive(struct peer *peer, struct smb2_message *message);

/* The keys of the session that has been proven; `preauth` is its hash. */
MUST_USE bool peer_session(struct peer *peer, const struct session_key *key,
                           const struct preauth_hash *preauth);
void peer_forget_session(struct peer *peer);

#endif
