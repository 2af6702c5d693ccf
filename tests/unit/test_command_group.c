/* `countersign group` as an administrator calls it. */
#include "tests/unit/credentials_file.h"

#include "proxy/subcommand.h"

#include <fcntl.h>

#define USER_LINE "user:alice:0102030405060708090a0b0c0d0e0f10\n"

enum { ARGUMENTS_MAX = 12 };

struct outcome {
    int status;
    char text[2][4096]; /* what went to standard output and to standard error */
};

static void capture(struct outcome *outcome, int count, char **arguments)
{
    int saved[2], fds[2];
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/countersign-test-XXXXXX";
        fds[i] = mkostemp(path, O_CLOEXEC);
        assert_true(fds[i] >= 0);
        unlink(path);
        fflush(i ? stderr : stdout);
        saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
        assert_true(saved[i] >= 0 && dup2(fds[i], i + 1) == i + 1);
    }
    outcome->status = command_group(count, arguments);
    for (int i = 0; i < 2; i++) {
        fflush(i ? stderr : stdout);
        assert_true(dup2(saved[i], i + 1) == i + 1);
        close(saved[i]);
        ssize_t size = pread(fds[i], outcome->text[i], sizeof outcome->text[i] - 1, 0);
        assert_true(size >= 0);
        outcome->text[i][size] = '\0';
        close(fds[i]);
    }
}

/* Words separated by single spaces; FILE stands for the file. */
static int run(const struct place_for_test *place, const char *words, struct outcome *outcome)
{
    char copy[512], *arguments[ARGUMENTS_MAX + 1] = {NULL}, *rest = NULL;
    int count = 0;
    assert_true(strlen(words) < sizeof copy);
    strcpy(copy, words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count++] = strcmp(word, "FILE") == 0 ? (char *)place->path : word;
    }
    capture(outcome, count, arguments);
    return outcome->status;
}

static void check_list(const struct place_for_test *place, const char *text)
{
    struct outcome outcome;
    assert_int_equal(run(place, "group list --file FILE", &outcome), COMMAND_OK);
    assert_string_equal(outcome.text[0], text);
    assert_string_equal(outcome.text[1], "");
}

static void test_groups_come_and_go(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct outcome outcome;
    text_write(place.path, USER_LINE, 0600);
    check_list(&place, "");
    assert_int_equal(run(&place, "group add --file FILE finance alice CORP\\bob", &outcome), 0);
    assert_int_equal(run(&place, "group add --file FILE all", &outcome), COMMAND_OK);
    check_list(&place, "all\t\nfinance\talice,CORP\\bob\n");
    assert_int_equal(run(&place, "group remove --file FILE Finance ALICE", &outcome), COMMAND_OK);
    check_list(&place, "all\t\nfinance\tCORP\\bob\n");
    assert_int_equal(run(&place, "group remove --file FILE finance", &outcome), COMMAND_OK);
    check_list(&place, "all\t\n");
    place_clear(&place);
}

static void test_the_file_is_that_of_the_configuration(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct outcome outcome;
    char text[512], words[256];
    snprintf(text, sizeof text,
             "listeners:\n- name: lan\n  address: 0.0.0.0\n  upstream: nas\n"
             "upstreams:\n- name: nas\n  address: 192.0.2.10\n"
             "credentials: %s\n"
             "users: {worker: \"54321\", keeper: \"%u\", recorder: \"54322\"}\n",
             place.path, getuid() ? getuid() : 12345);
    text_write(place.other, text, 0644);
    snprintf(words, sizeof words, "group add --config %s team alice", place.other);
    if (run(&place, words, &outcome) != COMMAND_OK)
        fail_msg("%s", outcome.text[1]);
    check_list(&place, "team\talice\n");
    place_clear(&place);
}

static void check_failure(const struct place_for_test *place, const char *words, int status,
                          const char *part)
{
    struct outcome outcome;
    assert_int_equal(run(place, words, &outcome), status);
    assert_string_equal(outcome.text[0], "");
    if (!strstr(outcome.text[1], part))
        fail_msg("\"%s\" does not say \"%s\"", outcome.text[1], part);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    check_failure(&place, "group list --file FILE", COMMAND_FAILED, "does not exist");
    text_write(place.path, "group:a:alice\n", 0600);
    check_failure(&place, "group remove --file FILE b", COMMAND_FAILED, "no such group");
    check_failure(&place, "group add --file FILE CORP\\a x", COMMAND_FAILED, "groups of domains");
    check_failure(&place, "group add --file FILE a x,y", COMMAND_FAILED, "holds a ','");
    check_failure(&place, "group", COMMAND_USAGE, "usage:");
    check_failure(&place, "group rename --file FILE a", COMMAND_USAGE, "usage:");
    check_failure(&place, "group add --file FILE", COMMAND_USAGE, "usage: countersign group add");
    check_failure(&place, "group list --file FILE a", COMMAND_USAGE, "usage:");
    check_failure(&place, "group list --file FILE --config FILE", COMMAND_USAGE, "usage:");
    check_failure(&place, "group list --config /none", COMMAND_FAILED, "/none");
    check_list(&place, "a\talice\n");
    place_clear(&place);
}

static void test_help(void **state)
{
    (void)state;
    struct outcome outcome;
    assert_int_equal(run(NULL, "group --help", &outcome), COMMAND_OK);
    assert_non_null(strstr(outcome.text[0], "add|remove|list"));
    assert_int_equal(run(NULL, "group add --help", &outcome), COMMAND_OK);
    assert_non_null(strstr(outcome.text[0], "DOMAIN\\USER"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_come_and_go),
        cmocka_unit_test(test_the_file_is_that_of_the_configuration),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests_name("command_group", tests, NULL, NULL);
}
