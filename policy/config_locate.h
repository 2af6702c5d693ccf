/*
 * The configuration as a YAML document: where each option stands, and how it was written.
 *
 * An option is named by its path, like "listeners[0].upstream"; "" is the whole document.
 */
#ifndef COUNTERSIGN_POLICY_CONFIG_LOCATE_H
#define COUNTERSIGN_POLICY_CONFIG_LOCATE_H

#include "policy/config.h"

struct config_document;

/* Reads one YAML document whose top is a mapping. NULL with `error` filled when it is not one, or
 * has a key twice. */
struct config_document *config_document_read(const char *text, size_t size,
                                             struct config_error *error);
void config_document_free(struct config_document *document); /* NULL is allowed */

bool config_document_has(struct config_document *document, const char *path);

/* The line of the option's key, of the entry of a list, or, when it is not there, of the nearest
 * option around it that is. 0 for the whole document. */
unsigned config_document_line(struct config_document *document, const char *path);

/* The line of `key` in the mapping at `path`; keys that are no options are found too. */
unsigned config_document_key_line(struct config_document *document, const char *path,
                                  const char *key);

/* What stands there, as written, without quotes; NULL when it is not there or no scalar. */
const char *config_document_text(struct config_document *document, const char *path);

/* True when a list or a mapping stands there. */
bool config_document_is_list(struct config_document *document, const char *path);
bool config_document_is_mapping(struct config_document *document, const char *path);

/* How many lines begin in the first `size` bytes. */
unsigned config_lines(const char *text, size_t size);

/* Fills `error`, as printf. */
__attribute__((format(printf, 3, 4))) void config_error_set(struct config_error *error,
                                                            unsigned line, const char *format, ...);

/* Text of the file as it can be shown in an error: in quotes, printable, cut when long. */
enum { CONFIG_QUOTE_MAX = 48, CONFIG_QUOTE_SIZE = 3 * CONFIG_QUOTE_MAX + 8 };
struct config_quote {
    char text[CONFIG_QUOTE_SIZE];
};
struct config_quote config_quote(const char *text);

#endif
