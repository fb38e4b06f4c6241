/* sources: what is told of data sources: names, kinds, and which options are set. The options'
 * values are sealed, those of one environment together: server/settings has the commands.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_SOURCES_H
#define SL_SERVER_RECORDS_SOURCES_H

#include "server/records/records.h"

/* SL_NOT_FOUND / SOURCE_NOT_FOUND. */
SL_MUST_USE sl_code source_find(const struct store_view *view, struct sl_arena *arena,
				uint32_t workspace, const char *name,
				Sluice__Store__V1__SourceRecord **ret_record, struct sl_err *err);
sl_code source_not_found(const char *name, struct sl_err *err);

/* NULL: never set there. */
Sluice__Store__V1__SourceSettingRecord *
source_setting_in(const Sluice__Store__V1__SourceRecord *record, uint32_t environment);
/* The same, made without options in its place when it is not there yet. NULL: out of memory. */
Sluice__Store__V1__SourceSettingRecord *source_setting_need(struct decision *d,
							    Sluice__Store__V1__SourceRecord *record,
							    uint32_t environment);
/* Something of it is sealed. */
bool source_setting_is_there(const Sluice__Store__V1__SourceSettingRecord *setting);
/* By name; NULL: none, or UNSET. */
const Sluice__Store__V1__SourceOptionRecord *
source_option_in(const Sluice__Store__V1__SourceSettingRecord *setting, const char *name);

/* SL_ALREADY_EXISTS / NAME_TAKEN. Name and kind are checked before. */
SL_MUST_USE sl_code sources_decide_create(struct decision *d, const char *name, const char *kind,
					  Sluice__Store__V1__SourceRecord **ret_record,
					  struct sl_err *err);
/* Puts it at this revision, with an event about its setting in `environment` (0: about none). */
void source_put(struct decision *d, Sluice__Store__V1__SourceRecord *record,
		Sluice__V1__EventType type, uint32_t environment);
/* The same after a test of that setting, with which no config has changed. */
void source_put_tested(struct decision *d, Sluice__Store__V1__SourceRecord *record,
		       uint32_t environment);
/* Removes it, with an event; not what is sealed. */
void source_delete(struct decision *d, const Sluice__Store__V1__SourceRecord *record);

/* Every option of every workspace becomes UNSET: what was sealed is gone. Without events. */
SL_MUST_USE sl_code sources_forget(struct decision *d, struct sl_err *err);

#endif
