#include "policy/config_locate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "policy/config_schema.h"
#include "policy/plain.h"

/* More keys than any mapping has options: bounds the search for keys that are there twice. */
enum { KEYS_MAX = 64 };

struct config_document {
    yaml_document_t yaml;
};

/* An option: its value, and the key when it stands in a mapping. */
struct place {
    yaml_node_t *key;
    yaml_node_t *value;
};

void config_error_set(struct config_error *error, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->line = line;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
}

struct config_quote config_quote(const char *text)
{
    struct config_quote quote;
    char clean[3 * CONFIG_QUOTE_MAX + 1];
    size_t kept = plain_cut(text, CONFIG_QUOTE_MAX);
    plain_clean(text, kept, clean);
    for (size_t i = 0; clean[i]; i++)
        if ((unsigned char)clean[i] < ' ')
            clean[i] = '?';
    snprintf(quote.text, sizeof quote.text, "\"%s%s\"", clean,
             kept < strlen(text) ? "\xe2\x80\xa6" : "");
    return quote;
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static unsigned line_of(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static struct place in_mapping(yaml_document_t *yaml, const yaml_node_t *mapping, const char *key)
{
    const struct place nowhere = {NULL, NULL};
    if (mapping->type != YAML_MAPPING_NODE)
        return nowhere;
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *node = yaml_document_get_node(yaml, pairs[i].key);
        const char *text = scalar(node);
        if (text && strcmp(text, key) == 0)
            return (struct place){node, yaml_document_get_node(yaml, pairs[i].value)};
    }
    return nowhere;
}

static struct place in_list(yaml_document_t *yaml, const yaml_node_t *list, size_t index)
{
    const struct place nowhere = {NULL, NULL};
    if (list->type != YAML_SEQUENCE_NODE)
        return nowhere;
    const yaml_node_item_t *items = list->data.sequence.items.start;
    size_t count = (size_t)(list->data.sequence.items.top - items);
    if (index >= count)
        return nowhere;
    return (struct place){NULL, yaml_document_get_node(yaml, items[index])};
}

/* Walks down the path as far as there is something; `nearest` is the last that was. */
static struct place locate(struct config_document *document, const char *path,
                           struct place *nearest)
{
    struct place place = {NULL, yaml_document_get_root_node(&document->yaml)};
    while (place.value && *path) {
        struct config_step step;
        *nearest = place;
        path = config_path_step(path, &step);
        if (!path)
            return (struct place){NULL, NULL};
        place = step.key[0] ? in_mapping(&document->yaml, place.value, step.key)
                            : in_list(&document->yaml, place.value, step.index);
    }
    if (place.value)
        *nearest = place;
    return place;
}

bool config_document_has(struct config_document *document, const char *path)
{
    struct place nearest;
    return locate(document, path, &nearest).value != NULL;
}

unsigned config_document_line(struct config_document *document, const char *path)
{
    struct place nearest;
    locate(document, path, &nearest);
    if (nearest.value == yaml_document_get_root_node(&document->yaml))
        return 0;
    return line_of(nearest.key ? nearest.key : nearest.value);
}

unsigned config_document_key_line(struct config_document *document, const char *path,
                                  const char *key)
{
    struct place nearest;
    struct place place = locate(document, path, &nearest);
    if (place.value)
        place = in_mapping(&document->yaml, place.value, key);
    return place.key ? line_of(place.key) : config_document_line(document, path);
}

const char *config_document_text(struct config_document *document, const char *path)
{
    struct place nearest;
    return scalar(locate(document, path, &nearest).value);
}

bool config_document_is_list(struct config_document *document, const char *path)
{
    struct place nearest;
    const yaml_node_t *node = locate(document, path, &nearest).value;
    return node && node->type == YAML_SEQUENCE_NODE;
}

bool config_document_is_mapping(struct config_document *document, const char *path)
{
    struct place nearest;
    const yaml_node_t *node = locate(document, path, &nearest).value;
    return node && node->type == YAML_MAPPING_NODE;
}

/* Keys are plain texts, and none is there twice: one of its values would silently be lost. */
static bool keys_allowed(yaml_document_t *yaml, const yaml_node_t *mapping,
                         struct config_error *error)
{
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);
    if (count > KEYS_MAX) {
        config_error_set(error, line_of(mapping), "%zu options in one place; there are not so many",
                         count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *key = yaml_document_get_node(yaml, pairs[i].key);
        if (!scalar(key)) {
            config_error_set(error, line_of(key), "a list or mapping cannot name an option");
            return false;
        }
        struct place first = in_mapping(yaml, mapping, scalar(key));
        if (first.key != key) {
            config_error_set(error, line_of(key),
                             "%s is given twice, first in line %u; remove one of them",
                             config_quote(scalar(key)).text, line_of(first.key));
            return false;
        }
    }
    return true;
}

static bool node_allowed(yaml_document_t *yaml, const yaml_node_t *node, struct config_error *error)
{
    if (node->type == YAML_MAPPING_NODE)
        return keys_allowed(yaml, node, error);
    if (scalar(node) && strlen(scalar(node)) != node->data.scalar.length) {
        config_error_set(error, line_of(node), "%s has a NUL character in it; remove it",
                         config_quote(scalar(node)).text);
        return false;
    }
    return true;
}

static bool nodes_allowed(yaml_document_t *yaml, struct config_error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(yaml);
    if (!root) {
        config_error_set(error, 0, "is empty; start from the proxy.yaml that comes with it");
        return false;
    }
    if (root->type != YAML_MAPPING_NODE) {
        config_error_set(error, line_of(root), "is not a list of options like \"workers: 0\"");
        return false;
    }
    size_t count = (size_t)(yaml->nodes.top - yaml->nodes.start);
    for (size_t i = 0; i < count; i++)
        if (!node_allowed(yaml, &yaml->nodes.start[i], error))
            return false;
    return true;
}

unsigned config_lines(const char *text, size_t end)
{
    unsigned lines = end ? 1 : 0;
    for (size_t i = 0; i + 1 < end; i++)
        lines += text[i] == '\n';
    return lines;
}

/* What libyaml did not understand. For bytes that are no text it knows the offset only; what is
 * open until the end of the file is better looked for where it began. */
static void tell_syntax(const yaml_parser_t *parser, const char *text, size_t size,
                        struct config_error *error)
{
    yaml_mark_t mark = parser->problem_mark;
    const char *problem = parser->problem ? parser->problem : "out of memory";
    if (parser->error == YAML_READER_ERROR) {
        size_t end = parser->problem_offset < size ? parser->problem_offset + 1 : size;
        config_error_set(error, config_lines(text, end), "is not text: %s; save the file as UTF-8",
                         problem);
        return;
    }
    if (parser->context && mark.line >= config_lines(text, size))
        mark = parser->context_mark;
    config_error_set(
        error, (unsigned)mark.line + 1,
        "is not YAML: %s%s%s, at column %zu; check indentation, colons and quotes here "
        "and in the line above",
        parser->context ? parser->context : "", parser->context ? ", " : "", problem,
        mark.column + 1);
}

/* There must be one document only: another one would be ignored. */
static bool last_document(yaml_parser_t *parser, const char *text, size_t size,
                          struct config_error *error)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next)) {
        tell_syntax(parser, text, size, error);
        return false;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    if (root)
        config_error_set(error, line_of(root),
                         "a second YAML document begins here; join the two and remove the \"---\"");
    yaml_document_delete(&next);
    return root == NULL;
}

static bool load(yaml_parser_t *parser, struct config_document *document, const char *text,
                 size_t size, struct config_error *error)
{
    yaml_parser_set_input_string(parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(parser, &document->yaml)) {
        tell_syntax(parser, text, size, error);
        return false;
    }
    if (nodes_allowed(&document->yaml, error) && last_document(parser, text, size, error))
        return true;
    yaml_document_delete(&document->yaml);
    return false;
}

struct config_document *config_document_read(const char *text, size_t size,
                                             struct config_error *error)
{
    struct config_document *document = calloc(1, sizeof *document);
    yaml_parser_t parser;
    if (!document || !yaml_parser_initialize(&parser)) {
        config_error_set(error, 0, "out of memory");
        free(document);
        return NULL;
    }
    bool good = load(&parser, document, text, size, error);
    yaml_parser_delete(&parser);
    if (good)
        return document;
    free(document);
    return NULL;
}

void config_document_free(struct config_document *document)
{
    if (!document)
        return;
    yaml_document_delete(&document->yaml);
    free(document);
}
