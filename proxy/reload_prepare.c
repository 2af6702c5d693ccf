#include "proxy/reload_prepare.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 16 * 1024 };

int reload_text_make(const char *text, size_t size)
{
    int fd = memfd_create("countersign-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    for (size_t done = 0; fd >= 0 && done < size;) {
        ssize_t written = write(fd, &text[done], size - done);
        if (written <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)written;
    }
    if (fd >= 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_sockets(const struct child_plan *wanted, struct child *child)
{
    const int *fds = listen_sockets_of(&wanted->sockets, child->index);
    struct span empty = {NULL, 0};

    for (unsigned i = 0; i < wanted->config->listeners_count; i++) {
        if (!channel_send(child->control, CONTROL_LISTENER, empty, fds[i])) {
            return false;
        }
    }
    return true;
}

bool reload_prepare_child(const struct child_plan *wanted, struct child *child, int text)
{
    static uint8_t buffer[ADDRESSES_MAX];
    struct writer writer = writer_over(buffer, sizeof buffer);
    bool worker = child->role == PEER_WORKER;

    write_le32(&writer, wanted->generation);
    for (unsigned i = 0; worker && i < wanted->config->upstreams_count; i++) {
        const struct upstream_address *address = &wanted->upstreams[i];
        write_u8(&writer, (uint8_t)address->size);
        write_bytes(&writer, &address->address, address->size);
    }
    if (child->control == NULL || !writer_done(&writer) ||
        !channel_send(child->control, CONTROL_PREPARE, writer_span(&writer), text)) {
        return false;
    }
    child->preparing++;
    return !worker || send_sockets(wanted, child);
}
