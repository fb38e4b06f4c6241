/* Data sources: made, set for each environment, shown. */
#include "server/services/source.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/rules/names.h"
#include "server/rules/source_kinds.h"
#include "server/services/noun_checks.h"
#include "server/settings/sources.h"

/* --- what comes in ----------------------------------------------------------------------- */

sl_code source_check_name(const char *field, const char *name, struct sl_err *err)
{
	const char *rule = config_name_broken_rule(name);
	if (rule == NULL) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID,
				      "%s '%.80s' %s", field, name, rule);
	sl_err_field(err, field, rule);
	return code;
}

sl_code source_create_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateSourceRequest *request = message;
	sl_code code = source_check_name("name", request->name, err);
	return code != SL_OK || source_kind_of(request->kind) != NULL
		   ? code
		   : check_refused("kind",
				   "must be postgres, mysql, mongodb, redis, s3, rest, graphql, "
				   "smtp or generic",
				   err);
}

static sl_code check_option(const char *name, const char *value, struct sl_err *err)
{
	sl_code code = source_check_name("options", name, err);
	return code != SL_OK ? code : check_value("options", value, SETTING_VALUE_MAX, err);
}

sl_code source_set_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SetSourceRequest *request = message;
	sl_code code = source_check_name("source", request->source, err);
	code = code != SL_OK ? code : check_reference("environment", request->environment, err);
	for (size_t i = 0; code == SL_OK && i < request->n_options; i++) {
		code = check_option(request->options[i]->key, request->options[i]->value, err);
	}
	for (size_t i = 0; code == SL_OK && i < request->n_secrets; i++) {
		code = check_option(request->secrets[i]->key, request->secrets[i]->value, err);
	}
	for (size_t i = 0; code == SL_OK && i < request->n_unset; i++) {
		code = source_check_name("unset", request->unset[i], err);
	}
	if (code == SL_OK &&
	    request->n_options + request->n_secrets + request->n_unset > SOURCE_OPTIONS_MAX) {
		return check_refused("options", "must be at most 64 in all", err);
	}
	return code;
}

sl_code source_get_check(const void *message, struct sl_err *err)
{
	return source_check_name("source", ((const Sluice__V1__GetSourceRequest *)message)->source,
				 err);
}

sl_code source_delete_check(const void *message, struct sl_err *err)
{
	return source_check_name("source",
				 ((const Sluice__V1__DeleteSourceRequest *)message)->source, err);
}

/* --- what goes out ------------------------------------------------------------------------- */

bool source_is_seen(const struct rights *rights, const Sluice__Store__V1__SourceRecord *record)
{
	bool seen = record->n_settings == 0;
	for (size_t i = 0; i < record->n_settings; i++) {
		seen = seen ||
		       rights_allow(rights, ACCESS_VIEW, NULL, record->settings[i]->environment);
	}
	return seen;
}

static void tell_option(const struct service_read *read, const struct source_values *values,
			Sluice__V1__SourceOption *option)
{
	if (option->state == SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET) {
		return;
	}
	const char *value = option->secret ? SETTING_MASK : source_value_of(values, option->name);
	if (value == NULL) {
		option->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE;
		return;
	}
	option->value = sl_arena_strdup(read->arena, value);
}

static sl_code tell_setting(const struct service_read *read,
			    const Sluice__Store__V1__SourceRecord *record, uint32_t environment,
			    Sluice__V1__SourceSetting *setting, struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	SL_AUTO(source_values_fini) struct source_values values = {.packed = NULL};
	sl_code code = sources_open(read->services->vault, read->view, read->workspace, record,
				    environment, &values, &why);
	bool told = code == SL_OK || code == SL_NOT_FOUND || code == SL_FAILED_PRECONDITION ||
		    code == SL_DATA_LOSS;
	if (!told) {
		sl_err_move(err, &why);
		return code;
	}
	for (size_t i = 0; i < setting->n_options; i++) {
		tell_option(read, &values, setting->options[i]);
	}
	return sl_arena_failed(read->arena) ? sl_err_no_memory(err) : SL_OK;
}

/* With the values that the caller may see. */
static sl_code tell(const struct service_read *read, const Sluice__Store__V1__SourceRecord *record,
		    Sluice__V1__DataSource **ret_source, struct sl_err *err)
{
	Sluice__V1__DataSource *source = wire_source(read->arena, record);
	sl_code code =
	    source != NULL && !sl_arena_failed(read->arena) ? SL_OK : sl_err_no_memory(err);
	for (uint32_t e = 1; code == SL_OK && e <= ENV_COUNT; e++) {
		if (rights_allow(read->rights, ACCESS_VIEW, NULL, e)) {
			code = tell_setting(read, record, e, source->settings[e - 1], err);
		}
	}
	*ret_source = source;
	return code;
}

sl_code source_get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetSourceRequest *request = message;
	Sluice__V1__GetSourceResponse *response = reply;
	Sluice__Store__V1__SourceRecord *record = NULL;
	sl_code code =
	    source_find(read->view, read->arena, read->workspace, request->source, &record, err);
	if (code == SL_OK && !source_is_seen(read->rights, record)) {
		code = source_not_found(request->source, err);
	}
	return code != SL_OK ? code : tell(read, record, &response->source, err);
}

sl_code source_list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListSourcesRequest *request = message;
	Sluice__V1__ListSourcesResponse *response = reply;
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	struct service_page page;
	sl_code code = service_page_begin(read, request->page, "ListSources", &page, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->sources = SL_ARENA_ARRAY(read->arena, Sluice__V1__DataSource *, page.size);
	store_walk_begin(&walk, read->view, TABLE_SOURCES, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page.from);
	while (response->sources != NULL && store_walk_next(&walk)) {
		Sluice__Store__V1__SourceRecord *record = NULL;
		code = record_unpack(read->arena, walk.value,
				     &sluice__store__v1__source_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		if (!source_is_seen(read->rights, record)) {
			continue;
		}
		if (response->n_sources == page.size) {
			next = walk.key;
			break;
		}
		code = tell(read, record, &response->sources[response->n_sources], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_sources++;
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

/* --- writing ---------------------------------------------------------------------------------- */

sl_code source_create_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__CreateSourceRequest *request = message;
	Sluice__V1__CreateSourceResponse *response = reply;
	Sluice__Store__V1__SourceRecord *record = NULL;
	sl_code code = sources_decide_create(d, request->name, request->kind, &record, err);
	if (code == SL_OK) {
		response->source = wire_source(d->arena, record);
	}
	return code;
}

static const struct source_change *
changes_of(struct decision *d, const Sluice__V1__SetSourceRequest *request, size_t *ret_count)
{
	size_t count = 0;
	struct source_change *changes = SL_ARENA_ARRAY(d->arena, struct source_change,
						       request->n_options + request->n_secrets + 1);
	for (size_t i = 0; changes != NULL && i < request->n_options; i++) {
		changes[count++] = (struct source_change){request->options[i]->key,
							  request->options[i]->value, false};
	}
	for (size_t i = 0; changes != NULL && i < request->n_secrets; i++) {
		changes[count++] = (struct source_change){request->secrets[i]->key,
							  request->secrets[i]->value, true};
	}
	*ret_count = count;
	return changes;
}

/* Each name is said once: to be set, to be hidden, or to be taken away. */
static sl_code check_once(const struct source_wish *wish, struct sl_err *err)
{
	for (size_t i = 0; i < wish->change_count; i++) {
		bool twice = false;
		for (size_t j = 0; j < i; j++) {
			twice = twice || strcmp(wish->changes[i].name, wish->changes[j].name) == 0;
		}
		for (size_t j = 0; j < wish->unset_count; j++) {
			twice = twice || strcmp(wish->changes[i].name, wish->unset[j]) == 0;
		}
		if (twice) {
			return check_refused("options", "must name each option once", err);
		}
	}
	return SL_OK;
}

sl_code source_set_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__SetSourceRequest *request = message;
	Sluice__V1__SetSourceResponse *response = reply;
	Sluice__Store__V1__SourceRecord *record = NULL;
	struct source_wish wish = {.unset = request->unset, .unset_count = request->n_unset};
	const struct rights *rights = d->rights != NULL ? d->rights : &rights_everything;
	wish.changes = changes_of(d, request, &wish.change_count);
	sl_code code = environment_find(request->environment, &wish.environment, err);
	code = code != SL_OK ? code : check_once(&wish, err);
	code = code != SL_OK
		   ? code
		   : source_find(d->view, d->arena, d->workspace, request->source, &record, err);
	if (code == SL_OK && !source_is_seen(rights, record) &&
	    source_setting_in(record, wish.environment) == NULL) {
		code = source_not_found(request->source, err);
	}
	code = code != SL_OK ? code : sources_set(service_vault(d), d, record, &wish, err);
	if (code == SL_OK) {
		response->source = wire_source(d->arena, record);
	}
	return code;
}

sl_code source_delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteSourceRequest *request = message;
	Sluice__Store__V1__SourceRecord *record = NULL;
	(void)reply;
	sl_code code = source_find(d->view, d->arena, d->workspace, request->source, &record, err);
	return code != SL_OK ? code : sources_delete(d, record, err);
}
