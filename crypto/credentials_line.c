/* One line of the credentials file. What an error says never quotes the line: its fields may be
 * shifted, and then a hash stands where the name belongs. */
#include "crypto/credentials_internal.h"

#include "crypto/text.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool credentials_fail(struct credentials_error *error, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->line = line;
    return false;
}

void entry_wipe(struct entry *entry)
{
    free(entry->name);
    free(entry->target);
    free(entry->key.bytes);
    if (entry->secret)
        OPENSSL_cleanse(entry->secret, strlen(entry->secret));
    free(entry->secret);
    OPENSSL_cleanse(entry, sizeof *entry);
}

bool line_next(struct reader *reader, struct span *line)
{
    if (reader_left(reader) == 0)
        return false;
    if (!read_until(reader, '\n', line) && !read_span(reader, reader_left(reader), line))
        return false;
    if (line->size && line->at[line->size - 1] == '\r')
        line->size--;
    return true;
}

bool line_is_blank(struct span line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.at[i] != ' ' && line.at[i] != '\t')
            return line.at[i] == '#';
    }
    return true;
}

bool name_key_make(const char *name, struct name_key *key)
{
    size_t room = 2 * strlen(name) + 2;
    key->bytes = malloc(room);
    struct writer writer = writer_over(key->bytes, key->bytes ? room : 0);
    if (!key->bytes || !text_write_utf16(&writer, name, true) || !writer_done(&writer)) {
        free(key->bytes);
        key->bytes = NULL;
        return false;
    }
    key->size = writer_size(&writer);
    return true;
}

static bool is_control(uint16_t unit)
{
    return unit < 0x20 || (unit >= 0x7f && unit < 0xa0);
}

/* Control characters would let a name forge lines of a terminal or of a log. */
static const char *characters_problem(const char *name)
{
    uint8_t utf16[2 * CREDENTIALS_NAME_MAX];
    struct writer writer = writer_over(utf16, sizeof utf16);
    if (!text_write_utf16(&writer, name, false))
        return "is not valid UTF-8";
    if (!writer_done(&writer))
        return "is too long";
    struct reader reader = reader_over_span(writer_span(&writer));
    uint16_t unit;
    while (read_le16(&reader, &unit)) {
        if (is_control(unit))
            return "holds a control character";
        if (unit == ':' || unit == '*')
            return "holds a ':' or a '*', which no account name may";
    }
    return NULL;
}

/* An account name, or what stands before its backslash. */
static const char *part_problem(struct span part)
{
    if (part.size == 0)
        return "is empty, or has nothing on one side of its '\\'";
    if (part.size >= IDENTITY_NAME_MAX)
        return "is too long";
    if (part.at[0] == ' ' || part.at[part.size - 1] == ' ')
        return "begins or ends with a space";
    if (memchr(part.at, '\\', part.size))
        return "has more than one '\\'";
    return NULL;
}

const char *target_problem(const char *target)
{
    struct reader reader = reader_over(target, strlen(target));
    struct span domain;
    const char *problem = characters_problem(target);
    if (!problem && read_until(&reader, '\\', &domain))
        problem = part_problem(domain);
    return problem ? problem : part_problem(reader_rest(&reader));
}

const char *name_problem(enum credentials_kind kind, const char *name)
{
    if (kind == CREDENTIALS_MAPPED && strcmp(name, "*") == 0)
        return NULL;
    return target_problem(name);
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool nt_hash_parse(struct span digits, uint8_t nt_hash[NT_HASH_SIZE])
{
    if (digits.size != 2 * NT_HASH_SIZE)
        return false;
    for (size_t i = 0; i < NT_HASH_SIZE; i++) {
        int high = hex_value(digits.at[2 * i]), low = hex_value(digits.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        nt_hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *principal_problem(const char *target)
{
    struct reader reader = reader_over(target, strlen(target));
    struct span account;
    if (strchr(target, '\\') || !read_until(&reader, '@', &account) || account.size == 0 ||
        reader_left(&reader) == 0 || memchr(reader.at, '@', reader_left(&reader)))
        return "must be ACCOUNT@REALM to log in by Kerberos";
    return target_problem(target);
}

const char *secret_problem(enum account_key key, const char *secret)
{
    size_t size = strlen(secret);
    if (size == 0)
        return "is empty";
    if (size >= CREDENTIALS_SECRET_MAX)
        return "is too long";
    if (key == ACCOUNT_KEYTAB && secret[0] != '/')
        return "must be a path from the root";
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)secret[i] < 0x20 || secret[i] == 0x7f)
            return "holds a control character";
    }
    return NULL;
}

const char *account_key_prefix(enum account_key key)
{
    switch (key) {
    case ACCOUNT_KEYTAB: return "keytab=";
    case ACCOUNT_PASSWORD: return "password=";
    case ACCOUNT_NT_HASH: break;
    }
    return "";
}

static char *copy_text(struct span field)
{
    return strndup((const char *)field.at, field.size);
}

static bool take_kind(struct reader *fields, enum credentials_kind *kind)
{
    struct span word;
    if (!read_until(fields, ':', &word))
        return false;
    *kind = span_is(word, "mapped") ? CREDENTIALS_MAPPED : CREDENTIALS_USER;
    return *kind == CREDENTIALS_MAPPED || span_is(word, "user");
}

static bool parse_names(struct span name, struct span target, struct entry *entry,
                        struct credentials_error *error)
{
    bool mapped = entry->kind == CREDENTIALS_MAPPED;
    entry->name = copy_text(name);
    entry->target = mapped ? copy_text(target) : NULL;
    if (!entry->name || (mapped && !entry->target))
        return credentials_fail(error, entry->line, "out of memory");
    const char *problem = name_problem(entry->kind, entry->name);
    if (problem)
        return credentials_fail(error, entry->line, "the name %s; correct the line", problem);
    if (mapped && entry->secret)
        problem = principal_problem(entry->target);
    else if (mapped)
        problem = target_problem(entry->target);
    if (problem)
        return credentials_fail(error, entry->line, "the mapped account %s; correct the line",
                                problem);
    if (!name_key_make(entry->name, &entry->key))
        return credentials_fail(error, entry->line, "out of memory");
    return true;
}

/* The last field: an NT hash or, of a mapping, what Kerberos needs. */
static bool parse_key(struct reader field, struct entry *entry, struct credentials_error *error)
{
    bool mapped = entry->kind == CREDENTIALS_MAPPED;
    if (mapped && read_literal(&field, account_key_prefix(ACCOUNT_KEYTAB)))
        entry->account_key = ACCOUNT_KEYTAB;
    else if (mapped && read_literal(&field, account_key_prefix(ACCOUNT_PASSWORD)))
        entry->account_key = ACCOUNT_PASSWORD;
    else if (nt_hash_parse(reader_rest(&field), entry->nt_hash))
        return true;
    else
        return credentials_fail(error, entry->line,
                                "the last field is not an NT hash of 32 hexadecimal digits; write "
                                "the line anew with 'countersign user add'");
    entry->secret = copy_text(reader_rest(&field));
    if (!entry->secret)
        return credentials_fail(error, entry->line, "out of memory");
    const char *problem = secret_problem(entry->account_key, entry->secret);
    return !problem ||
           credentials_fail(error, entry->line, "the %s %s; correct the line",
                            entry->account_key == ACCOUNT_KEYTAB ? "keytab" : "password", problem);
}

bool entry_parse(struct span line, unsigned number, struct entry *entry,
                 struct credentials_error *error)
{
    struct reader fields = reader_over_span(line);
    struct span name, target = {NULL, 0};
    *entry = (struct entry){.line = number};
    if (line.size > CREDENTIALS_LINE_MAX)
        return credentials_fail(error, number, "is longer than %d bytes; shorten or delete it",
                                CREDENTIALS_LINE_MAX);
    if (line.size && memchr(line.at, '\0', line.size))
        return credentials_fail(error, number, "holds a NUL byte; the file must be plain text");
    if (!take_kind(&fields, &entry->kind))
        return credentials_fail(
            error, number,
            "begins with neither 'user:' nor 'mapped:' nor 'group:'; correct the line, or "
            "begin it with '#' to make it a comment");
    bool mapped = entry->kind == CREDENTIALS_MAPPED;
    if (!read_until(&fields, ':', &name) || (mapped && !read_until(&fields, ':', &target)))
        return credentials_fail(error, number, "has too few fields; it should be '%s'",
                                mapped ? "mapped:NAME:ACCOUNT:NTHASH" : "user:NAME:NTHASH");
    return parse_key(fields, entry, error) && parse_names(name, target, entry, error);
}
