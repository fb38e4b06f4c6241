/* ConfigService: constants and secrets, one value per environment; data sources are in source.c. */
#include <string.h>

#include "base/crypto/secret.h"
#include "base/mem/own.h"
#include "server/rules/names.h"
#include "server/services/noun_checks.h"
#include "server/services/source.h"
#include "server/settings/settings.h"

/* --- what comes in ----------------------------------------------------------------------- */

static sl_code check_config_name(const char *name, struct sl_err *err)
{
	const char *rule = config_name_broken_rule(name);
	if (rule == NULL) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID,
				      "name '%.80s' %s", name, rule);
	sl_err_field(err, "name", rule);
	return code;
}

static sl_code check_kind(Sluice__V1__ConfigKind kind, struct sl_err *err)
{
	return (unsigned)kind <= SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET
		   ? SL_OK
		   : check_refused("kind", "must be GLOBAL or SECRET", err);
}

static sl_code check_one(const char *name, Sluice__V1__ConfigKind kind, const char *environment,
			 struct sl_err *err)
{
	sl_code code = check_config_name(name, err);
	code = code != SL_OK ? code : check_kind(kind, err);
	return code != SL_OK ? code : check_reference("environment", environment, err);
}

/* --- what goes out ------------------------------------------------------------------------- */

/* Somebody who sees none of the environments that it was ever set in does not see the name. */
static bool is_seen(const struct rights *rights, const Sluice__Store__V1__ConfigNameRecord *record)
{
	for (size_t i = 0; i < record->n_values; i++) {
		if (rights_allow(rights, ACCESS_VIEW, NULL, record->values[i]->environment)) {
			return true;
		}
	}
	return false;
}

static sl_code open_constant(const struct service_read *read,
			     const Sluice__Store__V1__ConfigNameRecord *record,
			     uint32_t environment, Sluice__V1__ConfigValue *value,
			     struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = settings_open(read->services->vault, read->view, read->workspace, record,
				     environment, &text, &why);
	if (code == SL_FAILED_PRECONDITION || code == SL_DATA_LOSS) {
		value->state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE;
		return SL_OK;
	}
	if (code != SL_OK) {
		sl_err_move(err, &why);
		return code;
	}
	value->value = sl_arena_strdup(read->arena, text);
	return value->value != NULL ? SL_OK : sl_err_no_memory(err);
}

/* With the values that the caller may see. */
static sl_code tell(const struct service_read *read,
		    const Sluice__Store__V1__ConfigNameRecord *record,
		    Sluice__V1__ConfigName **ret_config, struct sl_err *err)
{
	Sluice__V1__ConfigName *config = wire_config_name(read->arena, record);
	bool whole = config != NULL && !sl_arena_failed(read->arena);
	sl_code code = whole ? SL_OK : sl_err_no_memory(err);
	for (uint32_t e = 1; code == SL_OK && e <= ENV_COUNT; e++) {
		Sluice__V1__ConfigValue *value = config->values[e - 1];
		if (!config_value_is_there(config_value_in(record, e)) ||
		    !rights_allow(read->rights, ACCESS_VIEW, NULL, e)) {
			continue;
		}
		if (record->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET) {
			value->value = (char *)SETTING_MASK;
			continue;
		}
		code = open_constant(read, record, e, value, err);
	}
	*ret_config = config;
	return code;
}

/* --- SetConfigValue -------------------------------------------------------------------------- */

static sl_code set_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SetConfigValueRequest *request = message;
	sl_code code = check_one(request->name, request->kind, request->environment, err);
	return code != SL_OK ? code : check_value("value", request->value, SETTING_VALUE_MAX, err);
}

static sl_code set_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__SetConfigValueRequest *request = message;
	Sluice__V1__SetConfigValueResponse *response = reply;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	struct setting_new wanted = {
	    .name = request->name, .kind = request->kind, .value = request->value};
	sl_code code = environment_find(request->environment, &wanted.environment, err);
	code = code != SL_OK ? code : settings_set(service_vault(d), d, &wanted, &record, err);
	if (code == SL_OK) {
		response->config = wire_config_name(d->arena, record);
	}
	return code;
}

/* --- UnsetConfigValue --- */

static sl_code unset_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__UnsetConfigValueRequest *request = message;
	return check_one(request->name, request->kind, request->environment, err);
}

/* The name, for who may change it in this environment. */
static sl_code find(struct decision *d, const char *name, Sluice__V1__ConfigKind kind,
		    const char *environment, uint32_t *ret_environment,
		    Sluice__Store__V1__ConfigNameRecord **ret_record, struct sl_err *err)
{
	sl_code code = environment_find(environment, ret_environment, err);
	code = code != SL_OK
		   ? code
		   : config_name_find(d->view, d->arena, d->workspace, name, kind, ret_record, err);
	const struct rights *rights = d->rights != NULL ? d->rights : &rights_everything;
	bool known = code == SL_OK && (is_seen(rights, *ret_record) ||
				       config_value_in(*ret_record, *ret_environment) != NULL);
	return code != SL_OK || known ? code : config_name_not_found(name, kind, err);
}

static sl_code unset_decide(struct decision *d, const void *message, void *reply,
			    struct sl_err *err)
{
	const Sluice__V1__UnsetConfigValueRequest *request = message;
	Sluice__V1__UnsetConfigValueResponse *response = reply;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	uint32_t environment = 0;
	sl_code code =
	    find(d, request->name, request->kind, request->environment, &environment, &record, err);
	code = code != SL_OK ? code : settings_unset(d, record, environment, err);
	if (code == SL_OK) {
		response->config = wire_config_name(d->arena, record);
	}
	return code;
}

/* --- GetConfigName --- */

static sl_code get_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GetConfigNameRequest *request = message;
	sl_code code = check_config_name(request->name, err);
	return code != SL_OK ? code : check_kind(request->kind, err);
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetConfigNameRequest *request = message;
	Sluice__V1__GetConfigNameResponse *response = reply;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	sl_code code = config_name_find(read->view, read->arena, read->workspace, request->name,
					request->kind, &record, err);
	if (code == SL_OK && !is_seen(read->rights, record)) {
		code = config_name_not_found(request->name, request->kind, err);
	}
	return code != SL_OK ? code : tell(read, record, &response->config, err);
}

/* --- ListConfigNames --- */

static sl_code list_check(const void *message, struct sl_err *err)
{
	return check_kind(((const Sluice__V1__ListConfigNamesRequest *)message)->kind, err);
}

static sl_code list_walk(struct service_read *read, const struct service_page *page,
			 Sluice__V1__ConfigKind kind, Sluice__V1__ListConfigNamesResponse *response,
			 struct sl_err *err)
{
	struct record_key prefix = key_of(read->workspace);
	struct sl_bytes next = SL_BYTES_NONE;
	SL_AUTO(store_walk_end) struct store_walk walk;
	response->configs = SL_ARENA_ARRAY(read->arena, Sluice__V1__ConfigName *, page->size);
	store_walk_begin(&walk, read->view, TABLE_CONFIG_NAMES, key_bytes(&prefix), STORE_FORWARD);
	store_walk_from(&walk, page->from);
	while (response->configs != NULL && store_walk_next(&walk)) {
		Sluice__Store__V1__ConfigNameRecord *record = NULL;
		sl_code code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__config_name_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		bool wanted = kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED ||
			      kind == record->kind;
		if (!wanted || !is_seen(read->rights, record)) {
			continue;
		}
		if (response->n_configs == page->size) {
			next = walk.key;
			break;
		}
		code = tell(read, record, &response->configs[response->n_configs], err);
		if (code != SL_OK) {
			return code;
		}
		response->n_configs++;
	}
	response->page = service_page_end(read, page, next);
	return store_walk_result(&walk, err);
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListConfigNamesRequest *request = message;
	struct service_page page;
	const char *scope = sl_arena_printf(read->arena, "ListConfigNames %d", (int)request->kind);
	if (scope == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : list_walk(read, &page, request->kind, reply, err);
}

/* --- DeleteConfigName --- */

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteConfigNameRequest *request = message;
	sl_code code = check_config_name(request->name, err);
	return code != SL_OK ? code : check_kind(request->kind, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteConfigNameRequest *request = message;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	(void)reply;
	sl_code code = config_name_find(d->view, d->arena, d->workspace, request->name,
					request->kind, &record, err);
	return code != SL_OK ? code : settings_delete(d, record, err);
}

/* --- RevealSecret --- */

static sl_code reveal_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RevealSecretRequest *request = message;
	return check_one(request->name, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET,
			 request->environment, err);
}

static sl_code reveal_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__RevealSecretRequest *request = message;
	Sluice__V1__RevealSecretResponse *response = reply;
	Sluice__Store__V1__ConfigNameRecord *record = NULL;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	uint32_t environment = 0;
	sl_code code = find(d, request->name, SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET,
			    request->environment, &environment, &record, err);
	code = code != SL_OK
		   ? code
		   : settings_reveal(service_vault(d), d, record, environment, &value, err);
	if (code != SL_OK) {
		return code;
	}
	response->secret = sl_arena_strdup(d->arena, value);
	return response->secret != NULL ? SL_OK : sl_err_no_memory(err);
}

#define ROW(method) "/sluice.v1.ConfigService/" #method

/* clang-format off */
const struct service_method config_methods[12] = {
	{ ROW(SetConfigValue), ACCESS_CONFIGURE, &sluice__v1__set_config_value_request__descriptor,
	  &sluice__v1__set_config_value_response__descriptor, .check = set_check, .decide = set_decide,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_FIELD },
	{ ROW(UnsetConfigValue), ACCESS_CONFIGURE, &sluice__v1__unset_config_value_request__descriptor,
	  &sluice__v1__unset_config_value_response__descriptor, .check = unset_check, .decide = unset_decide, .shrinks = true,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_FIELD },
	{ ROW(GetConfigName), ACCESS_VIEW, &sluice__v1__get_config_name_request__descriptor,
	  &sluice__v1__get_config_name_response__descriptor, .check = get_check, .read = get_read, .scope = ACCESS_WORKSPACE },
	{ ROW(ListConfigNames), ACCESS_VIEW, &sluice__v1__list_config_names_request__descriptor,
	  &sluice__v1__list_config_names_response__descriptor, .check = list_check, .read = list_read, .scope = ACCESS_WORKSPACE },
	{ ROW(DeleteConfigName), ACCESS_CONFIGURE, &sluice__v1__delete_config_name_request__descriptor,
	  &sluice__v1__delete_config_name_response__descriptor, .check = delete_check, .decide = delete_decide, .shrinks = true,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_EVERYWHERE },
	{ ROW(RevealSecret), ACCESS_REVEAL, &sluice__v1__reveal_secret_request__descriptor,
	  &sluice__v1__reveal_secret_response__descriptor, .check = reveal_check, .decide = reveal_decide,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_FIELD },
	{ ROW(CreateSource), ACCESS_CONFIGURE, &sluice__v1__create_source_request__descriptor,
	  &sluice__v1__create_source_response__descriptor, .check = source_create_check, .decide = source_create_decide,
	  .scope = ACCESS_WORKSPACE },
	{ ROW(SetSource), ACCESS_CONFIGURE, &sluice__v1__set_source_request__descriptor,
	  &sluice__v1__set_source_response__descriptor, .check = source_set_check, .decide = source_set_decide,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_FIELD },
	{ ROW(GetSource), ACCESS_VIEW, &sluice__v1__get_source_request__descriptor,
	  &sluice__v1__get_source_response__descriptor, .check = source_get_check, .read = source_get_read, .scope = ACCESS_WORKSPACE },
	{ ROW(ListSources), ACCESS_VIEW, &sluice__v1__list_sources_request__descriptor,
	  &sluice__v1__list_sources_response__descriptor, .read = source_list_read, .scope = ACCESS_WORKSPACE },
	{ ROW(TestSource), ACCESS_CONFIGURE, &sluice__v1__test_source_request__descriptor,
	  &sluice__v1__test_source_response__descriptor, .check = source_test_check, .ask = source_test_ask,
	  .find = source_test_find, .decide = source_test_decide, .scope = ACCESS_ONE_INSTANCE },
	{ ROW(DeleteSource), ACCESS_CONFIGURE, &sluice__v1__delete_source_request__descriptor,
	  &sluice__v1__delete_source_response__descriptor, .check = source_delete_check, .decide = source_delete_decide, .shrinks = true,
	  .scope = ACCESS_WORKSPACE, .where = ACCESS_EVERYWHERE },
};
/* clang-format on */
