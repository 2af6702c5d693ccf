/* Groups of the credentials file: what is found, what is refused, and how they are changed. */
#include "tests/unit/credentials_file.h"

#define HASH "0102030405060708090a0b0c0d0e0f10"

static void test_members_are_found_by_their_exact_name(void **state)
{
    (void)state;
    struct credentials *credentials =
        text_parse_good("group:Finance:carol,CORP\\alice,J\xc3\xb6rg,dave@EXAMPLE.COM\r\n"
                        "user:alice:" HASH "\n"
                        "group:empty:\n"
                        "group:one:bob");
    assert_int_equal(credentials_groups(credentials), 3);
    assert_int_equal(credentials_users(credentials), 1);
    assert_int_equal(credentials_mapped(credentials), 0);
    assert_true(credentials_has_group(credentials, "finance"));
    assert_false(credentials_has_group(credentials, "financ"));
    assert_true(credentials_in_group(credentials, "FINANCE", "Carol"));
    assert_true(credentials_in_group(credentials, "Finance", "corp\\ALICE"));
    assert_true(credentials_in_group(credentials, "Finance", "j\xc3\x96RG"));
    assert_true(credentials_in_group(credentials, "Finance", "dave@example.com"));
    assert_false(credentials_in_group(credentials, "Finance", "alice"));
    assert_false(credentials_in_group(credentials, "Finance", "OTHER\\alice"));
    assert_false(credentials_in_group(credentials, "Finance", "dave"));
    assert_false(credentials_in_group(credentials, "Finance", "bob"));
    assert_false(credentials_in_group(credentials, "Finance", ""));
    assert_true(credentials_in_group(credentials, "one", "bob"));
    assert_false(credentials_in_group(credentials, "empty", "bob"));
    assert_false(credentials_in_group(credentials, "missing", "bob"));
    credentials_free(credentials);
}

static void test_lines_that_are_no_group(void **state)
{
    (void)state;
    check_bad("user:alice:" HASH "\ngroup:finance\n", 2, "too few fields");
    check_bad("group::alice\n", 1, "is empty");
    check_bad("group:CORP\\finance:alice\n", 1, "groups of domains");
    check_bad("group:S-1-5-32-544:alice\n", 1, "is a SID");
    check_bad("group:a,b:alice\n", 1, "holds a ','");
    check_bad("group:finance:alice,\n", 1, "ends with a ','");
    check_bad("group:finance:,alice\n", 1, "a member's name is empty");
    check_bad("group:finance:alice,,bob\n", 1, "a member's name is empty");
    check_bad("group:finance: alice\n", 1, "begins or ends with a space");
    check_bad("group:finance:alice,bob:x\n", 1, "holds a ':'");
    check_bad("group:finance:*\n", 1, "holds a ':' or a '*'");
    check_bad("group:finance:A\\B\\c\n", 1, "more than one");
    check_bad("group:finance:al\xff\n", 1, "not valid UTF-8");
    check_bad("group:finance:al\x01\n", 1, "control character");
    check_bad("group:a:x\ngroup:b:x\n# more\ngroup:A:y\n", 4, "same group as line 1");
    check_bad("groups:a:x\n", 1, "begins with neither");
}

static void test_a_group_may_be_long_but_not_endless(void **state)
{
    (void)state;
    char *text = malloc(CREDENTIALS_GROUP_MAX + 32);
    assert_non_null(text);
    size_t size = (size_t)sprintf(text, "group:many:");
    unsigned last = 0;
    while (size + 8 <= CREDENTIALS_GROUP_MAX)
        size += (size_t)sprintf(&text[size], "%su%06u", last ? "," : "", last), last++;
    struct credentials *credentials = text_parse_good(text);
    for (unsigned i = 0; i < last; i += 101) {
        char name[16];
        snprintf(name, sizeof name, "U%06u", i);
        assert_true(credentials_in_group(credentials, "many", name));
    }
    assert_false(credentials_in_group(credentials, "many", "u"));
    credentials_free(credentials);
    sprintf(&text[size], ",another one");
    check_bad(text, 1, "is longer than");
    free(text);
}

static void add(const struct place_for_test *place, const char *group, const char *first,
                const char *second)
{
    struct credentials_error error;
    const char *const members[] = {first, second};
    size_t count = second ? 2 : first ? 1 : 0;
    if (!credentials_group_add(place->path, group, members, count, getuid(), getgid(), &error))
        fail_msg("%s", error.text);
}

static bool take(const struct place_for_test *place, const char *group, const char *member,
                 struct credentials_error *error)
{
    return credentials_group_remove(place->path, group, &member, member ? 1 : 0, error);
}

static void test_editing_leaves_other_lines_alone(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    add(&place, "finance", "alice", NULL);
    check_file(place.path, "group:finance:alice\n");
    text_write(place.path,
               "# first\nuser:alice:" HASH "\ngroup:Finance:alice\n\n"
               "mapped:*:guest:" HASH "\n",
               0600);
    add(&place, "finance", "CORP\\bob", "ALICE");
    check_file(place.path, "# first\nuser:alice:" HASH "\ngroup:Finance:CORP\\bob,ALICE\n\n"
                           "mapped:*:guest:" HASH "\n");
    add(&place, "empty", NULL, NULL);
    add(&place, "finance", "carol", "Carol");
    check_file(place.path, "# first\nuser:alice:" HASH "\ngroup:Finance:CORP\\bob,ALICE,carol\n\n"
                           "mapped:*:guest:" HASH "\ngroup:empty:\n");
    assert_true(take(&place, "finance", "corp\\BOB", &error));
    assert_true(take(&place, "EMPTY", NULL, &error));
    check_file(place.path, "# first\nuser:alice:" HASH "\ngroup:Finance:ALICE,carol\n\n"
                           "mapped:*:guest:" HASH "\n");
    assert_true(take(&place, "finance", "nobody", &error));
    assert_true(take(&place, "finance", NULL, &error));
    check_file(place.path, "# first\nuser:alice:" HASH "\n\nmapped:*:guest:" HASH "\n");
    place_clear(&place);
}

static void test_a_user_that_is_edited_keeps_the_groups(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    text_write(place.path, "group:a:alice\nuser:alice:" HASH "\ngroup:b:alice\n", 0600);
    assert_true(credentials_remove(place.path, CREDENTIALS_USER, "alice", &error));
    check_file(place.path, "group:a:alice\ngroup:b:alice\n");
    place_clear(&place);
}

static void check_refused(const struct place_for_test *place, const char *group, const char *member,
                          const char *part)
{
    struct credentials_error error;
    assert_false(credentials_group_add(place->path, group, &member, 1, getuid(), getgid(), &error));
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

static void test_what_fails_changes_nothing(void **state)
{
    (void)state;
    static const char text[] = "group:a:alice\n";
    struct place_for_test place = place_make();
    struct credentials_error error;
    assert_false(take(&place, "a", NULL, &error));
    text_write(place.path, text, 0600);
    check_refused(&place, "CORP\\a", "x", "groups of domains");
    check_refused(&place, "a", "x,y", "holds a ','");
    check_refused(&place, "a", "x\ny", "control character");
    check_refused(&place, "a:b", "x", "holds a ':'");
    check_refused(&place, "S-1-1-0", "x", "is a SID");
    assert_false(take(&place, "b", "alice", &error));
    assert_non_null(strstr(error.text, "no such group"));
    check_file(place.path, text);
    assert_int_equal(place_count(&place), 1);
    text_write(place.path, "broken\n", 0600);
    check_refused(&place, "a", "x", "begins with neither");
    check_file(place.path, "broken\n");
    place_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_found_by_their_exact_name),
        cmocka_unit_test(test_lines_that_are_no_group),
        cmocka_unit_test(test_a_group_may_be_long_but_not_endless),
        cmocka_unit_test(test_editing_leaves_other_lines_alone),
        cmocka_unit_test(test_a_user_that_is_edited_keeps_the_groups),
        cmocka_unit_test(test_what_fails_changes_nothing),
    };
    return cmocka_run_group_tests_name("credentials_group", tests, NULL, NULL);
}
