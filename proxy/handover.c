/*
 * Links of one ClientGuid to one upstream live in one worker: the connection is handed over, socket
 * and NEGOTIATE, before the upstream is dialled.
 *
 * Body: le32 generation, le32 listener, u8 whether an SMB1 NEGOTIATE came first, u8 address size,
 * the client's socket address, le32 size, the NEGOTIATE.
 */
#include <string.h>
#include <unistd.h>

#include "proxy/worker_state.h"

enum { NEGOTIATE_MAX = 32 * 1024 };

unsigned handover_owner(const struct worker *worker, const uint8_t guid[GUID_SIZE],
                        uint32_t upstream_number)
{
    uint64_t mixed = get_le64(guid) ^ (get_le64(guid + 8) * 0x9e3779b97f4a7c15u) ^ upstream_number;
    mixed ^= mixed >> 32;
    mixed *= 0xd6e8feb86659fd93u;
    mixed ^= mixed >> 32;
    return (unsigned)(mixed % worker->settings->count);
}

bool handover_send(struct link *link, unsigned owner, struct span negotiate)
{
    static uint8_t body[NEGOTIATE_MAX + 256];
    struct worker *worker = link->worker;
    struct channel *channel = worker->peers[owner].channel;
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (!channel || negotiate.size > NEGOTIATE_MAX ||
        getpeername(link->client.stream.fd, (struct sockaddr *)(void *)&address, &size) != 0)
        return false;
    struct writer writer = writer_over(body, sizeof body);
    write_le32(&writer, link->rules->number);
    write_le32(&writer, link->listener_index);
    write_u8(&writer, link->state == LINK_WILDCARD);
    write_u8(&writer, (uint8_t)size);
    write_bytes(&writer, &address, size);
    write_le32(&writer, (uint32_t)negotiate.size);
    write_span(&writer, negotiate);
    return writer_done(&writer) &&
           channel_send(channel, WORKER_HANDOVER, writer_span(&writer), link->client.stream.fd);
}

struct handover {
    uint32_t generation;
    uint32_t listener;
    uint8_t wildcard;
    struct sockaddr_storage address;
    uint8_t address_size;
    struct span negotiate;
};

static bool read_handover(struct span body, struct handover *out)
{
    struct reader reader = reader_over_span(body);
    uint32_t size;
    memset(out, 0, sizeof *out);
    return read_le32(&reader, &out->generation) && read_le32(&reader, &out->listener) &&
           read_u8(&reader, &out->wildcard) && read_u8(&reader, &out->address_size) &&
           out->address_size <= sizeof out->address &&
           read_copy(&reader, &out->address, out->address_size) && read_le32(&reader, &size) &&
           read_span(&reader, size, &out->negotiate) && reader_left(&reader) == 0;
}

/* The NEGOTIATE in a buffer of its own, as if it had been read here. */
static bool replay(struct link *link, const struct handover *handover)
{
    struct buffer *buffer =
        buffer_get(&link->worker->buffers, BUFFER_HEADROOM + handover->negotiate.size);
    if (!buffer)
        return false;
    uint8_t *at = buffer->bytes + BUFFER_HEADROOM;
    memcpy(at, handover->negotiate.at, handover->negotiate.size);
    struct frame frame = {buffer, at, handover->negotiate.size, 0};
    client_negotiate(link, &frame);
    buffer_release(buffer);
    return true;
}

bool handover_receive(struct worker *worker, struct span body, int fd)
{
    struct handover handover;
    if (fd < 0 || !read_handover(body, &handover)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct generation *generation = generation_find(worker, handover.generation);
    if (!generation || handover.listener >= generation->config->listeners_count) {
        /* Of a configuration that is long gone: the client comes again. */
        close(fd);
        return !generation;
    }
    struct link *link = worker_admit(worker, generation, handover.listener, fd,
                                     (const struct sockaddr *)(const void *)&handover.address,
                                     handover.address_size);
    if (!link)
        return true;
    if (handover.wildcard) {
        link->state = LINK_WILDCARD;
        if (!credit_window_take(&link->window, 0, 1))
            link_end(link, END_CLIENT_PROTOCOL);
        (void)credit_window_grant(&link->window, 1);
    }
    if (!replay(link, &handover))
        link_end(link, END_MEMORY);
    link_settle(link);
    return true;
}
