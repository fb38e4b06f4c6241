/* apps: where did I last work? */
#include <string.h>

#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/versions.h"
#include "server/rules/versions.h"

static sl_code last_opened(struct decision *d, const char *app_id,
			   Sluice__Store__V1__OpenedRecord **ret_opened, struct sl_err *err)
{
	struct record_key key = KEY(d->workspace, key_text(k, app_id), key_text(k, d->principal));
	sl_code code = record_get(d->view, d->arena, TABLE_OPENED, &key,
				  &sluice__store__v1__opened_record__descriptor, ret_opened, err);
	return code == SL_NOT_FOUND ? SL_OK : code; /* *ret_opened stays NULL */
}

/* The newest in `environment` itself, else of what is beyond it (lists are cumulative), else one
 * environment down. */
static sl_code newest_there(struct decision *d, const char *app_id, uint32_t *environment,
			    uint32_t *ret_number, struct sl_err *err)
{
	uint32_t newest[ENV_COUNT + 1] = {0};
	struct record_key prefix = KEY(d->workspace, key_text(k, app_id));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__version_record__descriptor, &version, err);
		if (code != SL_OK) {
			return code;
		}
		if (version->environment <= ENV_COUNT && newest[version->environment] == 0) {
			newest[version->environment] = version->number;
		}
	}
	*ret_number = version_newest_there(newest, ENV_COUNT, environment);
	return store_walk_result(&walk, err);
}

static sl_code open_named(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			  uint32_t *environment, uint32_t opened_environment, const char *name,
			  Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = version_find(d->view, d->arena, d->workspace, app, name, &version, err);
	if (code != SL_OK) {
		return code;
	}
	if (*environment == 0) {
		bool there = opened_environment != 0 && version->environment >= opened_environment;
		*environment = there ? opened_environment : version->environment;
	}
	if (version->environment < *environment) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_NOT_ELIGIBLE,
		    "version '%s' of app '%s' is in %s: it cannot be opened in %s", version->name,
		    app->name, environment_name(version->environment),
		    environment_name(*environment));
	}
	*ret_version = version;
	return SL_OK;
}

static sl_code open_any(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			uint32_t *environment, const Sluice__Store__V1__OpenedRecord *opened,
			Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	if (*environment == 0) {
		*environment = opened != NULL ? opened->environment : ENV_DEVELOPMENT;
	}
	if (opened != NULL && opened->environment == *environment) {
		sl_code code = version_get(d->view, d->arena, d->workspace, app->id,
					   opened->version, ret_version, err);
		if (code != SL_NOT_FOUND) {
			return code;
		}
	}
	uint32_t number = 0;
	sl_code code = newest_there(d, app->id, environment, &number, err);
	if (code == SL_OK) {
		code =
		    version_get(d->view, d->arena, d->workspace, app->id, number, ret_version, err);
	}
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS, "app '%s' has no version", app->id);
}

sl_code apps_decide_open(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			 uint32_t environment, const char *version, uint32_t *ret_environment,
			 Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	Sluice__Store__V1__OpenedRecord *opened = NULL;
	Sluice__Store__V1__VersionRecord *found = NULL;
	d->object.app_id = app->id;
	sl_code code = last_opened(d, app->id, &opened, err);
	if (code != SL_OK) {
		return code;
	}
	code = version[0] != '\0'
		   ? open_named(d, app, &environment, opened != NULL ? opened->environment : 0,
				version, &found, err)
		   : open_any(d, app, &environment, opened, &found, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_environment = environment;
	*ret_version = found;
	if (opened != NULL && opened->environment == environment &&
	    opened->version == found->number) {
		return SL_OK;
	}
	Sluice__Store__V1__OpenedRecord now;
	sluice__store__v1__opened_record__init(&now);
	now.environment = environment;
	now.version = found->number;
	now.at_ms = d->now_ms;
	struct record_key key = KEY(d->workspace, key_text(k, app->id), key_text(k, d->principal));
	decision_put(d, TABLE_OPENED, &key, &now.base);
	return SL_OK;
}
