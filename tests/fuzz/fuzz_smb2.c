/* A frame as it comes from a peer: its chain of messages, and every header in it. */
#include "proxy/smb2.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* Writing what was read gives the same bytes, but for the signature. */
static void check_header(const struct smb2_message *message)
{
    uint8_t written[SMB2_HEADER_SIZE], expected[SMB2_HEADER_SIZE];
    struct writer writer = writer_over(written, sizeof written);
    smb2_header_write(&writer, &message->header);
    must(writer_done(&writer) && writer_size(&writer) == sizeof written);
    memcpy(expected, message->at, sizeof expected);
    smb2_clear_signature(expected);
    must(memcmp(written, expected, sizeof expected) == 0);
}

/* Every field set to what it is changes nothing. */
static void check_setters(const struct smb2_message *message)
{
    uint8_t before[SMB2_HEADER_SIZE];
    const struct smb2_header *header = &message->header;
    memcpy(before, message->at, sizeof before);
    smb2_set_credit_charge(message->at, header->credit_charge);
    smb2_set_status(message->at, header->status);
    smb2_set_credits(message->at, header->credits);
    smb2_set_flags(message->at, header->flags);
    smb2_set_next_command(message->at, header->next_command);
    smb2_set_message_id(message->at, header->message_id);
    if (!(header->flags & SMB2_FLAGS_ASYNC_COMMAND))
        smb2_set_tree_id(message->at, header->tree_id);
    smb2_set_session_id(message->at, header->session_id);
    must(memcmp(before, message->at, sizeof before) == 0);
}

static void walk(uint8_t *frame, size_t size)
{
    struct chain rest = {frame, size};
    struct smb2_message message;
    enum chain_step step;
    size_t taken = 0;
    while ((step = chain_next(&rest, &message)) == CHAIN_MESSAGE) {
        must(message.at == &frame[taken] && message.size >= SMB2_HEADER_SIZE);
        taken += message.size;
        must(taken <= size && rest.size == size - taken);
        must(rest.size == 0 || message.size % 8 == 0);
        must((message.header.next_command == 0) == (rest.size == 0));
        check_header(&message);
        check_setters(&message);
        must(smb2_command_name(message.header.command) != NULL);
    }
    must(step == CHAIN_BROKEN || taken == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *frame = malloc(size ? size : 1);
    if (!frame)
        return 0;
    if (size)
        memcpy(frame, data, size);
    walk(frame, size);
    free(frame);
    return 0;
}
