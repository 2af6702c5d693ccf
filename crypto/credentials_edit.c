/* Changing the credentials file: every line that does not change stays as it is. */
#include "crypto/credentials_internal.h"

#include <stdlib.h>
#include <string.h>

/* What becomes of the old entries, by their place, and what comes after them. */
struct edit {
    const struct credentials_entry *entries;
    size_t count;
    enum credentials_kind kind; /* of what is to be removed */
    const char *name;           /* NULL: nothing is */
    const struct credentials *old;
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
static void write_edited(const void *context, struct span text, struct writer *writer)
{
    const struct edit *edit = context;
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

static bool prepare(void *context, const struct credentials *old, size_t *more,
                    struct credentials_error *error)
{
    struct edit *edit = context;
    edit->old = old;
    edit->removed = edit->name ? credentials_lookup(old, edit->kind, edit->name) : NULL;
    if (edit->name && !edit->removed)
        return credentials_fail(error, 0, "has no such entry; 'countersign user list' shows all");
    /* Replaced lines are counted twice; nothing is written past what was counted. */
    *more = 1;
    for (size_t i = 0; i < edit->count; i++)
        *more += entry_room(&edit->entries[i]);
    return match_entries(edit) || credentials_fail(error, 0, "out of memory");
}

static bool carry_out(const char *path, struct edit *edit, const struct file_bytes *fresh,
                      struct credentials_error *error)
{
    const struct change change = {edit, prepare, write_edited};
    bool ok = credentials_change(path, fresh, &change, error);
    free(edit->instead);
    free(edit->placed);
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
    const struct file_bytes fresh = {NULL, 0, owner, group};
    struct edit edit = {.entries = entries, .count = count};
    return check_entries(entries, count, error) && carry_out(path, &edit, &fresh, error);
}

bool credentials_remove(const char *path, enum credentials_kind kind, const char *name,
                        struct credentials_error *error)
{
    struct edit edit = {.kind = kind, .name = name};
    return carry_out(path, &edit, NULL, error);
}
