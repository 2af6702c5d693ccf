/* Changing one group of the credentials file: every other line stays as it is. */
#include "crypto/credentials_internal.h"

#include <stdlib.h>
#include <string.h>

/* What becomes of the group's line. */
struct group_edit {
    const char *name;
    const char *const *members; /* to put in, or to take out */
    size_t count;
    bool remove;                   /* … or the whole group, when `count` is 0 */
    const struct local_group *old; /* NULL: there is none */
};

static bool same_name(const char *a, const char *b)
{
    struct name_key left, right;
    if (!name_key_make(a, &left))
        return false;
    bool same = name_key_make(b, &right);
    if (same) {
        same = left.size == right.size && memcmp(left.bytes, right.bytes, left.size) == 0;
        free(right.bytes);
    }
    free(left.bytes);
    return same;
}

static bool is_listed(const struct group_edit *edit, size_t count, struct span name)
{
    char *text = strndup((const char *)name.at, name.size);
    bool listed = false;
    for (size_t i = 0; text && !listed && i < count; i++)
        listed = same_name(text, edit->members[i]);
    free(text);
    return listed;
}

static void write_member(struct writer *writer, struct span name, bool *first)
{
    if (!*first)
        write_u8(writer, ',');
    write_span(writer, name);
    *first = false;
}

/* The group's new line: who stays, in the old order, then who is new. */
static void write_group(struct writer *writer, const struct group_edit *edit)
{
    const struct local_group *old = edit->old;
    struct reader reader = old ? reader_over_span(span_of_text(old->text)) : reader_over("", 0);
    struct span name;
    bool first = true;
    write_span(writer, span_of_text("group:"));
    write_span(writer, span_of_text(old ? old->name : edit->name));
    write_u8(writer, ':');
    while (reader_left(&reader)) {
        if (!read_until(&reader, ',', &name) && !read_span(&reader, reader_left(&reader), &name))
            return;
        if (!is_listed(edit, edit->count, name))
            write_member(writer, name, &first);
    }
    for (size_t i = 0; !edit->remove && i < edit->count; i++) {
        if (!is_listed(edit, i, span_of_text(edit->members[i])))
            write_member(writer, span_of_text(edit->members[i]), &first);
    }
    write_u8(writer, '\n');
}

static void write_edited(const void *context, struct span text, struct writer *writer)
{
    const struct group_edit *edit = context;
    const struct local_group *old = edit->old;
    struct reader reader = reader_over_span(text);
    struct span line;
    bool whole = edit->remove && edit->count == 0;
    for (unsigned number = 1; line_next(&reader, &line); number++) {
        if (!old || old->line != number) {
            write_span(writer, line);
            write_u8(writer, '\n');
        } else if (!whole) {
            write_group(writer, edit);
        }
    }
    if (!old)
        write_group(writer, edit);
}

static bool prepare(void *context, const struct credentials *old, size_t *more,
                    struct credentials_error *error)
{
    struct group_edit *edit = context;
    edit->old = group_find(old, edit->name);
    if (!edit->old && edit->remove)
        return credentials_fail(error, 0, "has no such group; 'countersign group list' shows all");
    *more = sizeof "\ngroup::\n" + strlen(edit->name);
    for (size_t i = 0; i < edit->count; i++)
        *more += strlen(edit->members[i]) + 1;
    return true;
}

static bool check_names(const struct group_edit *edit, struct credentials_error *error)
{
    const char *problem = group_problem(edit->name);
    if (problem)
        return credentials_fail(error, 0, "the group's name %s", problem);
    for (size_t i = 0; i < edit->count; i++) {
        problem = member_problem(edit->members[i]);
        if (problem)
            return credentials_fail(error, 0, "a member's name %s", problem);
    }
    return true;
}

bool credentials_group_add(const char *path, const char *name, const char *const *members,
                           size_t count, unsigned owner, unsigned group,
                           struct credentials_error *error)
{
    struct group_edit edit = {.name = name, .members = members, .count = count};
    const struct file_bytes fresh = {NULL, 0, owner, group};
    const struct change change = {&edit, prepare, write_edited};
    return check_names(&edit, error) && credentials_change(path, &fresh, &change, error);
}

bool credentials_group_remove(const char *path, const char *name, const char *const *members,
                              size_t count, struct credentials_error *error)
{
    struct group_edit edit = {.name = name, .members = members, .count = count, .remove = true};
    const struct change change = {&edit, prepare, write_edited};
    return check_names(&edit, error) && credentials_change(path, NULL, &change, error);
}
