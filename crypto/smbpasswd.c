#include "crypto/smbpasswd.h"

#include "crypto/credentials_internal.h"

#include <string.h>

/* Which letters between the brackets keep an account out. */
static const struct {
    char flag;
    const char *why;
} skipped_flags[] = {
    {'D', "the account is disabled"},
    {'L', "the account is locked"},
    {'N', "the account has no password"},
    {'W', "it is the trust account of a workstation"},
    {'S', "it is the trust account of a server"},
    {'I', "it is the trust account of a domain"},
};

static const char *why_skipped(struct span flags)
{
    for (size_t i = 0; i < sizeof skipped_flags / sizeof skipped_flags[0]; i++) {
        if (flags.size && memchr(flags.at, skipped_flags[i].flag, flags.size))
            return skipped_flags[i].why;
    }
    return NULL;
}

static bool is_filler(struct span hash)
{
    for (size_t i = 0; i < hash.size; i++) {
        if (hash.at[i] != 'X')
            return false;
    }
    return true;
}

static bool set_name(struct smbpasswd_line *line, struct span name)
{
    if (name.size >= sizeof line->name || memchr(name.at, '\0', name.size) != NULL)
        return false;
    memcpy(line->name, name.at, name.size);
    line->name[name.size] = '\0';
    return name_problem(CREDENTIALS_USER, line->name) == NULL;
}

/* NULL, or what is wrong with the line. */
static const char *parse(struct span text, struct smbpasswd_line *line)
{
    struct reader reader = reader_over_span(text);
    struct span name, uid, lm_hash, nt_hash, flags;
    if (!read_until(&reader, ':', &name) || !read_until(&reader, ':', &uid) ||
        !read_until(&reader, ':', &lm_hash) || !read_until(&reader, ':', &nt_hash) ||
        !read_until(&reader, ':', &flags))
        return "it has too few fields for a line of smbpasswd";
    if (name.size == 0 || !set_name(line, name))
        return "its name is not one that an account can have here";
    if (flags.size < 2 || flags.at[0] != '[' || flags.at[flags.size - 1] != ']')
        return "its fifth field is not flags in brackets";
    line->why = why_skipped(flags);
    if (!line->why && nt_hash.size == 2 * NT_HASH_SIZE && is_filler(nt_hash))
        line->why = "the account has no NT hash";
    line->kind = line->why ? SMBPASSWD_SKIPPED : SMBPASSWD_ACCOUNT;
    if (!line->why && !nt_hash_parse(nt_hash, line->nt_hash))
        return "its fourth field is not an NT hash";
    return NULL;
}

bool smbpasswd_next(struct reader *reader, unsigned *number, struct smbpasswd_line *line)
{
    struct span text;
    do {
        if (!line_next(reader, &text))
            return false;
        ++*number;
    } while (line_is_blank(text));
    *line = (struct smbpasswd_line){.number = *number};
    const char *wrong = parse(text, line);
    if (wrong) {
        line->kind = SMBPASSWD_MALFORMED;
        line->why = wrong;
    }
    return true;
}
