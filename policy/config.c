#include "policy/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"
#include "policy/plain.h"
#include "policy/share_name.h"

/* Sixty-four listeners and upstreams with every option and comments are far less. */
enum { FILE_SIZE_MAX = 1024 * 1024 };

static struct config *parse(const char *text, size_t size, struct config_document *document,
                            struct config_error *error)
{
    struct config *config = config_load(text, size, document, error);
    if (config && config_fill(config, document, error) && config_check(config, document, error))
        return config;
    config_free(config);
    return NULL;
}

struct config *config_parse(const char *text, size_t size, struct config_error *error)
{
    struct config_document *document = config_document_read(text, size, error);
    struct config *config = document ? parse(text, size, document, error) : NULL;
    config_document_free(document);
    /* What is missing at the end of the file is, to libyaml, in the line after it. */
    unsigned last = config_lines(text, size);
    if (!config && error->line > last)
        error->line = last;
    return config;
}

/* Reads until the end or the buffer is full; false with errno set. */
static bool read_whole(int fd, char *buffer, size_t room, size_t *size)
{
    *size = 0;
    while (*size < room) {
        ssize_t got = read(fd, &buffer[*size], room - *size);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        *size += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static char *read_open(int fd, size_t *size, struct config_error *error)
{
    char *buffer = malloc(FILE_SIZE_MAX + 1);
    if (!buffer || !read_whole(fd, buffer, FILE_SIZE_MAX + 1, size))
        config_error_set(error, 0, "cannot be read: %s", strerror(errno));
    else if (*size > FILE_SIZE_MAX)
        config_error_set(error, 0, "is longer than %d bytes; is it the right file?",
                         (int)FILE_SIZE_MAX);
    else
        return buffer;
    free(buffer);
    return NULL;
}

char *config_text(const char *path, size_t *size, struct config_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        config_error_set(error, 0, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    char *text = read_open(fd, size, error);
    close(fd);
    return text;
}

struct config *config_read(const char *path, struct config_error *error)
{
    size_t size;
    char *text = config_text(path, &size, error);
    struct config *config = text ? config_parse(text, size, error) : NULL;
    free(text);
    return config;
}

void config_free(struct config *config)
{
    for (unsigned i = 0; config && i < config->groups_count; i++)
        free(config->groups[i]);
    if (config)
        free(config->groups);
    cyaml_free(&config_cyaml, &config_schema, config, 0);
}

const struct config_upstream *config_upstream_of(const struct config *config,
                                                 const struct config_listener *listener)
{
    for (unsigned i = 0; i < config->upstreams_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (upstream->name && strcmp(upstream->name, listener->upstream) == 0)
            return upstream;
    }
    return NULL;
}

bool config_takes(const struct config_listener *listener, enum config_mechanism mechanism)
{
    for (unsigned i = 0; i < listener->mechanisms_count; i++)
        if (listener->mechanisms[i] == mechanism)
            return true;
    return false;
}

bool config_logs_in_by(const struct config_upstream *upstream, enum config_login login)
{
    for (unsigned i = 0; i < upstream->login_count; i++)
        if (upstream->login[i] == login)
            return true;
    return false;
}

unsigned config_group_index(const struct config *config, const char *group)
{
    unsigned i = 0;
    while (i < config->groups_count && !plain_same(config->groups[i], group))
        i++;
    return i;
}

bool config_share_listed(char *const *shares, unsigned count, const char *share)
{
    for (unsigned i = 0; i < count; i++)
        if (share_name_same(shares[i], share))
            return true;
    return false;
}

const char *config_dialect_name(uint16_t dialect)
{
    switch (dialect) {
    case CONFIG_SMB_2_0_2: return "2.0.2";
    case CONFIG_SMB_2_1: return "2.1";
    case CONFIG_SMB_3_0: return "3.0";
    case CONFIG_SMB_3_0_2: return "3.0.2";
    case CONFIG_SMB_3_1_1: return "3.1.1";
    default: return "unknown";
    }
}
