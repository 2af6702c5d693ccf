/*
 * The SMB2 message header (MS-SMB2 2.2.1), constants, and chains of messages.
 */
#ifndef COUNTERSIGN_PROXY_SMB2_H
#define COUNTERSIGN_PROXY_SMB2_H

#include "crypto/cursor.h"
#include "crypto/signer.h"

enum smb2_command {
    SMB2_NEGOTIATE = 0,
    SMB2_SESSION_SETUP = 1,
    SMB2_LOGOFF = 2,
    SMB2_TREE_CONNECT = 3,
    SMB2_TREE_DISCONNECT = 4,
    SMB2_CREATE = 5,
    SMB2_CLOSE = 6,
    SMB2_FLUSH = 7,
    SMB2_READ = 8,
    SMB2_WRITE = 9,
    SMB2_LOCK = 10,
    SMB2_IOCTL = 11,
    SMB2_CANCEL = 12,
    SMB2_ECHO = 13,
    SMB2_QUERY_DIRECTORY = 14,
    SMB2_CHANGE_NOTIFY = 15,
    SMB2_QUERY_INFO = 16,
    SMB2_SET_INFO = 17,
    SMB2_OPLOCK_BREAK = 18,
    SMB2_COMMAND_COUNT
};

enum {
    SMB2_FLAGS_SERVER_TO_REDIR = 0x00000001,
    SMB2_FLAGS_ASYNC_COMMAND = 0x00000002,
    SMB2_FLAGS_RELATED_OPERATIONS = 0x00000004,
    SMB2_FLAGS_SIGNED = 0x00000008,
    SMB2_FLAGS_PRIORITY_MASK = 0x00000070,
    SMB2_FLAGS_DFS_OPERATIONS = 0x10000000,
    SMB2_FLAGS_REPLAY_OPERATION = 0x20000000,
};

#define SMB2_PROTOCOL_ID           0x424d53feu /* FE 'S' 'M' 'B' */
#define SMB1_PROTOCOL_ID           0x424d53ffu
#define SMB2_TRANSFORM_PROTOCOL_ID 0x424d53fdu
#define SMB2_COMPRESS_PROTOCOL_ID  0x424d53fcu
#define SMB2_MESSAGE_ID_BREAK      UINT64_MAX
#define SMB2_SESSION_ID_RELATED    UINT64_MAX

enum smb2_dialect {
    SMB_2_0_2 = 0x0202,
    SMB_2_1 = 0x0210,
    SMB_2_WILDCARD = 0x02ff,
    SMB_3_0 = 0x0300,
    SMB_3_0_2 = 0x0302,
    SMB_3_1_1 = 0x0311,
};

enum {
    SMB2_NEGOTIATE_SIGNING_ENABLED = 0x01,
    SMB2_NEGOTIATE_SIGNING_REQUIRED = 0x02,
};

enum {
    SMB2_GLOBAL_CAP_DFS = 0x01,
    SMB2_GLOBAL_CAP_LEASING = 0x02,
    SMB2_GLOBAL_CAP_LARGE_MTU = 0x04,
    SMB2_GLOBAL_CAP_MULTI_CHANNEL = 0x08,
    SMB2_GLOBAL_CAP_PERSISTENT_HANDLES = 0x10,
    SMB2_GLOBAL_CAP_DIRECTORY_LEASING = 0x20,
    SMB2_GLOBAL_CAP_ENCRYPTION = 0x40,
};

#define STATUS_SUCCESS                               0x00000000u
#define STATUS_PENDING                               0x00000103u
#define STATUS_NOTIFY_CLEANUP                        0x0000010bu
#define STATUS_STOPPED_ON_SYMLINK                    0x8000002du
#define STATUS_BUFFER_OVERFLOW                       0x80000005u
#define STATUS_NOT_IMPLEMENTED                       0xc0000002u
#define STATUS_INVALID_PARAMETER                     0xc000000du
#define STATUS_INVALID_DEVICE_REQUEST                0xc0000010u
#define STATUS_MORE_PROCESSING_REQUIRED              0xc0000016u
#define STATUS_ACCESS_DENIED                         0xc0000022u
#define STATUS_BUFFER_TOO_SMALL                      0xc0000023u
#define STATUS_NO_LOGON_SERVERS                      0xc000005eu
#define STATUS_LOGON_FAILURE                         0xc000006du
#define STATUS_ACCOUNT_LOCKED_OUT                    0xc0000234u
#define STATUS_ACCOUNT_RESTRICTION                   0xc000006eu
#define STATUS_INVALID_LOGON_HOURS                   0xc000006fu
#define STATUS_INVALID_WORKSTATION                   0xc0000070u
#define STATUS_PASSWORD_EXPIRED                      0xc0000071u
#define STATUS_ACCOUNT_DISABLED                      0xc0000072u
#define STATUS_INSUFFICIENT_RESOURCES                0xc000009au
#define STATUS_BAD_NETWORK_PATH                      0xc00000beu
#define STATUS_NOT_SUPPORTED                         0xc00000bbu
#define STATUS_END_OF_FILE                           0xc0000011u
#define STATUS_NETWORK_NAME_DELETED                  0xc00000c9u
#define STATUS_BAD_NETWORK_NAME                      0xc00000ccu
#define STATUS_REQUEST_NOT_ACCEPTED                  0xc00000d0u
#define STATUS_INTERNAL_ERROR                        0xc00000e5u
#define STATUS_TIME_DIFFERENCE_AT_DC                 0xc0000133u
#define STATUS_TOO_MANY_CONTEXT_IDS                  0xc000015au
#define STATUS_DOMAIN_TRUST_INCONSISTENT             0xc000019bu
#define STATUS_LOGON_TYPE_NOT_GRANTED                0xc000015bu
#define STATUS_ACCOUNT_EXPIRED                       0xc0000193u
#define STATUS_PASSWORD_MUST_CHANGE                  0xc0000224u
#define STATUS_ACCOUNT_LOCKED_OUT                    0xc0000234u
#define STATUS_FILE_CLOSED                           0xc0000128u
#define STATUS_CANCELLED                             0xc0000120u
#define STATUS_USER_SESSION_DELETED                  0xc0000203u
#define STATUS_INSUFF_SERVER_RESOURCES               0xc0000205u
#define STATUS_OBJECT_NAME_NOT_FOUND                 0xc0000034u
#define STATUS_HOST_UNREACHABLE                      0xc000023du
#define STATUS_NETWORK_SESSION_EXPIRED               0xc000035cu
#define STATUS_FS_DRIVER_REQUIRED                    0xc000019cu
#define STATUS_PATH_NOT_COVERED                      0xc0000257u
#define STATUS_NOT_FOUND                             0xc0000225u
#define STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP 0xc05d0000u
#define STATUS_SMB_BAD_CLUSTER_DIALECT               0xc05d0001u

/* A header, decoded. In an asynchronous message `async_id` is set and `process_id`/`tree_id` are
 * not. */
struct smb2_header {
    uint16_t credit_charge;
    uint32_t status; /* responses; in requests ChannelSequence is its low half */
    uint16_t command;
    uint16_t credits; /* requested or granted */
    uint32_t flags;
    uint32_t next_command;
    uint64_t message_id;
    uint64_t async_id;
    uint32_t process_id;
    uint32_t tree_id;
    uint64_t session_id;
    bool encrypted; /* not on the wire: it came inside a TRANSFORM */
};

/* One message of a chain: its bytes from header to the padding before the next one. */
struct smb2_message {
    struct smb2_header header;
    uint8_t *at;
    size_t size;
};

/* Decodes the 64 bytes at the start of `bytes`: false when they are not a whole SMB2 header with
 * the right ProtocolId and StructureSize. */
MUST_USE bool smb2_header_read(struct span bytes, struct smb2_header *header);

/* Writes a header with its Signature field zero. */
void smb2_header_write(struct writer *writer, const struct smb2_header *header);

/* Changes one field of the header at `message` (at least 64 bytes, checked before). */
void smb2_set_credit_charge(uint8_t *message, uint16_t charge);
void smb2_set_status(uint8_t *message, uint32_t status);
void smb2_set_credits(uint8_t *message, uint16_t credits);
void smb2_set_flags(uint8_t *message, uint32_t flags);
void smb2_set_next_command(uint8_t *message, uint32_t offset);
void smb2_set_message_id(uint8_t *message, uint64_t message_id);
void smb2_set_tree_id(uint8_t *message, uint32_t tree_id);
void smb2_set_session_id(uint8_t *message, uint64_t session_id);
void smb2_clear_signature(uint8_t *message);

/*
 * Takes the next message off `*rest` (what is left of a frame, borrowed, mutable): splits at
 * NextCommand, which must be 0 or a multiple of 8, at least a header and leave at least a header
 * behind it (MS-SMB2 3.3.5.2.7). CHAIN_END when nothing is left; CHAIN_BROKEN otherwise wrong.
 */
enum chain_step { CHAIN_MESSAGE, CHAIN_END, CHAIN_BROKEN };
struct chain {
    uint8_t *at;
    size_t size;
};
enum chain_step chain_next(struct chain *rest, struct smb2_message *message);

/* "CREATE" and so on; "unknown". */
const char *smb2_command_name(uint16_t command);
/* "3.1.1" and so on; "unknown". */
const char *smb2_dialect_name(uint16_t dialect);

#endif
