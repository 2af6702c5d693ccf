/*
 * The catalogue of events: what the code has against docs/events.md, both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/event_json.h"

static void test_names_differ(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(event_describe(i)->name, event_describe(j)->name);
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(event_field_name(i), event_field_name(j));
}

static void test_windows_events(void **state)
{
    static const struct {
        enum event_kind kind;
        unsigned id;
        const char *channel;
    } known[] = {
        {EVENT_SMB1_REFUSED, 3000, "SMBServer/Audit"},
        {EVENT_UNSIGNED_REFUSED, 3021, "SMBServer/Audit"},
        {EVENT_UNENCRYPTED_REFUSED, 3022, "SMBServer/Audit"},
        {EVENT_UPSTREAM_NO_SIGNING, 31998, "SMBClient/Audit"},
        {EVENT_UPSTREAM_ENCRYPTION, 31999, "SMBClient/Audit"},
        {EVENT_CLIENT_NO_SIGNING, 3021, "SMBServer/Audit"},
        {EVENT_CLIENT_NO_ENCRYPTION, 3022, "SMBServer/Audit"},
        {EVENT_UPSTREAM_NO_ENCRYPTION, 31999, "SMBClient/Audit"},
        {EVENT_TARGET_NAME_REFUSED, 5168, "Security"},
        {EVENT_TARGET_NAME_ABSENT, 3024, "SMBServer/Audit"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_int_equal(event_describe(known[i].kind)->windows_id, known[i].id);
        assert_string_equal(event_describe(known[i].kind)->windows_channel, known[i].channel);
    }
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        const struct event_description *description = event_describe(kind);
        assert_non_null(description->name);
        assert_non_null(description->meaning);
        assert_int_equal(description->windows_id != 0, description->windows_channel != NULL);
    }
}

/* ---- docs/events.md ---- */

struct documented {
    char name[64];
    char meaning[256];
    char facts[128]; /* "Severity: …" */
    char fields[1024];
    bool advice;
};

/* Reads one section, from the line after its heading to the next heading. */
static void read_section(FILE *in, struct documented *section, char line[256])
{
    bool fields = false;
    while (fgets(line, 256, in) && line[0] != '#') {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] && !section->meaning[0])
            snprintf(section->meaning, sizeof section->meaning, "%s", line);
        else if (strncmp(line, "Severity: ", 10) == 0)
            snprintf(section->facts, sizeof section->facts, "%.127s", line);
        fields =
            strncmp(line, "Fields: ", 8) == 0 || (fields && strncmp(line, "What to do: ", 12) != 0);
        if (fields)
            snprintf(&section->fields[strlen(section->fields)],
                     sizeof section->fields - strlen(section->fields), "%s ", line);
        section->advice |= strncmp(line, "What to do: ", 12) == 0;
    }
}

static size_t read_catalogue(const char *path, struct documented *sections, size_t most)
{
    FILE *in = fopen(path, "r");
    char line[256] = "";
    size_t count = 0;
    assert_non_null(in);
    bool more = fgets(line, sizeof line, in) != NULL;
    while (more && !feof(in)) {
        assert_true(count < most);
        memset(&sections[count], 0, sizeof sections[count]);
        if (sscanf(line, "### `%63[^`]`", sections[count].name) == 1)
            read_section(in, &sections[count++], line);
        else
            more = fgets(line, sizeof line, in) != NULL;
    }
    fclose(in);
    return count;
}

static const struct event_description *described(const char *name)
{
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (strcmp(event_describe(kind)->name, name) == 0)
            return event_describe(kind);
    return NULL;
}

static bool is_field(const char *name)
{
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (strcmp(event_field_name(field), name) == 0)
            return true;
    return false;
}

/* What stands in backquotes under "Fields:" is a field, an event whose fields they are, or, in
 * parentheses, a value. */
static void assert_fields_exist(const struct documented *section)
{
    bool value = false;
    assert_true(section->fields[0]);
    for (const char *at = section->fields; *at; at++) {
        char name[64];
        value = *at == '(' ? true : *at == ')' ? false : value;
        if (*at != '`' || sscanf(at, "`%63[^`]`", name) != 1)
            continue;
        at = strchr(at + 1, '`');
        if (!value && !is_field(name) && !described(name) && strcmp(name, "counts") != 0 &&
            strcmp(name, "folded") != 0)
            fail_msg("%s: %s is no field", section->name, name);
    }
}

static void assert_documented(const struct documented *section)
{
    const struct event_description *description = described(section->name);
    char facts[128];
    if (!description)
        fail_msg("docs/events.md has %s, which is no event", section->name);
    if (description->windows_id)
        snprintf(facts, sizeof facts, "Severity: %s. Windows event: %u in %s.",
                 event_severity_name(description->severity), description->windows_id,
                 description->windows_channel);
    else
        snprintf(facts, sizeof facts, "Severity: %s. Windows event: none.",
                 event_severity_name(description->severity));
    assert_string_equal(section->facts, facts);
    assert_string_equal(section->meaning, description->meaning);
    assert_true(section->advice);
    assert_fields_exist(section);
}

static void test_catalogue(void **state)
{
    static struct documented sections[2 * EVENT_KIND_COUNT];
    (void)state;
    size_t count = read_catalogue("docs/events.md", sections, 2 * EVENT_KIND_COUNT);
    for (size_t i = 0; i < count; i++) {
        assert_documented(&sections[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(sections[i].name, sections[j].name);
    }
    /* None twice, none unknown, and as many as there are: all of them. */
    assert_int_equal(count, EVENT_KIND_COUNT);
}

/* The table at the top has every field. */
static void test_field_table(void **state)
{
    FILE *in = fopen("docs/events.md", "r");
    char line[512];
    bool seen[FIELD_COUNT] = {false};
    (void)state;
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        if (line[0] != '|')
            continue;
        line[strcspn(&line[1], "|") + 1] = '\0';
        for (unsigned field = 0; field < FIELD_COUNT; field++) {
            char quoted[64];
            snprintf(quoted, sizeof quoted, "`%s`", event_field_name(field));
            seen[field] |= strstr(line, quoted) != NULL;
        }
    }
    fclose(in);
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (!seen[field])
            fail_msg("docs/events.md lacks the field %s", event_field_name(field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_differ),
        cmocka_unit_test(test_windows_events),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_field_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
