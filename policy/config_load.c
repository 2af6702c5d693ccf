/*
 * Loading by libcyaml, and its complaints in words that an administrator can act on. The library
 * logs what is wrong and then a backtrace from the inside out, from which the option's path is
 * made.
 */
#include <stdio.h>
#include <string.h>

#include "policy/config_parts.h"
#include "policy/config_schema.h"

enum { LIST_SIZE = 256, WORDS_SIZE = 320 };

struct complaint {
    char text[WORDS_SIZE];      /* the first message */
    char path[CONFIG_PATH_MAX]; /* as far as the backtrace has been read */
    bool traced;
};

static void prepend(struct complaint *complaint, const char *step)
{
    char longer[CONFIG_PATH_MAX];
    bool dot = complaint->path[0] && complaint->path[0] != '[';
    int size = snprintf(longer, sizeof longer, "%s%s%s", step, dot ? "." : "", complaint->path);
    if (size > 0 && (size_t)size < sizeof longer)
        memcpy(complaint->path, longer, sizeof longer);
}

/* libcyaml counts the entries of a list from 1. */
static void read_trace(struct complaint *complaint, const char *line)
{
    char key[CONFIG_KEY_MAX], step[CONFIG_KEY_MAX];
    unsigned entry;
    if (sscanf(line, "  in mapping field '%63[^']'", key) == 1) {
        prepend(complaint, key);
    } else if (sscanf(line, "  in sequence entry '%u'", &entry) == 1 && entry) {
        snprintf(step, sizeof step, "[%u]", entry - 1);
        prepend(complaint, step);
    }
}

__attribute__((format(printf, 3, 0))) static void listen_to(cyaml_log_t level, void *context,
                                                            const char *format, va_list arguments)
{
    struct complaint *complaint = context;
    char line[WORDS_SIZE];
    (void)level;
    vsnprintf(line, sizeof line, format, arguments);
    size_t size = strlen(line);
    if (size && line[size - 1] == '\n')
        line[size - 1] = '\0';
    if (complaint->traced)
        read_trace(complaint, line);
    else if (strstr(line, "Backtrace:"))
        complaint->traced = true;
    else if (!complaint->text[0])
        memcpy(complaint->text, line, sizeof line);
}

/* "a, b, c": appended as far as there is room. */
static void list_add(char list[LIST_SIZE], const char *word)
{
    size_t used = strlen(list);
    snprintf(&list[used], LIST_SIZE - used, "%s%s", used ? ", " : "", word);
}

static void expected(const cyaml_schema_value_t *schema, const char *path, char words[WORDS_SIZE])
{
    char list[LIST_SIZE] = "";
    const struct config_range *range = config_range_of(path);
    if (schema->type == CYAML_UINT && range) {
        snprintf(words, WORDS_SIZE, "a whole number from %u to %u", range->least, range->most);
    } else if (schema->type == CYAML_ENUM) {
        for (uint32_t i = 0; i < schema->enumeration.count; i++)
            list_add(list, schema->enumeration.strings[i].str);
        snprintf(words, WORDS_SIZE, "one of %s", list);
    } else if (schema->type == CYAML_SEQUENCE) {
        snprintf(words, WORDS_SIZE, "a list, like [first, second] or lines that begin with \"- \"");
    } else if (schema->type == CYAML_MAPPING) {
        snprintf(words, WORDS_SIZE, "options of its own, like \"name: value\"");
    } else {
        snprintf(words, WORDS_SIZE, "one text");
    }
}

static void tell_value(const char *path, const cyaml_schema_value_t *schema,
                       struct config_document *document, struct config_error *error)
{
    char words[WORDS_SIZE];
    const char *text = config_document_text(document, path);
    struct config_quote quote = config_quote(text ? text : "");
    expected(schema, path, words);
    config_error_set(error, config_document_line(document, path), "%s: must be %s, not %s", path,
                     words,
                     text && text[0]                              ? quote.text
                     : text                                       ? "empty"
                     : config_document_is_list(document, path)    ? "a list"
                     : config_document_is_mapping(document, path) ? "options of its own"
                                                                  : "this");
}

static void tell_key(const char *path, const char *key, const cyaml_schema_value_t *schema,
                     struct config_document *document, struct config_error *error)
{
    char list[LIST_SIZE] = "";
    for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++)
        list_add(list, field->key);
    config_error_set(error, config_document_key_line(document, path, key),
                     "%s%s%s is no option; there are: %s", path, path[0] ? ": " : "",
                     config_quote(key).text, list);
}

static void tell(cyaml_err_t err, const struct complaint *complaint,
                 struct config_document *document, struct config_error *error)
{
    static const char unexpected_key[] = "Load: Unexpected key: ";
    const char *path = complaint->path;
    const cyaml_schema_value_t *schema = config_schema_at(path);
    const char *found = strstr(complaint->text, unexpected_key);
    if (err == CYAML_ERR_INVALID_KEY && found && schema && schema->type == CYAML_MAPPING)
        tell_key(path, &found[sizeof unexpected_key - 1], schema, document, error);
    else if (err == CYAML_ERR_INVALID_VALUE && schema)
        tell_value(path, schema, document, error);
    else if (err == CYAML_ERR_ALIAS)
        config_error_set(error, config_document_line(document, path),
                         "%s: aliases (*name) are not read; write the value out", path);
    else
        config_error_set(error, config_document_line(document, path),
                         "%s%scannot be read (%s); compare with the proxy.yaml that comes with "
                         "Countersign",
                         path, path[0] ? ": " : "", cyaml_strerror(err));
}

struct config *config_load(const char *text, size_t size, struct config_document *document,
                           struct config_error *error)
{
    struct complaint complaint = {.text = ""};
    cyaml_config_t settings = config_cyaml;
    cyaml_data_t *data = NULL;
    settings.log_fn = listen_to;
    settings.log_ctx = &complaint;
    cyaml_err_t err =
        cyaml_load_data((const uint8_t *)text, size, &settings, &config_schema, &data, NULL);
    if (err == CYAML_OK && data)
        return data;
    tell(err, &complaint, document, error);
    return NULL;
}
