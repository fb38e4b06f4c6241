/* wire: constants, secrets, data sources, and policies of environments. */
#include "server/records/config_names.h"
#include "server/records/sources.h"
#include "server/records/wire_internal.h"
#include "server/rules/source_kinds.h"

static Sluice__V1__ConfigValue *config_value(struct sl_arena *arena, uint32_t environment,
					     const Sluice__Store__V1__ConfigValueRecord *record)
{
	NEW(value, Sluice__V1__ConfigValue, sluice__v1__config_value__init);
	value->environment = (char *)environment_name(environment);
	value->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
	if (record != NULL) {
		value->state = record->state;
		value->set_at = wire_time(arena, record->at_ms);
		value->set_by = record->by;
		value->revision = record->revision;
		value->revealed_at = wire_time(arena, record->revealed_ms);
		value->revealed_by = record->revealed_by;
	}
	return value;
}

Sluice__V1__ConfigName *wire_config_name(struct sl_arena *arena,
					 const Sluice__Store__V1__ConfigNameRecord *record)
{
	NEW(config, Sluice__V1__ConfigName, sluice__v1__config_name__init);
	config->name = record->name;
	config->kind = record->kind;
	config->created_at = wire_time(arena, record->created_ms);
	config->created_by = record->created_by;
	config->revision = record->revision;
	config->values = SL_ARENA_ARRAY(arena, Sluice__V1__ConfigValue *, ENV_COUNT);
	for (uint32_t e = 1; config->values != NULL && e <= ENV_COUNT; e++) {
		config->values[config->n_values++] =
		    config_value(arena, e, config_value_in(record, e));
	}
	return config;
}

static void put_option(struct sl_arena *arena, Sluice__V1__SourceSetting *setting,
		       const Sluice__Store__V1__SourceOptionRecord *record)
{
	Sluice__V1__SourceOption *option = SL_ARENA_NEW(arena, Sluice__V1__SourceOption);
	if (option != NULL) {
		sluice__v1__source_option__init(option);
		option->name = record->name;
		option->state = record->state;
		option->secret = record->secret;
		setting->options[setting->n_options++] = option;
	}
}

static void put_missing(struct sl_arena *arena, Sluice__V1__SourceSetting *setting,
			const char *kind_name, const Sluice__Store__V1__SourceSettingRecord *record)
{
	const struct source_kind *kind = source_kind_of(kind_name);
	if (kind == NULL || kind->count == 0) {
		return;
	}
	setting->missing = SL_ARENA_ARRAY(arena, char *, kind->count);
	for (size_t i = 0; setting->missing != NULL && i < kind->count; i++) {
		if (kind->options[i].required &&
		    source_option_in(record, kind->options[i].name) == NULL) {
			setting->missing[setting->n_missing++] = (char *)kind->options[i].name;
		}
	}
}

static Sluice__V1__SourceSetting *source_setting(struct sl_arena *arena,
						 const Sluice__Store__V1__SourceRecord *source,
						 uint32_t environment)
{
	NEW(setting, Sluice__V1__SourceSetting, sluice__v1__source_setting__init);
	const Sluice__Store__V1__SourceSettingRecord *record =
	    source_setting_in(source, environment);
	setting->environment = (char *)environment_name(environment);
	put_missing(arena, setting, source->kind, record);
	if (record == NULL) {
		return setting;
	}
	setting->options = SL_ARENA_ARRAY(arena, Sluice__V1__SourceOption *, record->n_options + 1);
	for (size_t i = 0; setting->options != NULL && i < record->n_options; i++) {
		put_option(arena, setting, record->options[i]);
	}
	setting->set_at = wire_time(arena, record->at_ms);
	setting->set_by = record->by;
	setting->revision = record->revision;
	setting->test = record->test;
	return setting;
}

Sluice__V1__DataSource *wire_source(struct sl_arena *arena,
				    const Sluice__Store__V1__SourceRecord *record)
{
	NEW(source, Sluice__V1__DataSource, sluice__v1__data_source__init);
	source->name = record->name;
	source->kind = record->kind;
	source->created_at = wire_time(arena, record->created_ms);
	source->created_by = record->created_by;
	source->revision = record->revision;
	source->settings = SL_ARENA_ARRAY(arena, Sluice__V1__SourceSetting *, ENV_COUNT);
	for (uint32_t e = 1; source->settings != NULL && e <= ENV_COUNT; e++) {
		source->settings[source->n_settings++] = source_setting(arena, record, e);
	}
	return source;
}

Sluice__V1__EnvironmentPolicy *wire_policy(struct sl_arena *arena,
					   const Sluice__Store__V1__PolicyRecord *record)
{
	NEW(policy, Sluice__V1__EnvironmentPolicy, sluice__v1__environment_policy__init);
	policy->environment = (char *)environment_name(record->environment);
	policy->contract = record->contract;
	policy->set_at = wire_time(arena, record->at_ms);
	policy->set_by = record->by;
	policy->revision = record->revision;
	return policy;
}
