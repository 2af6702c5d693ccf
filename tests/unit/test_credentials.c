/* The credentials file: what is found, what is refused, and what a name cannot be made to mean. */
#include "tests/unit/credentials_file.h"

#define HASH_1 "0102030405060708090a0b0c0d0e0f10"
#define HASH_2 "AABBCCDDEEFF00112233445566778899"
#define HASH_3 "ffffffffffffffffffffffffffffffff"

/* The first byte of the hash that is found; -1 for none. */
static int found_user(const struct credentials *credentials, const char *user, const char *domain)
{
    uint8_t hash[NT_HASH_SIZE] = {0};
    return credentials_find_user(credentials, user, domain, hash) ? hash[0] : -1;
}

static void check_mapped(const struct credentials *credentials, const char *user,
                         const char *domain, const char *account_domain, const char *account_user,
                         int first)
{
    struct account account;
    assert_true(credentials_find_mapped(credentials, user, domain, CREDENTIALS_EXACT, &account) ||
                credentials_find_mapped(credentials, user, domain, CREDENTIALS_PLAIN, &account));
    assert_int_equal(account.key, ACCOUNT_NT_HASH);
    assert_string_equal(account.domain, account_domain);
    assert_string_equal(account.user, account_user);
    assert_int_equal(account.nt_hash[0], first);
}

static void test_users_are_found(void **state)
{
    (void)state;
    static const uint8_t hash_1[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    uint8_t hash[NT_HASH_SIZE];
    struct credentials *credentials = text_parse_good("# users\n"
                                                      "user:alice:" HASH_1 "\n"
                                                      "\n"
                                                      "  # with a domain\n"
                                                      "user:CORP\\Alice:" HASH_2 "\r\n"
                                                      "user:bob smith:" HASH_3);
    assert_int_equal(credentials_users(credentials), 3);
    assert_int_equal(credentials_mapped(credentials), 0);
    assert_true(credentials_find_user(credentials, "ALICE", "", hash));
    assert_memory_equal(hash, hash_1, sizeof hash);
    assert_int_equal(found_user(credentials, "alice", "corp"), 0xaa);
    assert_int_equal(found_user(credentials, "alice", "OTHER"), 1);
    assert_int_equal(found_user(credentials, "Bob Smith", "anything"), 0xff);
    assert_int_equal(found_user(credentials, "carol", ""), -1);
    assert_int_equal(found_user(credentials, "alic", ""), -1);
    assert_int_equal(found_user(credentials, "alice ", ""), -1);
    assert_int_equal(found_user(credentials, "", ""), -1);
    credentials_free(credentials);
    credentials_free(NULL);
}

static void test_an_entry_with_a_domain_needs_the_domain(void **state)
{
    (void)state;
    struct credentials *credentials = text_parse_good("user:CORP\\alice:" HASH_1 "\n");
    assert_int_equal(found_user(credentials, "alice", "corp"), 1);
    assert_int_equal(found_user(credentials, "alice", ""), -1);
    assert_int_equal(found_user(credentials, "alice", "OTHER"), -1);
    /* A client that writes the backslash itself has named no domain. */
    assert_int_equal(found_user(credentials, "CORP\\alice", ""), -1);
    assert_int_equal(found_user(credentials, "alice", "\\CORP"), -1);
    assert_int_equal(found_user(credentials, "\\alice", "CORP"), -1);
    credentials_free(credentials);
}

static void test_a_domain_is_one_part(void **state)
{
    (void)state;
    struct credentials *credentials = text_parse_good("user:alice:" HASH_1 "\n");
    assert_int_equal(found_user(credentials, "alice", "A"), 1);
    assert_int_equal(found_user(credentials, "alice", "A\\B"), -1);
    assert_int_equal(found_user(credentials, "alice", "\\"), -1);
    credentials_free(credentials);
}

static void test_names_of_any_length_are_looked_up(void **state)
{
    (void)state;
    struct credentials *credentials = text_parse_good("user:alice:" HASH_1 "\n");
    char *name = malloc(100001);
    assert_non_null(name);
    memset(name, 'a', 100000);
    name[100000] = '\0';
    assert_int_equal(found_user(credentials, name, name), -1);
    assert_int_equal(found_user(credentials, "alice", name), 1);
    assert_int_equal(found_user(credentials, "al\xffice", ""), -1);
    assert_int_equal(found_user(credentials, "alice", "\xff"), 1);
    free(name);
    credentials_free(credentials);
}

static void test_case_beyond_ascii(void **state)
{
    (void)state;
    struct credentials *credentials = text_parse_good("user:\xc3\xa4nne:" HASH_1 "\n");
    assert_int_equal(found_user(credentials, "\xc3\x84NNE", ""), 1);
    assert_int_equal(found_user(credentials, "anne", ""), -1);
    credentials_free(credentials);
}

static void test_mapped_accounts_are_found(void **state)
{
    (void)state;
    struct account account;
    struct credentials *credentials = text_parse_good("mapped:*:NAS\\service:" HASH_1 "\n"
                                                      "mapped:alice:svc-alice:" HASH_2 "\n"
                                                      "mapped:CORP\\bob:NAS\\svc-bob:" HASH_3 "\n"
                                                      "user:alice:" HASH_3 "\n");
    assert_int_equal(credentials_users(credentials), 1);
    assert_int_equal(credentials_mapped(credentials), 3);
    check_mapped(credentials, "Alice", "ANY", "", "svc-alice", 0xaa);
    check_mapped(credentials, "BOB", "corp", "NAS", "svc-bob", 0xff);
    check_mapped(credentials, "bob", "", "NAS", "service", 1);
    check_mapped(credentials, "carol", "CORP", "NAS", "service", 1);
    /* A mapping is not a user. */
    assert_int_equal(found_user(credentials, "bob", "CORP"), -1);
    assert_int_equal(found_user(credentials, "*", ""), -1);
    credentials_free(credentials);

    credentials = text_parse_good("mapped:alice:svc:" HASH_1 "\n");
    assert_false(credentials_find_mapped(credentials, "bob", "", CREDENTIALS_PLAIN, &account));
    assert_false(credentials_find_mapped(credentials, "*", "", CREDENTIALS_PLAIN, &account));
    assert_false(credentials_find_mapped(credentials, "alice", "", CREDENTIALS_EXACT, &account));
    assert_false(
        credentials_find_mapped(credentials, "alice", "", CREDENTIALS_EVERYBODY, &account));
    credentials_free(credentials);
}

/* Whoever names a domain that no entry has must not end up with the local user of that name. */
static void test_domain_users_are_not_local_ones(void **state)
{
    (void)state;
    uint8_t hash[NT_HASH_SIZE];
    struct credentials *credentials =
        text_parse_good("user:alice:" HASH_1 "\nuser:CORP\\bob:" HASH_2 "\n");
    assert_false(credentials_find_domain_user(credentials, "alice", "CORP", hash));
    assert_false(credentials_find_domain_user(credentials, "alice", "", hash));
    assert_true(credentials_find_domain_user(credentials, "BOB", "corp", hash));
    credentials_free(credentials);
}

static void check_secret(const struct credentials *credentials, const char *user,
                         enum account_key key, const char *account_user, const char *secret)
{
    struct account account;
    assert_true(credentials_find_mapped(credentials, user, "", CREDENTIALS_PLAIN, &account));
    assert_int_equal(account.key, key);
    assert_string_equal(account.user, account_user);
    assert_string_equal(account.domain, "");
    assert_string_equal(account.secret, secret);
}

static void test_mapped_by_kerberos(void **state)
{
    (void)state;
    struct credentials *credentials =
        text_parse_good("mapped:*:svc@CORP.EXAMPLE.COM:keytab=/etc/countersign/svc.keytab\n"
                        "mapped:alice:nas-alice@CORP.EXAMPLE.COM:password= a:b=c# \r\n"
                        "mapped:bob:bob@corp:" HASH_1 "\n");
    check_secret(credentials, "anybody", ACCOUNT_KEYTAB, "svc@CORP.EXAMPLE.COM",
                 "/etc/countersign/svc.keytab");
    check_secret(credentials, "alice", ACCOUNT_PASSWORD, "nas-alice@CORP.EXAMPLE.COM", " a:b=c# ");
    check_secret(credentials, "bob", ACCOUNT_NT_HASH, "bob@corp", "");
    credentials_free(credentials);
}

static void test_an_empty_file_is_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# nobody yet", "\n \t\r\n#\n"};
    for (size_t i = 0; i < 4; i++) {
        struct credentials *credentials = text_parse_good(texts[i]);
        assert_int_equal(credentials_users(credentials) + credentials_mapped(credentials), 0);
        assert_int_equal(found_user(credentials, "alice", ""), -1);
        credentials_free(credentials);
    }
}

static void test_malformed_lines(void **state)
{
    (void)state;
    check_bad("\nalice:" HASH_1 "\n", 2, "begins with neither");
    check_bad("User:alice:" HASH_1 "\n", 1, "begins with neither");
    check_bad(" user:alice:" HASH_1 "\n", 1, "begins with neither");
    check_bad("user\n", 1, "begins with neither");
    check_bad("user:alice\n", 1, "too few fields");
    check_bad("mapped:alice:svc\n", 1, "too few fields");
    check_bad("mapped:alice:" HASH_1 "\n", 1, "too few fields");
    check_bad("user:alice:\n", 1, "not an NT hash");
    check_bad("user:alice:" HASH_1 ":\n", 1, "not an NT hash");
    check_bad("user:alice:" HASH_1 " \n", 1, "not an NT hash");
    check_bad("user:alice:" HASH_1 "00\n", 1, "not an NT hash");
    check_bad("user:alice:0102030405060708090a0b0c0d0e0f1\n", 1, "not an NT hash");
    check_bad("user:alice:0102030405060708090a0b0c0d0e0f1g\n", 1, "not an NT hash");
    check_bad("user:alice:svc:" HASH_1 "\n", 1, "not an NT hash");
    check_bad("mapped:a:b:c:" HASH_1 "\n", 1, "not an NT hash");
}

static void test_names_that_no_account_has(void **state)
{
    (void)state;
    check_bad("user::" HASH_1 "\n", 1, "is empty");
    check_bad("user:\\alice:" HASH_1 "\n", 1, "is empty");
    check_bad("user:CORP\\:" HASH_1 "\n", 1, "is empty");
    check_bad("user:A\\B\\alice:" HASH_1 "\n", 1, "more than one");
    check_bad("user: alice:" HASH_1 "\n", 1, "space");
    check_bad("user:alice :" HASH_1 "\n", 1, "space");
    check_bad("user:CORP \\alice:" HASH_1 "\n", 1, "space");
    check_bad("user:*:" HASH_1 "\n", 1, "'*'");
    check_bad("mapped:CORP\\*:svc:" HASH_1 "\n", 1, "'*'");
    check_bad("mapped:alice:*:" HASH_1 "\n", 1, "'*'");
    check_bad("mapped:alice::" HASH_1 "\n", 1, "is empty");
    check_bad("mapped:alice:NAS\\:" HASH_1 "\n", 1, "is empty");
    check_bad("user:al\x1b[2Jice:" HASH_1 "\n", 1, "control character");
    check_bad("user:al\xc2\x9bice:" HASH_1 "\n", 1, "control character");
    check_bad("user:al\xffice:" HASH_1 "\n", 1, "UTF-8");
}

static void test_a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char text[] = "user:al\0ice:" HASH_1 "\n";
    struct credentials_error error;
    assert_null(credentials_parse((struct span){(const uint8_t *)text, sizeof text - 1}, &error));
    assert_int_equal(error.line, 1);
    assert_non_null(strstr(error.text, "NUL"));
}

static void check_name_length(size_t length, bool good)
{
    char text[CREDENTIALS_LINE_MAX];
    struct credentials_error error;
    snprintf(text, sizeof text, "user:%0*d:" HASH_1 "\n", (int)length, 0);
    struct credentials *credentials = text_parse(text, &error);
    assert_int_equal(credentials != NULL, good);
    credentials_free(credentials);
}

static void test_long_names_are_refused_not_cut(void **state)
{
    (void)state;
    check_name_length(IDENTITY_NAME_MAX - 1, true);
    check_name_length(IDENTITY_NAME_MAX, false);
    check_name_length(1500, false);
    char *text = malloc(5000);
    assert_non_null(text);
    memset(text, 'x', 4999);
    memcpy(text, "user:", 5);
    text[4999] = '\0';
    check_bad(text, 1, "longer than");
    /* A comment may be as long as it likes. */
    text[0] = '#';
    credentials_free(text_parse_good(text));
    free(text);
}

static void test_two_lines_for_one_name(void **state)
{
    (void)state;
    check_bad("user:alice:" HASH_1 "\nuser:bob:" HASH_1 "\nuser:ALICE:" HASH_2 "\n", 3, "line 1");
    check_bad("mapped:*:a:" HASH_1 "\n\nmapped:*:b:" HASH_1 "\n", 3, "line 1");
    check_bad("user:c\\alice:" HASH_1 "\nuser:C\\Alice:" HASH_1 "\n", 2, "line 1");
    credentials_free(text_parse_good("user:alice:" HASH_1 "\nuser:C\\alice:" HASH_1
                                     "\nmapped:alice:a:" HASH_1 "\nuser:alic:" HASH_1 "\n"));
}

struct seen {
    char text[256];
};

static void note(void *context, enum credentials_kind kind, const char *name, const char *target)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(&seen->text[used], sizeof seen->text - used, "%d %s %s;", (int)kind, name,
             target ? target : "-");
}

static void test_each_goes_in_file_order(void **state)
{
    (void)state;
    struct seen seen = {""};
    struct credentials *credentials =
        text_parse_good("user:zoe:" HASH_1 "\nmapped:*:D\\x:" HASH_1 "\nuser:Adam:" HASH_1 "\n");
    credentials_each(credentials, note, &seen);
    assert_string_equal(seen.text, "0 zoe -;1 * D\\x;0 Adam -;");
    credentials_free(credentials);
}

static void check_file_refused(const char *path, unsigned owner, const char *part)
{
    struct credentials_error error;
    assert_null(credentials_read(path, owner, &error));
    assert_int_equal(error.line, 0);
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

static void test_only_a_private_regular_file_is_read(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    unsigned me = geteuid();
    check_file_refused(place.path, me, "does not exist");
    text_write(place.path, "user:alice:" HASH_1 "\n", 0600);
    struct credentials *credentials = credentials_read(place.path, me, &error);
    assert_non_null(credentials);
    assert_int_equal(found_user(credentials, "alice", ""), 1);
    credentials_free(credentials);

    static const mode_t open_modes[] = {0640, 0620, 0604, 0602, 0610, 0601, 0644};
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        assert_int_equal(chmod(place.path, open_modes[i]), 0);
        check_file_refused(place.path, me, "chmod 600");
    }
    assert_int_equal(chmod(place.path, 0400), 0);
    credentials = credentials_read(place.path, me, &error);
    assert_non_null(credentials);
    credentials_free(credentials);

    assert_int_equal(symlink(place.path, place.other), 0);
    check_file_refused(place.other, me, "symbolic link");
    assert_int_equal(unlink(place.other), 0);
    assert_int_equal(mkfifo(place.other, 0600), 0);
    check_file_refused(place.other, me, "regular file");
    check_file_refused(place.directory, me, "regular file");
    place_clear(&place);
}

static void test_the_owner_counts(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    struct credentials_error error;
    unsigned owner = geteuid() ? geteuid() : 12345;
    text_write(place.path, "user:alice:" HASH_1 "\n", 0600);
    if (geteuid() == 0) {
        /* Root's own file is everybody's. */
        struct credentials *credentials = credentials_read(place.path, owner, &error);
        assert_non_null(credentials);
        credentials_free(credentials);
        assert_int_equal(chown(place.path, owner, owner), 0);
    }
    struct credentials *credentials = credentials_read(place.path, owner, &error);
    assert_non_null(credentials);
    credentials_free(credentials);
    check_file_refused(place.path, owner + 1, "belongs to uid");
    place_clear(&place);
}

static void test_a_file_that_is_too_long(void **state)
{
    (void)state;
    struct place_for_test place = place_make();
    text_write(place.path, "", 0600);
    assert_int_equal(truncate(place.path, CREDENTIALS_FILE_MAX + 1), 0);
    check_file_refused(place.path, geteuid(), "longer than");
    place_clear(&place);
}

static void test_many_entries(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    size_t room = MANY * 60;
    char *text = malloc(room), name[32];
    size_t used = 0;
    assert_non_null(text);
    for (int i = 0; i < MANY; i++)
        used += (size_t)snprintf(&text[used], room - used,
                                 "user:User%d:%02x02030405060708090a0b0c0d0e0f10\n", i, i & 0xff);
    struct credentials *credentials = text_parse_good(text);
    assert_int_equal(credentials_users(credentials), MANY);
    for (int i = 0; i < MANY; i += 97) {
        snprintf(name, sizeof name, "uSER%d", i);
        assert_int_equal(found_user(credentials, name, ""), i & 0xff);
    }
    assert_int_equal(found_user(credentials, "user20000", ""), -1);
    credentials_free(credentials);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_are_found),
        cmocka_unit_test(test_an_entry_with_a_domain_needs_the_domain),
        cmocka_unit_test(test_a_domain_is_one_part),
        cmocka_unit_test(test_names_of_any_length_are_looked_up),
        cmocka_unit_test(test_case_beyond_ascii),
        cmocka_unit_test(test_mapped_accounts_are_found),
        cmocka_unit_test(test_domain_users_are_not_local_ones),
        cmocka_unit_test(test_mapped_by_kerberos),
        cmocka_unit_test(test_an_empty_file_is_valid),
        cmocka_unit_test(test_malformed_lines),
        cmocka_unit_test(test_names_that_no_account_has),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_long_names_are_refused_not_cut),
        cmocka_unit_test(test_two_lines_for_one_name),
        cmocka_unit_test(test_each_goes_in_file_order),
        cmocka_unit_test(test_only_a_private_regular_file_is_read),
        cmocka_unit_test(test_the_owner_counts),
        cmocka_unit_test(test_a_file_that_is_too_long),
        cmocka_unit_test(test_many_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
