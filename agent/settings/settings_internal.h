/* settings_internal: what the files of agent/settings share. */
#ifndef SL_AGENT_SETTINGS_INTERNAL_H
#define SL_AGENT_SETTINGS_INTERNAL_H

#include "agent/settings/settings.h"

/* A value of a constant or a secret; NULL: it fits, otherwise the rule that it breaks; static. */
const char *settings_broken_rule(const char *value);

/* NULL: it is not there. */
const struct settings_item *settings_find(const struct settings *settings, bool source,
					  const char *name, const char *option);
/* The items of a data source; NULL: there is none of this name. */
const struct settings_item *settings_source(const struct settings *settings, const char *name,
					    size_t *ret_count);

#endif
