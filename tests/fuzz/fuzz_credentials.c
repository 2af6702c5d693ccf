/*
 * The credentials file from any bytes. What is accepted must be found again under its own names,
 * and must come out the same when it is written down and read once more.
 */
#include "crypto/credentials.h"
#include "crypto/smbpasswd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct walk {
    const struct credentials *credentials;
    struct writer text;
    size_t users, mapped, groups;
};

static void write_text(struct writer *writer, const char *text)
{
    write_bytes(writer, text, strlen(text));
}

static void write_hash(struct writer *writer, const uint8_t hash[NT_HASH_SIZE])
{
    char digits[2 * NT_HASH_SIZE + 1];
    for (size_t i = 0; i < NT_HASH_SIZE; i++)
        snprintf(&digits[2 * i], 3, "%02x", hash[i]);
    write_text(writer, digits);
    write_u8(writer, '\n');
}

/* An entry's name as an identity has it. */
static void split_name(const char *name, char user[IDENTITY_NAME_MAX],
                       char domain[IDENTITY_NAME_MAX])
{
    const char *backslash = strchr(name, '\\');
    require(strlen(backslash ? backslash + 1 : name) < IDENTITY_NAME_MAX);
    require(!backslash || (size_t)(backslash - name) < IDENTITY_NAME_MAX);
    snprintf(user, IDENTITY_NAME_MAX, "%s", backslash ? backslash + 1 : name);
    snprintf(domain, IDENTITY_NAME_MAX, "%.*s", backslash ? (int)(backslash - name) : 0, name);
}

static void visit(void *context, enum credentials_kind kind, const char *name, const char *target)
{
    struct walk *walk = context;
    char user[IDENTITY_NAME_MAX], domain[IDENTITY_NAME_MAX];
    struct account account = {.user = ""};
    require(*name && !strchr(name, '\n') && !strchr(name, '\r') && !strchr(name, ':'));
    split_name(name, user, domain);
    if (kind == CREDENTIALS_USER) {
        walk->users++;
        require(!target && *user);
        require(credentials_find_user(walk->credentials, user, domain, account.nt_hash));
        write_text(&walk->text, "user:");
        write_text(&walk->text, name);
    } else {
        char again[2 * IDENTITY_NAME_MAX];
        walk->mapped++;
        require(credentials_find_mapped(walk->credentials, user, domain,
                                        *domain ? CREDENTIALS_EXACT : CREDENTIALS_PLAIN, &account));
        snprintf(again, sizeof again, "%s%s%s", account.domain, *account.domain ? "\\" : "",
                 account.user);
        require(strcmp(again, target) == 0);
        write_text(&walk->text, "mapped:");
        write_text(&walk->text, name);
        write_text(&walk->text, ":");
        write_text(&walk->text, target);
    }
    write_text(&walk->text, ":");
    if (account.key == ACCOUNT_NT_HASH) {
        write_hash(&walk->text, account.nt_hash);
        return;
    }
    write_text(&walk->text, account.key == ACCOUNT_KEYTAB ? "keytab=" : "password=");
    write_text(&walk->text, account.secret);
    write_text(&walk->text, "\n");
}

static void visit_group(void *context, const char *name, const char *members)
{
    struct walk *walk = context;
    struct reader reader = reader_over(members, strlen(members));
    struct span member;
    walk->groups++;
    require(credentials_has_group(walk->credentials, name));
    require(!credentials_in_group(walk->credentials, name, "no,member"));
    while (reader_left(&reader)) {
        if (!read_until(&reader, ',', &member))
            require(read_span(&reader, reader_left(&reader), &member));
        char *text = strndup((const char *)member.at, member.size);
        require(text && credentials_in_group(walk->credentials, name, text));
        free(text);
    }
    write_text(&walk->text, "group:");
    write_text(&walk->text, name);
    write_text(&walk->text, ":");
    write_text(&walk->text, members);
    write_text(&walk->text, "\n");
}

/* Walks over every entry; the text that they make. */
static size_t write_down(const struct credentials *credentials, uint8_t *text, size_t room)
{
    struct walk walk = {.credentials = credentials, .text = writer_over(text, room)};
    credentials_each(credentials, visit, &walk);
    credentials_each_group(credentials, visit_group, &walk);
    require(walk.groups == credentials_groups(credentials));
    require(walk.users == credentials_users(credentials));
    require(walk.mapped == credentials_mapped(credentials));
    require(writer_done(&walk.text));
    return writer_size(&walk.text);
}

static void check_smbpasswd(struct span text)
{
    struct reader reader = reader_over_span(text);
    struct smbpasswd_line line;
    unsigned number = 0;
    size_t accounts = 0;
    while (smbpasswd_next(&reader, &number, &line)) {
        require(line.number == number);
        require(line.kind == SMBPASSWD_ACCOUNT || line.why);
        require(line.kind == SMBPASSWD_MALFORMED || *line.name);
        accounts += line.kind == SMBPASSWD_ACCOUNT;
    }
    require(reader_left(&reader) == 0);
    require(accounts <= text.size / SMBPASSWD_LINE_MIN + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credentials_error error;
    struct span text = {data, size};
    check_smbpasswd(text);
    struct credentials *first = credentials_parse(text, &error);
    if (!first) {
        require(error.text[0] != '\0');
        return 0;
    }
    size_t room = size + 1;
    uint8_t *once = malloc(room), *twice = malloc(room);
    require(once && twice);
    size_t once_size = write_down(first, once, room);
    credentials_free(first);
    struct credentials *second = credentials_parse((struct span){once, once_size}, &error);
    require(second != NULL);
    require(write_down(second, twice, room) == once_size && memcmp(once, twice, once_size) == 0);
    credentials_free(second);
    free(once);
    free(twice);
    return 0;
}
