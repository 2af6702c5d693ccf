#include "crypto/credentials.h"
#include "crypto/nt_hash.h"
#include "proxy/credentials_command.h"
#include "proxy/password.h"
#include "proxy/user_import.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool complain_at(const char *what, unsigned line, const char *text)
{
    return user_file_complain("user", what, line, text);
}

static bool complain(const char *what, const char *text)
{
    return complain_at(what, 0, text);
}

static bool full_name(const struct credentials_request *request, char *name, size_t size)
{
    int length = request->domain
                     ? snprintf(name, size, "%s\\%s", request->domain, request->operands[0])
                     : snprintf(name, size, "%s", request->operands[0]);
    return (length >= 0 && (size_t)length < size) || complain("NAME", "the name is too long");
}

/* Fills in what the account proves itself with; `password` is where the entry borrows it from. */
static bool read_key(const struct credentials_request *request, struct credentials_entry *entry,
                     char password[PASSWORD_MAX + 1])
{
    const char *account = request->mapped ? request->target : entry->name;
    const char *why = NULL;
    entry->key = request->keytab     ? ACCOUNT_KEYTAB
                 : request->kerberos ? ACCOUNT_PASSWORD
                                     : ACCOUNT_NT_HASH;
    entry->secret = request->keytab ? request->keytab : password;
    if (request->keytab)
        return true;
    if (!password_read(STDIN_FILENO, account, password, &why))
        return complain(account, why);
    return request->kerberos || nt_hash_of_password(password, entry->nt_hash) ||
           complain(account, "the password is not valid UTF-8, or OpenSSL's legacy provider (MD4) "
                             "is missing");
}

static bool user_add(const struct credentials_request *request, const struct user_file *file)
{
    char name[2 * IDENTITY_NAME_MAX], password[PASSWORD_MAX + 1];
    struct credentials_error error;
    struct credentials_entry entry = {
        .kind = request->mapped ? CREDENTIALS_MAPPED : CREDENTIALS_USER,
        .name = name,
        .target = request->target,
    };
    if (!full_name(request, name, sizeof name))
        return false;
    bool ok = read_key(request, &entry, password);
    if (ok && !credentials_add_all(file->path, &entry, 1, file->owner, file->group, &error))
        ok = complain_at(file->path, error.line, error.text);
    OPENSSL_cleanse(password, sizeof password);
    OPENSSL_cleanse(&entry, sizeof entry);
    if (ok)
        printf("%s: %s is in the file now\n", file->path, name);
    return ok;
}

static bool user_remove(const struct credentials_request *request, const struct user_file *file)
{
    char name[2 * IDENTITY_NAME_MAX];
    struct credentials_error error;
    enum credentials_kind kind = request->mapped ? CREDENTIALS_MAPPED : CREDENTIALS_USER;
    if (!full_name(request, name, sizeof name))
        return false;
    if (!credentials_remove(file->path, kind, name, &error))
        return complain_at(file->path, error.line, error.text);
    printf("%s: %s is no longer in the file\n", file->path, name);
    return true;
}

static void print_entry(void *context, enum credentials_kind kind, const char *name,
                        const char *target)
{
    (void)context;
    if (kind == CREDENTIALS_MAPPED)
        printf("mapped\t%s\t%s\n", name, target);
    else
        printf("user\t%s\n", name);
}

static bool user_list(const struct credentials_request *request, const struct user_file *file)
{
    struct credentials_error error;
    struct credentials *credentials = credentials_read(file->path, file->owner, &error);
    (void)request;
    if (!credentials)
        return complain_at(file->path, error.line, error.text);
    credentials_each(credentials, print_entry, NULL);
    credentials_free(credentials);
    return true;
}

static bool user_import_from(const struct credentials_request *request,
                             const struct user_file *file)
{
    if (request->count == 0)
        return user_import(STDIN_FILENO, "standard input", file->path, file->owner, file->group);
    int fd = open(request->operands[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain(request->operands[0], strerror(errno));
    bool ok = user_import(fd, request->operands[0], file->path, file->owner, file->group);
    close(fd);
    return ok;
}

#define DOMAIN_HELP "  --domain D      only for clients that name the domain D\n"

static const struct option add_options[] = {FILE_OPTIONS,
                                            {"domain", required_argument, NULL, OPTION_DOMAIN},
                                            {"mapped", required_argument, NULL, OPTION_MAPPED},
                                            {"kerberos", no_argument, NULL, OPTION_KERBEROS},
                                            {"keytab", required_argument, NULL, OPTION_KEYTAB},
                                            {0}};
static const struct option remove_options[] = {FILE_OPTIONS,
                                               {"domain", required_argument, NULL, OPTION_DOMAIN},
                                               {"mapped", no_argument, NULL, OPTION_MAPPED},
                                               {0}};
static const struct option file_options[] = {FILE_OPTIONS, {0}};

static const struct credentials_subcommand subcommands[] = {
    {"add", add_options, 1, 1, user_add,
     "usage: countersign user add [--config FILE | --file FILE] [--domain D] NAME\n"
     "       countersign user add [...] --mapped [DOMAIN\\]ACCOUNT NAME|'*'\n"
     "       countersign user add [...] --mapped ACCOUNT@REALM --kerberos|--keytab FILE NAME|'*'\n"
     "\n"
     "Adds a local user, or gives one a new password. With --mapped, sends the user NAME (or, "
     "with\n"
     "'*', everybody without a mapping of their own) to the file server as ACCOUNT, whose "
     "password\n"
     "is asked for. The password is asked for at a terminal, else read as one line of standard\n"
     "input; only its NT hash is stored, which is as good as the password to whoever reads it.\n"
     "\n"
     "A mapped account logs in by NTLM, unless --kerberos or --keytab says otherwise: with\n"
     "--kerberos its password itself is stored, with --keytab only the name of the keytab that\n"
     "has its key.\n"
     "\n" FILE_HELP DOMAIN_HELP
     "  --kerberos      the mapped account logs in by Kerberos, with the password asked for\n"
     "  --keytab FILE   … with the key in this keytab, which the keeper reads at each login\n"},
    {"remove", remove_options, 1, 1, user_remove,
     "usage: countersign user remove [--config FILE | --file FILE] [--domain D] [--mapped] NAME\n"
     "\n"
     "Removes a local user or, with --mapped, the mapping of NAME (which may be '*').\n"
     "\n" FILE_HELP DOMAIN_HELP},
    {"list", file_options, 0, 0, user_list,
     "usage: countersign user list [--config FILE | --file FILE]\n"
     "\n"
     "Lists users and mappings, one a line, separated by tabs. Hashes are never shown.\n"
     "\n" FILE_HELP},
    {"import", file_options, 0, 1, user_import_from,
     "usage: countersign user import [--config FILE | --file FILE] [SMBPASSWD]\n"
     "\n"
     "Adds the users of a Samba smbpasswd file (or standard input; 'pdbedit -L -w' writes one).\n"
     "Accounts that are disabled, locked, without a password or of machines are skipped. When one\n"
     "line cannot be understood nothing is imported.\n"
     "\n" FILE_HELP},
};

static const char overview[] =
    "usage: countersign user add|remove|list|import ...\n"
    "\n"
    "Edits the credentials file: the local users who may log in, and the accounts of the file\n"
    "server that users are mapped to. 'countersign user add --help' and so on tell more.\n";

int command_user(int argc, char **argv)
{
    static const struct credentials_command command = {"user", overview, subcommands,
                                                       sizeof subcommands / sizeof subcommands[0]};
    return credentials_command_run(&command, argc, argv);
}
