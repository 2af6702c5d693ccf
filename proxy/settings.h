/*
 * The configuration in the keeper's own terms: crypto/ does not know policy/.
 */
#ifndef COUNTERSIGN_PROXY_SETTINGS_H
#define COUNTERSIGN_PROXY_SETTINGS_H

#include "crypto/keeper.h"
#include "policy/config.h"

/* Borrows its texts from `config`, which must outlive it. NULL when out of memory. Free it with
 * settings_free(); NULL is allowed there. */
struct keeper_settings *settings_for_keeper(const struct config *config);
void settings_free(struct keeper_settings *settings);

#endif
