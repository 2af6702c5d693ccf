/*
 * The audit log: lines in a file, syslog, rotation, and a disk that is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/audit.h"

static const struct audit_event login = {.kind = EVENT_LOGIN, .field[FIELD_USER] = "ada"};
static const struct audit_event forged = {.kind = EVENT_UPSTREAM_FORGED};
static const struct audit_event unsigned_one = {.kind = EVENT_UNSIGNED_REFUSED};
static const struct audit_event absent = {.kind = EVENT_MIC_ABSENT};

/* The C library's syslog, here: what was sent, instead of sending it. With _FORTIFY_SOURCE the
 * compiler calls the second. */
static struct {
    char ident[32], last[512];
    int facility, priority, sent, opened, closed;
} sent_to_syslog;

void openlog(const char *ident, int options, int facility);
void closelog(void);
void syslog(int priority, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...);

void openlog(const char *ident, int options, int facility)
{
    (void)options;
    snprintf(sent_to_syslog.ident, sizeof sent_to_syslog.ident, "%s", ident);
    sent_to_syslog.facility = facility;
    sent_to_syslog.opened++;
}

void closelog(void)
{
    sent_to_syslog.closed++;
}

static void note(int priority, const char *format, va_list arguments)
{
    assert_string_equal(format, "%s"); /* a text of a client's choice must not be a format */
    sent_to_syslog.priority = priority;
    sent_to_syslog.sent++;
    vsnprintf(sent_to_syslog.last, sizeof sent_to_syslog.last, "%s", arguments);
}

void syslog(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(priority, format, arguments);
    va_end(arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    note(priority, format, arguments);
    va_end(arguments);
}

struct place {
    char directory[64];
    char file[80];
    char other[80];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    snprintf(place->directory, sizeof place->directory, "/tmp/countersign-audit-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->file, sizeof place->file, "%s/audit.json", place->directory);
    snprintf(place->other, sizeof place->other, "%s/audit.json.1", place->directory);
    memset(&sent_to_syslog, 0, sizeof sent_to_syslog);
    *state = place;
    return 0;
}

static int drop_place(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    unlink(place->other);
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
    return 0;
}

static char *content(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *in = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(in);
    assert_true(fread(text, 1, 65535, in) < 65535);
    fclose(in);
    return text;
}

static unsigned lines_of(const char *path)
{
    char *text = content(path);
    unsigned lines = 0;
    for (char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    free(text);
    return lines;
}

/* The object in a line, counted from 0; every line must be one. */
static struct json_object *line_of(const char *path, unsigned wanted)
{
    char *text = content(path), *rest = text;
    struct json_object *found = NULL;
    unsigned number = 0;
    for (char *line; (line = strsep(&rest, "\n")) && (*line || rest); number++) {
        struct json_object *object = json_tokener_parse(line);
        if (!object)
            fail_msg("not JSON: %s", line);
        if (number == wanted)
            found = json_object_get(object);
        json_object_put(object);
    }
    free(text);
    assert_non_null(found);
    return found;
}

static void assert_text(struct json_object *object, const char *name, const char *value)
{
    struct json_object *got;
    assert_true(json_object_object_get_ex(object, name, &got));
    assert_string_equal(json_object_get_string(got), value);
}

static void assert_number(struct json_object *object, const char *name, int64_t value)
{
    struct json_object *got;
    assert_true(json_object_object_get_ex(object, name, &got));
    assert_int_equal(json_object_get_type(got), json_type_int);
    assert_int_equal(json_object_get_int64(got), value);
}

static void test_lines(void **state)
{
    const struct place *place = *state;
    mode_t mask = umask(0);
    struct audit *audit = audit_open(place->file, false);
    umask(mask);
    assert_non_null(audit);
    assert_int_equal(lines_of(place->file), 0);
    assert_true(audit_write(audit, &login));
    assert_int_equal(lines_of(place->file), 1); /* there at once: nothing is held back */
    assert_true(audit_write(audit, &forged));
    audit_close(audit);
    assert_int_equal(lines_of(place->file), 2);
    struct json_object *object = line_of(place->file, 0);
    assert_text(object, "event", "login");
    assert_text(object, "user", "ada");
    json_object_put(object);
    struct stat status;
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(sent_to_syslog.opened + sent_to_syslog.sent, 0);
}

static void test_time_is_now(void **state)
{
    const struct place *place = *state;
    struct audit *audit = audit_open(place->file, false);
    char before[32], after[32];
    time_t now = time(NULL);
    strftime(before, sizeof before, "%Y-%m-%dT%H:%M:%S", gmtime(&now));
    assert_true(audit_write(audit, &login));
    now = time(NULL) + 1;
    strftime(after, sizeof after, "%Y-%m-%dT%H:%M:%S", gmtime(&now));
    audit_close(audit);
    struct json_object *object = line_of(place->file, 0), *told;
    assert_true(json_object_object_get_ex(object, "time", &told));
    assert_true(strcmp(json_object_get_string(told), before) >= 0);
    assert_true(strcmp(json_object_get_string(told), after) <= 0);
    json_object_put(object);
}

static void test_appends(void **state)
{
    const struct place *place = *state;
    for (unsigned i = 1; i <= 3; i++) {
        struct audit *audit = audit_open(place->file, false);
        assert_true(audit_write(audit, &login));
        audit_close(audit);
        assert_int_equal(lines_of(place->file), i);
    }
}

static void test_reopen_after_rename(void **state)
{
    const struct place *place = *state;
    struct audit *audit = audit_open(place->file, false);
    assert_true(audit_write(audit, &login));
    assert_int_equal(rename(place->file, place->other), 0);
    assert_true(audit_write(audit, &login));
    assert_int_equal(lines_of(place->other), 2);
    assert_true(audit_reopen(audit));
    assert_true(audit_write(audit, &forged));
    audit_close(audit);
    assert_int_equal(lines_of(place->other), 2);
    struct json_object *object = line_of(place->file, 0);
    assert_text(object, "event", "upstream_forged");
    json_object_put(object);
}

static void test_reopen_that_fails_keeps_the_old(void **state)
{
    const struct place *place = *state;
    struct audit *audit = audit_open(place->file, false);
    assert_int_equal(rename(place->file, place->other), 0);
    assert_int_equal(mkdir(place->file, 0700), 0);
    errno = 0;
    assert_false(audit_reopen(audit));
    assert_int_equal(errno, EISDIR);
    assert_true(audit_write(audit, &login));
    audit_close(audit);
    assert_int_equal(lines_of(place->other), 1);
    assert_int_equal(rmdir(place->file), 0);
}

static void test_cannot_open(void **state)
{
    (void)state;
    errno = 0;
    assert_null(audit_open("/nowhere/audit.json", true));
    assert_int_equal(errno, ENOENT);
    audit_close(NULL);
}

static void test_disk_full(void **state)
{
    (void)state;
    struct audit *audit = audit_open("/dev/full", false);
    assert_non_null(audit);
    assert_false(audit_write(audit, &login));
    assert_false(audit_write(audit, &login));
    assert_false(audit_write(audit, &forged));
    assert_int_equal(audit_lost(audit), 3);
    assert_int_equal(audit_count(audit, EVENT_LOGIN), 2);
    assert_int_equal(audit_count(audit, EVENT_UPSTREAM_FORGED), 1);
    assert_int_equal(audit_count(audit, EVENT_LOGOFF), 0);
    audit_close(audit);
}

/* A link to /dev/full that becomes a file: the disk has room again. */
static void test_losses_are_told_once(void **state)
{
    const struct place *place = *state;
    assert_int_equal(symlink("/dev/full", place->file), 0);
    struct audit *audit = audit_open(place->file, true);
    assert_false(audit_write(audit, &login));
    assert_false(audit_write(audit, &login));
    assert_int_equal(sent_to_syslog.sent, 2); /* syslog has them all the same */
    assert_int_equal(unlink(place->file), 0);
    assert_true(audit_reopen(audit));
    assert_true(audit_write(audit, &forged));
    assert_true(audit_write(audit, &forged));
    assert_int_equal(audit_lost(audit), 2);
    audit_close(audit);
    struct json_object *object = line_of(place->file, 0), *none;
    assert_text(object, "event", "upstream_forged");
    assert_number(object, "lost_before", 2);
    json_object_put(object);
    object = line_of(place->file, 1);
    assert_false(json_object_object_get_ex(object, "lost_before", &none));
    json_object_put(object);
}

/* Room for a line and a half: the half is taken back, and the log is still whole lines. */
static void test_torn_line_is_taken_back(void **state)
{
    const struct place *place = *state;
    struct rlimit before, tight;
    struct audit *audit = audit_open(place->file, false);
    assert_true(audit_write(audit, &login));
    struct stat status;
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)(status.st_size + status.st_size / 2);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    bool first = audit_write(audit, &login), second = audit_write(audit, &login);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_false(first);
    assert_false(second);
    assert_int_equal(lines_of(place->file), 1);
    assert_true(audit_write(audit, &forged));
    audit_close(audit);
    struct json_object *object = line_of(place->file, 1);
    assert_text(object, "event", "upstream_forged");
    assert_number(object, "lost_before", 2);
    json_object_put(object);
    assert_int_equal(lines_of(place->file), 2);
}

static void test_counters(void **state)
{
    const struct place *place = *state;
    struct audit *audit = audit_open(place->file, false);
    struct json_object *counts, *none;
    assert_true(audit_write(audit, &login));
    assert_true(audit_write(audit, &login));
    assert_true(audit_write(audit, &forged));
    audit_write_counters(audit);
    audit_write_counters(audit);
    assert_int_equal(audit_count(audit, EVENT_LOGIN), 2);
    assert_int_equal(audit_count(audit, EVENT_COUNTERS), 2);
    assert_int_equal(audit_lost(audit), 0);
    audit_close(audit);
    struct json_object *object = line_of(place->file, 3);
    assert_text(object, "event", "counters");
    assert_number(object, "lost", 0);
    assert_true(json_object_object_get_ex(object, "counts", &counts));
    assert_int_equal(json_object_object_length(counts), 2);
    assert_number(counts, "login", 2);
    assert_number(counts, "upstream_forged", 1);
    json_object_put(object);
    object = line_of(place->file, 4);
    assert_true(json_object_object_get_ex(object, "counts", &counts));
    assert_number(counts, "counters", 1);
    assert_false(json_object_object_get_ex(counts, "logoff", &none));
    json_object_put(object);
}

static void test_syslog(void **state)
{
    static const struct {
        const struct audit_event *event;
        int priority;
    } events[] = {{&login, 6}, {&absent, 5}, {&unsigned_one, 4}, {&forged, 3}};
    const struct place *place = *state;
    enum { AUTHPRIV = 10 << 3 };
    struct audit *audit = audit_open(place->file, true);
    assert_int_equal(sent_to_syslog.opened, 1);
    assert_string_equal(sent_to_syslog.ident, "countersign");
    assert_int_equal(sent_to_syslog.facility, AUTHPRIV);
    for (int i = 0; i < 4; i++) {
        assert_true(audit_write(audit, events[i].event));
        assert_int_equal(sent_to_syslog.sent, i + 1);
        assert_int_equal(sent_to_syslog.priority, AUTHPRIV | events[i].priority);
        char *text = content(place->file);
        assert_non_null(strstr(text, sent_to_syslog.last)); /* the same line */
        free(text);
    }
    audit_close(audit);
    assert_int_equal(sent_to_syslog.closed, 1);
}

static void test_syslog_only(void **state)
{
    (void)state;
    struct audit *audit = audit_open(NULL, true);
    assert_non_null(audit);
    assert_true(audit_write(audit, &login));
    assert_true(audit_reopen(audit));
    assert_int_equal(sent_to_syslog.sent, 1);
    assert_int_equal(audit_lost(audit), 0);
    audit_close(audit);
}

static void test_format_in_text(void **state)
{
    const struct audit_event event = {.kind = EVENT_LOGIN, .field[FIELD_USER] = "%n%s%p"};
    (void)state;
    struct audit *audit = audit_open(NULL, true);
    assert_true(audit_write(audit, &event));
    assert_non_null(strstr(sent_to_syslog.last, "\"user\":\"%n%s%p\""));
    audit_close(audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_time_is_now, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_appends, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_reopen_after_rename, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_reopen_that_fails_keeps_the_old, make_place,
                                        drop_place),
        cmocka_unit_test_setup_teardown(test_cannot_open, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_disk_full, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_losses_are_told_once, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_torn_line_is_taken_back, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_counters, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_syslog, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_syslog_only, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_format_in_text, make_place, drop_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
