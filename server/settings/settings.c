#include "server/settings/settings.h"

#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/records/sealed.h"
#include "server/records/sources.h"

static struct vault_place place_of(uint32_t workspace,
				   const Sluice__Store__V1__ConfigNameRecord *record,
				   uint32_t environment)
{
	bool secret = record->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET;
	return (struct vault_place){.workspace = workspace,
				    .kind = secret ? SEALED_SECRET : SEALED_CONSTANT,
				    .name = record->name,
				    .environment = environment};
}

/* expected_revision is that of the value, which does not change with others of its name. */
static sl_code expect(const struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record,
		      const Sluice__Store__V1__ConfigValueRecord *value, struct sl_err *err)
{
	return decision_expect(d, config_kind_noun(record->kind), record->name,
			       value == NULL ? 0 : value->revision, err);
}

/* --- opening ------------------------------------------------------------------------------- */

sl_code settings_open(struct vault *vault, const struct store_view *view, uint32_t workspace,
		      const Sluice__Store__V1__ConfigNameRecord *record, uint32_t environment,
		      char **ret_value, struct sl_err *err)
{
	size_t size = 0;
	const Sluice__Store__V1__ConfigValueRecord *value = config_value_in(record, environment);
	const struct vault_place place = place_of(workspace, record, environment);
	if (!config_value_is_there(value)) {
		return SL_NOT_FOUND;
	}
	sl_code code = vault_get(vault, view, &place, value->revision, ret_value, &size, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS, "the value of %s '%s' in %s is gone",
				config_kind_noun(record->kind), record->name,
				environment_name(environment));
}

sl_code settings_reveal(struct vault *vault, struct decision *d,
			Sluice__Store__V1__ConfigNameRecord *record, uint32_t environment,
			char **ret_value, struct sl_err *err)
{
	Sluice__Store__V1__ConfigValueRecord *value = config_value_in(record, environment);
	sl_code code = expect(d, record, value, err);
	code = code != SL_OK ? code
			     : settings_open(vault, d->view, d->workspace, record, environment,
					     ret_value, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_because(err, SL_NOT_FOUND, SL_REASON_CONFIG_NOT_FOUND,
				      "%s '%s' is unset in %s", config_kind_noun(record->kind),
				      record->name, environment_name(environment));
	}
	if (code == SL_OK) {
		value->revealed_ms = d->now_ms;
		value->revealed_by = (char *)d->principal;
		config_name_put(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, environment);
	}
	return code;
}

/* --- setting --------------------------------------------------------------------------------- */

static sl_code new_name(struct decision *d, const struct setting_new *wanted,
			Sluice__Store__V1__ConfigNameRecord **ret_record, struct sl_err *err)
{
	if (wanted->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED) {
		sl_code code =
		    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				   "'%s' is new: kind must be GLOBAL or SECRET", wanted->name);
		sl_err_field(err, "kind", "GLOBAL or SECRET for a new name");
		return code;
	}
	Sluice__Store__V1__ConfigNameRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__ConfigNameRecord);
	if (record == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__store__v1__config_name_record__init(record);
	record->name = (char *)wanted->name;
	record->kind = wanted->kind;
	record->created_ms = d->now_ms;
	record->created_by = (char *)d->principal;
	*ret_record = record;
	return SL_OK;
}

static sl_code find_or_make(struct decision *d, const struct setting_new *wanted,
			    Sluice__Store__V1__ConfigNameRecord **ret_record, struct sl_err *err)
{
	sl_code code =
	    config_name_find(d->view, d->arena, d->workspace, wanted->name,
			     SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED, ret_record, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return new_name(d, wanted, ret_record, err);
	}
	bool fits = wanted->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED ||
		    (code == SL_OK && wanted->kind == (*ret_record)->kind);
	return code != SL_OK || fits
		   ? code
		   : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_CONFIG_KIND_FIXED,
				    "'%s' is a %s, which is fixed for its life: remove it, or take "
				    "another name",
				    wanted->name, config_kind_noun((*ret_record)->kind));
}

static bool is_mask(const Sluice__Store__V1__ConfigNameRecord *record, const char *value)
{
	return record->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET &&
	       strcmp(value, SETTING_MASK) == 0;
}

/* Who may not read a value must not learn either whether a guess is right. */
static bool may_compare(const struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record,
			uint32_t environment)
{
	bool secret = record->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET;
	return d->rights == NULL ||
	       rights_allow(d->rights, secret ? ACCESS_REVEAL : ACCESS_VIEW, NULL, environment);
}

/* What does not open is another one. */
static bool is_there_already(struct vault *vault, const struct decision *d,
			     const Sluice__Store__V1__ConfigNameRecord *record,
			     const struct setting_new *wanted)
{
	SL_AUTO(sl_err_clear) struct sl_err unused = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	size_t size = strlen(wanted->value);
	return may_compare(d, record, wanted->environment) &&
	       settings_open(vault, d->view, d->workspace, record, wanted->environment, &value,
			     &unused) == SL_OK &&
	       strlen(value) == size && sl_equal_secret(value, wanted->value, size);
}

static sl_code write_value(struct vault *vault, struct decision *d,
			   Sluice__Store__V1__ConfigNameRecord *record,
			   const struct setting_new *wanted, struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	const struct vault_place place = place_of(d->workspace, record, wanted->environment);
	Sluice__Store__V1__ConfigValueRecord *value =
	    config_value_need(d, record, wanted->environment);
	if (value == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = vault_put(vault, d, &place, sl_bytes_text(wanted->value), &key, err);
	if (code != SL_OK) {
		return code;
	}
	value->state = wanted->value[0] == '\0' ? SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY
						: SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET;
	value->revision = d->revision;
	value->at_ms = d->now_ms;
	value->by = (char *)d->principal;
	value->revealed_ms = 0;
	value->revealed_by = (char *)"";
	bool made = record->revision == 0;
	config_name_put(d, record,
			made ? SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED
			     : SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
			wanted->environment);
	return SL_OK;
}

sl_code settings_set(struct vault *vault, struct decision *d, const struct setting_new *wanted,
		     Sluice__Store__V1__ConfigNameRecord **ret_record, struct sl_err *err)
{
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	sl_code code = find_or_make(d, wanted, &record, err);
	code = code != SL_OK ? code
			     : expect(d, record, config_value_in(record, wanted->environment), err);
	if (code != SL_OK) {
		return code;
	}
	*ret_record = record;
	if (is_mask(record, wanted->value) && record->revision == 0) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "value is the mask of a secret, and '%s' is new",
				      wanted->name);
	}
	if (is_mask(record, wanted->value) || is_there_already(vault, d, record, wanted)) {
		return SL_OK;
	}
	return write_value(vault, d, record, wanted, err);
}

/* --- taking away --- */

sl_code settings_unset(struct decision *d, Sluice__Store__V1__ConfigNameRecord *record,
		       uint32_t environment, struct sl_err *err)
{
	const struct vault_place place = place_of(d->workspace, record, environment);
	Sluice__Store__V1__ConfigValueRecord *value = config_value_in(record, environment);
	sl_code code = expect(d, record, value, err);
	if (code != SL_OK || !config_value_is_there(value)) {
		return code;
	}
	vault_remove(d, &place);
	config_value_unset(d, value);
	config_name_put(d, record, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, environment);
	return SL_OK;
}

sl_code settings_delete(struct decision *d, const Sluice__Store__V1__ConfigNameRecord *record,
			struct sl_err *err)
{
	sl_code code =
	    decision_expect(d, config_kind_noun(record->kind), record->name, record->revision, err);
	if (code != SL_OK) {
		return code;
	}
	for (size_t i = 0; i < record->n_values; i++) {
		const struct vault_place place =
		    place_of(d->workspace, record, record->values[i]->environment);
		if (config_value_is_there(record->values[i])) {
			vault_remove(d, &place);
		}
	}
	config_name_delete(d, record);
	return SL_OK;
}

sl_code settings_forget(struct decision *d, struct sl_err *err)
{
	sl_code code = config_names_forget(d, err);
	return code != SL_OK ? code : sources_forget(d, err);
}
