/* Changing the credentials file: every line that does not change stays as it is. */
#include "crypto/credentials_internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of the old entries, by their place, and what comes after them. */
struct edit {
    const struct credentials *old;
    const struct credentials_entry *entries;
    size_t count;
    const struct credentials_entry **instead; /* for each old entry: what replaces it, or NULL */
    bool *placed;                             /* for each new entry: it replaces an old one */
    const struct entry *removed;
};

static void write_text(struct writer *writer, const char *text)
{
    write_bytes(writer, text, strlen(text));
}

static void write_hex(struct writer *writer, const uint8_t nt_hash[NT_HASH_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < NT_HASH_SIZE; i++) {
        write_u8(writer, (uint8_t)digits[nt_hash[i] >> 4]);
        write_u8(writer, (uint8_t)digits[nt_hash[i] & 15]);
    }
}

static void write_entry(struct writer *writer, const struct credentials_entry *entry)
{
    write_text(writer, entry->kind == CREDENTIALS_USER ? "user:" : "mapped:");
    write_text(writer, entry->name);
    write_u8(writer, ':');
    if (entry->kind == CREDENTIALS_MAPPED) {
        write_text(writer, entry->target);
        write_u8(writer, ':');
    }
    write_text(writer, account_key_prefix(entry->key));
    if (entry->key == ACCOUNT_NT_HASH)
        write_hex(writer, entry->nt_hash);
    else
        write_text(writer, entry->secret);
    write_u8(writer, '\n');
}

/* The old text line by line, then the new entries. `next` walks over the old entries, which are in
 * the order of their lines. */
static void write_edited(struct writer *writer, const struct edit *edit, struct span text)
{
    struct reader reader = reader_over_span(text);
    struct span line;
    size_t next = 0;
    for (unsigned number = 1; line_next(&reader, &line); number++) {
        const struct entry *old = next < edit->old->count ? &edit->old->entries[next] : NULL;
        bool is_entry = old && old->line == number;
        if (is_entry && edit->instead[next])
            write_entry(writer, edit->instead[next]);
        else if (!is_entry || old != edit->removed) {
            write_span(writer, line);
            write_u8(writer, '\n');
        }
        next += is_entry;
    }
    for (size_t i = 0; i < edit->count; i++) {
        if (!edit->placed[i])
            write_entry(writer, &edit->entries[i]);
    }
}

static size_t entry_room(const struct credentials_entry *entry)
{
    size_t target = entry->target ? strlen(entry->target) : 0;
    size_t secret = entry->key == ACCOUNT_NT_HASH ? 2 * NT_HASH_SIZE : strlen(entry->secret);
    return sizeof "mapped:::password=\n" + strlen(entry->name) + target + secret;
}

/* Finds the old entries that new ones replace. */
static bool match_entries(struct edit *edit)
{
    edit->instead = calloc(edit->old->count + 1, sizeof(struct credentials_entry *));
    edit->placed = calloc(edit->count + 1, sizeof *edit->placed);
    if (!edit->instead || !edit->placed)
        return false;
    for (size_t i = 0; i < edit->count; i++) {
        const struct credentials_entry *entry = &edit->entries[i];
        const struct entry *same = credentials_lookup(edit->old, entry->kind, entry->name);
        if (!same)
            continue;
        size_t at = (size_t)(same - edit->old->entries);
        edit->placed[i] = edit->instead[at] == NULL;
        if (edit->placed[i])
            edit->instead[at] = entry;
    }
    return true;
}

/* The new text must be one that credentials_read() takes: a daemon must never find it broken. */
bool credentials_check_text(struct span text, struct credentials_error *error)
{
    struct credentials_error found;
    struct credentials *credentials = credentials_parse(text, &found);
    bool ok = credentials != NULL;
    credentials_free(credentials);
    if (!ok && found.line)
        return credentials_fail(error, 0, "would be wrong after this change: line %u %.190s",
                                found.line, found.text);
    if (!ok)
        *error = found;
    return ok;
}

static bool edit_text(struct edit *edit, const struct file_bytes *old, struct file_bytes *new,
                      struct credentials_error *error)
{
    size_t room = old->size + 1;
    for (size_t i = 0; i < edit->count; i++)
        room += entry_room(&edit->entries[i]);
    /* Replaced lines are counted twice; nothing is written past what was counted. */
    *new = (struct file_bytes){malloc(room), 0, old->owner, old->group};
    struct writer writer = writer_over(new->bytes, new->bytes ? room : 0);
    bool ok = new->bytes &&match_entries(edit);
    if (ok)
        write_edited(&writer, edit, (struct span){old->bytes, old->size});
    new->size = writer_size(&writer);
    free(edit->instead);
    free(edit->placed);
    if (!ok || !writer_done(&writer))
        return credentials_fail(error, 0, "out of memory");
    return credentials_check_text((struct span){new->bytes, new->size}, error);
}

/* One edit under the lock. `old` is the file as it is, or empty with the owner of a new one. */
static bool edit_file(const struct file_place *place, struct edit *edit, enum credentials_kind kind,
                      const char *removed, const struct file_bytes *old,
                      struct credentials_error *error)
{
    struct file_bytes new = {0};
    struct credentials *credentials =
        credentials_parse((struct span){old->bytes, old->size}, error);
    if (!credentials)
        return false;
    edit->old = credentials;
    edit->removed = removed ? credentials_lookup(credentials, kind, removed) : NULL;
    bool ok = !removed || edit->removed ||
              credentials_fail(error, 0, "has no such entry; 'countersign user list' shows all");
    ok = ok && edit_text(edit, old, &new, error) && file_replace(place, &new, error);
    file_wipe(&new);
    credentials_free(credentials);
    return ok;
}

static bool check_entries(const struct credentials_entry *entries, size_t count,
                          struct credentials_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *problem = name_problem(entries[i].kind, entries[i].name);
        if (problem)
            return credentials_fail(error, 0, "the name %s", problem);
        problem = entries[i].kind == CREDENTIALS_MAPPED ? target_problem(entries[i].target) : NULL;
        if (!problem && entries[i].key != ACCOUNT_NT_HASH)
            problem = principal_problem(entries[i].target);
        if (problem)
            return credentials_fail(error, 0, "the mapped account %s", problem);
        if (entries[i].key != ACCOUNT_NT_HASH)
            problem = secret_problem(entries[i].key, entries[i].secret);
        if (problem)
            return credentials_fail(error, 0, "the keytab or password %s", problem);
    }
    return true;
}

bool credentials_add_all(const char *path, const struct credentials_entry *entries, size_t count,
                         unsigned owner, unsigned group, struct credentials_error *error)
{
    struct file_place place;
    struct file_bytes old;
    struct edit edit = {.entries = entries, .count = count};
    if (!check_entries(entries, count, error) || !place_enter(path, &place, error))
        return false;
    enum file_result result = file_load(place.directory, place.name, &owner, &old, error);
    if (result == FILE_MISSING)
        old = (struct file_bytes){NULL, 0, owner, group};
    bool ok =
        result != FILE_REFUSED && edit_file(&place, &edit, CREDENTIALS_USER, NULL, &old, error);
    file_wipe(&old);
    place_leave(&place);
    return ok;
}

bool credentials_remove(const char *path, enum credentials_kind kind, const char *name,
                        struct credentials_error *error)
{
    struct file_place place;
    struct file_bytes old;
    struct edit edit = {.count = 0};
    if (!place_enter(path, &place, error))
        return false;
    /* Nothing secret is added, so whoever may replace the file may do it, whoever owns it. */
    bool ok = file_load(place.directory, place.name, NULL, &old, error) == FILE_READ &&
              edit_file(&place, &edit, kind, name, &old, error);
    file_wipe(&old);
    place_leave(&place);
    return ok;
}
