/*
 * Whose a keytab must be, and who may read it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/keytab_check.h"

enum { KEEPER_UID = 64901, KEEPER_GID = 64902, OTHER = 64903 };

static const struct process_user keeper = {
    .uid = KEEPER_UID, .gid = KEEPER_GID, .groups = {OTHER}, .groups_count = 1};

static char path[] = "/tmp/countersign-keytab-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    return fd >= 0 && write(fd, "\5\2", 2) == 2 && close(fd) == 0 ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static bool usable(uid_t uid, gid_t gid, mode_t mode, const char *told)
{
    char error[256] = "";
    assert_int_equal(chown(path, uid, gid), 0);
    assert_int_equal(chmod(path, mode), 0);
    bool good = keytab_check(path, &keeper, error, sizeof error);
    if (!good && !strstr(error, told))
        fail_msg("%s\nis not: %s", error, told);
    return good;
}

static void test_owner_and_mode(void **state)
{
    (void)state;
    assert_true(usable(KEEPER_UID, 0, 0600, ""));
    assert_true(usable(KEEPER_UID, KEEPER_GID, 0400, ""));
    assert_true(usable(KEEPER_UID, KEEPER_GID, 0640, ""));
    assert_true(usable(0, KEEPER_GID, 0640, ""));
    assert_false(usable(OTHER, KEEPER_GID, 0640, "belongs to user 64903"));
    assert_false(usable(KEEPER_UID, KEEPER_GID, 0644, "by others than the keeper"));
    assert_false(usable(KEEPER_UID, KEEPER_GID, 0660, "by others than the keeper"));
    assert_false(usable(KEEPER_UID, KEEPER_GID, 0601, "by others than the keeper"));
    assert_false(usable(KEEPER_UID, OTHER, 0640, "by a group that is not the keeper's own"));
    assert_false(usable(KEEPER_UID, 0, 0640, "by a group that is not the keeper's own"));
    assert_false(usable(0, 0, 0600, "cannot be read by the keeper's user"));
    assert_false(usable(0, KEEPER_GID, 0600, "cannot be read by the keeper's user"));
    assert_false(usable(KEEPER_UID, KEEPER_GID, 0000, "cannot be read by the keeper's user"));
}

static void test_no_keytab(void **state)
{
    char error[256];
    (void)state;
    assert_false(keytab_check("/nowhere/keytab", &keeper, error, sizeof error));
    assert_non_null(strstr(error, "No such file"));
    assert_false(keytab_check("/tmp", &keeper, error, sizeof error));
    assert_non_null(strstr(error, "is not a regular file"));
    assert_int_equal(truncate(path, 0), 0);
    assert_false(keytab_check(path, &keeper, error, sizeof error));
    assert_non_null(strstr(error, "is empty"));
    assert_int_equal(truncate(path, 2), 0);
}

/* Each once, and only those that are used. */
static void test_list(void **state)
{
    static const char text[] =
        "listeners:\n"
        "- {name: a, address: 127.0.0.1, upstream: two, keytab: /a}\n"
        "- {name: b, address: 127.0.0.2, upstream: two, keytab: /b}\n"
        "- {name: c, address: 127.0.0.3, upstream: one, mechanisms: [ntlm], keytab: ~}\n"
        "upstreams:\n"
        "- {name: one, address: 192.0.2.1, keytab: /unused}\n"
        "- {name: two, address: 192.0.2.2, login: [delegate], service: cifs/p@D, keytab: /a}\n"
        "- {name: three, address: 192.0.2.3, login: [transition], service: cifs/q@D}\n"
        "credentials: /c\n"
        "kerberos: {keytab: /k}\n";
    struct config_error error;
    const char *paths[KEYTABS_MAX];
    (void)state;
    struct config *config = config_parse(text, strlen(text), &error);
    if (!config)
        fail_msg("line %u: %s", error.line, error.text);
    assert_int_equal(keytab_list(config, paths), 3);
    assert_string_equal(paths[0], "/a");
    assert_string_equal(paths[1], "/b");
    assert_string_equal(paths[2], "/k");
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest as_root[] = {cmocka_unit_test(test_owner_and_mode)};
    const struct CMUnitTest always[] = {cmocka_unit_test(test_no_keytab),
                                        cmocka_unit_test(test_list)};
    int failed = 0;
    if (geteuid() == 0)
        failed += cmocka_run_group_tests(as_root, make_file, remove_file);
    strcpy(path, "/tmp/countersign-keytab-XXXXXX");
    return failed + cmocka_run_group_tests(always, make_file, remove_file);
}
