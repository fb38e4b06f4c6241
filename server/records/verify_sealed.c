/* verify: what is sealed. No key is needed: forms, keys that are there, and owners that know the
 * value. */
#include <string.h>

#include "server/records/config_names.h"
#include "server/records/logins.h"
#include "server/records/sources.h"
#include "server/records/verify_internal.h"
#include "server/rules/names.h"
#include "server/rules/source_kinds.h"

enum { MASTER_ID_BYTES = 16, WRAPPED_BYTES = 72, SEALED_BYTES_MIN = 40 };

static void check_key(struct verify *v)
{
	Sluice__Store__V1__WorkspaceKeyRecord *r =
	    verify_unpack(v, &sluice__store__v1__workspace_key_record__descriptor);
	struct verify_key key = verify_key_of(v);
	(void)verify_key_u32(&key);
	uint32_t number = verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_revision(v, r->revision);
	if (r->number != number || number == 0) {
		verify_fault(v, "is stored under the key of another");
	}
	if (r->master_id.len != MASTER_ID_BYTES || r->wrapped.len != WRAPPED_BYTES) {
		verify_fault(v, "is no wrapped key");
	}
}

/* The value's name is "<repository id>/<which>". */
static void check_login(struct verify *v, uint32_t ws, const char *name, uint64_t revision)
{
	char id[64];
	size_t bytes = strcspn(name, "/");
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	if (bytes >= sizeof(id) || name[bytes] == '\0') {
		verify_fault(v, "is named after no repository");
		return;
	}
	memcpy(id, name, bytes);
	id[bytes] = '\0';
	if (repository_get(v->view, &v->arena, ws, id, &repository, NULL) != SL_OK) {
		verify_fault(v, "refers to a repository that is not there");
		return;
	}
	const Sluice__Store__V1__LoginRecord *login = login_by_name(repository, name + bytes + 1);
	if (login == NULL || login->sealed_revision != revision) {
		verify_fault(v, "is not what its repository knows");
	}
}

/* NULL: nothing is sealed there. */
static const Sluice__Store__V1__SealedRecord *
sealed_in(struct verify *v, uint32_t ws, uint32_t kind, const char *name, uint32_t environment)
{
	Sluice__Store__V1__SealedRecord *sealed = NULL;
	struct record_key key =
	    KEY(ws, key_u32(k, kind), key_text(k, name), key_u32(k, environment));
	return record_get(v->view, &v->arena, TABLE_SEALED, &key,
			  &sluice__store__v1__sealed_record__descriptor, &sealed, NULL) == SL_OK
		   ? sealed
		   : NULL;
}

/* A sealed value of this kind that is as its owner says. */
static void need_sealed(struct verify *v, uint32_t ws, uint32_t kind, const char *name,
			const Sluice__Store__V1__ConfigValueRecord *value)
{
	const Sluice__Store__V1__SealedRecord *sealed =
	    sealed_in(v, ws, kind, name, value->environment);
	bool empty = sealed != NULL && sealed->sealed.len == SEALED_BYTES_MIN;
	bool said = value->state == SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY;
	if (sealed == NULL) {
		verify_fault(v, "says that it is set in %s, and nothing is sealed there",
			     environment_name(value->environment));
	} else if (sealed->revision != value->revision || empty != said) {
		verify_fault(v, "is not what is sealed in %s",
			     environment_name(value->environment));
	}
}

static uint32_t sealed_kind_of(const Sluice__Store__V1__ConfigNameRecord *r)
{
	return r->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET ? SEALED_SECRET
								      : SEALED_CONSTANT;
}

/* The key is a workspace and this name. */
static bool is_named(struct verify *v, const char *name, uint64_t revision, uint32_t *ret_workspace)
{
	struct verify_key key = verify_key_of(v);
	*ret_workspace = verify_key_u32(&key);
	const char *there = verify_key_id(&key);
	if (!verify_key_end(v, &key)) {
		return false;
	}
	verify_revision(v, revision);
	bool named = strcmp(name, there) == 0 && config_name_broken_rule(name) == NULL;
	if (!named) {
		verify_fault(v, "is stored under the key of another");
	}
	return named;
}

static void check_config_name(struct verify *v)
{
	Sluice__Store__V1__ConfigNameRecord *r =
	    verify_unpack(v, &sluice__store__v1__config_name_record__descriptor);
	uint32_t ws = 0, before = 0;
	if (r == NULL || !is_named(v, r->name, r->revision, &ws)) {
		return;
	}
	if (r->kind != SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL &&
	    r->kind != SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET) {
		verify_fault(v, "is of kind %d", (int)r->kind);
	}
	for (size_t i = 0; i < r->n_values; i++) {
		verify_environment(v, r->values[i]->environment);
		verify_revision(v, r->values[i]->revision);
		if (r->values[i]->environment <= before) {
			verify_fault(v, "has values out of order");
		}
		before = r->values[i]->environment;
		if (config_value_is_there(r->values[i])) {
			need_sealed(v, ws, sealed_kind_of(r), r->name, r->values[i]);
		}
	}
}

static void check_setting(struct verify *v, uint32_t ws, uint32_t kind, const char *name,
			  uint32_t environment)
{
	Sluice__Store__V1__ConfigNameRecord *owner = NULL;
	sl_code code =
	    config_name_find(v->view, &v->arena, ws, name,
			     SLUICE__V1__CONFIG_KIND__CONFIG_KIND_UNSPECIFIED, &owner, NULL);
	bool known = code == SL_OK && sealed_kind_of(owner) == kind &&
		     config_value_is_there(config_value_in(owner, environment));
	if (!known) {
		verify_fault(v, "is of no constant or secret that is set");
	}
}

static void check_source_setting(struct verify *v, uint32_t ws,
				 const Sluice__Store__V1__SourceRecord *r,
				 const Sluice__Store__V1__SourceSettingRecord *setting)
{
	verify_environment(v, setting->environment);
	verify_revision(v, setting->revision);
	if (setting->test != NULL && setting->test->revision > setting->revision) {
		verify_fault(v, "has a test of options that were never set in %s",
			     environment_name(setting->environment));
	}
	if (!source_setting_is_there(setting)) {
		return;
	}
	const Sluice__Store__V1__SealedRecord *sealed =
	    sealed_in(v, ws, SEALED_SOURCE, r->name, setting->environment);
	if (sealed == NULL || sealed->revision != setting->revision) {
		verify_fault(v, "is not what is sealed in %s",
			     environment_name(setting->environment));
	}
}

static void check_source(struct verify *v)
{
	Sluice__Store__V1__SourceRecord *r =
	    verify_unpack(v, &sluice__store__v1__source_record__descriptor);
	uint32_t ws = 0, before = 0;
	if (r == NULL || !is_named(v, r->name, r->revision, &ws)) {
		return;
	}
	if (source_kind_of(r->kind) == NULL) {
		verify_fault(v, "is of kind '%.60s', which there is not", r->kind);
	}
	for (size_t i = 0; i < r->n_settings; i++) {
		if (r->settings[i]->environment <= before) {
			verify_fault(v, "has settings out of order");
		}
		before = r->settings[i]->environment;
		check_source_setting(v, ws, r, r->settings[i]);
	}
}

static void check_policy(struct verify *v)
{
	Sluice__Store__V1__PolicyRecord *r =
	    verify_unpack(v, &sluice__store__v1__policy_record__descriptor);
	struct verify_key key = verify_key_of(v);
	(void)verify_key_u32(&key);
	uint32_t environment = verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_revision(v, r->revision);
	verify_environment(v, environment);
	if (r->environment != environment) {
		verify_fault(v, "is stored under the key of another");
	}
}

static void check_options(struct verify *v, uint32_t ws, const char *name, uint32_t environment)
{
	Sluice__Store__V1__SourceRecord *owner = NULL;
	sl_code code = source_find(v->view, &v->arena, ws, name, &owner, NULL);
	if (code != SL_OK || !source_setting_is_there(source_setting_in(owner, environment))) {
		verify_fault(v, "is of no data source that is set");
	}
}

static void check_sealed(struct verify *v)
{
	Sluice__Store__V1__SealedRecord *r =
	    verify_unpack(v, &sluice__store__v1__sealed_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	uint32_t kind = verify_key_u32(&key);
	const char *name = verify_key_id(&key);
	uint32_t environment = verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	struct record_key sealed_with = KEY(ws, key_u32(k, r->key_number));
	verify_need(v, TABLE_WORKSPACE_KEYS, &sealed_with, "a workspace's key");
	verify_revision(v, r->revision);
	if (r->sealed.len < SEALED_BYTES_MIN) {
		verify_fault(v, "is no sealed value");
	}
	if (kind == SEALED_REPOSITORY_LOGIN) {
		check_login(v, ws, name, r->revision);
	} else if (kind == SEALED_CONSTANT || kind == SEALED_SECRET) {
		check_setting(v, ws, kind, name, environment);
	} else if (kind == SEALED_SOURCE) {
		check_options(v, ws, name, environment);
	} else {
		verify_fault(v, "is of kind %u, which nobody owns", kind);
	}
}

const struct verify_check verify_sealed[5] = {
    {TABLE_WORKSPACE_KEYS, check_key},       {TABLE_SEALED, check_sealed},
    {TABLE_CONFIG_NAMES, check_config_name}, {TABLE_SOURCES, check_source},
    {TABLE_POLICIES, check_policy},
};
