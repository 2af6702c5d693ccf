#include "proxy/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "countersign memory 1\n"

enum {
    FILE_SIZE_MAX = MEMORY_MAX * (2 * MEMORY_NAME_MAX + 128),
    LINE_MAX_SIZE = 2 * MEMORY_NAME_MAX + 256,
    DIGEST_TEXT_SIZE = 2 * 32 + 1,
    FILE_MODE = 0600,
};

static const char *const kinds[MEMORY_KINDS] = {
    [MEMORY_ADDRESS] = "address", [MEMORY_GUID] = "guid", [MEMORY_UPSTREAM] = "upstream"};

static bool digest_text(struct span bytes, char text[DIGEST_TEXT_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size;
    if (EVP_Digest(bytes.at, bytes.size, digest, &size, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < 32; i++)
        snprintf(&text[2 * i], 3, "%02x", digest[i]);
    return true;
}

/* ---- writing ---- */

/* How it has authenticated: by Kerberos, otherwise, not yet. Of a file server: it has offered
 * Kerberos, or not. */
static const char *authentication(const struct remembered *entry)
{
    return entry->best.kerberos ? "k" : entry->logged_in ? "n" : "-";
}

static bool write_entry(void *context, const struct remembered *entry)
{
    char guid[2 * GUID_SIZE + 1];
    for (unsigned i = 0; i < GUID_SIZE; i++)
        snprintf(&guid[2 * i], 3, "%02x", entry->guid[i]);
    return fprintf(context, "%s %s %04x %u %u %s%s %s %s\n", kinds[entry->kind], entry->name,
                   entry->best.dialect, entry->best.signing, entry->best.cipher,
                   entry->best.has_signing ? "s" : "-", authentication(entry), guid,
                   entry->other[0] ? entry->other : "-") > 0;
}

/* The whole file as text, for the caller to free; NULL when out of memory. */
static char *compose(const struct memory *memory, size_t *size)
{
    char digest[DIGEST_TEXT_SIZE], *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return NULL;
    bool good = fputs(HEADER, out) >= 0 && memory_each(memory, write_entry, out) &&
                fflush(out) == 0 &&
                digest_text((struct span){(const uint8_t *)text, *size}, digest) &&
                fprintf(out, "end %zu %s\n", memory_count(memory), digest) > 0;
    good = fclose(out) == 0 && good;
    if (good)
        return text;
    free(text);
    return NULL;
}

static bool write_whole(int fd, const char *text, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(fd, &text[done], size - done);
        if (written < 0 && errno != EINTR)
            return false;
        done += written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0;
}

static bool path_beside(const char *path, const char *ending, char beside[PATH_MAX])
{
    int size = snprintf(beside, PATH_MAX, "%s%s", path, ending);
    errno = ENAMETOOLONG;
    return size > 0 && size < PATH_MAX;
}

bool memory_save(const struct memory *memory, const char *path)
{
    char fresh[PATH_MAX];
    size_t size;
    if (!path_beside(path, ".new", fresh))
        return false;
    char *text = compose(memory, &size);
    if (!text) {
        errno = ENOMEM;
        return false;
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    bool good = fd >= 0 && write_whole(fd, text, size);
    int because = errno;
    if (fd >= 0)
        close(fd);
    free(text);
    errno = because;
    return good && rename(fresh, path) == 0;
}

/* ---- reading ---- */

static bool read_hex(const char *text, uint8_t guid[GUID_SIZE])
{
    if (strlen(text) != 2 * GUID_SIZE)
        return false;
    for (unsigned i = 0; i < GUID_SIZE; i++)
        if (sscanf(&text[2 * i], "%2hhx", &guid[i]) != 1)
            return false;
    return true;
}

static bool read_kind(const char *word, enum memory_kind *kind)
{
    for (unsigned i = 0; i < MEMORY_KINDS; i++)
        if (strcmp(word, kinds[i]) == 0) {
            *kind = (enum memory_kind)i;
            return true;
        }
    return false;
}

static bool parse_entry(const char *line, struct remembered *entry)
{
    char kind[16], flags[3], guid[2 * GUID_SIZE + 1];
    struct spoken *best = &entry->best;
    int used = 0;
    memset(entry, 0, sizeof *entry);
    if (sscanf(line, "%15s %159s %4hx %5hu %5hu %2s %32s %159s%n", kind, entry->name,
               &best->dialect, &best->signing, &best->cipher, flags, guid, entry->other,
               &used) != 8 ||
        line[used] != '\0')
        return false;
    best->has_signing = flags[0] == 's';
    best->kerberos = flags[0] && flags[1] == 'k';
    if (strcmp(entry->other, "-") == 0)
        entry->other[0] = '\0';
    if (!read_kind(kind, &entry->kind) || !read_hex(guid, entry->guid))
        return false;
    entry->logged_in =
        entry->kind != MEMORY_UPSTREAM && (best->kerberos || (flags[0] && flags[1] == 'n'));
    return true;
}

/* The next line without its line feed; false when there is none that is whole and of a size that we
 * write. */
static bool take_line(struct reader *reader, char line[LINE_MAX_SIZE])
{
    struct span span;
    if (!read_until(reader, '\n', &span) || span.size >= LINE_MAX_SIZE)
        return false;
    memcpy(line, span.at, span.size);
    line[span.size] = '\0';
    return strlen(line) == span.size;
}

/* The last line must tell how many lines are before it and what they hash to. */
static bool check_end(struct span whole, size_t before, size_t count, const char *line)
{
    char digest[DIGEST_TEXT_SIZE], expected[LINE_MAX_SIZE];
    if (!digest_text((struct span){whole.at, before}, digest))
        return false;
    snprintf(expected, sizeof expected, "end %zu %s", count, digest);
    return strcmp(line, expected) == 0;
}

/* Goes through all lines; with `memory` they are entered, without it they are only checked. */
static bool parse(struct span whole, struct memory *memory)
{
    struct reader reader = reader_over_span(whole);
    char line[LINE_MAX_SIZE];
    struct remembered entry;
    if (!take_line(&reader, line) || strcmp(line, "countersign memory 1") != 0)
        return false;
    for (size_t count = 0;; count++) {
        size_t before = whole.size - reader_left(&reader);
        if (!take_line(&reader, line))
            return false;
        if (strncmp(line, "end ", 4) == 0)
            return reader_left(&reader) == 0 && check_end(whole, before, count, line);
        if (!parse_entry(line, &entry) || (memory && !memory_enter(memory, &entry)))
            return false;
    }
}

/* The file's bytes, for the caller to free; NULL with errno set, which is EFBIG for one that is
 * longer than any that we write. */
static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    uint8_t *bytes = NULL;
    errno = EINVAL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        errno = EFBIG;
        bytes = status.st_size <= FILE_SIZE_MAX ? malloc((size_t)status.st_size + 1) : NULL;
    }
    ssize_t got = bytes ? read(fd, bytes, (size_t)status.st_size) : -1;
    int because = errno;
    close(fd);
    if (bytes && got == (ssize_t)status.st_size) {
        *size = (size_t)got;
        return bytes;
    }
    free(bytes);
    errno = because;
    return NULL;
}

static enum memory_loaded set_aside(const char *path)
{
    char aside[PATH_MAX];
    /* Where it cannot be renamed it will be replaced by the next one. */
    if (path_beside(path, ".damaged", aside))
        (void)rename(path, aside);
    return MEMORY_DAMAGED;
}

enum memory_loaded memory_load(struct memory *memory, const char *path)
{
    size_t size = 0;
    uint8_t *bytes = read_file(path, &size);
    if (!bytes && errno == ENOENT)
        return MEMORY_NO_FILE;
    if (!bytes)
        return errno == EFBIG ? set_aside(path) : MEMORY_UNREADABLE;
    struct span whole = {bytes, size};
    bool good = parse(whole, NULL) && parse(whole, memory);
    free(bytes);
    (void)memory_take_changed(memory);
    return good ? MEMORY_LOADED : set_aside(path);
}
