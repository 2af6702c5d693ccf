/*
 * A client of the benchmark: one connection, one session, one open file. What goes wrong ends the
 * program: a measurement with a failure in it is none.
 */
#ifndef COUNTERSIGN_BENCH_CLIENT_H
#define COUNTERSIGN_BENCH_CLIENT_H

#include "crypto/accept.h"
#include "proxy/body.h"
#include "tests/bench/endpoint.h"
#include "tests/bench/peer.h"

struct client_options {
    struct sockaddr_in server;
    enum signing_algorithm signing;
    enum cipher cipher; /* CIPHER_NONE: signed only */
};

struct client {
    const struct client_options *options;
    struct peer peer;
    uint64_t next_id;
    uint32_t tree_id;
    uint8_t file_id[FILE_ID_SIZE];
};

/* Once, before anything else. */
void client_prepare(void);

/* Connects and negotiates; `options` must outlive the client. */
void client_connect(struct client *client, const struct client_options *options);
void client_login(struct client *client);
void client_logoff(struct client *client);
/* Connects to a share and opens a file there. */
void client_open(struct client *client);
void client_close(struct client *client);

/* Sends one request without waiting for its answer. */
void client_read(struct client *client, uint32_t size);
void client_write(struct client *client, uint32_t size);
void client_query_info(struct client *client);
/* The next answer, which must be a success and have at least `body` bytes. */
struct smb2_message client_answer(struct client *client, size_t body);

#endif
