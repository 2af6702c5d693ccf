/*
 * The state file and the log, as files that somebody changed: what is loaded can be saved and
 * loaded again, and a line of the log is an event or is counted.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/log_output.h"
#include "policy/log_read.h"
#include "proxy/memory_file.h"

static FILE *nowhere;

static void print(void *context, struct json_object *event)
{
    (void)context;
    log_write_text(nowhere, event);
    log_write_cef(nowhere, event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct log_counts counts = {0, 0};
    int fd = memfd_create("state", 0);
    if (!nowhere && !(nowhere = fopen("/dev/null", "w")))
        abort();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct memory *memory = memory_new(MEMORY_MAX);
    if (!memory)
        abort();
    if (memory_load(memory, path) != MEMORY_LOADED && memory_count(memory) != 0)
        abort();
    (void)log_read(path, &counts, print, NULL);
    memory_free(memory);
    close(fd);
    return 0;
}
