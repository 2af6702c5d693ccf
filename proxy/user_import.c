#include "proxy/user_import.h"

#include "crypto/smbpasswd.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct import {
    struct credentials_entry *entries;
    size_t count;
    size_t skipped;
};

/* `line` is 0 where the file as a whole is wrong. */
static void complain_at(const char *path, unsigned line, const char *text)
{
    if (line == 0)
        fprintf(stderr, "countersign user import: %s: %s\n", path, text);
    else
        fprintf(stderr, "countersign user import: %s:%u: %s\n", path, line, text);
}

static bool read_input(int fd, uint8_t *bytes, size_t room, size_t *size)
{
    *size = 0;
    while (*size < room) {
        ssize_t got = read(fd, &bytes[*size], room - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        *size += (size_t)got;
    }
    errno = EFBIG;
    return false;
}

static bool take_line(struct import *import, const struct smbpasswd_line *line, const char *from)
{
    struct credentials_entry *entry = &import->entries[import->count];
    switch (line->kind) {
    case SMBPASSWD_MALFORMED:
        complain_at(from, line->number, line->why);
        fprintf(stderr, "countersign user import: nothing was imported\n");
        return false;
    case SMBPASSWD_SKIPPED:
        printf("%s: skipped, %s\n", line->name, line->why);
        import->skipped++;
        return true;
    case SMBPASSWD_ACCOUNT: break;
    }
    entry->kind = CREDENTIALS_USER;
    entry->name = strdup(line->name);
    memcpy(entry->nt_hash, line->nt_hash, sizeof entry->nt_hash);
    import->count++;
    if (!entry->name)
        fprintf(stderr, "countersign user import: out of memory\n");
    return entry->name != NULL;
}

static bool take_all(struct import *import, struct span text, const char *from)
{
    struct reader reader = reader_over_span(text);
    struct smbpasswd_line line;
    unsigned number = 0;
    bool ok = true;
    import->entries = calloc(text.size / SMBPASSWD_LINE_MIN + 1, sizeof *import->entries);
    if (!import->entries) {
        fprintf(stderr, "countersign user import: out of memory\n");
        return false;
    }
    while (ok && smbpasswd_next(&reader, &number, &line))
        ok = take_line(import, &line, from);
    OPENSSL_cleanse(&line, sizeof line);
    return ok;
}

static bool store(const struct import *import, const char *path, unsigned owner, unsigned group)
{
    struct credentials_error error;
    if (import->count > 0 &&
        !credentials_add_all(path, import->entries, import->count, owner, group, &error)) {
        complain_at(path, error.line, error.text);
        return false;
    }
    printf("%zu imported into %s, %zu skipped\n", import->count, path, import->skipped);
    return true;
}

static void import_wipe(struct import *import)
{
    for (size_t i = 0; i < import->count; i++) {
        free((char *)import->entries[i].name);
        OPENSSL_cleanse(&import->entries[i], sizeof import->entries[i]);
    }
    free(import->entries);
}

bool user_import(int fd, const char *from, const char *path, unsigned owner, unsigned group)
{
    size_t room = CREDENTIALS_FILE_MAX, size = 0;
    uint8_t *bytes = malloc(room);
    struct import import = {0};
    bool ok = bytes != NULL && read_input(fd, bytes, room, &size);
    if (!ok)
        fprintf(stderr, "countersign user import: %s: cannot be read: %s\n", from, strerror(errno));
    ok = ok && take_all(&import, (struct span){bytes, size}, from) &&
         store(&import, path, owner, group);
    import_wipe(&import);
    if (bytes)
        OPENSSL_cleanse(bytes, size);
    free(bytes);
    return ok;
}
