#include "proxy/generation.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/worker_state.h"

static void free_one(struct generation *generation)
{
    for (unsigned i = 0; generation->listen_fds && i < generation->config->listeners_count; i++)
        if (generation->listen_fds[i] >= 0)
            close(generation->listen_fds[i]);
    free(generation->listen_fds);
    free(generation->upstream_connections);
    if (generation->read_here) {
        free((struct upstream_address *)(uintptr_t)generation->upstreams);
        config_free((struct config *)(uintptr_t)generation->config);
    }
    free(generation);
}

/* Room for what a configuration has; takes over `config` when `read_here`, also when it fails. */
static struct generation *make(uint32_t number, const struct config *config, bool read_here)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        if (read_here)
            config_free((struct config *)(uintptr_t)config);
        return NULL;
    }
    generation->number = number;
    generation->config = config;
    generation->read_here = read_here;
    generation->upstream_connections = calloc(config->upstreams_count, sizeof(unsigned));
    generation->listen_fds = malloc(config->listeners_count * sizeof(int));
    for (unsigned i = 0; generation->listen_fds && i < config->listeners_count; i++)
        generation->listen_fds[i] = -1;
    if (generation->upstream_connections && generation->listen_fds)
        return generation;
    free_one(generation);
    return NULL;
}

bool generation_begin(struct worker *worker)
{
    const struct worker_settings *settings = worker->settings;
    struct generation *first = make(settings->generation, settings->config, false);
    if (!first)
        return false;
    first->upstreams = settings->upstreams;
    memcpy(first->listen_fds, settings->listen_fds,
           settings->config->listeners_count * sizeof(int));
    first->listen_count = settings->config->listeners_count;
    worker->generations = worker->generation = first;
    return true;
}

void generation_free_all(struct worker *worker)
{
    while (worker->generations) {
        struct generation *next = worker->generations->next;
        free_one(worker->generations);
        worker->generations = next;
    }
}

/* The one before the newest stays: another worker may hand over a connection in its terms. */
static void sweep(struct worker *worker)
{
    struct generation **at = &worker->generations;
    while (*at) {
        struct generation *each = *at;
        bool needed = each->links || each == worker->generation || each == worker->previous ||
                      each == worker->candidate;
        if (needed) {
            at = &each->next;
            continue;
        }
        *at = each->next;
        free_one(each);
    }
}

void generation_hold(struct generation *generation)
{
    generation->links++;
}

void generation_release(struct worker *worker, struct generation *generation)
{
    if (--generation->links == 0)
        sweep(worker);
}

static uint32_t oldest(const struct worker *worker)
{
    uint32_t number = worker->generation->number;
    for (const struct generation *each = worker->generations; each; each = each->next)
        if (each->number < number)
            number = each->number;
    return number;
}

static bool answer(struct worker *worker, const char *problem)
{
    uint8_t body[256];
    struct writer writer = writer_over(body, sizeof body);
    struct control_prepared message = {.oldest = oldest(worker),
                                       .problem = {(const uint8_t *)problem, strlen(problem)}};
    control_prepared_write(&writer, &message);
    return writer_done(&writer) &&
           channel_send(worker->control, CONTROL_PREPARED, writer_span(&writer), -1);
}

bool generation_settled(struct worker *worker)
{
    return answer(worker, "");
}

static struct config *read_config(int fd)
{
    struct config_error error;
    struct stat about;
    if (fstat(fd, &about) != 0 || about.st_size <= 0)
        return NULL;
    size_t size = (size_t)about.st_size;
    void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return NULL;
    struct config *config = config_parse(text, size, &error);
    (void)munmap(text, size);
    return config;
}

static bool read_addresses(struct reader *reader, struct upstream_address *to, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t size;
        if (!read_u8(reader, &size) || size > sizeof to[i].address ||
            !read_copy(reader, &to[i].address, size))
            return false;
        to[i].size = size;
    }
    return reader_left(reader) == 0;
}

static struct generation *read_generation(uint32_t number, int fd, struct reader *reader)
{
    struct config *config = read_config(fd);
    struct generation *made = config ? make(number, config, true) : NULL;
    if (!made)
        return NULL;
    struct upstream_address *addresses = calloc(config->upstreams_count, sizeof *addresses);
    made->upstreams = addresses;
    if (addresses && read_addresses(reader, addresses, config->upstreams_count))
        return made;
    free_one(made);
    return NULL;
}

bool generation_prepare(struct worker *worker, struct span body, int fd)
{
    struct reader reader = reader_over_span(body);
    uint32_t number;
    generation_abort(worker);
    if (fd < 0)
        return false;
    bool valid = read_le32(&reader, &number) && number > worker->generation->number;
    worker->candidate = valid ? read_generation(number, fd, &reader) : NULL;
    close(fd);
    if (!valid)
        return false;
    if (!worker->candidate)
        return answer(worker, "a worker cannot read the configuration");
    worker->candidate->next = worker->generations;
    worker->generations = worker->candidate;
    return true;
}

/* Those of a generation that could not be read come all the same. */
bool generation_listener(struct worker *worker, struct span body, int fd)
{
    struct generation *candidate = worker->candidate;
    if (fd < 0)
        return false;
    if (!candidate || body.size || candidate->listen_count == candidate->config->listeners_count) {
        close(fd);
        return !candidate && !body.size;
    }
    candidate->listen_fds[candidate->listen_count++] = fd;
    return candidate->listen_count < candidate->config->listeners_count || answer(worker, "");
}

void generation_abort(struct worker *worker)
{
    worker->candidate = NULL;
    sweep(worker);
}

/* The sockets of what is over; those of listeners that go on are open in the new generation too. */
static void close_listeners(struct generation *generation)
{
    for (unsigned i = 0; i < generation->config->listeners_count; i++) {
        close(generation->listen_fds[i]);
        generation->listen_fds[i] = -1;
    }
}

bool generation_use(struct worker *worker)
{
    struct generation *candidate = worker->candidate;
    if (!candidate || candidate->listen_count < candidate->config->listeners_count)
        return false;
    worker_stop_listening(worker);
    close_listeners(worker->generation);
    worker->previous = worker->generation;
    worker->generation = candidate;
    worker->config = candidate->config;
    worker->candidate = NULL;
    sweep(worker);
    return worker_listen(worker);
}

struct generation *generation_find(const struct worker *worker, uint32_t number)
{
    struct generation *each = worker->generations;
    while (each && each->number != number)
        each = each->next;
    return each;
}

uint32_t generation_number(const struct generation *generation, unsigned index)
{
    return generation->number << KEEPER_INDEX_BITS | index;
}

static uint32_t mix(uint32_t key, const void *bytes, size_t size)
{
    struct reader reader = reader_over(bytes, size);
    uint8_t byte;
    while (read_u8(&reader, &byte))
        key = (key ^ byte) * 0x01000193u;
    return key;
}

/* FNV-1a. */
uint32_t generation_upstream(const struct generation *generation, unsigned index)
{
    const char *name = generation->config->upstreams[index].name;
    const struct upstream_address *to = &generation->upstreams[index];
    return mix(mix(0x811c9dc5u, name, strlen(name)), &to->address, to->size);
}

unsigned generation_connections(const struct worker *worker, const char *upstream)
{
    unsigned count = 0;
    for (const struct generation *each = worker->generations; each; each = each->next)
        for (unsigned i = 0; i < each->config->upstreams_count; i++)
            if (strcmp(each->config->upstreams[i].name, upstream) == 0)
                count += each->upstream_connections[i];
    return count;
}
