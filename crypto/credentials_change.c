/* One change of the credentials file: under its lock, and in one step for whoever reads it. */
#include "crypto/credentials_internal.h"

#include <stdlib.h>

/* The new text must be one that credentials_read() takes: a daemon must never find it broken. */
static bool check_text(const struct file_bytes *file, struct credentials_error *error)
{
    struct credentials_error found;
    struct credentials *credentials =
        credentials_parse((struct span){file->bytes, file->size}, &found);
    bool ok = credentials != NULL;
    credentials_free(credentials);
    if (!ok && found.line)
        return credentials_fail(error, 0, "would be wrong after this change: line %u %.190s",
                                found.line, found.text);
    if (!ok)
        *error = found;
    return ok;
}

static bool make_text(const struct change *change, const struct file_bytes *old,
                      struct file_bytes *new, struct credentials_error *error)
{
    struct span text = {old->bytes, old->size};
    struct credentials *credentials = credentials_parse(text, error);
    size_t more = 0;
    bool ok = credentials && change->prepare(change->edit, credentials, &more, error);
    if (ok) {
        *new = (struct file_bytes){malloc(old->size + more), 0, old->owner, old->group};
        struct writer writer = writer_over(new->bytes, new->bytes ? old->size + more : 0);
        change->write(change->edit, text, &writer);
        new->size = writer_size(&writer);
        ok = writer_done(&writer) || credentials_fail(error, 0, "out of memory");
    }
    credentials_free(credentials);
    return ok && check_text(new, error);
}

bool credentials_change(const char *path, const struct file_bytes *fresh,
                        const struct change *change, struct credentials_error *error)
{
    struct file_place place;
    struct file_bytes old, new = {0};
    if (!place_enter(path, &place, error))
        return false;
    enum file_result result =
        file_load(place.directory, place.name, fresh ? &fresh->owner : NULL, &old, error);
    if (result == FILE_MISSING && fresh)
        old = *fresh;
    bool ok = (result == FILE_READ || (result == FILE_MISSING && fresh)) &&
              make_text(change, &old, &new, error) && file_replace(&place, &new, error);
    file_wipe(&new);
    file_wipe(&old);
    place_leave(&place);
    return ok;
}
