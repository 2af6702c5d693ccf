/*
 * What proxy.yaml may contain: names and types of the options, and their ranges.
 */
#ifndef COUNTERSIGN_POLICY_CONFIG_SCHEMA_H
#define COUNTERSIGN_POLICY_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

#include "policy/config.h"

/* The document. Every option is optional here: which ones must be there is checked afterwards,
 * where the line is known. */
extern const cyaml_schema_value_t config_schema;

/* For loading and freeing, without a log. */
extern const cyaml_config_t config_cyaml;

/* The schema of the option at `path`, like "listeners[0].port"; NULL when there is none. "" is the
 * whole document. */
const cyaml_schema_value_t *config_schema_at(const char *path);

/* The least and the greatest value of a number, by path; NULL when the option is not a number. */
struct config_range {
    uint32_t least;
    uint32_t most;
};
const struct config_range *config_range_of(const char *path);

/* One step of a path: the key, or the index when `key` is empty. Answers what follows, or NULL at
 * the end and for anything that is no path. */
enum { CONFIG_KEY_MAX = 64, CONFIG_PATH_MAX = 192 };
struct config_step {
    char key[CONFIG_KEY_MAX];
    unsigned index;
};
const char *config_path_step(const char *path, struct config_step *step);

/* The paths of what is below `where`: "listeners" and 0 make "listeners[0]", which with "port"
 * makes "listeners[0].port". */
struct config_path {
    char text[CONFIG_PATH_MAX];
};
struct config_path config_path_option(const char *where, const char *option);
struct config_path config_path_entry(const char *where, unsigned index);

#endif
