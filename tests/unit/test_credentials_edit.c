/* Editing the credentials file: nothing but the one entry changes, and never by halves. */
#include "tests/unit/credentials_file.h"

#include "crypto/credentials.h"

#include <sys/wait.h>

#define HASH_1 "0102030405060708090a0b0c0d0e0f10"
#define HASH_2 "AABBCCDDEEFF00112233445566778899"
#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const uint8_t hash_a[NT_HASH_SIZE] = {0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
                                             0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};

static const char before[] = "# our users\n"
                             "\n"
                             "user:alice:" HASH_1 "\n"
                             "  # mapped below\n"
                             "mapped:*:NAS\\svc:" HASH_2 "\n"
                             "user:CORP\\alice:" HASH_2 "\n"
                             "# end";

/* An entry with an NT hash. */
static bool add_hash(const char *path, enum credentials_kind kind, const char *name,
                     const char *target, const uint8_t hash[NT_HASH_SIZE], unsigned owner,
                     unsigned group, struct credentials_error *error)
{
    struct credentials_entry entry = {.kind = kind, .name = name, .target = target};
    memcpy(entry.nt_hash, hash, NT_HASH_SIZE);
    return credentials_add_all(path, &entry, 1, owner, group, error);
}

static void add(const char *path, enum credentials_kind kind, const char *name, const char *target)
{
    struct credentials_error error;
    if (!add_hash(path, kind, name, target, hash_a, geteuid(), getegid(), &error))
        fail_msg("%s", error.text);
}

static void check_add_fails(const char *path, enum credentials_kind kind, const char *name,
                            const char *target, unsigned owner, const char *part)
{
    struct credentials_error error;
    assert_false(add_hash(path, kind, name, target, hash_a, owner, getegid(), &error));
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

static void check_remove_fails(const char *path, enum credentials_kind kind, const char *name,
                               const char *part)
{
    struct credentials_error error;
    assert_false(credentials_remove(path, kind, name, &error));
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

static void check_mode(const char *path, unsigned owner)
{
    struct stat stat;
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode, S_IFREG | 0600);
    assert_int_equal(stat.st_uid, owner);
}

static void test_a_new_file_is_private(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    mode_t mask = umask(0);
    add(place.path, CREDENTIALS_USER, "alice", NULL);
    umask(mask);
    check_file(place.path, "user:alice:" HASH_A "\n");
    check_mode(place.path, geteuid());
    assert_int_equal(place_count(&place), 1);
    place_clear(&place);
}

static void test_root_gives_a_new_file_to_its_owner(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    unsigned owner = geteuid() ? geteuid() : 12345;
    assert_true(
        add_hash(place.path, CREDENTIALS_USER, "alice", NULL, hash_a, owner, getegid(), &error));
    check_mode(place.path, owner);
    /* The owner stays, whoever edits. */
    assert_true(
        add_hash(place.path, CREDENTIALS_USER, "bob", NULL, hash_a, owner, getegid(), &error));
    check_mode(place.path, owner);
    assert_true(credentials_remove(place.path, CREDENTIALS_USER, "bob", &error));
    check_mode(place.path, owner);
    check_file(place.path, "user:alice:" HASH_A "\n");
    place_clear(&place);
}

static void test_add_appends_and_keeps_the_rest(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    text_write(place.path, before, 0600);
    add(place.path, CREDENTIALS_USER, "bob", NULL);
    add(place.path, CREDENTIALS_MAPPED, "alice", "NAS\\other");
    check_file(place.path, "# our users\n"
                           "\n"
                           "user:alice:" HASH_1 "\n"
                           "  # mapped below\n"
                           "mapped:*:NAS\\svc:" HASH_2 "\n"
                           "user:CORP\\alice:" HASH_2 "\n"
                           "# end\n"
                           "user:bob:" HASH_A "\n"
                           "mapped:alice:NAS\\other:" HASH_A "\n");
    place_clear(&place);
}

static void test_add_replaces_in_place(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    text_write(place.path, before, 0600);
    add(place.path, CREDENTIALS_USER, "ALICE", NULL);
    add(place.path, CREDENTIALS_MAPPED, "*", "svc2");
    check_file(place.path, "# our users\n"
                           "\n"
                           "user:ALICE:" HASH_A "\n"
                           "  # mapped below\n"
                           "mapped:*:svc2:" HASH_A "\n"
                           "user:CORP\\alice:" HASH_2 "\n"
                           "# end\n");
    place_clear(&place);
}

static void test_remove_takes_one_line(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    text_write(place.path, before, 0600);
    assert_true(credentials_remove(place.path, CREDENTIALS_USER, "corp\\ALICE", &error));
    assert_true(credentials_remove(place.path, CREDENTIALS_MAPPED, "*", &error));
    check_file(place.path, "# our users\n"
                           "\n"
                           "user:alice:" HASH_1 "\n"
                           "  # mapped below\n"
                           "# end\n");
    check_mode(place.path, geteuid());
    assert_int_equal(place_count(&place), 1);
    place_clear(&place);
}

static void test_what_fails_changes_nothing(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    unsigned me = geteuid();
    text_write(place.path, before, 0600);
    check_remove_fails(place.path, CREDENTIALS_USER, "bob", "no such entry");
    check_remove_fails(place.path, CREDENTIALS_USER, "*", "no such entry");
    check_remove_fails(place.path, CREDENTIALS_MAPPED, "alice", "no such entry");
    check_add_fails(place.path, CREDENTIALS_USER, "", NULL, me, "is empty");
    check_add_fails(place.path, CREDENTIALS_USER, "a:b", NULL, me, "':'");
    check_add_fails(place.path, CREDENTIALS_USER, "*", NULL, me, "'*'");
    check_add_fails(place.path, CREDENTIALS_USER, "a\\b\\c", NULL, me, "more than one");
    check_add_fails(place.path, CREDENTIALS_USER, "a\nuser:b", NULL, me, "control");
    check_add_fails(place.path, CREDENTIALS_MAPPED, "a", "b:c", me, "':'");
    check_add_fails(place.path, CREDENTIALS_MAPPED, "a", "\\b", me, "is empty");
    check_file(place.path, before);
    assert_int_equal(place_count(&place), 1);
    place_clear(&place);
}

static void test_a_broken_file_is_not_edited(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    static const char broken[] = "user:alice:" HASH_1 "\nnonsense\n";
    text_write(place.path, broken, 0600);
    assert_false(
        add_hash(place.path, CREDENTIALS_USER, "bob", NULL, hash_a, geteuid(), getegid(), &error));
    assert_int_equal(error.line, 2);
    assert_false(credentials_remove(place.path, CREDENTIALS_USER, "alice", &error));
    assert_int_equal(error.line, 2);
    check_file(place.path, broken);
    place_clear(&place);
}

static void test_a_file_that_is_not_believed_is_not_edited(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    text_write(place.path, before, 0644);
    check_add_fails(place.path, CREDENTIALS_USER, "bob", NULL, geteuid(), "chmod 600");
    check_remove_fails(place.path, CREDENTIALS_USER, "alice", "chmod 600");
    assert_int_equal(chmod(place.path, 0600), 0);
    assert_int_equal(symlink(place.path, place.other), 0);
    check_add_fails(place.other, CREDENTIALS_USER, "bob", NULL, geteuid(), "symbolic link");
    check_remove_fails(place.other, CREDENTIALS_USER, "alice", "symbolic link");
    /* A hash must not be given to whoever made the file. */
    unsigned owner = geteuid() ? geteuid() : 12345;
    if (geteuid() == 0)
        assert_int_equal(chown(place.path, owner, owner), 0);
    check_add_fails(place.path, CREDENTIALS_USER, "bob", NULL, owner + 1, "belongs to uid");
    check_file(place.path, before);
    place_clear(&place);
}

static void test_remove_of_a_missing_file(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    check_remove_fails(place.path, CREDENTIALS_USER, "alice", "does not exist");
    check_add_fails("/nonexistent/credentials", CREDENTIALS_USER, "alice", NULL, 0, "directory");
    assert_int_equal(place_count(&place), 0);
    place_clear(&place);
}

/* A successor that a crash has left, or that somebody has laid there as a trap, is not written to.
 */
static void test_a_stale_successor_is_replaced(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    char trap[128];
    snprintf(trap, sizeof trap, "%s/.credentials.new", place.directory);
    text_write(place.other, "untouched", 0666);
    assert_int_equal(symlink(place.other, trap), 0);
    add(place.path, CREDENTIALS_USER, "alice", NULL);
    check_file(place.path, "user:alice:" HASH_A "\n");
    check_file(place.other, "untouched");
    assert_int_equal(place_count(&place), 2);
    place_clear(&place);
}

static void test_many_at_once_or_none(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    struct credentials_entry entries[] = {
        {.kind = CREDENTIALS_USER, .name = "zoe"},
        {.kind = CREDENTIALS_USER, .name = "Alice"},
        {.kind = CREDENTIALS_USER, .name = "bob"},
    };
    for (size_t i = 0; i < 3; i++)
        memcpy(entries[i].nt_hash, hash_a, sizeof hash_a);
    text_write(place.path, "user:alice:" HASH_1 "\n", 0600);
    assert_true(credentials_add_all(place.path, entries, 3, geteuid(), getegid(), &error));
    check_file(place.path, "user:Alice:" HASH_A "\nuser:zoe:" HASH_A "\nuser:bob:" HASH_A "\n");
    entries[2].name = "b:b";
    assert_false(credentials_add_all(place.path, entries, 3, geteuid(), getegid(), &error));
    entries[2].name = "ZOE";
    entries[0].name = "yes";
    entries[1].name = "zoe";
    assert_true(credentials_remove(place.path, CREDENTIALS_USER, "zoe", &error));
    assert_false(credentials_add_all(place.path, entries, 3, geteuid(), getegid(), &error));
    assert_non_null(strstr(error.text, "names the same user"));
    entries[0].name = entries[1].name = entries[2].name = "bob";
    assert_false(credentials_add_all(place.path, entries, 3, geteuid(), getegid(), &error));
    check_file(place.path, "user:Alice:" HASH_A "\nuser:bob:" HASH_A "\n");
    place_clear(&place);
}

static void add_twenty(const char *path, char letter)
{
    struct credentials_error error;
    for (int i = 0; i < 20; i++) {
        char name[8] = {letter, (char)('a' + i), '\0'};
        if (!add_hash(path, CREDENTIALS_USER, name, NULL, hash_a, geteuid(), getegid(), &error))
            _exit(1);
    }
    _exit(0);
}

static void test_two_editors_lose_nothing(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    for (char letter = 'x'; letter <= 'y'; letter++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            add_twenty(place.path, letter);
    }
    for (int i = 0; i < 2; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    struct credentials *credentials = credentials_read(place.path, geteuid(), &error);
    assert_non_null(credentials);
    assert_int_equal(credentials_users(credentials), 40);
    credentials_free(credentials);
    place_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_file_is_private),
        cmocka_unit_test(test_root_gives_a_new_file_to_its_owner),
        cmocka_unit_test(test_add_appends_and_keeps_the_rest),
        cmocka_unit_test(test_add_replaces_in_place),
        cmocka_unit_test(test_remove_takes_one_line),
        cmocka_unit_test(test_what_fails_changes_nothing),
        cmocka_unit_test(test_a_broken_file_is_not_edited),
        cmocka_unit_test(test_a_file_that_is_not_believed_is_not_edited),
        cmocka_unit_test(test_remove_of_a_missing_file),
        cmocka_unit_test(test_a_stale_successor_is_replaced),
        cmocka_unit_test(test_many_at_once_or_none),
        cmocka_unit_test(test_two_editors_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
