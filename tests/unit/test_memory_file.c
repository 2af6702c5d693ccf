/*
 * The state file: what is saved is loaded again, and a file that is not whole is never taken, never
 * a crash, and set aside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/memory_file.h"

static char directory[64], file[96], aside[128], fresh[128], elsewhere[128], requests[128];

static int make_place(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/countersign-memory-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/state", directory);
    snprintf(aside, sizeof aside, "%s.damaged", file);
    snprintf(fresh, sizeof fresh, "%s.new", file);
    snprintf(elsewhere, sizeof elsewhere, "%s.elsewhere", file);
    snprintf(requests, sizeof requests, "%s.forget", file);
    return 0;
}

static int drop_place(void **state)
{
    (void)state;
    unlink(file);
    unlink(aside);
    unlink(fresh);
    unlink(elsewhere);
    unlink(requests);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static void enter(struct memory *memory, enum memory_kind kind, const char *name, uint16_t dialect,
                  const char *other)
{
    const bool kerberos = kind != MEMORY_ADDRESS;
    struct remembered entry = {
        .kind = kind,
        .best = {dialect, true, SIGNING_AES_GMAC, CIPHER_AES_128_GCM, kerberos},
        .logged_in = kind != MEMORY_UPSTREAM,
    };
    snprintf(entry.name, sizeof entry.name, "%s", name);
    snprintf(entry.other, sizeof entry.other, "%s", other);
    if (kind == MEMORY_UPSTREAM)
        memset(entry.guid, 0xab, sizeof entry.guid);
    assert_true(memory_enter(memory, &entry));
}

static struct memory *small_memory(void)
{
    struct memory *memory = memory_new(MEMORY_MAX);
    assert_non_null(memory);
    enter(memory, MEMORY_ADDRESS, "192.0.2.1", SMB_3_1_1, "");
    enter(memory, MEMORY_GUID, "01010101-0101-0101-0101-010101010101", SMB_3_0, "192.0.2.1");
    enter(memory, MEMORY_UPSTREAM, "nas", SMB_2_1, "NAS.example.com");
    return memory;
}

struct listing {
    char text[2048];
};

static bool list_one(void *context, const struct remembered *entry)
{
    struct listing *listing = context;
    size_t used = strlen(listing->text);
    snprintf(&listing->text[used], sizeof listing->text - used, "%d %s %04x %u %u %d%d%d %02x %s\n",
             (int)entry->kind, entry->name, entry->best.dialect, entry->best.signing,
             entry->best.cipher, entry->best.has_signing, entry->best.kerberos, entry->logged_in,
             entry->guid[15], entry->other);
    return true;
}

static struct listing listing_of(const struct memory *memory)
{
    struct listing listing = {.text = ""};
    assert_true(memory_each(memory, list_one, &listing));
    return listing;
}

/* Loads the file into a memory of its own; how many entries there are then. */
static enum memory_loaded load(size_t *count)
{
    struct memory *memory = memory_new(MEMORY_MAX);
    assert_non_null(memory);
    enum memory_loaded loaded = memory_load(memory, file);
    *count = memory_count(memory);
    memory_free(memory);
    return loaded;
}

static size_t content(char *bytes, size_t room)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    size_t size = fread(bytes, 1, room, in);
    fclose(in);
    assert_true(size < room);
    return size;
}

static void put_content(const char *bytes, size_t size)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void test_saved_and_loaded(void **state)
{
    struct memory *memory = small_memory(), *other = memory_new(MEMORY_MAX);
    struct stat status;
    (void)state;
    assert_true(memory_take_changed(memory));
    assert_false(memory_take_changed(memory));
    assert_true(memory_save(memory, file));
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_int_equal(memory_load(other, file), MEMORY_LOADED);
    assert_false(memory_take_changed(other));
    assert_string_equal(listing_of(memory).text, listing_of(other).text);
    /* Over the old one, and again the same bytes. */
    char before[4096], after[4096];
    size_t size = content(before, sizeof before);
    assert_true(memory_save(other, file));
    assert_int_equal(content(after, sizeof after), size);
    assert_memory_equal(before, after, size);
    memory_free(memory);
    memory_free(other);
}

/* As it was written before the Kerberos of file servers was remembered: that is then not known. */
static void test_file_without_the_kerberos_of_file_servers(void **state)
{
    static const char old[] = "countersign memory 1\n"
                              "upstream nas 0311 2 2 s- abababababababababababababababab NAS\n"
                              "end 1 910add61eb9ab4f8c495480ab27aa4b6"
                              "e4670a8ecf26f72ea929559619eb7bac\n";
    struct memory *memory = memory_new(MEMORY_MAX);
    char bytes[4096];
    (void)state;
    put_content(old, sizeof old - 1);
    assert_int_equal(memory_load(memory, file), MEMORY_LOADED);
    assert_string_equal(listing_of(memory).text, "2 nas 0311 2 2 100 ab NAS\n");
    assert_true(memory_save(memory, file));
    assert_int_equal(content(bytes, sizeof bytes), sizeof old - 1);
    assert_memory_equal(bytes, old, sizeof old - 1);
    memory_free(memory);
}

/* The letter that clients have for it: earlier versions read it, and keep it. */
static void test_kerberos_of_a_file_server(void **state)
{
    static const char line[] = "\nupstream nas 0210 2 2 sk abababababababababababababababab NAS.";
    struct memory *memory = small_memory();
    char bytes[4096];
    (void)state;
    assert_true(memory_save(memory, file));
    bytes[content(bytes, sizeof bytes)] = '\0';
    assert_non_null(strstr(bytes, line));
    memory_free(memory);
}

static void test_empty_memory(void **state)
{
    struct memory *memory = memory_new(MEMORY_MAX);
    size_t count;
    (void)state;
    assert_true(memory_save(memory, file));
    assert_int_equal(load(&count), MEMORY_LOADED);
    assert_int_equal(count, 0);
    memory_free(memory);
}

static void test_no_file(void **state)
{
    size_t count;
    (void)state;
    assert_int_equal(load(&count), MEMORY_NO_FILE);
}

static void assert_damaged(const char *bytes, size_t size)
{
    size_t count;
    put_content(bytes, size);
    assert_int_equal(load(&count), MEMORY_DAMAGED);
    assert_int_equal(count, 0);
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(access(aside, F_OK), 0);
}

/* Every byte changed in several ways, cut off at every byte, and one byte more. */
static void test_damage_at_every_byte(void **state)
{
    static const char changes[] = {1, 0x20, '\n' ^ ' ', (char)0x80, (char)0xff};
    struct memory *memory = small_memory();
    char whole[4096], spoilt[4096];
    size_t count;
    (void)state;
    assert_true(memory_save(memory, file));
    size_t size = content(whole, sizeof whole);
    for (size_t at = 0; at < size; at++) {
        for (size_t i = 0; i < sizeof changes; i++) {
            memcpy(spoilt, whole, size);
            spoilt[at] = (char)(spoilt[at] ^ changes[i]);
            assert_damaged(spoilt, size);
        }
        memcpy(spoilt, whole, size);
        spoilt[at] = '\0';
        assert_damaged(spoilt, size);
        assert_damaged(whole, at);
    }
    memcpy(spoilt, whole, size);
    spoilt[size] = '\n';
    assert_damaged(spoilt, size + 1);
    put_content(whole, size);
    assert_int_equal(load(&count), MEMORY_LOADED);
    assert_int_equal(count, 3);
    memory_free(memory);
}

static void test_what_cannot_be_read(void **state)
{
    size_t count;
    (void)state;
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(load(&count), MEMORY_UNREADABLE);
    assert_int_equal(rmdir(file), 0);
    /* Longer than any of ours: set aside without being read. */
    put_content("", 0);
    assert_int_equal(truncate(file, (off_t)1 << 32), 0);
    assert_int_equal(load(&count), MEMORY_DAMAGED);
    assert_int_equal(access(aside, F_OK), 0);
}

static void test_save_that_fails_leaves_the_old(void **state)
{
    struct memory *memory = small_memory();
    size_t count;
    (void)state;
    assert_true(memory_save(memory, file));
    assert_int_equal(mkdir(fresh, 0700), 0);
    errno = 0;
    assert_false(memory_save(memory, file));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(rmdir(fresh), 0);
    /* What cannot be opened without following it elsewhere is not followed. */
    assert_int_equal(symlink(elsewhere, fresh), 0);
    assert_false(memory_save(memory, file));
    assert_int_equal(access(elsewhere, F_OK), -1);
    assert_int_equal(load(&count), MEMORY_LOADED);
    assert_int_equal(count, 3);
    memory_free(memory);
}

static void test_full_memory(void **state)
{
    struct memory *memory = memory_new(MEMORY_MAX);
    size_t count;
    (void)state;
    for (unsigned i = 0; i < MEMORY_MAX + 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "client%u", i);
        enter(memory, MEMORY_ADDRESS, name, SMB_3_1_1, "");
    }
    assert_true(memory_save(memory, file));
    assert_int_equal(load(&count), MEMORY_LOADED);
    assert_int_equal(count, MEMORY_MAX);
    memory_free(memory);
}

/* ---- requests to forget ---- */

static unsigned taken, bad;
static struct forget_request last;

static void take_request(void *context, const struct forget_request *request)
{
    (void)context;
    taken += request != NULL;
    bad += request == NULL;
    if (request)
        last = *request;
}

static void test_requests(void **state)
{
    const struct forget_request one = {.kind = MEMORY_UPSTREAM, .name = "nas"}, all = {.all = true};
    (void)state;
    taken = bad = 0;
    forget_take(file, take_request, NULL);
    assert_int_equal(taken + bad, 0);
    assert_true(forget_done(file));
    assert_true(forget_ask(file, &all));
    assert_true(forget_ask(file, &one));
    assert_false(forget_done(file));
    forget_take(file, take_request, NULL);
    assert_int_equal(taken, 2);
    assert_true(!last.all && last.kind == MEMORY_UPSTREAM && strcmp(last.name, "nas") == 0);
    assert_true(forget_done(file));
    forget_take(file, take_request, NULL);
    assert_int_equal(taken, 2);
    FILE *out = fopen(requests, "w");
    assert_non_null(out);
    fputs("nonsense\naddress\nupstream a b\nguid x\n\nunknown y\n", out);
    fclose(out);
    forget_take(file, take_request, NULL);
    assert_int_equal(bad, 4);
    assert_int_equal(taken, 3);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_saved_and_loaded),
        WITH_PLACE(test_file_without_the_kerberos_of_file_servers),
        WITH_PLACE(test_kerberos_of_a_file_server),
        WITH_PLACE(test_empty_memory),
        WITH_PLACE(test_no_file),
        WITH_PLACE(test_damage_at_every_byte),
        WITH_PLACE(test_what_cannot_be_read),
        WITH_PLACE(test_save_that_fails_leaves_the_old),
        WITH_PLACE(test_full_memory),
        WITH_PLACE(test_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
