/*
 * The bodies of the other messages that Countersign looks into: reading, and writing those it sends
 * itself. `message` is always a whole SMB2 message, header included: offsets count from its start.
 * Readers answer false for a wrong StructureSize, a body too short or a range outside the message.
 */
#ifndef COUNTERSIGN_PROXY_BODY_H
#define COUNTERSIGN_PROXY_BODY_H

#include "proxy/smb2.h"

enum { FILE_ID_SIZE = 16, LEASE_KEY_SIZE = 16 };

enum {
    SMB2_SESSION_FLAG_BINDING = 0x01,    /* request */
    SMB2_SESSION_FLAG_IS_GUEST = 0x0001, /* response */
    SMB2_SESSION_FLAG_IS_NULL = 0x0002,
    SMB2_SESSION_FLAG_ENCRYPT_DATA = 0x0004,
};

enum {
    FSCTL_DFS_GET_REFERRALS = 0x00060194,
    FSCTL_DFS_GET_REFERRALS_EX = 0x000601b0,
    FSCTL_LMR_REQUEST_RESILIENCY = 0x001401d4,
    FSCTL_PIPE_TRANSCEIVE = 0x0011c017,
    FSCTL_QUERY_NETWORK_INTERFACE_INFO = 0x001401fc,
    FSCTL_VALIDATE_NEGOTIATE_INFO = 0x00140204,
};

/* SESSION_SETUP (2.2.5, 2.2.6) */
struct session_setup_request {
    uint8_t flags;
    uint8_t security_mode;
    uint32_t capabilities;
    uint32_t channel;
    uint64_t previous_session_id;
    struct span token;
};
MUST_USE bool session_setup_request_read(struct span message, struct session_setup_request *body);
void session_setup_request_write(struct writer *writer, const struct session_setup_request *body);

struct session_setup_response {
    uint16_t session_flags;
    struct span token;
};
MUST_USE bool session_setup_response_read(struct span message, struct session_setup_response *body);
void session_setup_response_write(struct writer *writer, const struct session_setup_response *body);

/* TREE_CONNECT (2.2.9, 2.2.10). `path` is UTF-16LE. With the 3.1.1 EXTENSION_PRESENT flag the path
 * is taken from where the extension says. */
enum { SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT = 0x0004 };
struct tree_connect_request {
    uint16_t flags;
    struct span path;
};
MUST_USE bool tree_connect_request_read(struct span message, uint16_t dialect,
                                        struct tree_connect_request *body);
void tree_connect_request_write(struct writer *writer, const struct tree_connect_request *body);

enum {
    SMB2_SHARE_TYPE_PIPE = 0x02,
    SMB2_SHAREFLAG_DFS = 0x00000001,
    SMB2_SHAREFLAG_DFS_ROOT = 0x00000002,
    SMB2_SHAREFLAG_ENCRYPT_DATA = 0x00008000,
    SMB2_SHARE_CAP_DFS = 0x08,
    SMB2_SHARE_CAP_CONTINUOUS_AVAILABILITY = 0x10,
    SMB2_SHARE_CAP_SCALEOUT = 0x20,
    SMB2_SHARE_CAP_CLUSTER = 0x40,
    SMB2_SHARE_CAP_ASYMMETRIC = 0x80,
    SMB2_SHARE_CAP_REDIRECT_TO_OWNER = 0x100,
};
struct tree_connect_response {
    uint8_t share_type;
    uint32_t share_flags;
    uint32_t capabilities;
    uint32_t maximal_access;
};
MUST_USE bool tree_connect_response_read(struct span message, struct tree_connect_response *body);
/* Changes ShareFlags and Capabilities in place; the message was read before. */
void tree_connect_response_patch(uint8_t *message, uint32_t share_flags, uint32_t capabilities);
/* Takes all rights but `access` out of MaximalAccess; the message was read before. */
void tree_connect_response_limit(uint8_t *message, uint32_t access);

/* IOCTL (2.2.31, 2.2.32) */
enum { SMB2_IOCTL_IS_FSCTL = 1 };
struct ioctl_request {
    uint32_t code;
    uint8_t file_id[FILE_ID_SIZE];
    uint32_t flags;
    uint32_t max_output;
    struct span input;
};
MUST_USE bool ioctl_request_read(struct span message, struct ioctl_request *body);
void ioctl_request_write(struct writer *writer, const struct ioctl_request *body);
struct ioctl_response {
    uint32_t code;
    uint8_t file_id[FILE_ID_SIZE];
    struct span output;
};
MUST_USE bool ioctl_response_read(struct span message, struct ioctl_response *body);
void ioctl_response_write(struct writer *writer, const struct ioctl_response *body);

/* CREATE (2.2.13, 2.2.14): what the proxy looks at. `name` is UTF-16LE; `contexts` is the whole
 * list. */
struct create_request {
    uint8_t oplock_level;
    uint32_t desired_access;
    uint32_t disposition;
    uint32_t options;
    struct span name;
    struct span contexts;
};
MUST_USE bool create_request_read(struct span message, struct create_request *body);
struct create_response {
    uint8_t oplock_level;
    uint8_t file_id[FILE_ID_SIZE];
    struct span contexts;
};
MUST_USE bool create_response_read(struct span message, struct create_response *body);

/* Takes all rights but `access` out of what the response's context MxAc says (2.2.14.2.5), if there
 * is one. */
void create_response_limit(struct smb2_message *message, uint32_t access);

/* One create context after another (2.2.13.2): false when the list is malformed or at its end;
 * `*broken` tells which. `rest` is what is left of the list. */
struct create_context {
    struct span name;
    struct span data;
};
MUST_USE bool create_context_next(struct span *rest, struct create_context *context, bool *broken);

/* OPLOCK_BREAK as a notification, of an oplock (2.2.23.1) or of a lease (2.2.23.2). */
struct break_body {
    bool lease;
    uint8_t file_id[FILE_ID_SIZE];     /* oplock */
    uint8_t lease_key[LEASE_KEY_SIZE]; /* lease */
};
MUST_USE bool break_notification_read(struct span message, struct break_body *body);

/* Bodies with nothing but StructureSize and a reserved field: LOGOFF, TREE_DISCONNECT, ECHO,
 * CANCEL, FLUSH's and CLOSE's are not. */
void empty_body_write(struct writer *writer);

/* The error response body (2.2.2): 9 bytes, no data. */
void error_body_write(struct writer *writer);
/* True when the message carries an error body of StructureSize 9 that lies inside it. */
MUST_USE bool error_body_read(struct span message, uint8_t *context_count, struct span *data);

#endif
