/*
 * The shipped proxy.yaml has every option, with its default.
 */
#include "tests/unit/config_everything.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

/* proxy.yaml as text; with the options that are shown as comments ("#name: value") made options. */
static char *shipped(bool comments_too)
{
    FILE *in = fopen("proxy.yaml", "r");
    char *text = NULL, line[512];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in)) {
        char *hash = strchr(line, '#');
        bool option = hash && strspn(line, " ") == (size_t)(hash - line) &&
                      (hash[1] == '-' || (hash[1] >= 'a' && hash[1] <= 'z'));
        if (option && comments_too)
            memmove(hash, hash + 1, strlen(hash));
        fputs(line, out);
    }
    fclose(in);
    fclose(out);
    return text;
}

/* What a configuration says, as YAML. */
static char *printed(const char *text)
{
    struct config *config = parse(text);
    char *yaml = NULL;
    size_t size;
    assert_int_equal(cyaml_save_data(&yaml, &size, &config_cyaml, &config_schema, config, 0),
                     CYAML_OK);
    config_free(config);
    yaml = realloc(yaml, size + 1);
    assert_non_null(yaml);
    yaml[size] = '\0';
    return yaml;
}

static void test_shipped_file_shows_defaults(void **state)
{
    char *text = shipped(false);
    char *with_file = printed(text);
    char *without = printed(LISTENER "  names: [files.example.com]\n" UPSTREAM CREDENTIALS);
    (void)state;
    assert_string_equal(with_file, without);
    char *other = printed(LISTENER "  names: [files.example.com]\n" UPSTREAM CREDENTIALS
                                   "limits: {memory: 1025}\n");
    assert_string_not_equal(with_file, other);
    free(other);
    free(with_file);
    free(without);
    free(text);
}

/* In the first entry of its list, or in the second. */
static bool is_shown(struct config_document *document, struct config_path path)
{
    char *index = strstr(path.text, "[0]");
    if (config_document_has(document, path.text))
        return true;
    if (index)
        index[1] = '1';
    return index && config_document_has(document, path.text);
}

static unsigned count_missing(struct config_document *document, const char *where,
                              const cyaml_schema_field_t *field)
{
    unsigned missing = 0;
    for (; field->key; field++) {
        struct config_path path = config_path_option(where, field->key);
        const cyaml_schema_value_t *value = config_schema_at(path.text);
        assert_non_null(value);
        if (!is_shown(document, path)) {
            print_message("proxy.yaml lacks %s\n", path.text);
            missing++;
        }
        if (value->type == CYAML_SEQUENCE && value->sequence.entry->type == CYAML_MAPPING) {
            path = config_path_entry(path.text, 0);
            value = value->sequence.entry;
        }
        if (value->type == CYAML_MAPPING)
            missing += count_missing(document, path.text, value->mapping.fields);
    }
    return missing;
}

static unsigned missing_in(const char *text)
{
    struct config_error error;
    struct config_document *document = config_document_read(text, strlen(text), &error);
    assert_non_null(document);
    unsigned missing = count_missing(document, "", config_schema.mapping.fields);
    config_document_free(document);
    return missing;
}

/* An option of the file that is none is refused by the parser: so the two have the same options. */
static void test_shipped_file_shows_every_option(void **state)
{
    char *text = shipped(true);
    (void)state;
    config_free(parse(text));
    assert_int_equal(missing_in(text), 0);
    free(text);
    text = shipped(false);
    /* server_name, three names of the host, and what is only there for Kerberos, winbind and
     * rules */
    assert_int_equal(missing_in(text), 40);
    free(text);
    assert_int_equal(missing_in(everything), 0);
}

/* Every number of the schema has a range, so that none is taken as it comes. */
static void count_numbers(const char *where, const cyaml_schema_field_t *field, unsigned *numbers)
{
    for (; field->key; field++) {
        struct config_path path = config_path_option(where, field->key);
        const cyaml_schema_value_t *value = config_schema_at(path.text);
        if (value->type == CYAML_UINT) {
            assert_non_null(config_range_of(path.text));
            (*numbers)++;
        }
        if (value->type == CYAML_SEQUENCE) {
            path = config_path_entry(path.text, 0);
            value = value->sequence.entry;
        }
        if (value->type == CYAML_MAPPING)
            count_numbers(path.text, value->mapping.fields, numbers);
    }
}

static void test_every_number_has_a_range(void **state)
{
    unsigned numbers = 0;
    (void)state;
    count_numbers("", config_schema.mapping.fields, &numbers);
    assert_int_equal(numbers, 16);
    assert_null(config_range_of("listeners[0].name"));
    assert_null(config_range_of(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_file_shows_defaults),
        cmocka_unit_test(test_shipped_file_shows_every_option),
        cmocka_unit_test(test_every_number_has_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
