#include "proxy/smb2.h"

#include <string.h>

/* Where the fields of a header are (MS-SMB2 2.2.1.1, 2.2.1.2). */
enum {
    AT_CREDIT_CHARGE = 6,
    AT_STATUS = 8,
    AT_CREDITS = 14,
    AT_FLAGS = 16,
    AT_NEXT_COMMAND = 20,
    AT_MESSAGE_ID = 24,
    AT_TREE_ID = 36,
    AT_SESSION_ID = 40,
};

enum { CHAIN_ALIGNMENT = 8 };

/* The eight bytes whose meaning SMB2_FLAGS_ASYNC_COMMAND decides. */
static bool read_async_or_tree(struct reader *reader, struct smb2_header *header)
{
    if (header->flags & SMB2_FLAGS_ASYNC_COMMAND)
        return read_le64(reader, &header->async_id);
    return read_le32(reader, &header->process_id) && read_le32(reader, &header->tree_id);
}

bool smb2_header_read(struct span bytes, struct smb2_header *header)
{
    struct reader reader = reader_over_span(bytes);
    struct smb2_header read = {0};
    uint32_t protocol_id;
    uint16_t structure_size;
    bool whole = read_le32(&reader, &protocol_id) && read_le16(&reader, &structure_size) &&
                 read_le16(&reader, &read.credit_charge) && read_le32(&reader, &read.status) &&
                 read_le16(&reader, &read.command) && read_le16(&reader, &read.credits) &&
                 read_le32(&reader, &read.flags) && read_le32(&reader, &read.next_command) &&
                 read_le64(&reader, &read.message_id) && read_async_or_tree(&reader, &read) &&
                 read_le64(&reader, &read.session_id) && read_skip(&reader, SIGNATURE_SIZE);
    if (!whole || protocol_id != SMB2_PROTOCOL_ID || structure_size != SMB2_HEADER_SIZE)
        return false;
    *header = read;
    return true;
}

void smb2_header_write(struct writer *writer, const struct smb2_header *header)
{
    write_le32(writer, SMB2_PROTOCOL_ID);
    write_le16(writer, SMB2_HEADER_SIZE);
    write_le16(writer, header->credit_charge);
    write_le32(writer, header->status);
    write_le16(writer, header->command);
    write_le16(writer, header->credits);
    write_le32(writer, header->flags);
    write_le32(writer, header->next_command);
    write_le64(writer, header->message_id);
    if (header->flags & SMB2_FLAGS_ASYNC_COMMAND) {
        write_le64(writer, header->async_id);
    } else {
        write_le32(writer, header->process_id);
        write_le32(writer, header->tree_id);
    }
    write_le64(writer, header->session_id);
    write_zeros(writer, SIGNATURE_SIZE);
}

void smb2_set_credit_charge(uint8_t *message, uint16_t charge)
{
    put_le16(&message[AT_CREDIT_CHARGE], charge);
}

void smb2_set_status(uint8_t *message, uint32_t status)
{
    put_le32(&message[AT_STATUS], status);
}

void smb2_set_credits(uint8_t *message, uint16_t credits)
{
    put_le16(&message[AT_CREDITS], credits);
}

void smb2_set_flags(uint8_t *message, uint32_t flags)
{
    put_le32(&message[AT_FLAGS], flags);
}

void smb2_set_next_command(uint8_t *message, uint32_t offset)
{
    put_le32(&message[AT_NEXT_COMMAND], offset);
}

void smb2_set_message_id(uint8_t *message, uint64_t message_id)
{
    put_le64(&message[AT_MESSAGE_ID], message_id);
}

void smb2_set_tree_id(uint8_t *message, uint32_t tree_id)
{
    put_le32(&message[AT_TREE_ID], tree_id);
}

void smb2_set_session_id(uint8_t *message, uint64_t session_id)
{
    put_le64(&message[AT_SESSION_ID], session_id);
}

void smb2_clear_signature(uint8_t *message)
{
    memset(&message[SIGNATURE_OFFSET], 0, SIGNATURE_SIZE);
}

/* MS-SMB2 3.3.5.2.7: what NextCommand may say when `left` bytes begin at this message. */
static bool next_command_allowed(uint32_t next, size_t left)
{
    return next % CHAIN_ALIGNMENT == 0 && next >= SMB2_HEADER_SIZE && next <= left &&
           left - next >= SMB2_HEADER_SIZE;
}

enum chain_step chain_next(struct chain *rest, struct smb2_message *message)
{
    struct smb2_header header;
    if (rest->size == 0)
        return CHAIN_END;
    if (!smb2_header_read((struct span){rest->at, rest->size}, &header))
        return CHAIN_BROKEN;
    size_t size = rest->size;
    if (header.next_command != 0) {
        if (!next_command_allowed(header.next_command, rest->size))
            return CHAIN_BROKEN;
        size = header.next_command;
    }
    *message = (struct smb2_message){.header = header, .at = rest->at, .size = size};
    *rest = (struct chain){.at = &rest->at[size], .size = rest->size - size};
    return CHAIN_MESSAGE;
}

const char *smb2_command_name(uint16_t command)
{
    static const char *const names[SMB2_COMMAND_COUNT] = {
        [SMB2_NEGOTIATE] = "NEGOTIATE",
        [SMB2_SESSION_SETUP] = "SESSION_SETUP",
        [SMB2_LOGOFF] = "LOGOFF",
        [SMB2_TREE_CONNECT] = "TREE_CONNECT",
        [SMB2_TREE_DISCONNECT] = "TREE_DISCONNECT",
        [SMB2_CREATE] = "CREATE",
        [SMB2_CLOSE] = "CLOSE",
        [SMB2_FLUSH] = "FLUSH",
        [SMB2_READ] = "READ",
        [SMB2_WRITE] = "WRITE",
        [SMB2_LOCK] = "LOCK",
        [SMB2_IOCTL] = "IOCTL",
        [SMB2_CANCEL] = "CANCEL",
        [SMB2_ECHO] = "ECHO",
        [SMB2_QUERY_DIRECTORY] = "QUERY_DIRECTORY",
        [SMB2_CHANGE_NOTIFY] = "CHANGE_NOTIFY",
        [SMB2_QUERY_INFO] = "QUERY_INFO",
        [SMB2_SET_INFO] = "SET_INFO",
        [SMB2_OPLOCK_BREAK] = "OPLOCK_BREAK",
    };
    return command < SMB2_COMMAND_COUNT ? names[command] : "unknown";
}

const char *smb2_dialect_name(uint16_t dialect)
{
    switch (dialect) {
    case SMB_2_0_2: return "2.0.2";
    case SMB_2_1: return "2.1";
    case SMB_2_WILDCARD: return "2.???";
    case SMB_3_0: return "3.0";
    case SMB_3_0_2: return "3.0.2";
    case SMB_3_1_1: return "3.1.1";
    default: return "unknown";
    }
}
