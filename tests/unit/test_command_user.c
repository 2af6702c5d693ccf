/* `countersign user` as an administrator calls it: statuses, files, and what it must never print.
 */
#include "tests/unit/credentials_file.h"

#include "proxy/subcommand.h"

#include <fcntl.h>
#include <pty.h>
#include <stdbool.h>
#include <sys/wait.h>

/* The NT hash of "Password" (MS-NLMP 4.2.2.1.1). */
#define PASSWORD_HASH "a4f49c406510bdcab6824ee7c30fd852"
#define LM            "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
#define OTHER_HASH    "aabbccddeeff00112233445566778899"

enum { ARGUMENTS_MAX = 12 };

struct outcome {
    int status;
    char *out, *err;
};

static int replace_fd(int target, int with)
{
    int saved = fcntl(target, F_DUPFD_CLOEXEC, 10);
    assert_true(saved >= 0);
    assert_true(dup2(with, target) == target);
    return saved;
}

static void restore_fd(int target, int saved)
{
    assert_true(dup2(saved, target) == target);
    close(saved);
}

static int call(char **arguments)
{
    int count = 0;
    while (arguments[count])
        count++;
    return command_user(count, arguments);
}

static int temporary_file(const char *content)
{
    char path[] = "/tmp/countersign-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static char *content_of(int fd)
{
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(read(fd, text, 65535) >= 0);
    close(fd);
    return text;
}

static void check_no_secret(const char *text)
{
    assert_null(strstr(text, "Password\n"));
    assert_null(strcasestr(text, PASSWORD_HASH));
    assert_null(strcasestr(text, OTHER_HASH));
}

/* Runs it with `input` as standard input. No secret may be printed, whatever happens. */
static struct outcome run(const char *input, const char *first, ...)
{
    char *arguments[ARGUMENTS_MAX + 1] = {(char *)"user", (char *)first};
    va_list more;
    va_start(more, first);
    for (size_t i = 2; first && i < ARGUMENTS_MAX; i++) {
        arguments[i] = va_arg(more, char *);
        if (!arguments[i])
            break;
    }
    va_end(more);
    int in = temporary_file(input), out = temporary_file(""), err = temporary_file("");
    fflush(NULL);
    int saved_in = replace_fd(0, in), saved_out = replace_fd(1, out),
        saved_err = replace_fd(2, err);
    struct outcome outcome = {.status = call(arguments)};
    fflush(NULL);
    restore_fd(0, saved_in);
    restore_fd(1, saved_out);
    restore_fd(2, saved_err);
    close(in);
    outcome.out = content_of(out);
    outcome.err = content_of(err);
    check_no_secret(outcome.out);
    check_no_secret(outcome.err);
    return outcome;
}

static void check(struct outcome outcome, int status, const char *out, const char *err)
{
    if (outcome.status != status || !strstr(outcome.out, out) || !strstr(outcome.err, err))
        fail_msg("status %d\nout: %s\nerr: %s", outcome.status, outcome.out, outcome.err);
    /* What fails says so on standard error, what works does not. */
    assert_int_equal(outcome.err[0] == '\0', status == COMMAND_OK);
    free(outcome.out);
    free(outcome.err);
}

static void test_add_list_remove(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    check(run("Password\nignored", "add", "--file", place.path, "alice", NULL), COMMAND_OK, "alice",
          "");
    check(run("Password", "add", "--file", place.path, "--domain", "CORP", "bob", NULL), COMMAND_OK,
          "CORP\\bob", "");
    check(run("Password\n", "add", "--file", place.path, "--mapped", "NAS\\svc", "*", NULL),
          COMMAND_OK, "*", "");
    check_file(place.path, "user:alice:" PASSWORD_HASH "\nuser:CORP\\bob:" PASSWORD_HASH
                           "\nmapped:*:NAS\\svc:" PASSWORD_HASH "\n");
    check(run("", "list", "--file", place.path, NULL), COMMAND_OK,
          "user\talice\nuser\tCORP\\bob\nmapped\t*\tNAS\\svc\n", "");
    check(run("", "remove", "--file", place.path, "ALICE", NULL), COMMAND_OK, "ALICE", "");
    check(run("", "remove", "--file", place.path, "alice", NULL), COMMAND_FAILED, "",
          "no such entry");
    check(run("", "remove", "--file", place.path, "--domain", "corp", "bob", NULL), COMMAND_OK, "",
          "");
    check(run("", "remove", "--file", place.path, "--mapped", "*", NULL), COMMAND_OK, "", "");
    check_file(place.path, "");
    place_clear(&place);
}

/* With Kerberos the password itself is kept, or only where its key is. */
static void test_add_mapped_by_kerberos(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    const char *file = place.path;
    check(run("Pass:word\n", "add", "--file", file, "--mapped", "svc@CORP.COM", "--kerberos",
              "alice", NULL),
          COMMAND_OK, "alice", "");
    check(run("", "add", "--file", file, "--mapped", "svc@CORP.COM", "--keytab", "/etc/svc.keytab",
              "*", NULL),
          COMMAND_OK, "*", "");
    check_file(file, "mapped:alice:svc@CORP.COM:password=Pass:word\n"
                     "mapped:*:svc@CORP.COM:keytab=/etc/svc.keytab\n");
    check(run("", "list", "--file", file, NULL), COMMAND_OK,
          "mapped\talice\tsvc@CORP.COM\nmapped\t*\tsvc@CORP.COM\n", "");
    check(run("Password\n", "add", "--file", file, "--mapped", "svc@CORP.COM", "alice", NULL),
          COMMAND_OK, "alice", "");
    check_file(file, "mapped:alice:svc@CORP.COM:" PASSWORD_HASH "\n"
                     "mapped:*:svc@CORP.COM:keytab=/etc/svc.keytab\n");
    check(run("Password\n", "add", "--file", file, "--mapped", "CORP\\svc", "--kerberos", "alice",
              NULL),
          COMMAND_FAILED, "", "ACCOUNT@REALM");
    check(run("", "add", "--file", file, "--mapped", "svc@CORP.COM", "--keytab", "svc.keytab",
              "alice", NULL),
          COMMAND_FAILED, "", "path from the root");
    check(run("Password\n", "add", "--file", file, "--kerberos", "alice", NULL), COMMAND_USAGE, "",
          "usage");
    check(run("Password\n", "add", "--file", file, "--mapped", "svc@CORP.COM", "--kerberos",
              "--keytab", "/k", "alice", NULL),
          COMMAND_USAGE, "", "usage");
    place_clear(&place);
}

static void test_passwords_that_are_refused(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    char *long_password = calloc(1, 3000);
    assert_non_null(long_password);
    memset(long_password, 'x', 2000);
    static const struct {
        const char *input, *why;
    } cases[] = {
        {"", "no password"},
        {"\n", "no password"},
        {"Password\r\n", "control character"},
        {"Pass\tword\n", "control character"},
        {"Pass\xffword1\n", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(run(cases[i].input, "add", "--file", place.path, "alice", NULL), COMMAND_FAILED, "",
              cases[i].why);
    check(run(long_password, "add", "--file", place.path, "alice", NULL), COMMAND_FAILED, "",
          "too long");
    free(long_password);
    assert_int_equal(place_count(&place), 0);
    place_clear(&place);
}

static void test_usage(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    const char *file = place.path;
    check(run("", NULL), COMMAND_USAGE, "", "usage: countersign user");
    check(run("", "rename", NULL), COMMAND_USAGE, "", "usage: countersign user");
    check(run("", "add", "--file", file, NULL), COMMAND_USAGE, "", "usage: countersign user add");
    /* A password is never an argument. */
    check(run("", "add", "--file", file, "alice", "assword", NULL), COMMAND_USAGE, "", "usage");
    check(run("", "add", "--file", file, "--password", "x", "alice", NULL), COMMAND_USAGE, "",
          "usage");
    check(run("", "add", "--file", file, "--config", file, "alice", NULL), COMMAND_USAGE, "",
          "usage");
    check(run("", "list", "--file", file, "alice", NULL), COMMAND_USAGE, "",
          "usage: countersign user list");
    check(run("", "list", "--domain", "D", NULL), COMMAND_USAGE, "", "usage");
    check(run("", "remove", NULL), COMMAND_USAGE, "", "usage: countersign user remove");
    check(run("", "import", "a", "b", NULL), COMMAND_USAGE, "", "usage: countersign user import");
    assert_int_equal(place_count(&place), 0);
    place_clear(&place);
}

static void test_help(void **state)
{
    (void)state;
    static const char *const names[] = {"add", "remove", "list", "import"};
    check(run("", "--help", NULL), COMMAND_OK, "add|remove|list|import", "");
    for (size_t i = 0; i < 4; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "usage: countersign user %s", names[i]);
        check(run("", names[i], "--help", NULL), COMMAND_OK, usage, "");
    }
}

static void test_failures_name_file_and_line(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    char where[128];
    check(run("", "list", "--file", place.path, NULL), COMMAND_FAILED, "", "does not exist");
    text_write(place.path, "# x\nnonsense\n", 0600);
    snprintf(where, sizeof where, "%s:2: ", place.path);
    check(run("", "list", "--file", place.path, NULL), COMMAND_FAILED, "", where);
    check(run("Password", "add", "--file", place.path, "alice", NULL), COMMAND_FAILED, "", where);
    assert_int_equal(chmod(place.path, 0644), 0);
    check(run("", "list", "--file", place.path, NULL), COMMAND_FAILED, "", "chmod 600");
    place_clear(&place);
}

static void test_import(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    static const char input[] = "# smbpasswd\n"
                                "alice:1000:" LM ":" PASSWORD_HASH ":[U          ]:LCT-00000000:\n"
                                "off:1001:" LM ":" OTHER_HASH ":[UD         ]:LCT-00000000:\n"
                                "pc$:1002:" LM ":" OTHER_HASH ":[W          ]:LCT-00000000:\n"
                                "open:1003:" LM ":NO PASSWORDXXXXXXXXXXXXXXXXXXXXX:[NU ]:LCT-0:\n"
                                "bob:1004:" LM ":" OTHER_HASH ":[UX         ]:LCT-00000000:\n";
    static const char expected[] = "user:Alice:" PASSWORD_HASH "\nuser:bob:" OTHER_HASH "\n";
    struct outcome outcome = run(input, "import", "--file", place.path, NULL);
    assert_non_null(strstr(outcome.out, "off: skipped, the account is disabled"));
    assert_non_null(strstr(outcome.out, "pc$: skipped"));
    assert_non_null(strstr(outcome.out, "open: skipped, the account has no password"));
    check(outcome, COMMAND_OK, "2 imported", "");
    check_file(place.path, "user:alice:" PASSWORD_HASH "\nuser:bob:" OTHER_HASH "\n");

    text_write(place.path, "user:Alice:" PASSWORD_HASH "\nuser:bob:" PASSWORD_HASH "\n", 0600);
    text_write(place.other, "BOB:1:" LM ":" OTHER_HASH ":[U]:\n", 0600);
    check(run("", "import", "--file", place.path, place.other, NULL), COMMAND_OK, "1 imported", "");
    check_file(place.path, "user:Alice:" PASSWORD_HASH "\nuser:BOB:" OTHER_HASH "\n");
    text_write(place.path, expected, 0600);
    text_write(place.other, "carol:1:" LM ":" OTHER_HASH ":[U]:\ndan:" OTHER_HASH ":broken\n",
               0600);
    check(run("", "import", "--file", place.path, place.other, NULL), COMMAND_FAILED, "", ":2: ");
    check_file(place.path, expected);
    check(run("", "import", "--file", place.path, "/nonexistent", NULL), COMMAND_FAILED, "",
          "No such file");
    place_clear(&place);
}

static void write_config(const struct place_for_test *place)
{
    char text[1024];
    snprintf(text, sizeof text,
             "listeners:\n- name: lan\n  address: 0.0.0.0\n  upstream: nas\n"
             "upstreams:\n- name: nas\n  address: 192.0.2.10\n"
             "credentials: %s\n"
             "users: {worker: \"54321\", keeper: \"12345\", recorder: \"54322\"}\n",
             place->path);
    text_write(place->other, text, 0644);
}

static void test_the_configuration_names_file_and_keeper(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct stat stat;
    write_config(&place);
    check(run("Password\n", "add", "--config", place.other, "alice", NULL), COMMAND_OK, "alice",
          "");
    assert_int_equal(lstat(place.path, &stat), 0);
    assert_int_equal(stat.st_uid, geteuid() ? geteuid() : 12345);
    assert_int_equal(stat.st_mode & 07777, 0600);
    check(run("", "list", "--config", place.other, NULL), COMMAND_OK, "user\talice\n", "");
    /* Without the configuration root keeps the owner that the file has. */
    check(run("Password\n", "add", "--file", place.path, "bob", NULL), COMMAND_OK, "", "");
    assert_int_equal(lstat(place.path, &stat), 0);
    assert_int_equal(stat.st_uid, geteuid() ? geteuid() : 12345);
    check(run("", "list", "--config", "/nonexistent.yaml", NULL), COMMAND_FAILED, "",
          "/nonexistent.yaml");
    place_clear(&place);
}

/* Answers each prompt on `prompts` with a line at the terminal. True when there were two and the
 * terminal showed nothing of what was typed. */
static bool type_passwords(int terminal, int prompts, const char *first, const char *second)
{
    char text[256] = "", shown[256] = "";
    const char *const lines[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        size_t used = 0;
        while (used < sizeof text - 1 && (used < 2 || memcmp(&text[used - 2], ": ", 2) != 0)) {
            if (read(prompts, &text[used], 1) != 1)
                return false;
            used++;
        }
        if (write(terminal, lines[i], strlen(lines[i])) != (ssize_t)strlen(lines[i]))
            return false;
    }
    /* ECHONL answers each line with its end. */
    for (size_t used = 0; used < 4; used++) {
        if (read(terminal, &shown[used], 1) != 1)
            return false;
    }
    return strcmp(shown, "\r\n\r\n") == 0;
}

static void check_terminal(const char *first, const char *second, int status)
{
    struct place_for_test place = place_make();
    int terminal, line, prompts[2], child_status = -1;
    char *arguments[] = {(char *)"user", (char *)"add",   (char *)"--file",
                         place.path,     (char *)"alice", NULL};
    assert_int_equal(openpty(&terminal, &line, NULL, NULL, NULL), 0);
    assert_int_equal(pipe2(prompts, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(prompts[1]);
        _exit(type_passwords(terminal, prompts[0], first, second) ? 0 : 1);
    }
    int out = temporary_file("");
    int saved_in = replace_fd(0, line), saved_out = replace_fd(1, out),
        saved_err = replace_fd(2, prompts[1]);
    int got = call(arguments);
    fflush(NULL);
    restore_fd(0, saved_in);
    restore_fd(1, saved_out);
    restore_fd(2, saved_err);
    struct termios after;
    assert_int_equal(tcgetattr(line, &after), 0);
    assert_int_equal(waitpid(child, &child_status, 0), child);
    close(prompts[0]);
    close(prompts[1]);
    close(terminal);
    close(line);
    close(out);
    assert_int_equal(child_status, 0);
    assert_true(after.c_lflag & ECHO);
    assert_int_equal(got, status);
    assert_int_equal(place_count(&place), status == COMMAND_OK);
    if (status == COMMAND_OK)
        check_file(place.path, "user:alice:" PASSWORD_HASH "\n");
    place_clear(&place);
}

static void test_a_terminal_is_asked_twice_without_echo(void **state)
{
    (void)state;
    check_terminal("Password\n", "Password\n", COMMAND_OK);
    check_terminal("Password\n", "Passwort\n", COMMAND_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_list_remove),
        cmocka_unit_test(test_add_mapped_by_kerberos),
        cmocka_unit_test(test_passwords_that_are_refused),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_failures_name_file_and_line),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_the_configuration_names_file_and_keeper),
        cmocka_unit_test(test_a_terminal_is_asked_twice_without_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
