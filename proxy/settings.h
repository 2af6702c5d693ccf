/*
 * The configuration in the keeper's own terms: crypto/ does not know policy/.
 */
#ifndef COUNTERSIGN_PROXY_SETTINGS_H
#define COUNTERSIGN_PROXY_SETTINGS_H

#include "crypto/keeper.h"
#include "policy/config.h"

/* What a listener takes: of `policy`, only what has to do with mechanisms is written. */
void settings_mechanisms(const struct config_listener *listener, struct accept_policy *policy);

/* Whether a rule is about somebody whom only a PAC tells: who leaves it out must not get past it.
 */
bool settings_need_pac(const struct config *config);

/* Borrows its texts from `config`, which must outlive it. NULL when out of memory. Free it with
 * settings_free(); NULL is allowed there. */
struct keeper_settings *settings_for_keeper(const struct config *config);
/* Its `free` will free the configuration too; NULL: that is somebody else's. */
void settings_own(struct keeper_settings *settings, struct config *config);
void settings_free(struct keeper_settings *settings);

#endif
