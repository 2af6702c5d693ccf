#include "crypto/credentials.h"

#include "crypto/credentials_internal.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* The shortest entry, "mapped:*:a@b:keytab=/": it bounds how many a text can hold, so that the
 * entries never move and leave no copies of hashes behind. */
enum { ENTRY_SIZE_MIN = 21 };

static int compare_keys(const struct entry *a, const struct entry *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    size_t common = a->key.size < b->key.size ? a->key.size : b->key.size;
    int order = common ? memcmp(a->key.bytes, b->key.bytes, common) : 0;
    if (order != 0)
        return order;
    return a->key.size < b->key.size ? -1 : a->key.size > b->key.size;
}

static int compare_sorted(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    int order = compare_keys(a, b);
    return order != 0 ? order : a->line < b->line ? -1 : 1;
}

static int compare_found(const void *wanted, const void *item)
{
    return compare_keys(wanted, *(struct entry *const *)item);
}

/* Sorts the entries for lookups and refuses two for one name: which of them counts would be luck.
 */
static bool sort_entries(struct credentials *credentials, struct credentials_error *error)
{
    size_t count = credentials->count;
    credentials->sorted = calloc(count + 1, sizeof *credentials->sorted);
    if (!credentials->sorted)
        return credentials_fail(error, 0, "out of memory");
    for (size_t i = 0; i < count; i++)
        credentials->sorted[i] = &credentials->entries[i];
    qsort(credentials->sorted, count, sizeof *credentials->sorted, compare_sorted);
    for (size_t i = 1; i < count; i++) {
        const struct entry *first = credentials->sorted[i - 1], *second = credentials->sorted[i];
        if (compare_keys(first, second) == 0)
            return credentials_fail(
                error, second->line, "names the same %s as line %u; delete one of them",
                second->kind == CREDENTIALS_USER ? "user" : "mapping", first->line);
    }
    return true;
}

static bool parse_lines(struct credentials *credentials, struct span text,
                        struct credentials_error *error)
{
    struct reader reader = reader_over_span(text);
    struct span line, rest;
    for (unsigned number = 1; line_next(&reader, &line); number++) {
        if (line_is_blank(line))
            continue;
        if (group_line(line, &rest)) {
            if (!group_add(credentials, line, rest, number, error))
                return false;
            continue;
        }
        struct entry entry;
        if (!entry_parse(line, number, &entry, error)) {
            entry_wipe(&entry);
            return false;
        }
        credentials->users += entry.kind == CREDENTIALS_USER;
        credentials->entries[credentials->count++] = entry;
        OPENSSL_cleanse(&entry, sizeof entry);
    }
    return true;
}

struct credentials *credentials_parse(struct span text, struct credentials_error *error)
{
    *error = (struct credentials_error){0};
    if (text.size > CREDENTIALS_FILE_MAX) {
        credentials_fail(error, 0, "is longer than %d bytes; split or shorten it",
                         CREDENTIALS_FILE_MAX);
        return NULL;
    }
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials)
        credentials->entries = calloc(text.size / ENTRY_SIZE_MIN + 1, sizeof *credentials->entries);
    if (!credentials || !credentials->entries)
        credentials_fail(error, 0, "out of memory");
    else if (parse_lines(credentials, text, error) && sort_entries(credentials, error) &&
             groups_sort(credentials, error))
        return credentials;
    credentials_free(credentials);
    return NULL;
}

struct credentials *credentials_read(const char *path, unsigned owner,
                                     struct credentials_error *error)
{
    struct file_bytes file;
    if (file_load(AT_FDCWD, path, &owner, &file, error) != FILE_READ)
        return NULL;
    struct credentials *credentials =
        credentials_parse((struct span){file.bytes, file.size}, error);
    file_wipe(&file);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return;
    for (size_t i = 0; i < credentials->count; i++)
        entry_wipe(&credentials->entries[i]);
    groups_free_all(credentials);
    free(credentials->entries);
    free(credentials->sorted);
    free(credentials);
}

size_t credentials_users(const struct credentials *credentials)
{
    return credentials->users;
}

size_t credentials_mapped(const struct credentials *credentials)
{
    return credentials->count - credentials->users;
}

struct entry *credentials_lookup(const struct credentials *credentials, enum credentials_kind kind,
                                 const char *name)
{
    struct entry wanted = {.kind = kind};
    if (!name_key_make(name, &wanted.key))
        return NULL;
    struct entry **found = bsearch(&wanted, credentials->sorted, credentials->count,
                                   sizeof *credentials->sorted, compare_found);
    free(wanted.key.bytes);
    return found ? *found : NULL;
}

/* A backslash inside a part would let a client that names no domain pick an entry that asks for
 * one. */
static bool is_part(const char *text)
{
    return *text && !strchr(text, '\\');
}

/* The entry of DOMAIN\user; NULL when there is none, or a part is empty. */
static struct entry *find_exact(const struct credentials *credentials, enum credentials_kind kind,
                                const char *user, const char *domain)
{
    char name[CREDENTIALS_NAME_MAX];
    struct writer writer = writer_over(name, sizeof name);
    if (!is_part(user) || !is_part(domain))
        return NULL;
    write_bytes(&writer, domain, strlen(domain));
    write_u8(&writer, '\\');
    write_bytes(&writer, user, strlen(user));
    write_u8(&writer, '\0');
    return writer_done(&writer) ? credentials_lookup(credentials, kind, name) : NULL;
}

static struct entry *find_plain(const struct credentials *credentials, enum credentials_kind kind,
                                const char *user)
{
    return is_part(user) ? credentials_lookup(credentials, kind, user) : NULL;
}

MUST_USE static bool take_hash(const struct entry *entry, uint8_t nt_hash[NT_HASH_SIZE])
{
    if (entry)
        memcpy(nt_hash, entry->nt_hash, NT_HASH_SIZE);
    return entry != NULL;
}

bool credentials_find_user(const struct credentials *credentials, const char *user,
                           const char *domain, uint8_t nt_hash[NT_HASH_SIZE])
{
    const struct entry *entry = find_exact(credentials, CREDENTIALS_USER, user, domain);
    if (!entry && !strchr(domain, '\\'))
        entry = find_plain(credentials, CREDENTIALS_USER, user);
    return take_hash(entry, nt_hash);
}

bool credentials_find_domain_user(const struct credentials *credentials, const char *user,
                                  const char *domain, uint8_t nt_hash[NT_HASH_SIZE])
{
    return take_hash(find_exact(credentials, CREDENTIALS_USER, user, domain), nt_hash);
}

/* Splits [DOMAIN\]ACCOUNT, which the parser has checked. */
static bool split_target(const char *target, struct account *account)
{
    struct reader reader = reader_over(target, strlen(target));
    struct span domain;
    if (!read_until(&reader, '\\', &domain))
        domain = (struct span){NULL, 0};
    size_t user_size = reader_left(&reader);
    if (domain.size >= sizeof account->domain || user_size >= sizeof account->user)
        return false;
    if (domain.size)
        memcpy(account->domain, domain.at, domain.size);
    return read_copy(&reader, account->user, user_size);
}

static const struct entry *find_mapping(const struct credentials *credentials, const char *user,
                                        const char *domain, enum credentials_names names)
{
    const struct entry *entry = NULL;
    if (names == CREDENTIALS_EXACT)
        return find_exact(credentials, CREDENTIALS_MAPPED, user, domain);
    if (names == CREDENTIALS_PLAIN)
        entry = find_plain(credentials, CREDENTIALS_MAPPED, user);
    return entry ? entry : credentials_lookup(credentials, CREDENTIALS_MAPPED, "*");
}

bool credentials_find_mapped(const struct credentials *credentials, const char *user,
                             const char *domain, enum credentials_names names,
                             struct account *account)
{
    const struct entry *entry = find_mapping(credentials, user, domain, names);
    *account = (struct account){.key = ACCOUNT_NT_HASH};
    if (!entry || !split_target(entry->target, account))
        return false;
    account->key = entry->account_key;
    memcpy(account->nt_hash, entry->nt_hash, NT_HASH_SIZE);
    /* The parser has seen that it fits. */
    if (entry->secret)
        memcpy(account->secret, entry->secret, strlen(entry->secret) + 1);
    return true;
}

bool name_key_suffix(const char *user, struct name_key *suffix)
{
    char name[IDENTITY_NAME_MAX + 1];
    int length = snprintf(name, sizeof name, "\\%s", user);
    return is_part(user) && length > 0 && (size_t)length < sizeof name &&
           name_key_make(name, suffix);
}

bool name_key_is_in_domain(const struct name_key *key, const struct name_key *suffix)
{
    uint16_t unit;
    if (key->size <= suffix->size ||
        memcmp(&key->bytes[key->size - suffix->size], suffix->bytes, suffix->size) != 0)
        return false;
    struct reader domain = reader_over(key->bytes, key->size - suffix->size);
    while (read_le16(&domain, &unit))
        if (unit == '.')
            return false;
    return true;
}

bool credentials_name_domain_user(const struct credentials *credentials, enum credentials_kind kind,
                                  const char *user)
{
    struct name_key suffix;
    bool found = false;
    if (!name_key_suffix(user, &suffix))
        return false;
    for (size_t i = 0; i < credentials->count && !found; i++)
        found = credentials->entries[i].kind == kind &&
                name_key_is_in_domain(&credentials->entries[i].key, &suffix);
    free(suffix.bytes);
    return found;
}

void credentials_each(const struct credentials *credentials,
                      void (*each)(void *context, enum credentials_kind kind, const char *name,
                                   const char *target),
                      void *context)
{
    for (size_t i = 0; i < credentials->count; i++) {
        const struct entry *entry = &credentials->entries[i];
        each(context, entry->kind, entry->name, entry->target);
    }
}
