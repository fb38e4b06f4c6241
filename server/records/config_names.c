#include "server/records/config_names.h"

#include <string.h>

#include "server/records/required.h"
#include "server/rules/names.h"

static struct record_key name_key(uint32_t workspace, const char *name)
{
	return KEY(workspace, key_text(k, name));
}

const char *config_kind_noun(Sluice__V1__ConfigKind kind)
{
	static const char *const nouns[] = {
	    [SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED] = "constant or secret",
	    [SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL] = "constant",
	    [SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET] = "secret",
	};
	return (size_t)kind < SL_COUNT(nouns) ? nouns[kind] : nouns[0];
}

sl_code config_name_not_found(const char *name, Sluice__V1__ConfigKind kind, struct sl_err *err)
{
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_CONFIG_NOT_FOUND, "no %s '%.60s'",
			      config_kind_noun(kind), name);
}

sl_code config_name_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			 const char *name, Sluice__V1__ConfigKind kind,
			 Sluice__Store__V1__ConfigNameRecord **ret_record, struct sl_err *err)
{
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	sl_code code = SL_NOT_FOUND;
	if (config_name_broken_rule(name) == NULL) {
		struct record_key key = name_key(workspace, name);
		code = record_get(view, arena, TABLE_CONFIG_NAMES, &key,
				  &sluice__store__v1__config_name_record__descriptor, &record, err);
	}
	bool other = code == SL_OK && kind != SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED &&
		     record->kind != kind;
	if (code == SL_NOT_FOUND || other) {
		return config_name_not_found(name, kind, err);
	}
	*ret_record = record;
	return code;
}

/* --- values ------------------------------------------------------------------------------ */

Sluice__Store__V1__ConfigValueRecord *
config_value_in(const Sluice__Store__V1__ConfigNameRecord *record, uint32_t environment)
{
	for (size_t i = 0; i < record->n_values; i++) {
		if (record->values[i]->environment == environment) {
			return record->values[i];
		}
	}
	return NULL;
}

bool config_value_is_there(const Sluice__Store__V1__ConfigValueRecord *value)
{
	return value != NULL && value->state != SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
}

Sluice__Store__V1__ConfigValueRecord *config_value_need(struct decision *d,
							Sluice__Store__V1__ConfigNameRecord *record,
							uint32_t environment)
{
	Sluice__Store__V1__ConfigValueRecord *value = config_value_in(record, environment);
	if (value != NULL) {
		return value;
	}
	Sluice__Store__V1__ConfigValueRecord **values =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__ConfigValueRecord *, record->n_values + 1);
	value = SL_ARENA_NEW(d->arena, Sluice__Store__V1__ConfigValueRecord);
	if (values == NULL || value == NULL) {
		return NULL;
	}
	sluice__store__v1__config_value_record__init(value);
	value->environment = environment;
	value->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
	size_t at = 0;
	while (at < record->n_values && record->values[at]->environment < environment) {
		values[at] = record->values[at];
		at++;
	}
	values[at] = value;
	for (; at < record->n_values; at++) {
		values[at + 1] = record->values[at];
	}
	record->values = values;
	record->n_values++;
	return value;
}

/* --- writing ------------------------------------------------------------------------------- */

static void add_event(struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record,
		      Sluice__V1__EventType type, uint32_t environment)
{
	Sluice__V1__Event *event =
	    decision_event(d, type, SLUICE__V1__EVENT_KIND__EVENT_KIND_CONFIG, "", environment, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_CONFIG;
	event->config = wire_config_name(d->arena, record);
}

void config_name_put(struct decision *d, Sluice__Store__V1__ConfigNameRecord *record,
		     Sluice__V1__EventType type, uint32_t environment)
{
	struct record_key key = name_key(d->workspace, record->name);
	record->revision = d->revision;
	decision_put(d, TABLE_CONFIG_NAMES, &key, &record->base);
	required_changed(d);
	add_event(d, record, type, environment);
}

void config_name_delete(struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record)
{
	struct record_key key = name_key(d->workspace, record->name);
	decision_delete(d, TABLE_CONFIG_NAMES, &key);
	required_changed(d);
	add_event(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED, 0);
}

void config_value_unset(const struct decision *d, Sluice__Store__V1__ConfigValueRecord *value)
{
	if (config_value_is_there(value)) {
		value->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
		value->revision = d->revision;
		value->at_ms = d->now_ms;
		value->by = (char *)d->principal;
		value->revealed_ms = 0;
		value->revealed_by = (char *)"";
	}
}

sl_code config_names_forget(struct decision *d, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	required_changed(d);
	store_walk_begin(&walk, d->view, TABLE_CONFIG_NAMES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__ConfigNameRecord *record = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__config_name_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		for (size_t i = 0; i < record->n_values; i++) {
			config_value_unset(d, record->values[i]);
		}
		struct record_key key = name_key(sl_get_be32(walk.key.data), record->name);
		record->revision = d->revision;
		decision_put(d, TABLE_CONFIG_NAMES, &key, &record->base);
	}
	return store_walk_result(&walk, err);
}
