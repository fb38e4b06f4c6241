#include "server/settings/sources_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/template/template.h"
#include "server/records/sealed.h"
#include "server/rules/source_kinds.h"

static struct vault_place
place_of(uint32_t workspace, const Sluice__Store__V1__SourceRecord *record, uint32_t environment)
{
	return (struct vault_place){.workspace = workspace,
				    .kind = SEALED_SOURCE,
				    .name = record->name,
				    .environment = environment};
}

/* --- opening --------------------------------------------------------------------------------- */

void source_values_fini(struct source_values *values)
{
	sl_secret_free(SL_TAKE(values->packed));
	values->size = 0;
}

sl_code sources_open(struct vault *vault, const struct store_view *view, uint32_t workspace,
		     const Sluice__Store__V1__SourceRecord *record, uint32_t environment,
		     struct source_values *ret_values, struct sl_err *err)
{
	const struct vault_place place = place_of(workspace, record, environment);
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_in(record, environment);
	if (!source_setting_is_there(setting)) {
		return SL_NOT_FOUND;
	}
	sl_code code = vault_get(vault, view, &place, setting->revision, &ret_values->packed,
				 &ret_values->size, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS, "the options of data source '%s' in %s are gone",
				record->name, environment_name(environment));
}

bool source_values_next(const struct source_values *values, size_t *at, const char **ret_name,
			const char **ret_value)
{
	if (*at >= values->size) {
		return false;
	}
	*ret_name = values->packed + *at;
	*ret_value = *ret_name + strlen(*ret_name) + 1;
	*at += strlen(*ret_name) + strlen(*ret_value) + 2;
	return true;
}

const char *source_value_of(const struct source_values *values, const char *name)
{
	const char *option = NULL, *value = NULL;
	for (size_t at = 0; source_values_next(values, &at, &option, &value);) {
		if (strcmp(option, name) == 0) {
			return value;
		}
	}
	return NULL;
}

/* --- what may be set --- */

/* What an option's value refers to, on the view of a decision. */
static enum template_fault look_up(void *ctx, const struct template_ref *ref,
				   const char **ret_value)
{
	const struct decision *d = ctx;
	SL_AUTO(sl_err_clear) struct sl_err unused = SL_ERR_INIT;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	(void)ret_value;
	if (ref->space == TEMPLATE_SOURCE) {
		return TEMPLATE_NOT_HERE;
	}
	if (config_name_find(d->view, d->arena, d->workspace, ref->name,
			     SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED, &record,
			     &unused) != SL_OK) {
		return TEMPLATE_UNKNOWN;
	}
	bool secret = record->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET;
	return secret == (ref->space == TEMPLATE_SECRET) ? TEMPLATE_FINE : TEMPLATE_WRONG_KIND;
}

static sl_code refuse(const Sluice__Store__V1__SourceRecord *record, const char *option,
		      const char *rule, struct sl_err *err)
{
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "option '%.60s' of data source '%s' (%s) %s", option,
				      record->name, record->kind, rule);
	sl_err_field(err, "options", rule);
	return code;
}

static sl_code check_change(struct decision *d, const Sluice__Store__V1__SourceRecord *record,
			    const struct source_change *change, struct sl_err *err)
{
	const struct source_kind *kind = source_kind_of(record->kind);
	const struct source_option *option =
	    kind != NULL ? source_option_of(kind, change->name) : NULL;
	if (option == NULL && (kind == NULL || !kind->any)) {
		return refuse(record, change->name, "is unknown", err);
	}
	if (option != NULL && option->secret != change->secret) {
		return refuse(record, change->name,
			      option->secret ? "is a secret one" : "is no secret one", err);
	}
	const char *rule = option != NULL ? source_value_broken_rule(option, change->value) : NULL;
	if (rule != NULL) {
		return refuse(record, change->name, rule, err);
	}
	const struct template value = {.text = sl_bytes_text(change->value),
				       .format = TEMPLATE_PLAIN,
				       .look_up = look_up,
				       .ctx = d};
	sl_code code = template_check(&value, NULL, err);
	return code != SL_OK ? sl_err_wrap(err, "option '%.60s'", change->name) : SL_OK;
}

/* --- merging --- */

/* What an environment holds afterwards: as it was, but for what is wished. */
struct merged {
	struct source_change items[SOURCE_OPTIONS_MAX]; /* by name */
	size_t count;
	bool changed;
};

static bool is_unset(const struct source_wish *wish, const char *name)
{
	for (size_t i = 0; i < wish->unset_count; i++) {
		if (strcmp(wish->unset[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static const struct source_change *change_of(const struct source_wish *wish, const char *name)
{
	for (size_t i = 0; i < wish->change_count; i++) {
		if (strcmp(wish->changes[i].name, name) == 0) {
			return &wish->changes[i];
		}
	}
	return NULL;
}

static bool is_mask(const struct source_change *change)
{
	return change->secret && strcmp(change->value, SETTING_MASK) == 0;
}

/* Who may not read a value must not learn either whether a guess is right. */
static bool may_compare(const struct decision *d, const struct source_change *change,
			uint32_t environment)
{
	return d->rights == NULL ||
	       rights_allow(d->rights, change->secret ? ACCESS_REVEAL : ACCESS_VIEW, NULL,
			    environment);
}

static bool is_same(const struct decision *d, const struct source_change *change,
		    const struct source_change *before, uint32_t environment)
{
	size_t size = strlen(change->value);
	return change->secret == before->secret && may_compare(d, change, environment) &&
	       strlen(before->value) == size && sl_equal_secret(before->value, change->value, size);
}

static void keep_or_change(const struct decision *d, const struct source_wish *wish,
			   const struct source_change *before, struct merged *merged)
{
	const struct source_change *change = change_of(wish, before->name);
	if (is_unset(wish, before->name)) {
		merged->changed = true;
		return;
	}
	bool keeps =
	    change == NULL || is_mask(change) || is_same(d, change, before, wish->environment);
	merged->changed = merged->changed || !keeps;
	merged->items[merged->count++] = keeps ? *before : *change;
}

static int by_name(const void *a, const void *b)
{
	const struct source_change *left = a, *right = b;
	return strcmp(left->name, right->name);
}

static sl_code merge(const struct decision *d, const Sluice__Store__V1__SourceRecord *record,
		     const struct source_values *values, const struct source_wish *wish,
		     struct merged *merged, struct sl_err *err)
{
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_in(record, wish->environment);
	for (size_t i = 0; source_setting_is_there(setting) && i < setting->n_options; i++) {
		struct source_change before = {.name = setting->options[i]->name,
					       .secret = setting->options[i]->secret};
		before.value = source_value_of(values, before.name);
		if (before.value != NULL && merged->count < SOURCE_OPTIONS_MAX) {
			keep_or_change(d, wish, &before, merged);
		}
	}
	for (size_t i = 0; i < wish->change_count; i++) {
		const struct source_change *change = &wish->changes[i];
		if (source_value_of(values, change->name) != NULL || is_mask(change)) {
			continue;
		}
		if (merged->count == SOURCE_OPTIONS_MAX) {
			return refuse(record, change->name, "is one too many: at most 64", err);
		}
		merged->items[merged->count++] = *change;
		merged->changed = true;
	}
	qsort(merged->items, merged->count, sizeof(merged->items[0]), by_name);
	return SL_OK;
}

/* --- writing --- */

static size_t packed_size(const struct merged *merged)
{
	size_t size = 0;
	for (size_t i = 0; i < merged->count; i++) {
		size += strlen(merged->items[i].name) + strlen(merged->items[i].value) + 2;
	}
	return size;
}

static char *append(char *at, const char *text)
{
	size_t size = strlen(text) + 1;
	memcpy(at, text, size);
	return at + size;
}

static sl_code seal(struct vault *vault, struct decision *d, const struct vault_place *place,
		    const struct merged *merged, struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	size_t size = packed_size(merged);
	if (size > SOURCE_BYTES_MAX) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the options of data source '%s' have %zu bytes, at most %d "
				      "are allowed",
				      place->name, size, SOURCE_BYTES_MAX);
	}
	SL_AUTO(sl_secret_text_auto) char *packed = sl_secret_new(size + 1);
	if (packed == NULL) {
		return sl_err_no_memory(err);
	}
	char *at = packed;
	for (size_t i = 0; i < merged->count; i++) {
		at = append(append(at, merged->items[i].name), merged->items[i].value);
	}
	return vault_put(vault, d, place, SL_BYTES(packed, size), &key, err);
}

static sl_code note(struct decision *d, Sluice__Store__V1__SourceSettingRecord *setting,
		    const struct merged *merged, struct sl_err *err)
{
	setting->n_options = 0;
	setting->options =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__SourceOptionRecord *, merged->count + 1);
	for (size_t i = 0; setting->options != NULL && i < merged->count; i++) {
		Sluice__Store__V1__SourceOptionRecord *option =
		    SL_ARENA_NEW(d->arena, Sluice__Store__V1__SourceOptionRecord);
		if (option == NULL) {
			return sl_err_no_memory(err);
		}
		sluice__store__v1__source_option_record__init(option);
		option->name = sl_arena_strdup(d->arena, merged->items[i].name);
		option->secret = merged->items[i].secret;
		option->state = merged->items[i].value[0] == '\0'
				    ? SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY
				    : SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET;
		setting->options[setting->n_options++] = option;
	}
	setting->revision = d->revision;
	setting->at_ms = d->now_ms;
	setting->by = (char *)d->principal;
	return sl_arena_failed(d->arena) ? sl_err_no_memory(err) : SL_OK;
}

static sl_code write_merged(struct vault *vault, struct decision *d,
			    Sluice__Store__V1__SourceRecord *record, uint32_t environment,
			    const struct merged *merged, struct sl_err *err)
{
	const struct vault_place place = place_of(d->workspace, record, environment);
	Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_need(d, record, environment);
	if (setting == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = SL_OK;
	if (merged->count > 0) {
		code = seal(vault, d, &place, merged, err);
	} else {
		vault_remove(d, &place);
	}
	code = code != SL_OK ? code : note(d, setting, merged, err);
	code =
	    code != SL_OK ? code : source_note_refs(d, setting, merged->items, merged->count, err);
	if (code == SL_OK) {
		source_put(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, environment);
	}
	return code;
}

sl_code sources_set(struct vault *vault, struct decision *d,
		    Sluice__Store__V1__SourceRecord *record, const struct source_wish *wish,
		    struct sl_err *err)
{
	SL_AUTO(source_values_fini) struct source_values values = {.packed = NULL};
	struct merged *merged = SL_ARENA_NEW(d->arena, struct merged);
	const Sluice__Store__V1__SourceSettingRecord *setting =
	    source_setting_in(record, wish->environment);
	sl_code code = merged == NULL
			   ? sl_err_no_memory(err)
			   : decision_expect(d, "data source", record->name,
					     setting == NULL ? 0 : setting->revision, err);
	for (size_t i = 0; code == SL_OK && i < wish->change_count; i++) {
		code = check_change(d, record, &wish->changes[i], err);
	}
	code = code != SL_OK ? code
			     : sources_open(vault, d->view, d->workspace, record, wish->environment,
					    &values, err);
	if (code == SL_NOT_FOUND) {
		code = SL_OK;
	}
	code = code != SL_OK ? code : merge(d, record, &values, wish, merged, err);
	return code != SL_OK || !merged->changed
		   ? code
		   : write_merged(vault, d, record, wish->environment, merged, err);
}

sl_code sources_delete(struct decision *d, const Sluice__Store__V1__SourceRecord *record,
		       struct sl_err *err)
{
	sl_code code = decision_expect(d, "data source", record->name, record->revision, err);
	if (code != SL_OK) {
		return code;
	}
	for (size_t i = 0; i < record->n_settings; i++) {
		const struct vault_place place =
		    place_of(d->workspace, record, record->settings[i]->environment);
		if (source_setting_is_there(record->settings[i])) {
			vault_remove(d, &place);
		}
	}
	source_delete(d, record);
	return SL_OK;
}
