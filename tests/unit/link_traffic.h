/*
 * Whole frames into the link of link_fixture.h, from either side, and what goes out on the other.
 * Here the test has both ends' keys.
 */
#ifndef COUNTERSIGN_TESTS_LINK_TRAFFIC_H
#define COUNTERSIGN_TESTS_LINK_TRAFFIC_H

#include "tests/unit/link_fixture.h"

enum { TRAFFIC_ROOM = 2048, TRAFFIC_CREDITS = 100, FIRST_UPSTREAM_ID = 1000 };
enum { PLAIN_TREE = 1, SEALED_TREE = 2 };

/* A frame in the making. */
struct traffic {
    uint8_t bytes[TRAFFIC_ROOM];
    size_t size;
};

/* What the peers have: they open what a leg seals and the other way round. */
struct peer_keys {
    struct sealer *server_opens, *server_seals, *client_opens;
};

static inline struct span flush_body(void)
{
    static const uint8_t body[24] = {24};
    return (struct span){body, sizeof body};
}

static inline struct span error_body(void)
{
    static const uint8_t body[9] = {9};
    return (struct span){body, sizeof body};
}

static inline struct span short_body(void)
{
    static const uint8_t body[4] = {4};
    return (struct span){body, sizeof body};
}

/* Adds a message, signed when there is a signer; `more`: another one will follow it. */
static inline void traffic_add(struct traffic *traffic, struct signer *signer,
                               struct smb2_header header, struct span body, bool more)
{
    uint8_t *at = traffic->bytes + traffic->size;
    size_t size = SMB2_HEADER_SIZE + body.size;
    if (more) {
        size = (size + 7) & ~(size_t)7;
        header.next_command = (uint32_t)size;
    }
    if (signer)
        header.flags |= SMB2_FLAGS_SIGNED;
    assert_true(traffic->size + size <= TRAFFIC_ROOM);
    struct writer writer = writer_over(at, size);
    smb2_header_write(&writer, &header);
    write_span(&writer, body);
    write_zeros(&writer, size - SMB2_HEADER_SIZE - body.size);
    assert_true(writer_done(&writer));
    assert_true(!signer || signer_sign(signer, at, size));
    traffic->size += size;
}

/* A request of the client's session. */
static inline struct smb2_header request_header(uint16_t command, uint64_t message_id,
                                                uint32_t tree_id)
{
    return (struct smb2_header){.command = command,
                                .message_id = message_id,
                                .session_id = FIXTURE_CLIENT_ID,
                                .tree_id = tree_id};
}

/* The file server's response to a request of that upstream MessageId; it grants one credit. */
static inline struct smb2_header response_header(uint16_t command, uint64_t message_id,
                                                 uint32_t status)
{
    return (struct smb2_header){.command = command,
                                .status = status,
                                .credits = 1,
                                .flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                .message_id = message_id,
                                .session_id = FIXTURE_UPSTREAM_ID};
}

static inline struct smb2_header interim_header(uint16_t command, uint64_t message_id,
                                                uint64_t async_id)
{
    struct smb2_header header = response_header(command, message_id, STATUS_PENDING);
    header.flags |= SMB2_FLAGS_ASYNC_COMMAND;
    header.async_id = async_id;
    return header;
}

static inline void traffic_take(struct fixture *fixture, const struct traffic *traffic,
                                void (*take)(struct link *link, struct frame *frame))
{
    struct frame frame = frame_alone(&fixture->worker.buffers, traffic->size);
    assert_non_null(frame.buffer);
    memcpy(frame.at, traffic->bytes, traffic->size);
    take(&fixture->link, &frame);
    buffer_release(frame.buffer);
}

static inline void from_client(struct fixture *fixture, const struct traffic *traffic)
{
    traffic_take(fixture, traffic, request_frame);
}

static inline void from_server(struct fixture *fixture, const struct traffic *traffic)
{
    traffic_take(fixture, traffic, response_frame);
}

/* One message alone. */
static inline void request_comes(struct fixture *fixture, struct smb2_header header,
                                 struct span body)
{
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, fixture->session->client_signer, header, body, false);
    from_client(fixture, &traffic);
}

static inline void response_comes(struct fixture *fixture, struct signer *signer,
                                  struct smb2_header header, struct span body)
{
    struct traffic traffic = {.size = 0};
    traffic_add(&traffic, signer, header, body, false);
    from_server(fixture, &traffic);
}

static inline size_t next_frame(struct fixture *fixture, enum leg_role role, uint8_t *frame)
{
    bool client = role == LEG_CLIENT;
    return fixture_sent(client ? &fixture->link.client : &fixture->link.server,
                        client ? fixture->client_peer : fixture->server_peer, frame, TRAFFIC_ROOM);
}

static inline void expect_nothing(struct fixture *fixture, enum leg_role role)
{
    uint8_t frame[TRAFFIC_ROOM];
    assert_int_equal(next_frame(fixture, role, frame), 0);
}

/* The next frame out is one message, signed or not. */
static inline struct smb2_header expect_message(struct fixture *fixture, enum leg_role role)
{
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    size_t size = next_frame(fixture, role, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.next_command, 0);
    return header;
}

/* The same, and rightly signed. */
static inline struct smb2_header expect_signed(struct fixture *fixture, enum leg_role role)
{
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    struct session *session = fixture->session;
    size_t size = next_frame(fixture, role, frame);
    assert_true(smb2_header_read((struct span){frame, size}, &header));
    assert_int_equal(header.next_command, 0);
    assert_true(signer_verify(
        role == LEG_CLIENT ? session->client_signer : session->upstream_signer, frame, size));
    return header;
}

/* The next frame out is one message, and encrypted so that the peer can open it. */
static inline struct smb2_header expect_sealed(struct fixture *fixture, enum leg_role role,
                                               const struct peer_keys *keys)
{
    enum { INSIDE = TRANSFORM_HEADER_SIZE };
    uint8_t frame[TRAFFIC_ROOM];
    struct smb2_header header;
    uint64_t id;
    size_t size = next_frame(fixture, role, frame);
    assert_true(transform_read((struct span){frame, size}, &id));
    assert_int_equal(id, role == LEG_CLIENT ? FIXTURE_CLIENT_ID : FIXTURE_UPSTREAM_ID);
    assert_true(
        sealer_open(role == LEG_CLIENT ? keys->client_opens : keys->server_opens, frame, size));
    assert_true(smb2_header_read((struct span){frame + INSIDE, size - INSIDE}, &header));
    assert_int_equal(header.next_command, 0);
    return header;
}

/* The client has credits, and TreeIds of its own; requests go up from FIRST_UPSTREAM_ID on. */
static inline void traffic_begin(struct fixture *fixture)
{
    struct link *link = &fixture->link;
    assert_int_equal(credit_window_grant(&link->window, TRAFFIC_CREDITS), TRAFFIC_CREDITS);
    link->purse.next_id = FIRST_UPSTREAM_ID;
    fixture->session->validated = true;
}

static inline void add_tree(struct fixture *fixture, uint32_t id, bool encrypts)
{
    struct tree *tree = calloc(1, sizeof *tree);
    assert_non_null(tree);
    tree->upstream_encrypts = encrypts;
    table_add(&fixture->session->trees, &tree->by_id, id);
    fixture->link.trees++;
}

/* A request that waits for the file server. */
static inline struct pending *add_pending(struct fixture *fixture, uint16_t command,
                                          uint64_t upstream_id, uint64_t client_id)
{
    struct link *link = &fixture->link;
    struct pending *pending =
        pending_add(&link->pending, PENDING_FORWARDED, upstream_id, fixture->session);
    assert_non_null(pending);
    pending->command = command;
    pending->upstream_charge = 1;
    pending_add_client_id(&link->pending, pending, client_id);
    link->purse.outstanding++;
    return pending;
}

/* Keys for encryption on both legs; the caller frees the peers'. */
static inline struct peer_keys add_keys(struct fixture *fixture)
{
    static const uint8_t up[32] = {7}, from_up[32] = {8}, down[32] = {9};
    struct session *session = fixture->session;
    session->upstream_seal = sealer_new(CIPHER_AES_128_GCM, up, FIXTURE_UPSTREAM_ID, true);
    session->upstream_open = sealer_new(CIPHER_AES_128_GCM, from_up, FIXTURE_UPSTREAM_ID, false);
    session->client_seal = sealer_new(CIPHER_AES_128_GCM, down, FIXTURE_CLIENT_ID, true);
    struct peer_keys keys = {
        .server_opens = sealer_new(CIPHER_AES_128_GCM, up, FIXTURE_UPSTREAM_ID, false),
        .server_seals = sealer_new(CIPHER_AES_128_GCM, from_up, FIXTURE_UPSTREAM_ID, true),
        .client_opens = sealer_new(CIPHER_AES_128_GCM, down, FIXTURE_CLIENT_ID, false),
    };
    assert_true(session->upstream_seal && session->upstream_open && session->client_seal);
    assert_true(keys.server_opens && keys.server_seals && keys.client_opens);
    fixture->link.server.cipher = fixture->link.client.cipher = CIPHER_AES_128_GCM;
    return keys;
}

static inline void free_keys(struct peer_keys *keys)
{
    sealer_free(keys->server_opens);
    sealer_free(keys->server_seals);
    sealer_free(keys->client_opens);
}

#endif
