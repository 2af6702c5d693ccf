/*
 * A credentials file for tests: its text alone, and in a directory of its own.
 */
#ifndef COUNTERSIGN_TESTS_CREDENTIALS_FILE_H
#define COUNTERSIGN_TESTS_CREDENTIALS_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/credentials.h"

struct place_for_test {
    char directory[64];
    char path[96]; /* of the file, which does not exist yet */
    char other[96];
};

static inline struct place_for_test place_make(void)
{
    struct place_for_test place = {.directory = "/tmp/countersign-test-XXXXXX"};
    assert_non_null(mkdtemp(place.directory));
    snprintf(place.path, sizeof place.path, "%s/credentials", place.directory);
    snprintf(place.other, sizeof place.other, "%s/other", place.directory);
    return place;
}

static inline size_t place_count(const struct place_for_test *place)
{
    size_t count = 0;
    DIR *directory = opendir(place->directory);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

/* Whatever the test has left there. */
static inline void place_clear(const struct place_for_test *place)
{
    DIR *directory = opendir(place->directory);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    assert_int_equal(rmdir(place->directory), 0);
}

static inline void text_write(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* The whole file; the caller frees it. */
static inline char *text_read(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 65535, file), 0, 65534);
    fclose(file);
    return text;
}

static inline void check_file(const char *path, const char *expected)
{
    char *text = text_read(path);
    assert_string_equal(text, expected);
    free(text);
}

/* Of exactly the text's size, so that AddressSanitizer sees a read behind it. */
static inline struct credentials *text_parse(const char *text, struct credentials_error *error)
{
    size_t size = strlen(text);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    if (size)
        memcpy(copy, text, size);
    struct credentials *credentials = credentials_parse((struct span){copy, size}, error);
    free(copy);
    return credentials;
}

static inline struct credentials *text_parse_good(const char *text)
{
    struct credentials_error error;
    struct credentials *credentials = text_parse(text, &error);
    if (!credentials)
        fail_msg("line %u %s", error.line, error.text);
    return credentials;
}

/* Refused, at that line, in words that have `part` in them and nothing of a hash or a user. */
static inline void check_bad(const char *text, unsigned line, const char *part)
{
    struct credentials_error error;
    assert_null(text_parse(text, &error));
    assert_int_equal(error.line, line);
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
    assert_null(strstr(error.text, "0102"));
    assert_null(strstr(error.text, "alice"));
}

#endif
