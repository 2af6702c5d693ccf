/*
 * The file server's own name in the path of a TREE_CONNECT request (MS-SMB2 2.2.9): the client
 * calls it by ours.
 */
#include <string.h>

#include "crypto/text.h"
#include "proxy/body.h"
#include "proxy/worker_state.h"

enum { PATH_AT = SMB2_HEADER_SIZE + 8, PATH_ROOM = 4096 };

/* The path as the file server shall read it; 0 when it is to stay as the client wrote it, which a
 * file server that goes by the share does not mind. */
static size_t write_path(const struct link *link, const struct smb2_message *message,
                         uint8_t path[PATH_ROOM])
{
    struct tree_connect_request body;
    struct span server, share;
    struct writer writer = writer_over(path, PATH_ROOM);
    if (!tree_connect_request_read((struct span){message->at, message->size}, link->client.dialect,
                                   &body) ||
        !tree_path_split(body.path, &server, &share))
        return 0;
    write_bytes(&writer, body.path.at, 4);
    bool named = text_write_utf16(&writer, link->upstream->server_name, false);
    write_bytes(&writer, body.path.at, 2);
    write_span(&writer, share);
    return named && writer_done(&writer) ? writer_size(&writer) : 0;
}

size_t tree_name_room(const struct link *link, const struct smb2_message *message)
{
    uint8_t path[PATH_ROOM];
    size_t size = write_path(link, message, path);
    size_t needed = size ? PATH_AT + size : 0;
    if (needed <= message->size)
        return message->size;
    return message->header.next_command ? (needed + 7) & ~(size_t)7 : needed;
}

void tree_name_server(const struct link *link, struct smb2_message *message)
{
    uint8_t path[PATH_ROOM];
    size_t size = write_path(link, message, path);
    if (size == 0 || PATH_AT + size > message->size)
        return;
    memcpy(message->at + PATH_AT, path, size);
    put_le16(message->at + SMB2_HEADER_SIZE + 4, PATH_AT);
    put_le16(message->at + SMB2_HEADER_SIZE + 6, (uint16_t)size);
    if (message->header.next_command == 0)
        message->size = PATH_AT + size;
}
