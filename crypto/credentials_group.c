/* The groups of the credentials file: one line each, members separated by commas. No secret is in
 * them. */
#include "crypto/credentials_internal.h"

#include "crypto/sid.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 4096 };

static const char start[] = "group:";

static int compare_bytes(const struct name_key *a, const struct name_key *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common ? memcmp(a->bytes, b->bytes, common) : 0;
    return order != 0 ? order : a->size < b->size ? -1 : a->size > b->size;
}

static int compare_members(const void *left, const void *right)
{
    return compare_bytes(left, right);
}

static int compare_groups(const void *left, const void *right)
{
    const struct local_group *a = left, *b = right;
    return compare_bytes(&a->key, &b->key);
}

static void group_free(struct local_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        free(group->members[i].bytes);
    free(group->members);
    free(group->key.bytes);
    free(group->name);
    free(group->text);
}

void groups_free_all(struct credentials *credentials)
{
    for (size_t i = 0; i < credentials->groups_count; i++)
        group_free(&credentials->groups[i]);
    free(credentials->groups);
}

const char *group_problem(const char *name)
{
    struct sid sid;
    const char *problem = target_problem(name);
    if (problem)
        return problem;
    if (strchr(name, '\\'))
        return "holds a '\\': groups of domains are not kept here";
    if (strchr(name, ','))
        return "holds a ','";
    return sid_parse(name, &sid) ? "is a SID" : NULL;
}

const char *member_problem(const char *name)
{
    return strchr(name, ',') ? "holds a ','" : target_problem(name);
}

bool group_line(struct span line, struct span *rest)
{
    struct reader reader = reader_over_span(line);
    if (!read_literal(&reader, start))
        return false;
    *rest = reader_rest(&reader);
    return true;
}

/* The next of the names between commas, allocated; false at the end, or with no memory. */
static bool next_member(struct reader *reader, char **name)
{
    struct span field;
    if (reader_left(reader) == 0)
        return false;
    if (!read_until(reader, ',', &field) && !read_span(reader, reader_left(reader), &field))
        return false;
    *name = strndup((const char *)field.at, field.size);
    return *name != NULL;
}

static bool add_member(struct local_group *group, const char *name, struct credentials_error *error)
{
    const char *problem = member_problem(name);
    if (problem)
        return credentials_fail(error, group->line, "a member's name %s; correct the line",
                                problem);
    if (!name_key_make(name, &group->members[group->count]))
        return credentials_fail(error, group->line, "out of memory");
    group->count++;
    return true;
}

static bool parse_members(struct local_group *group, struct span text,
                          struct credentials_error *error)
{
    struct reader reader = reader_over_span(text);
    size_t commas = 0;
    bool ok = true;
    char *name = NULL;
    for (size_t i = 0; i < text.size; i++)
        commas += text.at[i] == ',';
    group->members = calloc(commas + 1, sizeof *group->members);
    if (!group->members)
        return credentials_fail(error, group->line, "out of memory");
    if (text.size && text.at[text.size - 1] == ',')
        return credentials_fail(error, group->line, "ends with a ','; correct the line");
    while (ok && next_member(&reader, &name)) {
        ok = add_member(group, name, error);
        free(name);
    }
    if (ok && reader_left(&reader))
        return credentials_fail(error, group->line, "out of memory");
    qsort(group->members, group->count, sizeof *group->members, compare_members);
    return ok;
}

static bool parse_group(struct span rest, struct local_group *group,
                        struct credentials_error *error)
{
    struct reader reader = reader_over_span(rest);
    struct span name;
    if (!read_until(&reader, ':', &name))
        return credentials_fail(error, group->line,
                                "has too few fields; it should be 'group:NAME:MEMBER,MEMBER'");
    struct span members = reader_rest(&reader);
    group->name = strndup((const char *)name.at, name.size);
    group->text = strndup(members.size ? (const char *)members.at : "", members.size);
    if (!group->name || !group->text)
        return credentials_fail(error, group->line, "out of memory");
    const char *problem = group_problem(group->name);
    if (problem)
        return credentials_fail(error, group->line, "the group's name %s; correct the line",
                                problem);
    if (!name_key_make(group->name, &group->key))
        return credentials_fail(error, group->line, "out of memory");
    return parse_members(group, members, error);
}

bool group_add(struct credentials *credentials, struct span line, struct span rest, unsigned number,
               struct credentials_error *error)
{
    struct local_group group = {.line = number};
    if (line.size > CREDENTIALS_GROUP_MAX)
        return credentials_fail(error, number, "is longer than %d bytes; make two groups of it",
                                CREDENTIALS_GROUP_MAX);
    if (memchr(line.at, '\0', line.size))
        return credentials_fail(error, number, "holds a NUL byte; the file must be plain text");
    if (credentials->groups_count >= GROUPS_MAX)
        return credentials_fail(error, number, "is one group more than %d", GROUPS_MAX);
    struct local_group *more =
        realloc(credentials->groups, (credentials->groups_count + 1) * sizeof *credentials->groups);
    if (!more)
        return credentials_fail(error, number, "out of memory");
    credentials->groups = more;
    bool ok = parse_group(rest, &group, error);
    if (ok)
        credentials->groups[credentials->groups_count++] = group;
    else
        group_free(&group);
    return ok;
}

bool groups_sort(struct credentials *credentials, struct credentials_error *error)
{
    struct local_group *groups = credentials->groups;
    if (credentials->groups_count == 0)
        return true;
    qsort(groups, credentials->groups_count, sizeof *groups, compare_groups);
    for (size_t i = 1; i < credentials->groups_count; i++) {
        unsigned first = groups[i - 1].line, second = groups[i].line;
        if (compare_bytes(&groups[i - 1].key, &groups[i].key) == 0)
            return credentials_fail(error, first < second ? second : first,
                                    "names the same group as line %u; make one line of the two",
                                    first < second ? first : second);
    }
    return true;
}

const struct local_group *group_find(const struct credentials *credentials, const char *name)
{
    struct local_group wanted = {.name = NULL};
    if (credentials->groups_count == 0 || !name_key_make(name, &wanted.key))
        return NULL;
    const struct local_group *found =
        bsearch(&wanted, credentials->groups, credentials->groups_count,
                sizeof *credentials->groups, compare_groups);
    free(wanted.key.bytes);
    return found;
}

size_t credentials_groups(const struct credentials *credentials)
{
    return credentials->groups_count;
}

bool credentials_has_group(const struct credentials *credentials, const char *name)
{
    return group_find(credentials, name) != NULL;
}

bool credentials_in_group(const struct credentials *credentials, const char *name,
                          const char *member)
{
    const struct local_group *group = group_find(credentials, name);
    struct name_key key;
    if (!group || group->count == 0 || !name_key_make(member, &key))
        return false;
    bool found =
        bsearch(&key, group->members, group->count, sizeof *group->members, compare_members);
    free(key.bytes);
    return found;
}

bool credentials_group_names_domain_user(const struct credentials *credentials, const char *name,
                                         const char *user)
{
    const struct local_group *group = group_find(credentials, name);
    struct name_key suffix;
    bool found = false;
    if (!group || !name_key_suffix(user, &suffix))
        return false;
    for (size_t i = 0; i < group->count && !found; i++)
        found = name_key_is_in_domain(&group->members[i], &suffix);
    free(suffix.bytes);
    return found;
}

void credentials_each_group(const struct credentials *credentials,
                            void (*each)(void *context, const char *name, const char *members),
                            void *context)
{
    for (size_t i = 0; i < credentials->groups_count; i++)
        each(context, credentials->groups[i].name, credentials->groups[i].text);
}
