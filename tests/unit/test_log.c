/*
 * Reading the audit log back: damaged lines, filters, and the two formats for other programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "policy/event.h"
#include "policy/log_filter.h"
#include "policy/log_output.h"
#include "policy/log_read.h"

static char directory[64], file[96];

static int make_place(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/countersign-log-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/audit.json", directory);
    return 0;
}

static int drop_place(void **state)
{
    static const char *const endings[] = {"", ".1", ".2.gz", ".10.gz"};
    char name[128];
    (void)state;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(name, sizeof name, "%s%s", file, endings[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* ---- reading ---- */

static char seen[4096];

static void note(void *context, struct json_object *event)
{
    (void)context;
    size_t used = strlen(seen);
    snprintf(&seen[used], sizeof seen - used, "%s ", log_text(event, "event"));
}

static struct log_counts read_bytes(const char *bytes, size_t size)
{
    struct log_counts counts = {0, 0};
    seen[0] = '\0';
    write_file(file, bytes, size);
    assert_true(log_read(file, &counts, note, NULL));
    return counts;
}

#define LINE(name) "{\"time\":\"2024-05-06T07:08:09.000001Z\",\"event\":\"" name "\"}\n"

static void test_damaged_lines(void **state)
{
    static const struct {
        const char *text;
        unsigned lines, damaged;
    } cases[] = {
        {"", 0, 0},
        {"\n\n", 0, 0},
        {LINE("a") LINE("b"), 2, 0},
        {LINE("a") "{\"time\":\"2024", 1, 1},
        {LINE("a") "{\"time\":\"2024\n" LINE("b"), 2, 1},
        {"{\"event\":\"a\"}\n{\"time\":\"t\"}\n[1]\n5\nnull\n\"x\"\n{}\n" LINE("a"), 1, 7},
        {"{\"time\":5,\"event\":\"a\"}\n", 0, 1},
        {"{\"time\":\"t\",\"event\":\"a\"} more\n", 0, 1},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}\n", 0, 1},
        {"\x80\xff\x01\n" LINE("a"), 1, 1},
        {"{\"time\":\"t\",\"event\":\"a\"}", 1, 0}, /* whole, but for its line feed */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_counts counts = read_bytes(cases[i].text, strlen(cases[i].text));
        assert_int_equal(counts.lines, cases[i].lines);
        assert_int_equal(counts.damaged, cases[i].damaged);
    }
    static const char with_nul[] = "{\"time\":\"t\",\"event\":\"a\0\"}\n" LINE("b");
    struct log_counts counts = read_bytes(with_nul, sizeof with_nul - 1);
    assert_int_equal(counts.lines + counts.damaged, 2);
}

static void test_too_long_a_line(void **state)
{
    enum { SIZE = 3 * LOG_LINE_MAX };
    char *bytes = malloc(SIZE + 128);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', SIZE);
    int size = snprintf(&bytes[SIZE], 128, "\n" LINE("after"));
    struct log_counts counts = read_bytes(bytes, SIZE + (size_t)size);
    assert_int_equal(counts.lines, 1);
    assert_int_equal(counts.damaged, 1);
    free(bytes);
}

/* Every byte changed and every cut: never more events than there were, and no crash. */
static void test_damage_at_every_byte(void **state)
{
    static const char whole[] = LINE("a") LINE("b");
    char bytes[sizeof whole];
    (void)state;
    for (size_t at = 0; at < sizeof whole - 1; at++) {
        for (unsigned change = 1; change < 256; change <<= 1) {
            memcpy(bytes, whole, sizeof whole);
            bytes[at] = (char)(bytes[at] ^ (char)change);
            struct log_counts counts = read_bytes(bytes, sizeof whole - 1);
            assert_in_range(counts.lines, 0, 2);
            assert_in_range(counts.lines + counts.damaged, 1, 3);
        }
        struct log_counts counts = read_bytes(whole, at);
        assert_in_range(counts.lines + counts.damaged, at > 0, 2);
    }
}

static void write_gzip(const char *ending, const char *text, size_t cut)
{
    char name[128], bytes[512];
    snprintf(name, sizeof name, "%s%s", file, ending);
    gzFile out = gzopen(name, "w");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(out), Z_OK);
    FILE *in = fopen(name, "r");
    assert_non_null(in);
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    assert_true(size > cut);
    write_file(name, bytes, size - cut);
}

static bool read_each(void *context, const char *name)
{
    return log_read(name, context, note, NULL);
}

static void test_rotated_files(void **state)
{
    struct log_counts counts = {0, 0};
    char rotated[128];
    (void)state;
    seen[0] = '\0';
    write_file(file, LINE("now"), strlen(LINE("now")));
    snprintf(rotated, sizeof rotated, "%s.1", file);
    write_file(rotated, LINE("yesterday"), strlen(LINE("yesterday")));
    write_gzip(".2.gz", LINE("before"), 0);
    write_gzip(".10.gz", LINE("oldest"), 0);
    assert_true(log_files(file, read_each, &counts));
    assert_string_equal(seen, "oldest before yesterday now ");
    assert_int_equal(counts.lines, 4);
    /* Cut short: what is there is read, and that it is not all is said. */
    write_gzip(".2.gz", LINE("before"), 9);
    assert_false(log_files(file, read_each, &counts));
    assert_false(log_read("/nowhere/audit.json", &counts, note, NULL));
}

/* ---- filters ---- */

static bool wants(const struct log_filter *filter, const char *json)
{
    struct json_object *event = json_tokener_parse(json);
    assert_non_null(event);
    bool wanted = log_filter_wants(filter, event);
    json_object_put(event);
    return wanted;
}

static const char one[] = "{\"time\":\"2024-05-06T07:08:09.123456Z\",\"event\":\"login_refused\","
                          "\"severity\":\"warning\",\"client_address\":\"192.0.2.77\","
                          "\"user\":\"\xc3\x84"
                          "DA\"}";

static void test_filters(void **state)
{
    static const struct {
        struct log_filter filter;
        bool wanted;
    } cases[] = {
        {{.severity = 0}, true},
        {{.events = {"login"}, .events_count = 1}, false},
        {{.events = {"login", "login_refused"}, .events_count = 2}, true},
        {{.client = "192.0.2.77"}, true},
        {{.client = "192.0.2.7"}, false},
        {{.client = "192.0.2.0/24"}, true},
        {{.client = "192.0.2.64/29"}, false},
        {{.client = "192.0.2.72/29"}, true},
        {{.client = "0.0.0.0/0"}, true},
        {{.client = "::/0"}, false},
        {{.user = "\xc3\xa4"
                  "da"},
         true},
        {{.user = "da"}, false},
        {{.since = "2024-05-06"}, true},
        {{.since = "2024-05-06T07:08:09.123456"}, true},
        {{.since = "2024-05-06T07:08:10"}, false},
        {{.until = "2024-05-06"}, false},
        {{.until = "2024-05-06T07:08:09"}, false},
        {{.until = "2024-05-07"}, true},
        {{.severity = SEVERITY_WARNING}, true},
        {{.severity = SEVERITY_ERROR}, false},
        {{.client = "192.0.2.77", .user = "bob"}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (wants(&cases[i].filter, one) != cases[i].wanted)
            fail_msg("case %zu", i);
    /* What is asked for must be there. */
    static const char bare[] = "{\"time\":\"t\",\"event\":\"e\"}";
    assert_false(wants(&(struct log_filter){.client = "192.0.2.1"}, bare));
    assert_false(wants(&(struct log_filter){.user = "u"}, bare));
    assert_false(wants(&(struct log_filter){.severity = 1}, bare));
    assert_true(wants(&(struct log_filter){.severity = 0}, bare));
    /* In a session of somebody else's. */
    static const struct {
        const char *claimed;
        bool wanted;
    } names[] = {{"Bob", true},           {"CORP\\\\bob", true}, {"bob@EXAMPLE.COM", true},
                 {"bob\\\\carol", false}, {"bobby", false},      {"carol@BOB", false}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 "{\"time\":\"t\",\"event\":\"e\",\"user\":\"ada\",\"claimed\":\"%s\"}",
                 names[i].claimed);
        if (wants(&(struct log_filter){.user = "bob"}, text) != names[i].wanted)
            fail_msg("%s", names[i].claimed);
    }
    /* Folded over a network. */
    static const char folded[] =
        "{\"time\":\"t\",\"event\":\"e\",\"client_address\":\"2001:db8:1:2::/64\"}";
    assert_true(wants(&(struct log_filter){.client = "2001:db8::/32"}, folded));
    assert_false(wants(&(struct log_filter){.client = "2001:db8:1:2::5"}, folded));
}

static void test_times(void **state)
{
    static const struct {
        const char *text, *time;
    } good[] = {
        {"2024-05-06", "2024-05-06"},
        {"2024-05-06T07", "2024-05-06T07"},
        {"2024-05-06T07:08", "2024-05-06T07:08"},
        {"2024-05-06T07:08:09Z", "2024-05-06T07:08:09"},
        {"2024-05-06T07:08:09.5Z", "2024-05-06T07:08:09.5"},
        {"90s", "1970-01-10T23:58:30"},
        {"30m", "1970-01-10T23:30:00"},
        {"12h", "1970-01-10T12:00:00"},
        {"7d", "1970-01-04T00:00:00"},
    };
    static const char *const bad[] = {"",
                                      "now",
                                      "2024",
                                      "2024-05",
                                      "2024-5-6",
                                      "2024-05-06 07:08",
                                      "d",
                                      "-5d",
                                      "0d",
                                      "5w",
                                      "5d ",
                                      "99999999d",
                                      "Z",
                                      "5",
                                      "2024-05-06T07:08:09.",
                                      "2024-05-06T0a"};
    char time[LOG_TIME_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(log_time_read(good[i].text, 10 * 86400, time));
        assert_string_equal(time, good[i].time);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (log_time_read(bad[i], 10 * 86400, time))
            fail_msg("%s was taken for %s", bad[i], time);
    assert_true(log_network_read("2001:db8::/32"));
    assert_false(log_network_read("192.0.2.0/33"));
    assert_false(log_network_read("192.0.2.0/"));
    assert_false(log_network_read("files.example.com"));
    assert_int_equal(log_severity_read("fatal"), -1);
}

/* ---- output ---- */

static void assert_written(void (*write)(FILE *to, struct json_object *event), const char *json,
                           const char *expected)
{
    char *text = NULL;
    size_t size;
    struct json_object *event = json_tokener_parse(json);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(event);
    assert_non_null(out);
    write(out, event);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    json_object_put(event);
}

static void test_cef(void **state)
{
    (void)state;
    assert_written(
        log_write_cef,
        "{\"time\":\"2024-05-06T07:08:09.123456Z\",\"event\":\"smb1_refused\","
        "\"severity\":\"warning\",\"windows_event_id\":3000,\"reason\":\"smb1\","
        "\"verdict\":\"refused\",\"repeats\":7,\"listener\":\"a|b=c\\\\d\","
        "\"client_address\":\"192.0.2.1\",\"client_port\":5}",
        "CEF:0|Countersign|Countersign|" COUNTERSIGN_VERSION
        "|smb1_refused|A client spoke SMB1 and offered no way into SMB2 that policy allows.|6|"
        "cnt=7 rt=1714979289123 src=192.0.2.1 spt=5 act=refused reason=smb1 externalId=3000 "
        "cs1Label=listener cs1=a|b\\=c\\\\d\n");
    /* A header is ended by "|", an event by a line feed: neither by what somebody chose. */
    assert_written(log_write_cef,
                   "{\"time\":\"no time\",\"event\":\"new|one\\\\\","
                   "\"text\":\"one\\ntwo\\rthree\\u0001=|\",\"client_address\":\"2001:db8::1\","
                   "\"upstream_address\":\"a name\"}",
                   "CEF:0|Countersign|Countersign|" COUNTERSIGN_VERSION
                   "|new\\|one\\\\|new\\|one\\\\|5|cnt=1 c6a2Label=Source IPv6 Address "
                   "c6a2=2001:db8::1 msg=one\\ntwo\\rthree?\\=|\n");
}

static void test_text(void **state)
{
    (void)state;
    assert_written(log_write_text,
                   "{\"time\":\"2024-05-06T07:08:09.123456Z\",\"event\":\"login_refused\","
                   "\"severity\":\"warning\",\"reason\":\"wrong_password\",\"repeats\":3,"
                   "\"client_address\":\"192.0.2.1\",\"user\":\"a\\u001b[31m\\u009b\",\"share\":7}",
                   "2024-05-06T07:08:09  warning   login_refused           192.0.2.1        "
                   "a?[31m\xef\xbf\xbd          3 more: wrong_password\n");
}

static void test_json(void **state)
{
    static const char line[] = "{\"time\":\"t\",\"event\":\"e/f\",\"link\":5}";
    (void)state;
    assert_written(log_write_json, line, "{\"time\":\"t\",\"event\":\"e/f\",\"link\":5}\n");
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_damaged_lines),
        WITH_PLACE(test_too_long_a_line),
        WITH_PLACE(test_damage_at_every_byte),
        WITH_PLACE(test_rotated_files),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_cef),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
