#include "server/records/sources.h"

#include <string.h>

#include "server/records/required.h"
#include "server/rules/names.h"

static struct record_key name_key(uint32_t workspace, const char *name)
{
	return KEY(workspace, key_text(k, name));
}

sl_code source_not_found(const char *name, struct sl_err *err)
{
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_SOURCE_NOT_FOUND,
			      "no data source '%.60s'", name);
}

sl_code source_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		    const char *name, Sluice__Store__V1__SourceRecord **ret_record,
		    struct sl_err *err)
{
	sl_code code = SL_NOT_FOUND;
	if (config_name_broken_rule(name) == NULL) {
		struct record_key key = name_key(workspace, name);
		code = record_get(view, arena, TABLE_SOURCES, &key,
				  &sluice__store__v1__source_record__descriptor, ret_record, err);
	}
	return code == SL_NOT_FOUND ? source_not_found(name, err) : code;
}

/* --- settings ------------------------------------------------------------------------------ */

Sluice__Store__V1__SourceSettingRecord *
source_setting_in(const Sluice__Store__V1__SourceRecord *record, uint32_t environment)
{
	for (size_t i = 0; i < record->n_settings; i++) {
		if (record->settings[i]->environment == environment) {
			return record->settings[i];
		}
	}
	return NULL;
}

Sluice__Store__V1__SourceSettingRecord *source_setting_need(struct decision *d,
							    Sluice__Store__V1__SourceRecord *record,
							    uint32_t environment)
{
	Sluice__Store__V1__SourceSettingRecord *setting = source_setting_in(record, environment);
	if (setting != NULL) {
		return setting;
	}
	Sluice__Store__V1__SourceSettingRecord **settings = SL_ARENA_ARRAY(
	    d->arena, Sluice__Store__V1__SourceSettingRecord *, record->n_settings + 1);
	setting = SL_ARENA_NEW(d->arena, Sluice__Store__V1__SourceSettingRecord);
	if (settings == NULL || setting == NULL) {
		return NULL;
	}
	sluice__store__v1__source_setting_record__init(setting);
	setting->environment = environment;
	size_t at = 0;
	while (at < record->n_settings && record->settings[at]->environment < environment) {
		settings[at] = record->settings[at];
		at++;
	}
	settings[at] = setting;
	for (; at < record->n_settings; at++) {
		settings[at + 1] = record->settings[at];
	}
	record->settings = settings;
	record->n_settings++;
	return setting;
}

static bool option_is_there(const Sluice__Store__V1__SourceOptionRecord *option)
{
	return option->state != SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
}

bool source_setting_is_there(const Sluice__Store__V1__SourceSettingRecord *setting)
{
	return setting != NULL && setting->n_options > 0 && option_is_there(setting->options[0]);
}

const Sluice__Store__V1__SourceOptionRecord *
source_option_in(const Sluice__Store__V1__SourceSettingRecord *setting, const char *name)
{
	for (size_t i = 0; setting != NULL && i < setting->n_options; i++) {
		if (strcmp(setting->options[i]->name, name) == 0 &&
		    option_is_there(setting->options[i])) {
			return setting->options[i];
		}
	}
	return NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

static void add_event(struct decision *d, const Sluice__Store__V1__SourceRecord *record,
		      Sluice__V1__EventType type, uint32_t environment)
{
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_SOURCE, "", environment, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_SOURCE;
	event->source = wire_source(d->arena, record);
}

sl_code sources_decide_create(struct decision *d, const char *name, const char *kind,
			      Sluice__Store__V1__SourceRecord **ret_record, struct sl_err *err)
{
	struct record_key key = name_key(d->workspace, name);
	struct sl_bytes taken;
	sl_code code = decision_expect_none(d, err);
	code =
	    code != SL_OK ? code : store_get(d->view, TABLE_SOURCES, key_bytes(&key), &taken, err);
	if (code == SL_OK) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN,
				      "data source '%s' exists: names are unique in a workspace",
				      name);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	Sluice__Store__V1__SourceRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__SourceRecord);
	if (record == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__source_record__init(record);
	record->name = (char *)name;
	record->kind = (char *)kind;
	record->created_ms = d->now_ms;
	record->created_by = (char *)d->principal;
	source_put(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED, 0);
	*ret_record = record;
	return SL_OK;
}

static void put(struct decision *d, Sluice__Store__V1__SourceRecord *record)
{
	struct record_key key = name_key(d->workspace, record->name);
	record->revision = d->revision;
	decision_put(d, TABLE_SOURCES, &key, &record->base);
}

void source_put_tested(struct decision *d, Sluice__Store__V1__SourceRecord *record,
		       uint32_t environment)
{
	put(d, record);
	add_event(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, environment);
}

void source_put(struct decision *d, Sluice__Store__V1__SourceRecord *record,
		Sluice__V1__EventType type, uint32_t environment)
{
	put(d, record);
	required_changed(d);
	add_event(d, record, type, environment);
}

void source_delete(struct decision *d, const Sluice__Store__V1__SourceRecord *record)
{
	struct record_key key = name_key(d->workspace, record->name);
	decision_delete(d, TABLE_SOURCES, &key);
	required_changed(d);
	add_event(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, 0);
}

static void forget(const struct decision *d, Sluice__Store__V1__SourceSettingRecord *setting)
{
	if (!source_setting_is_there(setting)) {
		return;
	}
	for (size_t i = 0; i < setting->n_options; i++) {
		setting->options[i]->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
	}
	setting->revision = d->revision;
	setting->at_ms = d->now_ms;
	setting->by = (char *)d->principal;
}

sl_code sources_forget(struct decision *d, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_SOURCES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__SourceRecord *record = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__source_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		for (size_t i = 0; i < record->n_settings; i++) {
			forget(d, record->settings[i]);
		}
		struct record_key key = name_key(sl_get_be32(walk.key.data), record->name);
		record->revision = d->revision;
		decision_put(d, TABLE_SOURCES, &key, &record->base);
	}
	return store_walk_result(&walk, err);
}
