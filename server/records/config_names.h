/* config_names: what is told of constants and secrets: names, and how their values are. The values
 * are sealed: server/settings has the commands.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_CONFIG_NAMES_H
#define SL_SERVER_RECORDS_CONFIG_NAMES_H

#include "server/records/records.h"

/* SL_NOT_FOUND / CONFIG_NOT_FOUND: also when it is of another kind (UNSPECIFIED: any). */
SL_MUST_USE sl_code config_name_find(const struct store_view *view, struct sl_arena *arena,
				     uint32_t workspace, const char *name,
				     Sluice__V1__ConfigKind kind,
				     Sluice__Store__V1__ConfigNameRecord **ret_record,
				     struct sl_err *err);
sl_code config_name_not_found(const char *name, Sluice__V1__ConfigKind kind, struct sl_err *err);
const char *config_kind_noun(Sluice__V1__ConfigKind kind); /* "secret"; static */

/* NULL: never set there. */
Sluice__Store__V1__ConfigValueRecord *
config_value_in(const Sluice__Store__V1__ConfigNameRecord *record, uint32_t environment);
/* EMPTY or SET. */
bool config_value_is_there(const Sluice__Store__V1__ConfigValueRecord *value);
/* The same, made UNSET in its place when it is not there yet. NULL: out of memory. */
Sluice__Store__V1__ConfigValueRecord *config_value_need(struct decision *d,
							Sluice__Store__V1__ConfigNameRecord *record,
							uint32_t environment);

/* What is unset already stays as it is. */
void config_value_unset(const struct decision *d, Sluice__Store__V1__ConfigValueRecord *value);

/* Puts it at this revision, with an event about its value in `environment` (0: about none). */
void config_name_put(struct decision *d, Sluice__Store__V1__ConfigNameRecord *record,
		     Sluice__V1__EventType type, uint32_t environment);
/* Removes it, with an event; not what is sealed. */
void config_name_delete(struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record);

/* Every value of every workspace becomes UNSET: what was sealed is gone. Without events, as it is
 * of no workspace. */
SL_MUST_USE sl_code config_names_forget(struct decision *d, struct sl_err *err);

#endif
